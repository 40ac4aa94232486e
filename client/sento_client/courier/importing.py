"""Bringing a set of volumes to one site: the spine first, from whichever copy is good, then payloads; and the site's signed receipt for it.

What the site has is not sent again, so an import that broke off is simply run again, as is one for which the missing volumes were found meanwhile. The site
proves every chunk itself; the volumes' signatures and seals are judged here, before anything of a volume is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import grpc
import grpc.aio

from sento_client.courier.reading import (
    DAMAGED,
    DUPLICATE,
    GOOD,
    MISSING,
    Found,
    FoundSet,
    Judge,
)
from sento_client.courier.volume_files import pieces_of
from sento_client.grpc_transport import GrpcTransport, code_and_detail
from sento_client.transport import IMPORT
from sento_proto.arrival import SignedArrival, arrival_holds, decode_arrival
from sento_proto.checkpoint import SiteKeys
from sento_proto.chunk import ChunkName, Kind, chunk_id, decode_chunk
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import Governance
from sento_proto.keys import PublicKey, Suite
from sento_proto.v1 import admin_pb2
from sento_proto.volume import VolumeReader
from sento_proto.wire import Malformed

PIECE_BYTES = 512 * 1024
IN_FLIGHT = 3
"""Chunks that may be on their way while the site works: it is never idle, and memory is bounded."""
REPORT_SILENCE_MS = 300_000
_ARRIVED = {GOOD: "used", DAMAGED: "damaged", MISSING: "missing", DUPLICATE: "duplicate"}


class SiteStands(NamedTuple):
    """How far the site's flushed ledger is, and whether it awaits payloads."""

    block: int
    size: int
    payloads_awaited: int


class ImportLine(Protocol):
    """A call of Admin.Import. Raises SentoError."""

    async def send(self, piece: admin_pb2.ImportPiece) -> None:
        """Hand over a piece."""
        ...

    async def report(self) -> admin_pb2.ImportReport:
        """The next report."""
        ...


class Refused(NamedTuple):
    """A chunk that the site did not take."""

    volume: str
    words: str


class Imported(NamedTuple):
    """How an import ended. `arrival`: the receipt's file, verified."""

    arrival: bytes
    signed: SignedArrival
    refused: tuple[Refused, ...]
    chunks: dict[str, int]


class Bringer:
    """One import over an open line. `stands`: asks the site how far it is."""

    def __init__(
        self,
        line: ImportLine,
        stands: Callable[[], Awaitable[SiteStands]],
        judge: Judge,
        on_progress: Callable[[str, int, int], None] = lambda _words, _done, _of: None,
    ) -> None:
        self._line = line
        self._stands = stands
        self._judge = judge
        self._on_progress = on_progress
        self._in_flight: list[tuple[bytes, str, ChunkName]] = []
        self._block = 0
        self._size = 0
        self._refused: list[Refused] = []
        self._spoiled: dict[str, Found] = {}
        self._counted: dict[str, int] = {}

    async def bring(self, sets: Sequence[FoundSet], governance: Governance, site: str) -> Imported:
        """All sets of a chain, and the end. Raises SentoError, DAMAGED when the receipt does not hold."""
        for found in sets:
            await self._bring_spine(found)
        for found in sets:
            await self._bring_payloads(found)
        return await self._end(sets, governance, site)

    async def _look(self) -> SiteStands:
        stands = await self._stands()
        self._block, self._size = stands.block, stands.size
        return stands

    async def _bring_spine(self, found: FoundSet) -> None:
        """Volume after volume until the site has all blocks; the second copy is read where the first has a hole."""
        goal = found.header.to_block
        await self._look()
        volumes = found.holding("spine")
        for done, volume in enumerate(volumes):
            if self._block >= goal:
                return
            self._on_progress("spine", done, len(volumes))
            await self._bring_volume(volume)
            await self._look()

    async def _bring_payloads(self, found: FoundSet) -> None:
        stands = await self._look()
        if not stands.payloads_awaited:
            return
        volumes = found.holding("payloads")
        for done, volume in enumerate(volumes):
            self._on_progress("payloads", done, len(volumes))
            await self._bring_volume(volume)

    async def _bring_volume(self, volume: Found) -> None:
        """Send what the site lacks of a volume that was found good; if it is not any more, what was sent had to prove itself and the rest stays away."""
        assert volume.path is not None, "good volumes are files"
        reader = VolumeReader(self._judge.opener)
        pieces = pieces_of(volume.path)
        try:
            while True:
                chunks = await asyncio.to_thread(_next_chunks, pieces, reader)
                if chunks is None:
                    break
                for data in chunks:
                    await self._bring_chunk(volume.label, data)
        except (Malformed, OSError) as error:
            self._spoiled[volume.label] = volume._replace(verdict=DAMAGED, words=str(error))
        while self._in_flight:
            await self._settle()

    async def _bring_chunk(self, volume: str, data: bytes) -> None:
        name = (await asyncio.to_thread(decode_chunk, data)).name
        known = (
            name.through_block <= self._block if name.kind is Kind.SPINE else name.from_position >= self._size
        )
        if known:
            return
        identity = chunk_id(data)
        for at in range(0, len(data), PIECE_BYTES):
            piece = admin_pb2.ImportPiece(data=data[at : at + PIECE_BYTES])
            if at == 0:
                piece.chunk_id, piece.total_bytes, piece.volume = identity, len(data), volume
            await self._line.send(piece)
        self._in_flight.append((identity, volume, name))
        if len(self._in_flight) >= IN_FLIGHT:
            await self._settle()

    async def _settle(self) -> None:
        """What became of the oldest chunk on its way."""
        identity, volume, name = self._in_flight.pop(0)
        report = await self._line.report()
        if report.chunk_id != identity:
            raise SentoError(Code.DAMAGED, "the site reported about another chunk than it was given")
        self._counted[report.outcome] = self._counted.get(report.outcome, 0) + 1
        if report.outcome == "refused":
            self._refused.append(Refused(volume, report.words))
        self._size = max(self._size, report.size)
        if name.kind is Kind.SPINE and report.outcome in ("adopted", "known"):
            self._block = max(self._block, name.through_block)

    async def _end(self, sets: Sequence[FoundSet], governance: Governance, site: str) -> Imported:
        end = admin_pb2.ImportEnd(set=sets[-1].header.set_id.hex())
        for found in sets:
            for one in (*found.good, *found.others):
                told = self._spoiled.get(one.label, one)
                verdict = _ARRIVED.get(told.verdict, "foreign")
                end.volumes.add(number=told.label, verdict=verdict, digest=told.digest)
        await self._line.send(admin_pb2.ImportPiece(end=end))
        arrival = (await self._line.report()).arrival
        try:
            signed = decode_arrival(arrival)
        except Malformed as error:
            raise SentoError(Code.DAMAGED, f"{site}: {error}") from None
        ever = list(keys_ever(governance, site))
        if signed.content.site != site or not arrival_holds(signed, governance.ledger_id, ever):
            raise SentoError(
                Code.DAMAGED, f"{site}: its arrival receipt is not signed with a key of that site"
            )
        return Imported(arrival, signed, tuple(self._refused), self._counted)


def _next_chunks(pieces: Iterator[bytes], reader: VolumeReader) -> list[bytes] | None:
    """The chunks that end in the next piece of a file; None behind the last one. Raises Malformed, OSError."""
    piece = next(pieces, None)
    if piece is None:
        reader.end()
        return None
    return list(reader.feed(piece))


def keys_ever(governance: Governance, site: str) -> Iterator[SiteKeys]:
    """Every set of keys that a site has or had."""
    for key_id, (name, key) in governance.site_keys_ever.items():
        if name == site:
            second: PublicKey | None = governance.second_keys_ever.get(key_id)
            yield SiteKeys(key, second if second is None or second.suite == Suite.ML_DSA_44 else None)


class _GrpcLine:
    """The call over gRPC."""

    def __init__(
        self, site: str, call: grpc.aio.StreamStreamCall[admin_pb2.ImportPiece, admin_pb2.ImportReport]
    ) -> None:
        self._site = site
        self._call = call

    async def send(self, piece: admin_pb2.ImportPiece) -> None:
        """Hand over a piece; how the call ended is told where it ended."""
        try:
            await self._call.write(piece)
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from None
        except asyncio.InvalidStateError:
            await self.report()
            raise SentoError(Code.UNREACHABLE, f"{self._site} ended the import") from None

    async def report(self) -> admin_pb2.ImportReport:
        """The next report."""
        try:
            async with asyncio.timeout(REPORT_SILENCE_MS / 1000):
                report = await self._call.read()
        except TimeoutError:
            raise SentoError(Code.DEADLINE, f"{self._site} was silent for {REPORT_SILENCE_MS} ms") from None
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from None
        if not isinstance(report, admin_pb2.ImportReport):
            raise SentoError(Code.UNREACHABLE, f"{self._site} ended the import")
        return report

    def _error(self, error: grpc.aio.AioRpcError) -> SentoError:
        code, detail = code_and_detail(error)
        return SentoError(code, f"{self._site}: {detail}" if detail else self._site)


@contextlib.asynccontextmanager
async def open_line(transport: GrpcTransport, site: str) -> AsyncIterator[ImportLine]:
    """A call of Admin.Import at a site, while inside."""
    call = transport.both_ways(site, IMPORT)
    try:
        yield _GrpcLine(site, call)
    finally:
        call.cancel()


def receipt_path(directory: Path, found: FoundSet, site: str) -> Path:
    """Where the arrival receipt is put."""
    return directory / f"{found.header.set_id.hex()}-{site}.sento-arrival"
