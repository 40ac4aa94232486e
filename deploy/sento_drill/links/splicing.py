"""Splicing: two TCP connections made one; bytes, and their end in each direction, are passed on."""

from __future__ import annotations

import asyncio
import contextlib

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
CHUNK_BYTES = 1 << 16


async def splice(one: Ends, other: Ends) -> None:
    """Pass on until both directions have ended; both connections are closed then."""
    try:
        await asyncio.gather(_pass_on(one[0], other[1]), _pass_on(other[0], one[1]))
    finally:
        for _, writer in (one, other):
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # A connection that breaks off is how programs end; the other side is told the same way.
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()
