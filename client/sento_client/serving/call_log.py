"""The call log at work: one line a call, on disk before the call is answered; calls that come together share one flush.

A line says when, who, which registry, how many, for what purpose, with what outcome. It never holds an identifier, a natural key, a pseudonym or a key.
When it cannot be written the call is refused: what nobody can look into later does not happen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sento_client.serving.log_chain import ChainEnd, next_line
from sento_client.serving.log_files import LogFiles, LogUnusable

Happened = Mapping[str, object]


class CallLog:
    """One service's log. `now`: the wall clock as RFC 3339 text. Used on one event loop; a thread of its own writes."""

    def __init__(self, files: LogFiles, end: ChainEnd, now: Callable[[], str]) -> None:
        self._files = files
        self._end = end
        self._now = now
        self._waiting: list[tuple[Happened, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "call-log")

    @classmethod
    def open(cls, directory: Path, max_bytes: int, now: Callable[[], str]) -> CallLog:
        """The log in that directory; a torn last line is noted as an event. Raises LogUnusable."""
        files = LogFiles(directory, max_bytes)
        try:
            opened = files.open()
            log = cls(files, opened.end, now)
            if opened.cut_bytes:
                log.write_now({"event": "end-mended", "cut_bytes": opened.cut_bytes})
        except LogUnusable:
            files.close()
            raise
        return log

    @property
    def end(self) -> ChainEnd:
        """Where the flushed log ends."""
        return self._end

    def write_now(self, happened: Happened) -> None:
        """One line, on disk when this returns; for before and after serving. Raises LogUnusable."""
        self._append([happened])

    async def write(self, happened: Happened) -> None:
        """One line, on disk when this returns. Raises LogUnusable."""
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((happened, written))
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write_all())
        await written

    async def close(self) -> None:
        """Write what waits, then let go."""
        if self._writer is not None:
            await self._writer
        self._thread.shutdown()
        self._files.close()

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                failure = ""
                try:
                    await loop.run_in_executor(self._thread, self._append, [line for line, _ in batch])
                except LogUnusable as error:
                    failure = str(error)
                for _, written in batch:
                    if written.done():
                        continue
                    if failure:
                        written.set_exception(LogUnusable(failure))
                    else:
                        written.set_result(None)
        finally:
            self._writer = None

    def _append(self, all_happened: list[Happened]) -> None:
        time, end, data = self._now(), self._end, bytearray()
        for happened in all_happened:
            line, end = next_line(end, {"time": time, **happened})
            data += line + b"\n"
        self._files.append(bytes(data), self._end.lines + 1)
        self._end = end
