"""Mending what the scrub found: the part of the LMDB store that writes anew what stands already, each repair in one transaction.

What is written comes proven from outside (a block and its records' bodies, under a quorum's checkpoint) or is derived from what this ledger itself proves: a
tile from its rows, an index entry and the pointers of a row from all rows before it. Whatever cannot be derived without doubt raises `CannotMend`, and nothing
is written. Payloads are not written here: a segment with damage is emptied (`lmdb_erasure.py`), what verifies moves on, the rest is awaited from other sites.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import lmdb

from sento_node.ledger import rows, tiles
from sento_node.ledger.lmdb_erasure import LmdbErasure
from sento_node.ledger.lmdb_files import FORMAT, META_FORMAT, META_LEDGER_ID, META_TIP
from sento_node.ledger.lmdb_reads import Txn
from sento_node.ledger.results import NOWHERE
from sento_node.ledger.rows import Locator, RecordRow, named_key, position_key
from sento_node.ledger.segments import PayloadMissing, PayloadWrong
from sento_node.ledger.store import KeptBlock, LedgerDamaged, frontier_of
from sento_proto import header as header_layout
from sento_proto.chain import FIRST_LINK, next_link
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.header import ZERO32, Header
from sento_proto.merkle import HASH_BYTES, Frontier
from sento_proto.record import record_hash_of
from sento_proto.wire import Malformed


class CannotMend(Exception):
    """The damage cannot be mended in place; nothing was written. The text says why."""


class ProvenRecord(NamedTuple):
    """A record's body, its place in its block and its author, all proven. `destroyed`: an order that was carried out covers its payload."""

    position: int
    submission: int
    nth: int
    author: str
    header_bytes: bytes
    payload_hash: bytes
    record_hash: bytes
    destroyed: bool


class ProvenBlock(NamedTuple):
    """A block with the bodies of its standing records, in order of position."""

    block: KeptBlock
    records: tuple[ProvenRecord, ...]


_Name = Callable[[Header], bytes]


class LmdbRepair(LmdbErasure):
    """Repairs over open files. The writer's thread calls them."""

    ledger_id: bytes

    # -- blocks and records -------------------------------------------------------------------------------------------

    def mend_block(self, proven: ProvenBlock) -> int:
        """Write the block's row, its records' rows, leaves and index entries where they differ. Returns how many rows did. Raises CannotMend, LedgerFailed."""
        written = 0
        with self._writing_lock:
            self._check_usable()
            if not 0 < proven.block.number <= self._tip.block:
                raise CannotMend("the block is not flushed here")
            self._check_between(proven.block)
            written += self._replace(
                self._tables.blocks,
                position_key(proven.block.number),
                rows.encode_block_row(proven.block),
            )
            for record in proven.records:
                try:
                    written += self._mend_leaf(record)
                    written += self._mend_row(proven.block.number, record)
                    written += self._mend_entries(record)
                except (LedgerDamaged, Malformed) as error:
                    raise CannotMend(str(error)) from error
        return written

    def _check_between(self, block: KeptBlock) -> None:
        """The block must lie where this ledger has its number: what proves its records does not say which block they came in. Raises CannotMend."""
        before, after = self._block_row(block.number - 1), self._block_row(block.number + 1)
        begins = 0 if block.number == 1 else None if before is None else before.size_after
        ends = (
            self._tip.size
            if block.number == self._tip.block
            else None
            if after is None
            else after.size_before
        )
        if begins not in (None, block.size_before) or ends not in (None, block.size_after):
            raise CannotMend("the block that was offered is another one than was asked for")

    def _block_row(self, number: int) -> KeptBlock | None:
        """A block's row, without its records' hashes; None where there is none that can be read."""
        row = (
            self._read(lambda txn: txn.get(position_key(number), db=self._tables.blocks)) if number else None
        )
        try:
            return None if row is None else rows.decode_block_row(number, row, lambda _: ZERO32)
        except Malformed:
            return None

    def _replace(self, table: lmdb._Database, key: bytes, row: bytes) -> int:
        """Write a row if it is not the one that stands; 1 if it was written."""
        if self._read(lambda txn: txn.get(key, db=table)) == row:
            return 0
        with self._final_failure(), self._env.begin(write=True) as txn:
            txn.put(key, row, db=table)
        self._complete_subtree.cache_clear()
        return 1

    def _mend_leaf(self, record: ProvenRecord) -> int:
        index, at = record.position >> tiles.TILE_BITS, record.position % tiles.TILE_HASHES * HASH_BYTES
        tile = self._read(lambda txn: self._tile(txn, 0, index))
        if len(tile) < at + HASH_BYTES:
            tile = self._tile_of_rows(index)
        mended = tile[:at] + record.record_hash + tile[at + HASH_BYTES :]
        return self._replace(self._tables.tiles, rows.tile_key(0, index), mended)

    def _mend_row(self, block: int, record: ProvenRecord) -> int:
        key = position_key(record.position)
        old = self._read(lambda txn: txn.get(key, db=self._tables.rows))
        try:
            if old is not None:
                rows.decode_record_row(record.position, old)
        except Malformed:
            pass
        else:
            if old is not None and self._is_whole(
                block, record, rows.decode_record_row(record.position, old)
            ):
                return 0
        header = header_layout.decode(record.header_bytes)
        of_subject = self._last_before(record.position, lambda one: (one.registry, one.subject), header)
        link = FIRST_LINK if of_subject == NOWHERE else self._row_at(of_subject).link
        locator, awaited = self._locator_of(record, header, old)
        row = RecordRow(
            block, record.submission, record.nth, of_subject, self._previous_of_fact(header),
            next_link(link, record.record_hash), record.payload_hash, locator, record.author, record.header_bytes,
        )  # fmt: skip
        with self._final_failure(), self._env.begin(write=True) as txn:
            self._put_row(txn, record.position, row, locator)
            if awaited:
                txn.put(rows.awaited_key(record.position), b"", db=self._tables.remembered)
        return 1

    def _is_whole(self, block: int, record: ProvenRecord, row: RecordRow) -> bool:
        """Whether a row that decodes says what is proven; its pointers and link are under its check."""
        return (row.block, row.submission, row.nth, row.author, row.header_bytes, row.payload_hash) == (
            block, record.submission, record.nth, record.author, record.header_bytes, record.payload_hash,
        )  # fmt: skip

    def _locator_of(self, record: ProvenRecord, header: Header, old: bytes | None) -> tuple[Locator, bool]:
        """(where the payload lies, whether it is awaited): where the damaged row says, if the payload proves it; else it is to come from another site."""
        without = rows.locator_without_bytes(
            record.payload_hash, header.payload_bytes, destroyed=record.destroyed
        )
        if without.kind != rows.AWAITED:
            return without, False
        guess = rows.locator_in_doubt(old or b"")
        if guess is not None and guess.length == header.payload_bytes:
            place = guess._replace(kind=rows.STORED)
            try:
                self._payloads.read(record.position, record.payload_hash, place)
            except (PayloadMissing, PayloadWrong, OverflowError, ValueError):
                pass
            else:
                return place, False
        return without, True

    def _previous_of_fact(self, header: Header) -> int:
        if header.previous == ZERO32:
            return NOWHERE
        position = self.position_of_hash(header.previous)
        if position is None:
            raise CannotMend("the version before it is not found in the index")
        return position

    def _last_before(self, position: int, name: Callable[[Header], object], header: Header) -> int:
        """The last position before it whose record has the same name; every row between is looked at. Raises LedgerDamaged."""
        wanted = name(header)
        for high in range(position, 0, -rows.POSITIONS_PER_READ):
            span = range(high - 1, max(-1, high - 1 - rows.POSITIONS_PER_READ), -1)
            for at, row in self._read(lambda txn, span=span: [(one, self._row(txn, one)) for one in span]):  # type: ignore[misc]
                if name(header_layout.decode(row.header_bytes)) == wanted:
                    return int(at)
        return NOWHERE

    def _row_at(self, position: int) -> RecordRow:
        return self._read(lambda txn: self._row(txn, position))

    # -- indexes ------------------------------------------------------------------------------------------------------

    def _mend_entries(self, record: ProvenRecord) -> int:
        header = header_layout.decode(record.header_bytes)
        value = position_key(record.position)
        written = self._replace(self._tables.ids, named_key(record.author, header.record_id), value)
        written += self._replace(self._tables.hashes, record.record_hash, value)
        for table, key, name in (
            (self._tables.facts, named_key(header.registry, header.fact), _fact_key),
            (self._tables.subjects, named_key(header.registry, header.subject), _subject_key),
        ):
            head = self._head(table, key, name)
            if head is None or head < record.position:
                written += self._replace(table, key, value)
        return written

    def _head(self, table: lmdb._Database, key: bytes, name: _Name) -> int | None:
        """The position in a head's entry, if that record is of this name."""
        found = self._read(lambda txn: txn.get(key, db=table))
        if found is None or len(found) != 8 or (position := rows.number_of(found)) >= self._tip.size:
            return None
        try:
            return (
                position if name(header_layout.decode(self._row_at(position).header_bytes)) == key else None
            )
        except LedgerDamaged:
            return position

    def mend_entry(self, index: str, key: bytes) -> int:
        """Set an entry of the index `index` to the last record of its name, or remove it if there is none. Raises CannotMend, LedgerFailed."""
        with self._writing_lock:
            self._check_usable()
            table = {
                "ids": self._tables.ids,
                "hashes": self._tables.hashes,
                "facts": self._tables.facts,
                "subjects": self._tables.subjects,
            }[index]
            try:
                position = self._last_named(index, key)
            except (LedgerDamaged, Malformed) as error:
                raise CannotMend(str(error)) from error
            if position != NOWHERE:
                return self._replace(table, key, position_key(position))
            with self._final_failure(), self._env.begin(write=True) as txn:
                return int(txn.delete(key, db=table))

    def _last_named(self, index: str, key: bytes) -> int:
        """The last position whose record is named so; every row is looked at. Raises LedgerDamaged."""
        for high in range(self._tip.size, 0, -rows.POSITIONS_PER_READ):
            span = range(high - 1, max(-1, high - 1 - rows.POSITIONS_PER_READ), -1)
            for at, row in self._read(lambda txn, span=span: [(one, self._row(txn, one)) for one in span]):  # type: ignore[misc]
                if _name_in(index, row) == key:
                    return int(at)
        return NOWHERE

    # -- the tree -----------------------------------------------------------------------------------------------------

    def mend_tile(self, level: int, index: int) -> int:
        """Write a tile anew from what lies below it; only if the newest quorum checkpoint's root follows from it. Raises CannotMend, LedgerFailed."""
        with self._writing_lock:
            self._check_usable()
            try:
                tile = self._tile_of_rows(index) if level == 0 else self._tile_of_tiles(level, index)
                kept = self.checkpoint()
                note = None if kept is None else decode_checkpoint(kept.note)
            except (LedgerDamaged, Malformed) as error:
                raise CannotMend(str(error)) from error
            self._complete_subtree.cache_clear()
            with self._final_failure():
                txn = self._env.begin(write=True)
                try:
                    txn.put(rows.tile_key(level, index), tile, db=self._tables.tiles)
                    held = getattr(self._held, "txn", None)
                    self._held.txn = txn
                    try:
                        proven = self._fits_above(txn, level, index, tile) and (
                            note is None or self._root(note.size) == note.root
                        )
                    except LedgerDamaged:
                        proven = False
                    finally:
                        self._held.txn = held
                        self._complete_subtree.cache_clear()
                    if proven:
                        txn.commit()
                except BaseException:
                    txn.abort()
                    raise
            if not proven:
                txn.abort()
                raise CannotMend("the rows do not make the tree that the quorum cosigned")
        return 1

    def _fits_above(self, txn: Txn, level: int, index: int, tile: bytes) -> bool:
        """Whether a full tile folds to the hash that the tile above has for it: a root over many records is made of that one alone."""
        if len(tile) < tiles.TILE_BYTES:
            return True
        at = index % tiles.TILE_HASHES * HASH_BYTES
        above = self._tile(txn, level + 1, index >> tiles.TILE_BITS)
        return above[at : at + HASH_BYTES] == tiles.fold(tile)

    def _root(self, size: int) -> bytes:
        return Frontier(size, frontier_of(self, size)).root()

    def _tile_of_rows(self, index: int) -> bytes:
        first = index << tiles.TILE_BITS
        span = range(first, min(first + tiles.TILE_HASHES, self._tip.size))
        found = self._read(lambda txn: [self._row(txn, at) for at in span])
        return b"".join(record_hash_of(row.header_bytes, row.payload_hash) for row in found)

    def _tile_of_tiles(self, level: int, index: int) -> bytes:
        first = index << tiles.TILE_BITS
        last = min(first + tiles.TILE_HASHES, self._tip.size >> tiles.TILE_BITS * level)

        def question(txn: Txn) -> list[bytes]:
            return [self._tile(txn, level - 1, at) for at in range(first, last)]

        below = self._read(question)
        if any(len(tile) != tiles.TILE_BYTES for tile in below):
            raise CannotMend("a tile below it is not whole")
        return b"".join(map(tiles.fold, below))

    # -- files and small tables ---------------------------------------------------------------------------------------

    def vacate(self, number: int, named_end: int = 0) -> bool:
        """One bounded step of moving what verifies out of a damaged segment; the rest becomes awaited. True when the file is gone. Raises CannotMend,
        LedgerFailed. `named_end`: where the segment ends by its records, for one without account."""
        with self._writing_lock:
            self._check_usable()
            key, table = rows.segment_key(number), self._tables.segments
            if self._read(lambda txn: txn.get(key, db=table)) is None:
                self._replace(table, key, rows.encode_segment_row(named_end))
            try:
                if self._emptying is None or self._emptying[0] != number:
                    self._emptying = (number, deque(self._positions_in(number)))
            except LedgerDamaged as error:
                raise CannotMend(str(error)) from error
            with self._final_failure():
                return self._empty(number)

    def mend_meta(self) -> None:
        """Write format, ledger id and tip as this life knows them, and nothing beside them. Raises LedgerFailed."""
        with self._writing_lock:
            self._check_usable()
            own = {
                META_FORMAT: FORMAT,
                META_LEDGER_ID: self.ledger_id,
                META_TIP: rows.encode_tip(self._tip),
            }
            with self._final_failure(), self._env.begin(write=True) as txn:
                with txn.cursor(self._tables.meta) as cursor:
                    others = [key for key in cursor.iternext(keys=True, values=False) if key not in own]
                for key in others:
                    txn.delete(key, db=self._tables.meta)
                for key, value in own.items():
                    txn.put(key, value, db=self._tables.meta)

    def forget_note(self, key: bytes) -> None:
        """Remove a note of an awaited payload that no record awaits. Raises LedgerFailed."""
        with self._writing_lock:
            self._check_usable()
            with self._final_failure(), self._env.begin(write=True) as txn:
                txn.delete(key, db=self._tables.remembered)

    def block_of(self, position: int) -> int:
        """The number of the block that brought a position, by the blocks' sizes. Raises LedgerDamaged."""
        numbers: Sequence[int] = range(1, self._tip.block + 1)
        return bisect.bisect_right(numbers, position, key=self._size_before)

    def _size_before(self, number: int) -> int:
        row = self._read(lambda txn: txn.get(position_key(number), db=self._tables.blocks))
        return rows.decode_block_row(number, row or b"", lambda _: ZERO32).size_before


def _name_in(index: str, row: RecordRow) -> bytes:
    """The key of a row's record in an index."""
    if index == "hashes":
        return record_hash_of(row.header_bytes, row.payload_hash)
    header = header_layout.decode(row.header_bytes)
    if index == "ids":
        return named_key(row.author, header.record_id)
    return _fact_key(header) if index == "facts" else _subject_key(header)


def _fact_key(header: Header) -> bytes:
    return named_key(header.registry, header.fact)


def _subject_key(header: Header) -> bytes:
    return named_key(header.registry, header.subject)
