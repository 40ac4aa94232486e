"""Lines between a client and a site with trouble on them: one that accepts and never answers, one that is slow, one that cuts after so many bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

PIECE_BYTES = 1024


class Line:
    """A port of 127.0.0.1 before a site's own. `connections` counts those that came.

    `to_port` 0: accept and never answer. `delay_s` before each piece of what passes, either way. `cuts`: for the next connections the number of bytes from
    the client after which both ends are cut; the connections after them are whole."""

    def __init__(self, to_port: int = 0, *, delay_s: float = 0.0, cuts: list[int] | None = None) -> None:
        self.port = 0
        self.connections = 0
        self.cuts = cuts or []
        self._to_port = to_port
        self._delay_s = delay_s
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self) -> asyncio.Server:
        """Listen on a port that is free."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def hang_up(self) -> None:
        """Cut every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        if not self._to_port:
            while await reader.read(PIECE_BYTES):
                pass
            return
        left = self.cuts.pop(0) if self.cuts else None
        with suppress(ConnectionError):
            site_reader, site_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
            self._writers.add(site_writer)
            await asyncio.wait(
                [
                    asyncio.ensure_future(self._pass(reader, site_writer, left)),
                    asyncio.ensure_future(self._pass(site_reader, writer, None)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
            site_writer.transport.abort()
        writer.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None
    ) -> None:
        with suppress(ConnectionError):
            while left is None or left > 0:
                data = await reader.read(PIECE_BYTES if left is None else min(left, PIECE_BYTES))
                if not data:
                    return
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                writer.write(data)
                await writer.drain()
                left = left if left is None else left - len(data)


@asynccontextmanager
async def lines(*wanted: Line) -> AsyncIterator[None]:
    """The lines, until the end of the block."""
    servers = [await line.serve() for line in wanted]
    try:
        yield
    finally:
        for line, server in zip(wanted, servers, strict=True):
            server.close()
            line.hang_up()
            await server.wait_closed()
