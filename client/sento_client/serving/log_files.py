"""The call log on disk: files of whole lines in one directory, appended to and flushed; each file is named by the number of its first line.

    <directory>/calls-000000000001.jsonl, calls-000000004711.jsonl, ...      mode 0600
    <directory>/lock                                                        held by the one service that writes

A new file is begun when the last is over its size; nothing is deleted here. A last line that was not written whole, because the power went, is cut
off when the log is opened: its call was never answered. A write that fails is taken back.
After a flush that failed nothing is known of the disk, and the log stays shut.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sento_client.serving.log_chain import ChainBroken, ChainEnd, end_after

_PATTERN = "calls-*.jsonl"
_MODE = 0o600
_TAIL_BYTES = 64 * 1024


class LogUnusable(Exception):
    """The log cannot be opened, or not be written. The text says which file and why."""


class Opened(NamedTuple):
    """Where the chain stands, and how many bytes of a line that was never whole were cut off."""

    end: ChainEnd
    cut_bytes: int


def log_paths(directory: Path) -> list[Path]:
    """The files of a log in the order of their lines."""
    return sorted(directory.glob(_PATTERN))


def log_lines(directory: Path) -> Iterator[bytes]:
    """All lines of a log in order, without their newlines; also a last one that is not whole. Raises OSError."""
    for path in log_paths(directory):
        with path.open("rb") as file:
            for line in file:
                yield line.removesuffix(b"\n")


class LogFiles:
    """One log, open for appending by this process alone."""

    def __init__(self, directory: Path, max_bytes: int, who: str = "pseudonym service") -> None:
        """`who`: what kind of program writes here, for the words to a second one."""
        self._who = who
        self._directory = directory
        self._max_bytes = max_bytes
        self._file: int | None = None
        self._size_bytes = 0
        self._lock: int | None = None
        self._broken = ""

    def open(self) -> Opened:
        """Lock the log, mend its end, say where it stands. Raises LogUnusable."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_lock()
            return self._find_end()
        except OSError as error:
            raise LogUnusable(f"{self._directory}: {error.strerror}") from None

    def append(self, data: bytes, first_number: int) -> None:
        """Whole lines, flushed when this returns; `first_number` is that of the first. Raises LogUnusable, and then they are not in the log."""
        if self._broken:
            raise LogUnusable(self._broken)
        try:
            file = self._current(first_number)
            _write_whole(file, data)
        except OSError as error:
            self._take_back()
            raise LogUnusable(f"{self._directory}: {error.strerror}") from None
        try:
            os.fdatasync(file)
        except OSError as error:
            self._broken = f"{self._directory}: a flush failed ({error.strerror}); start the service again once the disk is checked"
            raise LogUnusable(self._broken) from None
        self._size_bytes += len(data)

    def close(self) -> None:
        """Let go of the files."""
        for descriptor in (self._file, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._file = self._lock = None

    def _take_lock(self) -> None:
        self._lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LogUnusable(f"{self._directory}: another {self._who} writes this log") from None

    def _find_end(self) -> Opened:
        cut_bytes = 0
        for path in reversed(log_paths(self._directory)):
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            size_bytes, line = _whole_end(descriptor)
            if self._file is None:
                self._file, self._size_bytes = descriptor, size_bytes
                cut_bytes = os.fstat(descriptor).st_size - size_bytes
                os.ftruncate(descriptor, size_bytes)
            else:
                os.close(descriptor)
            if line:
                return Opened(self._believed(path, line), cut_bytes)
        return Opened(ChainEnd(), cut_bytes)

    def _believed(self, path: Path, line: bytes) -> ChainEnd:
        try:
            return end_after(line)
        except ChainBroken:
            raise LogUnusable(
                f"{path}: its last line is none of ours; move the directory away and look at it"
            ) from None

    def _current(self, first_number: int) -> int:
        if self._file is not None and self._size_bytes < self._max_bytes:
            return self._file
        path = self._directory / f"calls-{first_number:012}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        file = os.open(path, flags, _MODE)
        if self._file is not None:
            os.close(self._file)
        self._file, self._size_bytes = file, 0
        directory = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return file

    def _take_back(self) -> None:
        """Cut off what a failed write left. If that fails, too, only a new start can tell what is there."""
        if self._file is None:
            return
        try:
            os.ftruncate(self._file, self._size_bytes)
        except OSError as error:
            self._broken = f"{self._directory}: a write failed and could not be taken back ({error.strerror})"


def _write_whole(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _whole_end(descriptor: int) -> tuple[int, bytes]:
    """Bytes up to the last newline, and the last whole line, empty if there is none."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - _TAIL_BYTES)
    tail = os.pread(descriptor, size - start, start)
    whole = tail.rfind(b"\n") + 1
    line = tail[: max(0, whole - 1)].rpartition(b"\n")[2]
    return (start + whole if whole else 0), line
