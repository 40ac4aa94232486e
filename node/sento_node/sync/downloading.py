"""One chunk from one site into its part on disk: goes on at the byte where it was, takes no byte too many, and waits for progress instead of a deadline.

What a site may do wrong is named (`FalseChunk`): another length than it said, pieces out of place, bytes beyond the end, a whole chunk that is torn or of
another stretch. What may be the line's fault is silence (`Silence`): then what came is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol

from sento_node.clock import Clock
from sento_node.sync.parts import Part, Parts, Wanted
from sento_node.sync.rate_cap import RateCap
from sento_proto.chunk import CHUNK_MAX_BYTES, PAYLOAD_CHUNK_BYTES, Chunk, Kind, decode_chunk
from sento_proto.v1 import sync_pb2
from sento_proto.wire import Malformed, Reader

STALL_MS = 120_000
"""A stream without a byte for so long has ended. Four streams of pieces of 64 KiB need 32 s between two pieces at 64 kbit/s."""
FLUSH_EVERY_MS = 5_000
PAYLOADS_MAX_BYTES = 2 * PAYLOAD_CHUNK_BYTES
"""A chunk of payloads ends with the record that fills it; positions and lengths come on top."""
_ID_BYTES = 32
_KINDS = {Kind.SPINE: sync_pb2.SPINE, Kind.PAYLOADS: sync_pb2.PAYLOADS}


class Silence(Exception):
    """The site did not answer in time, or not with what was asked."""


class NotHeld(Silence):
    """The site answered that its ledger does not hold what was asked for."""


class FalseChunk(Exception):
    """What the site gave is not what it said it was. The text says what is wrong."""


class GivesChunks(Protocol):
    """What of another site is needed to copy its ledger."""

    name: str

    async def plan(self, after_block: int, anchor_size: int) -> sync_pb2.PlanReply:
        """Which spines it would give. Raises Silence."""
        ...

    def fetch_chunk(
        self, stream: int, request: sync_pb2.FetchChunkRequest
    ) -> AsyncGenerator[sync_pb2.ChunkPiece, None]:
        """A chunk's pieces over one of several connections. Raises Silence."""
        ...


class Downloader:
    """Fetches chunks into parts, under the site's cap. `came` is told of every byte: the giver and how many."""

    def __init__(
        self,
        parts: Parts,
        cap: RateCap,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.parts = parts
        self.cap = cap
        self._clock = clock
        self._sleep = sleep

    async def fetch(
        self, giver: GivesChunks, stream: int, wanted: Wanted, came: Callable[[str, int], None]
    ) -> Part:
        """The whole chunk. Raises Silence with what came kept, FalseChunk, NoRoom, OSError."""
        part = self.parts.part(giver.name, wanted)
        if part.is_whole:
            return part
        request = _request(wanted, part)
        flushed_ms = self._clock.now_ms()
        async with contextlib.aclosing(giver.fetch_chunk(stream, request)) as pieces:
            first = True
            while not part.is_whole:
                piece = await _next(pieces)
                if piece is None:
                    raise Silence("the chunk ended before its end")
                if part.dropped:
                    raise Silence("an erasure was carried out meanwhile; the chunk is fetched anew")
                if first:
                    _start(part, piece, wanted.kind)
                    first = False
                elif not piece.data:
                    raise FalseChunk("a piece of a chunk that has no bytes")
                if part.size_bytes + len(piece.data) > part.total_bytes:
                    raise FalseChunk(f"more bytes than the {part.total_bytes:,} that it said")
                part.append(piece.data)
                came(giver.name, len(piece.data))
                now_ms = self._clock.now_ms()
                if now_ms - flushed_ms >= FLUSH_EVERY_MS and not part.is_whole:
                    flushed_ms = now_ms
                    await asyncio.to_thread(part.flush)
                pause_ms = self.cap.received(len(piece.data), now_ms)
                if pause_ms:
                    await self._sleep(pause_ms / 1000)
        return part


async def _next(pieces: AsyncGenerator[sync_pb2.ChunkPiece, None]) -> sync_pb2.ChunkPiece | None:
    try:
        async with asyncio.timeout(STALL_MS / 1000):
            return await anext(pieces, None)
    except TimeoutError:
        raise Silence(f"no byte for {STALL_MS // 1000} s") from None


def _request(wanted: Wanted, part: Part) -> sync_pb2.FetchChunkRequest:
    return sync_pb2.FetchChunkRequest(
        kind=_KINDS[wanted.kind],
        after_block=wanted.after_block,
        through_block=wanted.through_block,
        from_position=wanted.from_position,
        to_position=wanted.to_position,
        registry=wanted.registry,
        offset=part.size_bytes,
        chunk_id=part.chunk_id,
    )


def _start(part: Part, piece: sync_pb2.ChunkPiece, kind: Kind) -> None:
    """What the first piece says of the chunk: still the one that is here in part, or another from its beginning."""
    most_bytes = CHUNK_MAX_BYTES if kind is Kind.SPINE else PAYLOADS_MAX_BYTES
    if len(piece.chunk_id) != _ID_BYTES or not 0 < piece.total_bytes <= most_bytes:
        raise FalseChunk(f"a chunk of {piece.total_bytes:,} bytes, or without a name")
    same = (piece.chunk_id, piece.total_bytes) == (part.chunk_id, part.total_bytes)
    if same and piece.offset == part.size_bytes:
        return
    if piece.offset:
        raise FalseChunk("a chunk that goes on where it was not asked to")
    part.begin(piece.chunk_id, piece.total_bytes)


_TO_POSITION_AT = 1 + 1 + 32 + 4 + 3 * 8


def end_of(part: Part, wanted: Wanted) -> int:
    """Where a whole chunk of payloads says that it ends; the rest of it is looked at when it is used. Raises FalseChunk."""
    if wanted.kind is Kind.SPINE:
        return wanted.to_position
    try:
        end = Reader(part.first(_TO_POSITION_AT + 8)[_TO_POSITION_AT:], "chunk").u64("to position")
    except Malformed as error:
        raise FalseChunk(str(error)) from error
    if not wanted.from_position < end <= wanted.to_position:
        raise FalseChunk("payloads of another stretch than the one asked for")
    return end


def decoded(data: bytes, wanted: Wanted, ledger_id: bytes) -> Chunk:
    """The chunk that was wanted, out of its bytes. Raises FalseChunk."""
    try:
        chunk = decode_chunk(data)
    except Malformed as error:
        raise FalseChunk(str(error)) from error
    name = chunk.name
    if name.ledger_id != ledger_id:
        raise FalseChunk("a chunk of another ledger")
    is_end_free = (
        wanted.kind is Kind.PAYLOADS and wanted.from_position < name.to_position <= wanted.to_position
    )
    expected = wanted._replace(to_position=name.to_position) if is_end_free else wanted
    if Wanted(name.kind, *name[3:]) != expected:
        raise FalseChunk("a chunk of another stretch than the one asked for")
    return chunk
