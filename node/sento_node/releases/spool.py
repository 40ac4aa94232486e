"""Access records of a site that is cut off: on its disk before the payload leaves, ordered when it has a majority again, each exactly once.

    <data directory>/access-spool    mode 0600    frames, one behind the other: u32 length || SHA-256(body)[:8] || body
    body = u32 len || header || u32 len || payload                                                   an access record as it will be ordered

A record keeps its id from here to the ledger, so that one that was ordered and is sent again after a crash is KNOWN and stands once. A frame that ends
early is one whose flush never ended, so nothing was released for it: it is cut off. A frame that is whole and wrong is damage: the file is set aside, what
stands before the damage is kept, and operators are told. Source: the outbox of the client does the same with its records.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from sento_node.durable_files import sync_directory, write_all, write_durably
from sento_proto import header as header_layout
from sento_proto import limits
from sento_proto.record import Record, record_of
from sento_proto.wire import Malformed, Reader, sized32, u32

NAME = "access-spool"
CHECK_BYTES = 8
FRAME_HEAD_BYTES = 4 + CHECK_BYTES
SPOOL_MAX_BYTES = 256 * 1024 * 1024
"""Some 200,000 releases; beyond it an island releases nothing more."""
REWRITE_AFTER = 1_000
"""Records that may be ordered and still stand in the file: sent again after a crash, they are KNOWN."""
_BODY_MAX_BYTES = 8 + limits.HEADER_MAX_BYTES + limits.PAYLOAD_MAX_BYTES


class SpoolFull(Exception):
    """The spool holds as much as it may."""


class ReadBack(NamedTuple):
    """What a spool file holds: the records in order, how many bytes of it are whole, and whether what follows is damage (else a frame that was cut off)."""

    records: tuple[Record, ...]
    whole_bytes: int
    damaged: bool


def encode_frame(record: Record) -> bytes:
    """One record as it stands in the file."""
    body = sized32(record.header_bytes) + sized32(record.payload)
    return u32(len(body)) + _check(body) + body


def read_frames(data: bytes) -> ReadBack:
    """All whole frames of a file."""
    records: list[Record] = []
    at = 0
    while len(data) - at >= FRAME_HEAD_BYTES:
        size = int.from_bytes(data[at : at + 4], "big")
        if size > _BODY_MAX_BYTES:
            return ReadBack(tuple(records), at, damaged=True)
        end = at + FRAME_HEAD_BYTES + size
        if end > len(data):
            break
        body = data[at + FRAME_HEAD_BYTES : end]
        if data[at + 4 : at + FRAME_HEAD_BYTES] != _check(body):
            return ReadBack(tuple(records), at, damaged=True)
        try:
            records.append(_decode_body(body))
        except Malformed:
            return ReadBack(tuple(records), at, damaged=True)
        at = end
    return ReadBack(tuple(records), at, damaged=False)


def _check(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:CHECK_BYTES]


def _decode_body(body: bytes) -> Record:
    reader = Reader(body, "spooled access record")
    header_bytes, payload = reader.pair_sized32(
        "header", limits.HEADER_MAX_BYTES, "payload", limits.PAYLOAD_MAX_BYTES
    )
    reader.end()
    return record_of(header_layout.decode(header_bytes), header_bytes, payload)


class Spool:
    """The file. One thread at a time calls what writes; nothing here waits for anything but the disk."""

    def __init__(self, directory: Path) -> None:
        """Take up what a former life left. `damaged`: where a damaged file was set aside. Raises OSError."""
        self._path = directory / NAME
        self._records: dict[bytes, Record] = {}
        self._ordered: set[bytes] = set()
        self._bytes = 0
        self.damaged: Path | None = None
        self._take_up()

    def __len__(self) -> int:
        """Records that are not ordered yet."""
        return len(self._records)

    def holds(self, record_id: bytes) -> Record | None:
        """The record of this id, where it is not ordered yet."""
        return self._records.get(record_id)

    def _take_up(self) -> None:
        if not self._path.exists():
            return
        data = self._path.read_bytes()
        found = read_frames(data)
        if found.damaged:
            self.damaged = _aside(self._path)
            self._path.rename(self.damaged)
        if found.damaged or found.whole_bytes < len(data):
            write_durably(self._path, data[: found.whole_bytes])
        self._bytes = found.whole_bytes
        self._records = {record.header.record_id: record for record in found.records}

    def append(self, records: Sequence[Record]) -> None:
        """Put them into the file, flushed. Raises SpoolFull, OSError: then none of them may be counted on."""
        data = b"".join(map(encode_frame, records))
        if self._bytes + len(data) > SPOOL_MAX_BYTES:
            raise SpoolFull
        new = not self._path.exists()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, self._bytes)  # what follows must not stand behind half a frame
            raise
        finally:
            os.close(descriptor)
        if new:
            sync_directory(self._path.parent)
        self._bytes += len(data)
        self._records |= {record.header.record_id: record for record in records}

    def oldest(self, count: int, but: Collection[bytes] = ()) -> list[Record]:
        """The first records that are not ordered yet, without those of the ids `but`."""
        found = (record for record_id, record in self._records.items() if record_id not in but)
        return list(itertools.islice(found, count))

    def ordered(self, record_ids: Collection[bytes]) -> None:
        """These stand in the ledger. The file is written anew now and then, and when nothing is left; until then a crash sends them again. Raises OSError."""
        for record_id in record_ids:
            if self._records.pop(record_id, None) is not None:
                self._ordered.add(record_id)
        if not self._records or len(self._ordered) >= REWRITE_AFTER:
            self._rewrite()

    def renewed(self, records: Iterable[Record]) -> None:
        """These take the place of those of the same ids, which can never stand as they were. Raises OSError."""
        for record in records:
            if record.header.record_id in self._records:
                self._records[record.header.record_id] = record
        self._rewrite()

    def _rewrite(self) -> None:
        data = b"".join(map(encode_frame, self._records.values()))
        if data:
            write_durably(self._path, data)
        else:
            self._path.unlink(missing_ok=True)
            sync_directory(self._path.parent)
        self._bytes = len(data)
        self._ordered.clear()


def _aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return aside
