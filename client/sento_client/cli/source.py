"""Reading a file or standard input while an event loop runs: never blocked by a pipe whose writer is slow, so that Ctrl-C is heard at once.

No thread reads: one that waits for standard input could not be ended when the command is.
"""

from __future__ import annotations

import asyncio
import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

READ_BYTES = 512 * 1024


class Source:
    """An opened input. `size_bytes` is None when nobody knows it yet."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size_bytes: int | None = None
        self.read_bytes = 0
        self._descriptor: int | None = None
        try:
            self._descriptor = file.fileno()
        except (OSError, io.UnsupportedOperation):
            return
        status = os.fstat(self._descriptor)
        if stat.S_ISREG(status.st_mode):
            self.size_bytes = status.st_size

    async def read(self) -> bytes:
        """What is there, at most READ_BYTES; waits until something is; b"" at the end. Raises OSError."""
        if self._descriptor is None:
            data = self._file.read(READ_BYTES)
        else:
            if self.size_bytes is None:
                await _readable(self._descriptor)
            data = os.read(self._descriptor, READ_BYTES)
        self.read_bytes += len(data)
        return data


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def become_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    try:
        loop.add_reader(descriptor, become_ready)
    except PermissionError:
        # The loop cannot watch what never blocks, such as /dev/null.
        return
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """The file, or standard input for "-". Raises click.UsageError when it cannot be opened."""
    if str(path) == "-":
        yield Source(sys.stdin.buffer)
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
    with file:
        yield Source(file)
