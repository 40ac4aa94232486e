"""Cutting a ledger's database back to the end of one of its blocks, in one LMDB transaction: as if nothing behind it had ever been flushed.

For a copy that is to become a new ledger, never for the only one: what is cut off is gone. Everything behind the size is taken out of every table; heads of
facts and subjects are found anew from the rows that stay, because the rows that go may be the damaged ones. It believes what it reads: whoever cuts
verifies the result from the genesis file and the signatures before anybody opens it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb

from sento_node.ledger import rows, tiles
from sento_node.ledger.lmdb_files import META_LEDGER_ID, META_TIP, LedgerFiles, open_ledger, open_to_verify
from sento_node.ledger.rows import STORED, named_key, number_of, position_key
from sento_node.ledger.segments import FRAME_BYTES
from sento_node.ledger.state import Tip
from sento_node.ledger.store import LedgerDamaged
from sento_proto import header as header_layout
from sento_proto.merkle import HASH_BYTES
from sento_proto.wire import Malformed


def cut_ledger(directory: Path, size: int, block: int, epoch: int | None = None) -> dict[int, int]:
    """Cut the ledger in `directory` back to `size`, at the end of `block`: segment -> where the records that stay end in it. The caller cuts those files.
    `epoch`: of that block (None: the tip's own).

    Raises LedgerDamaged when the rows that are to stay cannot be read, lmdb.Error, LedgerNotOpened."""
    files = _open(directory)
    try:
        with files.env.begin(write=True) as txn:
            try:
                return _Cut(files, txn, size, block).carry_out(epoch)
            except (Malformed, tiles.NotInTiles) as error:
                raise LedgerDamaged(f"The ledger cannot be cut back to size {size} ({error}).") from error
    finally:
        files.close()


def put_epoch(directory: Path, epoch: int | None, forget: Callable[[str], bool]) -> None:
    """Let the ledger in `directory` wait for the act that begins `epoch`: its next block is that of a new log, whose revisions begin anew; None: it goes on
    where it is. What it remembers under names that `forget` holds true for, which belongs to the former log, is taken out.

    Raises LedgerDamaged, lmdb.Error, LedgerNotOpened."""
    files = _open(directory)
    try:
        with files.env.begin(write=True) as txn:
            try:
                tip = rows.decode_tip(txn.get(META_TIP, b"", db=files.tables.meta))
            except Malformed as error:
                raise LedgerDamaged(f"The ledger's tip cannot be read ({error}).") from error
            with txn.cursor(files.tables.remembered) as cursor:
                names = [
                    key
                    for key in cursor.iternext(keys=True, values=False)
                    if _is_name(key) and forget(key.decode())
                ]
            for name in names:
                txn.delete(name, db=files.tables.remembered)
                txn.delete(rows.remembered_check_key(name), db=files.tables.remembered)
            if epoch is not None:
                waiting = tip._replace(epoch=epoch, revision=0)
                txn.put(META_TIP, rows.encode_tip(waiting), db=files.tables.meta)
    finally:
        files.close()


def _is_name(key: bytes) -> bool:
    """Whether it is a fact's name, and not a check or an awaited position."""
    return key.isascii() and not key.startswith((rows.REMEMBERED_CHECK_PREFIX, rows.AWAITED_PREFIX))


def _open(directory: Path) -> LedgerFiles:
    """The tables, to write, of whatever ledger is there."""
    env, tables = open_to_verify(directory)
    with env, env.begin() as txn:
        ledger_id = txn.get(META_LEDGER_ID, b"", db=tables.meta)
    return open_ledger(directory, ledger_id)


class _Cut:
    """One cut, inside one transaction."""

    def __init__(self, files: LedgerFiles, txn: lmdb.Transaction[bytes], size: int, block: int) -> None:
        self._tables, self._txn, self._size, self._block = files.tables, txn, size, block

    def carry_out(self, epoch: int | None) -> dict[int, int]:
        tables, size = self._tables, self._size
        facts, subjects = self._heads_behind(tables.facts), self._heads_behind(tables.subjects)
        ends = self._read_what_stays(facts, subjects)
        for table, heads in ((tables.facts, facts), (tables.subjects, subjects)):
            for key, position in heads.items():
                self._set(table, key, position)
        for table in (tables.ids, tables.hashes):
            for key in self._heads_behind(table):
                self._txn.delete(key, db=table)
        self._delete_from(tables.remembered, rows.awaited_key(size), rows.AWAITED_PREFIX)
        self._delete_from(tables.rows, position_key(size))
        self._delete_from(tables.checkpoints, position_key(size + 1))
        self._cut_tiles()
        revision = self._last_block()
        self._delete_from(tables.blocks, position_key(self._block + 1))
        for key, _ in list(self._scan(tables.segments)):
            self._txn.delete(key, db=tables.segments)
        for number, end in ends.items():
            self._txn.put(rows.segment_key(number), rows.encode_segment_row(end), db=tables.segments)
        edge = tiles.TileEdge(size, self._tile)
        former = rows.decode_tip(self._txn.get(META_TIP, b"", db=tables.meta))
        tip = Tip(
            former.epoch if epoch is None else epoch, self._block, revision, size, tuple(edge.frontier())
        )
        self._txn.put(META_TIP, rows.encode_tip(tip), db=tables.meta)
        return ends

    def _scan(self, table: lmdb._Database, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        with self._txn.cursor(table) as cursor:
            found = cursor.set_range(start) if start else cursor.first()
            while found:
                yield cursor.item()
                found = cursor.next()

    def _delete_from(self, table: lmdb._Database, start: bytes, prefix: bytes = b"") -> None:
        """Take out every row from `start` on whose key begins with `prefix`."""
        for key in [
            key
            for key, _ in itertools.takewhile(
                lambda item: item[0].startswith(prefix), self._scan(table, start)
            )
        ]:
            self._txn.delete(key, db=table)

    def _heads_behind(self, table: lmdb._Database) -> dict[bytes, int | None]:
        """The keys of an index that point behind the size."""
        return {key: None for key, value in self._scan(table) if number_of(value) >= self._size}

    def _set(self, table: lmdb._Database, key: bytes, position: int | None) -> None:
        if position is None:
            self._txn.delete(key, db=table)
        else:
            self._txn.put(key, position_key(position), db=table)

    def _read_what_stays(
        self, facts: dict[bytes, int | None], subjects: dict[bytes, int | None]
    ) -> dict[int, int]:
        """Fill in the heads that stay, and find where the payloads that stay end."""
        ends: dict[int, int] = {}
        for key, data in self._scan(self._tables.rows):
            position = number_of(key)
            if position >= self._size:
                break
            row = rows.decode_record_row(position, data)
            header = header_layout.decode(row.header_bytes)
            for heads, name in ((facts, header.fact), (subjects, header.subject)):
                head = named_key(header.registry, name)
                if head in heads:
                    heads[head] = position
            at = row.locator
            if at.kind == STORED:
                ends[at.segment] = max(ends.get(at.segment, 0), at.offset + FRAME_BYTES + at.length)
        return ends

    def _cut_tiles(self) -> None:
        """Short tiles are prefixes of what they were; what no tree of this size has goes."""
        stay = {(level, index): count for level, index, count in tiles.tiles_of(self._size)}
        keys = {rows.tile_key(level, index): count for (level, index), count in stay.items()}
        for key, tile in list(self._scan_lengths()):
            count = keys.get(key)
            if count is None:
                self._txn.delete(key, db=self._tables.tiles)
            elif tile > count * HASH_BYTES:
                whole = self._txn.get(key, b"", db=self._tables.tiles)
                self._txn.put(key, whole[: count * HASH_BYTES], db=self._tables.tiles)

    def _scan_lengths(self) -> Iterator[tuple[bytes, int]]:
        for key, value in self._scan(self._tables.tiles):
            yield key, len(value)

    def _last_block(self) -> int:
        """The revision of the block that becomes the last."""
        row = self._txn.get(position_key(self._block), db=self._tables.blocks)
        if row is None:
            raise Malformed("the block at its end is missing")
        kept = rows.decode_block_row(self._block, row, self._leaf)
        if kept.size_after != self._size:
            raise Malformed("the block at its end has another size")
        return kept.revision

    def _leaf(self, position: int) -> bytes:
        at = position % tiles.TILE_HASHES * HASH_BYTES
        leaf = self._tile(0, position >> tiles.TILE_BITS)[at : at + HASH_BYTES]
        if len(leaf) != HASH_BYTES:
            raise Malformed("the tree lacks a hash")
        return leaf

    def _tile(self, level: int, index: int) -> bytes:
        return self._txn.get(rows.tile_key(level, index), b"", db=self._tables.tiles)
