"""One stream of an import: the pieces of chunks in, what became of each out, and at the end the site's signed receipt.

The pieces of a chunk follow each other, its first with its id and length; a chunk is put together in memory and never longer than chunks are. The stream is
read at the pace of the ledger's disk, so that a fast courier fills no memory.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from sento_node.importing.desk import ImportDesk, Visit
from sento_proto.arrival import ArrivedVolume, check_arrived
from sento_proto.chunk import CHUNK_MAX_BYTES, chunk_id
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import admin_pb2
from sento_proto.volume import VOLUMES_MAX
from sento_proto.wire import Malformed


async def import_reports(
    desk: ImportDesk, pieces: AsyncIterator[admin_pb2.ImportPiece]
) -> AsyncGenerator[admin_pb2.ImportReport]:
    """A report for each chunk, and the receipt. Raises SentoError."""
    async with desk.courier() as visit:
        chunk = _Chunk()
        async for piece in pieces:
            if piece.HasField("end"):
                if chunk.begun:
                    raise SentoError(Code.BAD_REQUEST, "the stream's end comes inside a chunk")
                yield await _arrival(visit, piece.end)
                return
            data = chunk.take(piece)
            if data is None:
                continue
            report = await visit.take(data)
            yield admin_pb2.ImportReport(
                chunk_id=report.chunk_id,
                outcome=report.outcome,
                words=report.words,
                size=report.size,
                payloads_awaited=report.payloads_awaited,
            )


async def _arrival(visit: Visit, end: admin_pb2.ImportEnd) -> admin_pb2.ImportReport:
    if len(end.volumes) > VOLUMES_MAX:
        raise SentoError(Code.BAD_REQUEST, f"over {VOLUMES_MAX} volumes")
    volumes = [ArrivedVolume(one.number, one.verdict, one.digest) for one in end.volumes]
    try:
        for volume in volumes:
            check_arrived(volume)
    except Malformed as error:
        raise SentoError(Code.BAD_REQUEST, str(error)) from error
    if not 0 < len(end.set) <= 64 or not end.set.isascii():
        raise SentoError(Code.BAD_REQUEST, "set must be 1 to 64 characters")
    return admin_pb2.ImportReport(arrival=await visit.end(end.set, volumes))


class _Chunk:
    """A chunk as far as its pieces have come."""

    def __init__(self) -> None:
        self._id = b""
        self._total_bytes = 0
        self._data = bytearray()

    @property
    def begun(self) -> bool:
        """Whether pieces are still to come."""
        return bool(self._id)

    def take(self, piece: admin_pb2.ImportPiece) -> bytes | None:
        """The chunk's bytes when they are all there. Raises SentoError BAD_REQUEST."""
        if piece.chunk_id:
            if self.begun or not 0 < piece.total_bytes <= CHUNK_MAX_BYTES:
                raise SentoError(
                    Code.BAD_REQUEST, f"a chunk follows a whole one and has 1 to {CHUNK_MAX_BYTES} bytes"
                )
            self._id, self._total_bytes = piece.chunk_id, piece.total_bytes
        if not self.begun or len(self._data) + len(piece.data) > self._total_bytes:
            raise SentoError(Code.BAD_REQUEST, "more bytes than the chunk was said to have")
        self._data += piece.data
        if len(self._data) < self._total_bytes:
            return None
        data, identity = bytes(self._data), self._id
        self._id, self._total_bytes, self._data = b"", 0, bytearray()
        if chunk_id(data) != identity:
            raise SentoError(
                Code.BAD_REQUEST, "a chunk that is not the one it was said to be: it was altered on the way"
            )
        return data
