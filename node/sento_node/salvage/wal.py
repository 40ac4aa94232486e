"""etcd's write-ahead log read from its bytes: the raft entries that this member flushed, the uncommitted tail too, and where reading ended and why. Pure.

    file    frames, then zeros up to the size that was prepared
    frame   i64 length, little-endian; negative: the low 56 bits are the length and the three above them the count of zero bytes that pad it to a multiple of 8
    record  1 type (1 metadata, 2 entry, 3 hard state, 4 checksum, 5 snapshot), 2 CRC-32C of all data since the chain began, 3 data   (protobuf)
    entry   1 type, 2 term, 3 index, 4 data;   hard state   1 term, 2 vote, 3 commit;   snapshot   1 index, 2 term, 3 members;   metadata   1 member, 2 cluster

Each file begins with the checksum at which the one before it ended, so reading may begin with any file. An entry takes the place of the one with its index
and of all behind that: a later term overwrote them. What is told apart at the end:

 * torn: the last record did not reach the disk whole. The member never vouched for it, and nothing that was acknowledged is missing (`ended`)
 * damaged: a record does not verify, records or files are missing, or something stands behind the end. What follows cannot be told (`trouble`)

Source: etcd 3.4, wal/doc.go, wal/decoder.go (isTornEntry), wal/wal.go (ReadAll), raft/raftpb; tried with 3.4.23.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from sento_node.salvage.crc32c import crc32c

T = TypeVar("T")

NORMAL_ENTRY: Final = 0
"""The type of entries that carry requests; the others change the members."""
_METADATA, _ENTRY, _STATE, _CHECKSUM, _SNAPSHOT = range(1, 6)
_FIELDS: Final = {
    _ENTRY: frozenset((1, 2, 3, 4)),
    _STATE: frozenset((1, 2, 3)),
    _SNAPSHOT: frozenset((1, 2, 3)),
    _METADATA: frozenset((1, 2)),
}
_ENTRY_TYPES: Final = (NORMAL_ENTRY, 1, 2)
_TERM_END: Final = 1 << 40
"""No log comes so far; what stands there instead is a member's id."""
UNCHECKED: Final = 1 << 63
"""As the entry to check from: no checksum is compared. For finding a place, not for trusting what stands there."""
_LENGTH_BYTES: Final = 8
_SECTOR_BYTES: Final = 512
_RECORD_MAX_BYTES: Final = 64 * 1024 * 1024


class WalFile(NamedTuple):
    """One file. Names sort in the order of writing."""

    name: str
    data: bytes


class Entry(NamedTuple, Generic[T]):
    """One raft entry by its index in the raft log, `number`; `value` is what the reader's caller made of its data."""

    number: int
    term: int
    value: T


@dataclass(slots=True)
class Wal(Generic[T]):
    """What was read. `entries` are dense by index; `from_start`: nothing is missing before them. `commit`: up to where the member knew them to be committed.
    `cluster_id`: of the cluster whose log it is (0: no record says it).

    `ended`: that the last record is torn, in words; `trouble`: why the log cannot be read to its end; each empty where it is not so."""

    entries: list[Entry[T]] = field(default_factory=list)
    commit: int = 0
    ended: str = ""
    trouble: str = ""
    from_start: bool = False
    cluster_id: int = 0

    @property
    def last(self) -> tuple[int, int]:
        """(term, index) of the last entry; (0, 0) without any."""
        return (self.entries[-1].term, self.entries[-1].number) if self.entries else (0, 0)


class _Unreadable(Exception):
    """A frame is not whole. `torn`: it may never have been."""

    def __init__(self, why: str, *, torn: bool) -> None:
        super().__init__(why)
        self.torn = torn


def read_wal(files: Iterable[WalFile], take: Callable[[int, bytes], T], check_from: int = 0) -> Wal[T]:
    """Everything in these files, oldest first. `take` makes of an entry's type and data what is kept of it; what it raises is raised.

    A log whose first file is gone begins with the first entry that there is. `check_from`: checksums are compared from the record of this entry on; each is
    over the one before it, so nothing more is needed to trust what follows."""
    wal: Wal[T] = Wal()
    reader = _Reader(wal, take, check_from)
    waiting: _Unreadable | None = None
    name = ""
    for file in files:
        if waiting is not None:
            wal.trouble = f"{name}: {waiting}, and further files follow it."
            return wal
        name = file.name
        if not name.partition("-")[0].strip("0") and not wal.entries:
            wal.from_start = True
        try:
            reader.read(file.data)
        except _Unreadable as unreadable:
            waiting = unreadable
    if waiting is not None:
        words = f"{name}: {waiting}."
        wal.ended, wal.trouble = (words, "") if waiting.torn else ("", words)
    return wal


class _Reader(Generic[T]):
    """Reads file after file into `wal`."""

    def __init__(self, wal: Wal[T], take: Callable[[int, bytes], T], check_from: int) -> None:
        self._wal = wal
        self._take = take
        self._check_from = check_from
        self._checks = check_from == 0
        self._checksum: int | None = None

    def read(self, data: bytes) -> None:
        """One file. Raises _Unreadable."""
        begun = False
        for at, end, record in _frames(data):
            try:
                kind, checksum, body = _record(record)
            except BadForm:
                raise _bad(data, at, end, "is not a record") from None
            if kind == _CHECKSUM:
                if self._checksum not in (None, checksum):
                    raise _Unreadable(
                        "it does not go on where the file before it ended: records are missing", torn=False
                    )
                self._checksum = checksum
                begun = True
                continue
            if not begun or self._checksum is None:
                raise _Unreadable("it does not begin with a checksum", torn=False)
            self._checks = self._checks or (kind == _ENTRY and _entry_number(body) >= self._check_from)
            if self._checks and crc32c(body, self._checksum) != checksum:
                raise _bad(data, at, end, "does not have its checksum")
            self._checksum = checksum
            self._note(kind, body)

    def _note(self, kind: int, body: bytes) -> None:
        wal = self._wal
        try:
            fields = dict(read_fields(body))
            if not fields.keys() <= _FIELDS.get(kind, frozenset()):
                raise BadForm
            if kind == _ENTRY:
                term, number = _number(fields, 2), _number(fields, 3)
                self._entry(_number(fields, 1), term, number, _bytes_of(fields.get(4, b"")))
            elif kind == _STATE:
                wal.commit = _number(fields, 3)
            elif kind == _SNAPSHOT:
                index = _number(fields, 1)
                if wal.entries and index > wal.entries[-1].number:
                    wal.entries, wal.from_start = [], False  # the lead sent its state instead of entries
            elif kind == _METADATA:
                wal.cluster_id = _number(fields, 2)
            else:
                raise BadForm
        except BadForm:
            raise _Unreadable(
                "a record whose checksum holds has no form that is known: it is damaged", torn=False
            ) from None

    def _entry(self, kind: int, term: int, number: int, data: bytes) -> None:
        """The checksum does not cover a record's type: raft's own rules tell an entry from what was made one."""
        wal, entries = self._wal, self._wal.entries
        if kind not in _ENTRY_TYPES or not 0 < term < _TERM_END or number <= wal.commit:
            raise BadForm
        if entries and number > entries[-1].number + 1:
            raise _Unreadable(
                f"entry {number} follows entry {entries[-1].number}: entries are missing", torn=False
            )
        if entries and number <= entries[-1].number:
            del entries[max(0, number - entries[0].number) :]
        if entries and term < entries[-1].term:
            raise _Unreadable(f"entry {number} is of an earlier term than the one before it", torn=False)
        if not entries and number != 1:
            wal.from_start = False
        entries.append(Entry(number, term, self._take(kind, data)))


# -- frames --------------------------------------------------------------------------------------------------------------


def _frames(data: bytes) -> Iterator[tuple[int, int, memoryview]]:
    """(start, end, record) of each frame. Raises _Unreadable for a last one that is not whole, and for what stands behind the end."""
    at, view, size = 0, memoryview(data), len(data)
    while at + _LENGTH_BYTES <= size:
        (word,) = view[at : at + _LENGTH_BYTES].cast("q")
        if word == 0:
            if any_set(data, at):
                raise _Unreadable(f"something stands behind the end of the log at byte {at}", torn=False)
            return
        length = word & ((1 << 56) - 1) if word < 0 else word
        padding = word >> 56 & 7 if word < 0 else 0
        end = at + _LENGTH_BYTES + length + padding
        if length > _RECORD_MAX_BYTES:
            raise _Unreadable(f"the length at byte {at} is none", torn=False)
        if end > size:
            raise _Unreadable(f"the record at byte {at} ends behind the file's end: it is torn", torn=True)
        yield at, end, view[at + _LENGTH_BYTES : end - padding]
        at = end
    if any_set(data, at):
        raise _Unreadable(f"the length at byte {at} is torn", torn=True)


def any_set(data: bytes, start: int) -> bool:
    """Whether a byte from `start` on is not zero."""
    return len(data[start:].strip(b"\0")) > 0


def _bad(data: bytes, at: int, end: int, what: str) -> _Unreadable:
    """A whole frame whose content does not verify: torn if part of it was never written and nothing stands behind it."""
    torn = not any_set(data, end) and _has_unwritten_part(data, at + _LENGTH_BYTES, end)
    why = "it is torn" if torn else "it is damaged"
    return _Unreadable(f"the record at byte {at} {what}: {why}", torn=torn)


def _has_unwritten_part(data: bytes, start: int, end: int) -> bool:
    """Whether a piece between two borders of sectors holds zeros only: the disk writes whole sectors, in any order."""
    while start < end:
        border = min(end, start - start % _SECTOR_BYTES + _SECTOR_BYTES)
        if not any(data[start:border]):
            return True
        start = border
    return False


# -- protobuf ------------------------------------------------------------------------------------------------------------


class BadForm(Exception):
    """Not a message of this form."""


def _entry_number(body: bytes) -> int:
    """0 for what is no entry."""
    try:
        return _number(dict(read_fields(body)), 3)
    except BadForm:
        return 0


def _record(record: memoryview) -> tuple[int, int, bytes]:
    """(type, checksum, data)."""
    fields = dict(read_fields(bytes(record)))
    return _number(fields, 1), _number(fields, 2), _bytes_of(fields.get(3, b""))


def read_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field that is a number or bytes. Raises BadForm."""
    at, size = 0, len(data)
    while at < size:
        tag, at = _varint(data, at)
        if tag & 7 == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
        elif tag & 7 == 2:
            length, at = _varint(data, at)
            if at + length > size:
                raise BadForm
            yield tag >> 3, data[at : at + length]
            at += length
        else:
            raise BadForm


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64 and at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise BadForm


def _number(fields: dict[int, int | bytes], number: int) -> int:
    value = fields.get(number, 0)
    if not isinstance(value, int):
        raise BadForm
    return value


def _bytes_of(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise BadForm
    return value
