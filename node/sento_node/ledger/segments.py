"""Payload segments: append-only files that hold what may be erased, outside of the database that never forgets.

    file   payloads/<number, 10 digits>.segment, numbers from 1
    header "SENTOPAY" || u32 1 || u32 number || ledger id 32
    entry  u64 position || u32 length || payload hash[:8] || payload

Payloads are flushed before the transaction that names them: the database says for each file where it ends. What lies behind that end was written by a
commit that did not come to be, and is cut off at the next start; a file that it does not name at all was emptied by an erasure, and is removed; a file
that is shorter than its named end has lost flushed data, and the ledger does not open.
The entry's frame says whose payload follows: reading by a locator finds a swapped, shifted or torn entry without trusting the place.

A write or flush that fails is final for the writer: after a failed flush the kernel may have dropped the pages and report success the next time.
Source: A. Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020.
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sento_node.durable_files import sync_directory
from sento_node.ledger.rows import STORED, WITHOUT_PAYLOAD, Locator
from sento_node.ledger.store import LedgerFailed

SEGMENT_MAX_BYTES = 64 * 1024 * 1024
OPEN_FILES_MAX = 64
_MAGIC = b"SENTOPAY"
_HEADER = struct.Struct(">8sII32s")
_FRAME = struct.Struct(">QI8s")
HEADER_BYTES = _HEADER.size
FRAME_BYTES = _FRAME.size
HASH_PREFIX_BYTES = 8
_SUFFIX = ".segment"


class PayloadMissing(LookupError):
    """The bytes are not there: the file is gone or ends before them."""


class PayloadWrong(ValueError):
    """Bytes are there and they are not this record's payload."""


class PayloadOutOfReach(PayloadWrong):
    """The file could not be opened or read just now, for a reason that says nothing of its bytes: too many open files, no memory, no permission."""


_NOT_OF_THE_BYTES = frozenset(
    (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EPERM, errno.EAGAIN)
)


def segment_path(directory: Path, number: int) -> Path:
    """The file of segment `number`."""
    return directory / f"{number:010d}{_SUFFIX}"


def segment_numbers(directory: Path) -> list[int]:
    """Numbers of the segment files there, rising. Files under other names are not ours and not listed."""
    names = (path.name.removesuffix(_SUFFIX) for path in directory.glob(f"*{_SUFFIX}"))
    return sorted(int(name) for name in names if len(name) == 10 and name.isascii() and name.isdigit())


def segment_header(number: int, ledger_id: bytes) -> bytes:
    """What the file of segment `number` begins with."""
    return _HEADER.pack(_MAGIC, 1, number, ledger_id)


def _failed(doing: str, error: OSError) -> LedgerFailed:
    return LedgerFailed(
        f"Payload segments could not be {doing} ({error.strerror or error}), so nothing after the last flush can be trusted to stand. "
        "Check the disk and its free space, then start the site again; the ordering log still holds what was not flushed."
    )


def cut_back(directory: Path, ends: Mapping[int, int]) -> None:
    """Bring the files back to what the database names: `ends` is segment number -> end. Raises LedgerFailed when flushed bytes are gone."""
    last = max(ends, default=0)
    try:
        for number, end in ends.items():
            _check_length(segment_path(directory, number), end, cut=number == last)
        unnamed = [number for number in segment_numbers(directory) if number not in ends]
        for number in unnamed:
            segment_path(directory, number).unlink()
        if unnamed:
            sync_directory(directory)
    except OSError as error:
        raise _failed("examined", error) from error


def _check_length(path: Path, end: int, *, cut: bool) -> None:
    length = path.stat().st_size if path.exists() else -1
    if length < end:
        state = "is missing" if length < 0 else f"ends at byte {length} and the ledger names {end}"
        raise LedgerFailed(
            f"Payload segment {path.name} {state}: flushed payloads are lost. "
            "Run sento-node verify to see which, and rebuild the ledger from another site."
        )
    if cut and length > end:
        with path.open("r+b") as file:
            file.truncate(end)
            os.fsync(file.fileno())


def entries_of(path: Path, end: int) -> list[int] | None:
    """The position that each entry of a segment file names, in order, up to `end`; None when the entries do not lead there."""
    positions: list[int] = []
    at = HEADER_BYTES
    try:
        with path.open("rb") as file:
            while at < end:
                frame = os.pread(file.fileno(), FRAME_BYTES, at)
                if len(frame) < FRAME_BYTES:
                    return None
                position, length, _ = _FRAME.unpack(frame)
                positions.append(position)
                at += FRAME_BYTES + length
    except OSError:
        return None
    return positions if at == end else None


def positions_named(path: Path) -> Iterator[int]:
    """The position that each whole entry of a file names, as far as its entries can be followed; what a file without an account holds. Raises OSError."""
    return (position for position, _ in entries_named(path))


def entries_named(path: Path) -> Iterator[tuple[int, bytes]]:
    """Position and first `HASH_PREFIX_BYTES` of the payload hash of each whole entry, as far as they can be followed. Raises OSError."""
    at, end = HEADER_BYTES, path.stat().st_size
    with path.open("rb") as file:
        while at + FRAME_BYTES <= end:
            position, length, prefix = _FRAME.unpack(os.pread(file.fileno(), FRAME_BYTES, at))
            at += FRAME_BYTES + length
            if at <= end:
                yield position, prefix


def remove_segment(directory: Path, number: int) -> None:
    """Remove a segment file that the database names no longer, for good. Raises LedgerFailed."""
    try:
        segment_path(directory, number).unlink(missing_ok=True)
        sync_directory(directory)
    except OSError as error:
        raise _failed("removed", error) from error


class SegmentWriter:
    """Appends payloads to the last segment and goes on to the next when it is full. One thread owns it; after a failure it refuses."""

    def __init__(
        self,
        directory: Path,
        ledger_id: bytes,
        last: tuple[int, int] | None,
        max_bytes: int = SEGMENT_MAX_BYTES,
    ) -> None:
        """`last` is the (number, end) of the last segment the database names; `max_bytes` bounds a file, but one entry always fits."""
        self._directory = directory
        self._ledger_id = ledger_id
        self._max_bytes = max_bytes
        self._number, self._end = last or (0, max_bytes)
        self._failure: LedgerFailed | None = None
        self._fd = -1
        if last is not None:
            self._fd = os.open(segment_path(directory, self._number), os.O_RDWR | os.O_CLOEXEC)

    @property
    def number(self) -> int:
        """The segment that is appended to; 0 before the first."""
        return self._number

    def begin_next(self) -> dict[int, int]:
        """Go on to the next segment now; returns its account, number -> end. Raises LedgerFailed, and then for ever."""
        if self._failure is not None:
            raise self._failure
        try:
            self._end = self._next_segment()
        except OSError as error:
            self._failure = _failed("written", error)
            raise self._failure from error
        return {self._number: self._end}

    def append(self, payloads: Iterable[tuple[int, bytes, bytes]]) -> tuple[list[Locator], dict[int, int]]:
        """Write and flush (position, payload hash, payload) in this order: (a locator each, ends of the segments that grew).

        Empty payloads take no place. Raises LedgerFailed, and then for ever."""
        if self._failure is not None:
            raise self._failure
        try:
            return self._append(payloads)
        except OSError as error:
            self._failure = _failed("written", error)
            raise self._failure from error

    def _append(self, payloads: Iterable[tuple[int, bytes, bytes]]) -> tuple[list[Locator], dict[int, int]]:
        locators: list[Locator] = []
        ends: dict[int, int] = {}
        parts: list[bytes] = []
        start = end = self._end
        for position, payload_hash, payload in payloads:
            length = len(payload)
            if length == 0:
                locators.append(WITHOUT_PAYLOAD)
                continue
            if end + FRAME_BYTES + length > self._max_bytes:
                self._write(parts, start)
                start, parts = self._next_segment(), []
                end = start
            parts += (_FRAME.pack(position, length, payload_hash[:8]), payload)
            locators.append(Locator._make((STORED, self._number, end, length)))
            end += FRAME_BYTES + length
            ends[self._number] = end
        self._write(parts, start)
        self._end = end
        return locators, ends

    def _write(self, parts: list[bytes], offset: int) -> None:
        """Write and flush at an offset of the current segment."""
        if not parts:
            return
        left = memoryview(b"".join(parts))
        while left:
            written = os.pwrite(self._fd, left, offset)
            left, offset = left[written:], offset + written
        os.fdatasync(self._fd)

    def _next_segment(self) -> int:
        """Begin the next file; returns where its first entry goes."""
        fd = os.open(
            segment_path(self._directory, self._number + 1),
            os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
            0o640,
        )
        self.close()
        self._fd, self._number = fd, self._number + 1
        self._write([segment_header(self._number, self._ledger_id)], 0)
        sync_directory(self._directory)
        return HEADER_BYTES

    def close(self) -> None:
        """Give the file back; flushes nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _OpenSegment:
    """An open file that closes itself when the last reader lets go of it."""

    __slots__ = ("fd",)

    def __init__(self, path: Path) -> None:
        self.fd = -1
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


class SegmentReader:
    """Reads payloads by locator; any thread."""

    def __init__(self, directory: Path, ledger_id: bytes) -> None:
        self._directory = directory
        self._ledger_id = ledger_id
        self._files: OrderedDict[int, _OpenSegment] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, position: int, payload_hash: bytes, locator: Locator) -> bytes:
        """The payload of the record at `position`, verified against its hash. Raises PayloadMissing, PayloadWrong."""
        try:
            segment = self._segment(locator.segment)
            entry = os.pread(segment.fd, FRAME_BYTES + locator.length, locator.offset)
        except FileNotFoundError:
            raise PayloadMissing("its segment file is gone") from None
        except OSError as error:
            kind = PayloadOutOfReach if error.errno in _NOT_OF_THE_BYTES else PayloadWrong
            raise kind(f"its segment file cannot be read: {error.strerror}") from error
        if len(entry) < FRAME_BYTES + locator.length:
            raise PayloadMissing("its segment file ends before it")
        if entry[:FRAME_BYTES] != _FRAME.pack(position, locator.length, payload_hash[:8]):
            raise PayloadWrong("another entry lies in its place")
        payload = entry[FRAME_BYTES:]
        if hashlib.sha256(payload).digest() != payload_hash:
            raise PayloadWrong("its bytes do not have its hash")
        return payload

    def rescue(self, payload_hash: bytes, locator: Locator) -> bytes | None:
        """The payload by its hash alone, whatever the file's header and the entry's frame say; None where the bytes do not make the hash.

        For moving what lives out of a file that is going to be removed. Raises PayloadOutOfReach."""
        try:
            segment = _OpenSegment(segment_path(self._directory, locator.segment))
            payload = os.pread(segment.fd, locator.length, locator.offset + FRAME_BYTES)
        except OSError as error:
            if error.errno in _NOT_OF_THE_BYTES:
                raise PayloadOutOfReach(f"its segment file cannot be read: {error.strerror}") from error
            return None
        return payload if hashlib.sha256(payload).digest() == payload_hash else None

    def _segment(self, number: int) -> _OpenSegment:
        with self._lock:
            segment = self._files.get(number)
            if segment is not None:
                self._files.move_to_end(number)
                return segment
        segment = _OpenSegment(segment_path(self._directory, number))
        if os.pread(segment.fd, HEADER_BYTES, 0) != segment_header(number, self._ledger_id):
            raise PayloadWrong("its segment file belongs to another ledger or number")
        with self._lock:
            self._files[number] = segment
            if len(self._files) > OPEN_FILES_MAX:
                self._files.popitem(last=False)
        return segment

    def forget(self, number: int) -> None:
        """Let go of a file that is to be removed; those who read it now finish first."""
        with self._lock:
            self._files.pop(number, None)

    def close(self) -> None:
        """Let go of all files; those being read close when their readers are done."""
        with self._lock:
            self._files.clear()
