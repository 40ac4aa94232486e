"""Chunks from live sites, whichever answer: a chunk that broke off goes on where it was, here or at another site, and an outage of hours is waited out.

A site that restarts, a link that is cut, a site that stops giving data are one thing: the next site is asked, and after a round of all of them there is a
pause. What can never come is refused at once: by a wrong certificate, or because no site plans the stretch any more (OUT_OF_RANGE: plan again).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from sento_client.composing import Ports
from sento_client.transport import FETCH_CHUNK, PLAN, Transport
from sento_proto.chunk import CHUNK_MAX_BYTES, Chunk, Kind, chunk_id, decode_chunk
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import sync_pb2
from sento_proto.wire import Malformed

SILENCE_MS = 20_000
"""A chunk that brings no byte for so long is asked for elsewhere."""
PLAN_TIMEOUT_MS = 20_000
PATIENCE_MS = 6 * 3600 * 1000
"""So long may all sites together be silent before the export ends; it can be gone on with even then."""
PAUSE_FIRST_MS, PAUSE_MOST_MS = 200, 10_000
_FINAL = frozenset(
    {Code.IDENTITY_REFUSED, Code.IDENTITY_EXPIRED, Code.BAD_REQUEST, Code.WRONG_LEDGER, Code.OUT_OF_RANGE}
)
_T = TypeVar("_T")


class Stretch(NamedTuple):
    """A planned spine: the blocks in (after_block, through_block] with the records [from_position, to_position)."""

    after_block: int
    through_block: int
    from_position: int
    to_position: int


class SitePlan(NamedTuple):
    """What a site would give, as far as one answer goes; with `more` the plan goes on behind its last stretch."""

    epoch: int
    stretches: tuple[Stretch, ...]
    more: bool


class ChunkSource(Protocol):
    """Where chunks come from. Raises SentoError."""

    async def plan(self, after_block: int, *, there_is_more: bool = False) -> SitePlan:
        """The spines after a block. `there_is_more`: that there are some is known, so a site that has none is behind."""
        ...

    async def spine(self, after_block: int, through_block: int) -> bytes:
        """A spine's bytes. Raises SentoError OUT_OF_RANGE when no site gives it: plan again."""
        ...

    async def payloads(self, registry: str, from_position: int, to_position: int) -> bytes:
        """A chunk of payloads, which may end earlier and says where."""
        ...


class SiteChunks:
    """Chunks over a transport. `wait`: sleeps, in seconds."""

    def __init__(
        self,
        transport: Transport,
        ledger_id: bytes,
        ports: Ports,
        *,
        patience_ms: int = PATIENCE_MS,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_trouble: Callable[[SentoError], None] = lambda _: None,
        sites: Sequence[str] = (),
    ) -> None:
        self._transport = transport
        self._ledger_id = ledger_id
        self._ports = ports
        self._patience_ms = patience_ms
        self._wait = wait
        self._on_trouble = on_trouble
        self._sites = list(sites or transport.sites)

    async def plan(self, after_block: int, *, there_is_more: bool = False) -> SitePlan:
        """The spines after a block, by one site."""
        request = sync_pb2.PlanRequest(after_block=after_block)

        async def ask(site: str) -> SitePlan:
            reply = await self._not_behind(site, self._transport.call(site, PLAN, request, PLAN_TIMEOUT_MS))
            if there_is_more and not reply.chunks:
                raise SentoError(Code.NOT_FRESH, f"{site} has nothing behind block {after_block} yet")
            stretches = tuple(
                Stretch(one.after_block, one.through_block, one.from_position, one.to_position)
                for one in reply.chunks
            )
            return SitePlan(reply.epoch, stretches, reply.more)

        return await self._patiently(ask)

    async def spine(self, after_block: int, through_block: int) -> bytes:
        """A spine's bytes."""
        request = sync_pb2.FetchChunkRequest(
            kind=sync_pb2.SPINE, after_block=after_block, through_block=through_block
        )

        def fits(chunk: Chunk) -> bool:
            name = chunk.name
            return (name.kind, name.after_block, name.through_block) == (
                Kind.SPINE,
                after_block,
                through_block,
            )

        return await self._chunk(request, fits)

    async def payloads(self, registry: str, from_position: int, to_position: int) -> bytes:
        """A chunk of payloads."""
        request = sync_pb2.FetchChunkRequest(
            kind=sync_pb2.PAYLOADS, registry=registry, from_position=from_position, to_position=to_position
        )

        def fits(chunk: Chunk) -> bool:
            name = chunk.name
            begins = (name.kind, name.registry, name.from_position) == (
                Kind.PAYLOADS,
                registry,
                from_position,
            )
            return begins and from_position < name.to_position <= to_position

        async def whole(site: str) -> bytes:
            return await self._not_behind(site, self._chunk_from(site, request, part, fits))

        part = _Part()
        return await self._patiently(whole)

    async def _not_behind(self, site: str, answer: Awaitable[_T]) -> _T:
        """What is beyond a site's ledger, and is known to stand, that site will have later."""
        try:
            return await answer
        except SentoError as error:
            if error.code is Code.OUT_OF_RANGE:
                raise SentoError(Code.NOT_FRESH, f"{site} is behind") from None
            raise

    async def _chunk(self, request: sync_pb2.FetchChunkRequest, fits: Callable[[Chunk], bool]) -> bytes:
        part = _Part()
        return await self._patiently(lambda site: self._chunk_from(site, request, part, fits))

    async def _chunk_from(
        self, site: str, request: sync_pb2.FetchChunkRequest, part: _Part, fits: Callable[[Chunk], bool]
    ) -> bytes:
        request.offset, request.chunk_id = len(part.data), part.chunk_id
        async for piece in self._transport.stream(site, FETCH_CHUNK, request, SILENCE_MS):
            part.take(site, piece)
            if part.whole:
                break
        data = part.checked(site)
        try:
            chunk = decode_chunk(data)
        except Malformed as error:
            part.drop()
            raise SentoError(Code.DAMAGED, f"{site}: {error}") from None
        if chunk.name.ledger_id != self._ledger_id or not fits(chunk):
            part.drop()
            raise SentoError(Code.DAMAGED, f"{site}: it gave another chunk than it was asked for")
        return data

    async def _patiently(self, ask: Callable[[str], Awaitable[_T]]) -> _T:
        """The answer of the first site that gives one. Raises SentoError when it can never come, or none came for the whole patience."""
        began_ms, pause_ms = self._ports.steady_ms(), PAUSE_FIRST_MS
        while True:
            errors = []
            for site in list(self._sites):
                try:
                    answer = await ask(site)
                except SentoError as error:
                    errors.append(error)
                    self._on_trouble(error)
                    continue
                self._sites.remove(site)
                self._sites.insert(0, site)
                return answer
            if all(error.code in _FINAL for error in errors):
                raise min(errors, key=lambda error: error.code is not Code.OUT_OF_RANGE)
            if self._ports.steady_ms() - began_ms > self._patience_ms:
                raise errors[0]
            await self._wait(pause_ms / 1000)
            pause_ms = min(2 * pause_ms, PAUSE_MOST_MS)


class _Part:
    """A chunk as far as it has come."""

    def __init__(self) -> None:
        self.drop()

    def drop(self) -> None:
        """Begin again."""
        self.data = bytearray()
        self.chunk_id = b""
        self._total_bytes: int | None = None

    @property
    def whole(self) -> bool:
        """Whether every byte is there."""
        return self._total_bytes is not None and len(self.data) >= self._total_bytes

    def take(self, site: str, piece: sync_pb2.ChunkPiece) -> None:
        """The next piece; the first of a call says of which chunk, and from which byte on. Raises SentoError DAMAGED."""
        if piece.chunk_id:
            if piece.chunk_id != self.chunk_id or piece.offset != len(self.data):
                self.drop()
            if piece.offset != len(self.data) or not 0 < piece.total_bytes <= CHUNK_MAX_BYTES:
                raise SentoError(Code.DAMAGED, f"{site}: a chunk of a length that no chunk has")
            self.chunk_id, self._total_bytes = piece.chunk_id, piece.total_bytes
        if self._total_bytes is None or len(self.data) + len(piece.data) > self._total_bytes:
            self.drop()
            raise SentoError(Code.DAMAGED, f"{site}: a chunk longer than it was said to be")
        self.data += piece.data

    def checked(self, site: str) -> bytes:
        """The whole chunk. Raises SentoError UNREACHABLE while it is not, DAMAGED."""
        if not self.whole:
            raise SentoError(Code.UNREACHABLE, f"{site}: the chunk broke off")
        data = bytes(self.data)
        if chunk_id(data) != self.chunk_id:
            self.drop()
            raise SentoError(Code.DAMAGED, f"{site}: a chunk that is not the one it was said to be")
        return data
