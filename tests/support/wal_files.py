"""Write-ahead files as an etcd member writes them, for tests: frames, padding, the running checksum, and requests as the ordering log makes them."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from sento_node.ordering.etcd.api import etcd_pb2 as pb
from sento_node.ordering.etcd.append import append_request
from sento_node.ordering.etcd.trim import trim_requests
from sento_node.salvage.crc32c import crc32c
from sento_node.salvage.wal import WalFile

METADATA, ENTRY, STATE, CHECKSUM, SNAPSHOT = range(1, 6)
VOTE = 0x5BEB_C344_65B9_73D0
"""The ids of members are hashes."""
PREPARED_BYTES = 8_192
"""A little of what etcd prepares: the zeros behind the end."""


class WalWriter:
    """One log. `ends[-1]` says where each frame of the newest file ends."""

    def __init__(self, cluster_id: int = 9) -> None:
        self._metadata = _number(1, 7) + _number(2, cluster_id)
        self._checksum = 0
        self._files: list[tuple[str, bytearray]] = []
        self.ends: list[list[int]] = []
        self.last_index = 0
        self.commit = 0
        self.cut()
        self._record(SNAPSHOT, b"")

    def cut(self) -> None:
        """Go on in the next file."""
        self._files.append((f"{len(self._files):016x}-{self.last_index:016x}.wal", bytearray()))
        self.ends.append([])
        self._frame(CHECKSUM, None)
        self._record(METADATA, self._metadata)

    def files(self, first: int = 0) -> list[WalFile]:
        """All files from one on, each with the zeros behind its end."""
        return [WalFile(name, bytes(data) + bytes(PREPARED_BYTES)) for name, data in self._files[first:]]

    def entry(self, data: bytes, *, term: int = 1, index: int = 0, kind: int = 0) -> int:
        """An entry, by default the next one; its index."""
        self.last_index = index or self.last_index + 1
        body = b"".join(
            (
                _number(1, kind),
                _number(2, term),
                _number(3, self.last_index),
                _bytes(4, data) if data else b"",
            )
        )
        self._record(ENTRY, body)
        return self.last_index

    def state(self, commit: int, *, term: int = 1) -> None:
        """The hard state: up to here the member knows entries to be committed."""
        self.commit = commit
        self._record(STATE, _number(1, term) + _number(2, VOTE) + _number(3, commit))

    def snapshot(self, index: int) -> None:
        """The lead sent its state up to here."""
        self._record(SNAPSHOT, _number(1, index) + _number(2, 1))
        self.last_index = index

    # -- requests -----------------------------------------------------------------------------------------------------

    def append(self, lane: str, seq: int, data: bytes, *, term: int = 1, index: int = 0) -> int:
        """An append as the ordering log makes it."""
        return self.request(append_request(lane, seq, data), term=term, index=index)

    def trim(self, through_seq: Mapping[str, int]) -> None:
        """A trim as the ordering log makes it."""
        for request in trim_requests(through_seq):
            self.request(request)

    def request(self, txn: pb.TxnRequest, *, term: int = 1, index: int = 0) -> int:
        """Any transaction."""
        header = _bytes(100, _number(1, 77))
        return self.entry(_bytes(6, txn.SerializeToString()) + header, term=term, index=index)

    def put(self, key: bytes) -> None:
        """A put under no condition, as an erasure makes it."""
        self.request(pb.TxnRequest(success=[pb.RequestOp(request_put=pb.PutRequest(key=key, value=b""))]))

    # -- frames -------------------------------------------------------------------------------------------------------

    def _record(self, kind: int, body: bytes) -> None:
        self._checksum = crc32c(body, self._checksum)
        self._frame(kind, body)

    def _frame(self, kind: int, body: bytes | None) -> None:
        record = _number(1, kind) + _number(2, self._checksum) + (b"" if body is None else _bytes(3, body))
        padding = -len(record) % 8
        length = len(record) | (padding | 0x80) << 56 if padding else len(record)
        data = self._files[-1][1]
        data += struct.pack("<Q", length) + record + bytes(padding)
        self.ends[-1].append(len(data))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value
