"""The ledger as it lies on disk, read for verification: what cannot be read is told as a finding and never raised.

One read transaction over a database that nobody writes (the verifier holds the ledger's lock). Rows and tiles come decoded, or as the reason why not.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import lmdb

from sento_node.ledger import rows
from sento_node.ledger.findings import Finding, Kind
from sento_node.ledger.lmdb_files import META_FORMAT, META_LEDGER_ID, META_TIP, Tables
from sento_node.ledger.rows import RecordRow, position_key
from sento_node.ledger.segments import SegmentReader
from sento_node.ledger.state import FactHead, Tip
from sento_node.ledger.store import KeptBlock, KeptRecord, LedgerDamaged
from sento_node.ledger.tiles import TILE_BITS, TILE_HASHES
from sento_proto import header as header_layout
from sento_proto.header import Header
from sento_proto.merkle import HASH_BYTES
from sento_proto.record import record_hash_of
from sento_proto.wire import Malformed

ROWS_CACHED = 4_096
UNKNOWN_HASH = bytes(HASH_BYTES)


class SeenRecord(NamedTuple):
    """A record row that decodes, with its header and the hash that both make."""

    position: int
    row: RecordRow
    header: Header
    record_hash: bytes


class Image:
    """The tables of one ledger on disk."""

    grows = False
    """Whether records may be written behind those that are verified."""

    def __init__(self, txn: lmdb.Transaction[bytes], tables: Tables) -> None:
        self._txn = txn
        self.tables = tables
        self.seen = functools.lru_cache(ROWS_CACHED)(self._seen)
        self._level_0 = functools.lru_cache(4)(lambda index: self.tile(0, index))

    def get(self, table: lmdb._Database, key: bytes) -> bytes | None:
        """The row under a key; None when it is not there or the database cannot be read there."""
        with suppress(lmdb.Error):
            return self._txn.get(key, db=table)
        return None

    def entries(self, table: lmdb._Database) -> int:
        """How many rows a table has."""
        return self._txn.stat(table)["entries"]

    def size_now(self, size: int) -> int:
        """How many records the ledger holds by now, where `size` were to be verified."""
        return size

    def scan(self, table: lmdb._Database, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows of a table in the order of their keys, from `start` on; it ends where the database cannot be read on."""
        with suppress(lmdb.Error), self._txn.cursor(table) as cursor:
            found = cursor.set_range(start) if start else cursor.first()
            while found:
                yield cursor.item()
                found = cursor.next()

    def meta(self) -> tuple[bytes | None, bytes | None]:
        """(format, ledger id)."""
        return self.get(self.tables.meta, META_FORMAT), self.get(self.tables.meta, META_LEDGER_ID)

    def tip(self) -> tuple[Tip, Finding | None]:
        """The tip; if it cannot be read, how far blocks and rows seem to go, with what is the matter."""
        data = self.get(self.tables.meta, META_TIP)
        kind, words = Kind.MISSING, "The tip is missing."
        if data is not None:
            try:
                return rows.decode_tip(data), None
            except Malformed as error:
                kind, words = Kind.WRONG, f"The tip cannot be read ({error})."
        block, size = self._last_number(self.tables.blocks), self._last_number(self.tables.rows) + 1
        return Tip(0, block, 0, size, ()), Finding(None, None, kind, words)

    def _last_number(self, table: lmdb._Database) -> int:
        with suppress(lmdb.Error, Malformed), self._txn.cursor(table) as cursor:
            if cursor.last():
                return rows.number_of(cursor.key())
        return -1 if table is self.tables.rows else 0

    def block(self, number: int) -> KeptBlock | Finding:
        """A block, with UNKNOWN_HASH for standing records whose hash the tree does not hold; or why it cannot be read."""
        row = self.get(self.tables.blocks, position_key(number))
        if row is None:
            return Finding(None, number, Kind.MISSING, "The block's row is missing.")
        try:
            return rows.decode_block_row(number, row, lambda position: self.leaf(position) or UNKNOWN_HASH)
        except Malformed as error:
            return Finding(None, number, Kind.WRONG, f"The block's row cannot be read ({error}).")

    def _seen(self, position: int) -> SeenRecord | Finding:
        """The record's row and header, or why they cannot be read. Called as `seen`."""
        data = self.get(self.tables.rows, position_key(position))
        if data is None:
            return Finding(position, None, Kind.MISSING, "The record's row is missing.")
        try:
            row = rows.decode_record_row(position, data)
            header = header_layout.decode(row.header_bytes)
        except Malformed as error:
            return Finding(position, None, Kind.WRONG, f"The record's row cannot be read ({error}).")
        return SeenRecord(position, row, header, record_hash_of(row.header_bytes, row.payload_hash))

    def read_payload(self, payloads: SegmentReader, seen: SeenRecord) -> None:
        """Read a stored payload and forget it. Raises PayloadMissing, PayloadWrong."""
        payloads.read(seen.position, seen.row.payload_hash, seen.row.locator)

    def tile(self, level: int, index: int) -> bytes:
        """A tile's bytes, b"" when there is none."""
        return self.get(self.tables.tiles, rows.tile_key(level, index)) or b""

    def leaf(self, position: int) -> bytes | None:
        """The record hash that the tree holds."""
        if not 0 <= position <= rows.POSITION_MAX:
            return None
        at = position % TILE_HASHES * HASH_BYTES
        leaf: bytes = self._level_0(position >> TILE_BITS)[at : at + HASH_BYTES]
        return leaf if len(leaf) == HASH_BYTES else None

    def index_entry(self, table: lmdb._Database, key: bytes) -> int | None:
        """The position in an index row; None when there is none that can be read."""
        data = self.get(table, key)
        with suppress(Malformed):
            return None if data is None else rows.number_of(data)
        return None


class ImageLedger:
    """The questions that following officers' acts asks, answered from an image (`replay.GovernedLedger`)."""

    def __init__(self, image: Image) -> None:
        self._image = image

    def fact_head(self, registry: str, fact: bytes) -> FactHead | None:
        """The standing version of a fact."""
        position = self._image.index_entry(self._image.tables.facts, rows.named_key(registry, fact))
        return None if position is None else FactHead(position, b"")

    def record(self, position: int, *, with_payload: bool = True) -> KeptRecord:
        """The record at a position, without payload. Raises LedgerDamaged."""
        seen = self._image.seen(position)
        if isinstance(seen, Finding):
            raise LedgerDamaged(seen.words)
        return seen.row.kept(position, seen.record_hash, b"")

    def signers_at(self, position: int) -> tuple[bytes, ...]:
        """Key ids of the officers under the act at a position. Raises LedgerDamaged."""
        seen = self._image.seen(position)
        block = None if isinstance(seen, Finding) else self._image.block(seen.row.block)
        if isinstance(seen, Finding) or not isinstance(block, KeptBlock):
            raise LedgerDamaged("The block that brought it cannot be read.")
        if seen.row.submission >= len(block.submissions):
            raise LedgerDamaged("The block that it names did not bring it.")
        return tuple(officer.officer_key_id for officer in block.submissions[seen.row.submission].officers)
