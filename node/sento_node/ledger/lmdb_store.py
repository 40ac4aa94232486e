"""The ledger store on disk: one LMDB transaction for everything small, after the payloads' segments are flushed.

A commit goes: payloads into segments, fdatasync; then one write transaction for rows, blocks, tiles, indexes and tip, whose commit flushes data and then
the page that makes it current (`sync`, `metasync`). Keys go in sorted, so that each index page is touched once. LMDB accepts a next commit after a
failed flush, and going on would lie: the first failure of any kind is final (`LedgerFailed`), for readers too.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from sento_node.ledger import rows, tiles
from sento_node.ledger.batches import check_follows, check_tree, standing_of
from sento_node.ledger.lmdb_files import META_TIP, LedgerFiles, open_ledger
from sento_node.ledger.lmdb_reads import Txn, cannot_keep
from sento_node.ledger.lmdb_repair import LmdbRepair
from sento_node.ledger.results import StandingRecord
from sento_node.ledger.rows import name_prefix, position_key
from sento_node.ledger.segments import (
    SEGMENT_MAX_BYTES,
    SegmentReader,
    SegmentWriter,
    cut_back,
    positions_named,
    segment_numbers,
    segment_path,
)
from sento_node.ledger.state import Batch
from sento_node.ledger.store import KeptCheckpoint, LedgerFailed, LedgerStore
from sento_proto.wire import Malformed


class LmdbStore(LmdbRepair, LedgerStore):
    """See `LedgerStore` for what it promises. Made by `open`."""

    def __init__(self, files: LedgerFiles, ledger_id: bytes, segment_max_bytes: int) -> None:
        tables = files.tables
        with files.env.begin() as txn:
            tip = rows.decode_tip(txn.get(META_TIP, b"", db=tables.meta))
            with txn.cursor(tables.segments) as cursor:
                ends = dict(rows.decode_segment_row(key, row) for key, row in cursor)
            super().__init__(files, tip, SegmentReader(files.payloads, ledger_id))
            self._check_emptied(txn, ends)
            self._edge = tiles.TileEdge(tip.size, functools.partial(self._tile, txn))
        cut_back(files.payloads, ends)
        last = max(ends.items(), default=None)
        self._segments = SegmentWriter(files.payloads, ledger_id, last, segment_max_bytes)
        self._writing_lock = threading.Lock()
        self.ledger_id = ledger_id
        self._closed = False

    @classmethod
    def open(
        cls,
        directory: Path,
        ledger_id: bytes,
        *,
        map_bytes: int | None = None,
        segment_max_bytes: int = SEGMENT_MAX_BYTES,
    ) -> LmdbStore:
        """Open or create the ledger in `directory`. Raises LedgerNotOpened (in use, another ledger's, unknown format), LedgerFailed (damaged)."""
        try:
            files = open_ledger(directory, ledger_id, map_bytes=map_bytes)
        except (lmdb.Error, OSError) as error:
            raise _cannot_open(directory, error) from error
        try:
            return cls(files, ledger_id, segment_max_bytes)
        except (lmdb.Error, OSError, Malformed, tiles.NotInTiles) as error:
            files.close()
            raise _cannot_open(directory, error) from error
        except BaseException:
            files.close()
            raise

    def _check_emptied(self, txn: Txn, ends: Collection[int]) -> None:
        """A segment that no account names is removed at the start, because an erasure emptied it or its commit never came to be: no record lies in it then.

        Raises LedgerFailed where one does: the account is lost, not the payloads."""
        for number in segment_numbers(self._files.payloads):
            if number in ends:
                continue
            for position in positions_named(segment_path(self._files.payloads, number)):
                row = (
                    txn.get(position_key(position), db=self._tables.rows)
                    if position < self._tip.size
                    else None
                )
                locator = None if row is None else rows.decode_record_row(position, row).locator
                if locator is not None and (locator.kind, locator.segment) == (rows.STORED, number):
                    raise LedgerFailed(
                        f"The database does not name payload segment {number} any more, and the record at position {position} lies in it. "
                        "Run sento-node verify, and rebuild the ledger from another site."
                    )

    # -- writing ----------------------------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> None:
        """Flush payloads, then everything else in one transaction. Raises LedgerFailed; ValueError for a batch that does not follow the tip."""
        with self._writing_lock:
            self._check_usable()
            check_follows(self._tip, batch)
            with self._final_failure():
                standing = standing_of(batch)
                destroyed = batch.destroyed
                locators, ends = self._segments.append(
                    [
                        (
                            item.position,
                            item.record.payload_hash,
                            b"" if item.position in destroyed else item.record.payload,
                        )
                        for item in standing
                    ]
                )
                locators = _without_bytes(batch, standing, locators)
                changed = self._edge.append([item.record.record_hash for item in standing])
                check_tree(batch, self._edge.frontier())
                with self._env.begin(write=True) as txn:
                    self._put_records(txn, batch, locators)
                    self._put_indexes(txn, batch)
                    self._put(
                        txn, self._tables.tiles, [(rows.tile_key(*at), tile) for at, tile in changed.items()]
                    )
                    self._put(
                        txn,
                        self._tables.segments,
                        [(rows.segment_key(n), rows.encode_segment_row(end)) for n, end in ends.items()],
                    )
                    self._put_awaited(txn, standing, locators)
                    txn.put(META_TIP, rows.encode_tip(batch.tip), db=self._tables.meta)
            self._tip = batch.tip

    def _put_records(self, txn: Txn, batch: Batch, locators: list[rows.Locator]) -> None:
        locator = iter(locators)
        records = [
            (position_key(item.position), rows.encode_record_row(item, block.number, next(locator)))
            for block in batch.blocks
            for item in block.standing
        ]
        blocks = [(position_key(block.number), rows.encode_block_row(block)) for block in batch.blocks]
        self._append(txn, self._tables.rows, records)
        self._append(txn, self._tables.blocks, blocks)

    def _put_awaited(self, txn: Txn, standing: list[StandingRecord], locators: list[rows.Locator]) -> None:
        awaited = [
            (rows.awaited_key(item.position), b"")
            for item, locator in zip(standing, locators, strict=True)
            if locator[0] == rows.AWAITED
        ]
        self._put(txn, self._tables.remembered, awaited)

    def _put_indexes(self, txn: Txn, batch: Batch) -> None:
        layer, key_of, prefix = batch.layer, position_key, name_prefix
        ids = [(prefix(name) + id_, key_of(position)) for (name, id_), position in layer.ids.items()]
        hashes = [(record_hash, key_of(position)) for record_hash, position in layer.hashes.items()]
        facts = [(prefix(name) + fact, key_of(head[0])) for (name, fact), head in layer.facts.items()]
        subjects = [
            (prefix(name) + subject, key_of(head[0])) for (name, subject), head in layer.subjects.items()
        ]
        self._put(txn, self._tables.ids, sorted(ids))
        self._put(txn, self._tables.hashes, sorted(hashes))
        self._put(txn, self._tables.facts, sorted(facts))
        self._put(txn, self._tables.subjects, sorted(subjects))

    def _put(self, txn: Txn, table: lmdb._Database, items: list[tuple[bytes, bytes]]) -> None:
        with txn.cursor(table) as cursor:
            cursor.putmulti(items)

    def _append(self, txn: Txn, table: lmdb._Database, items: list[tuple[bytes, bytes]]) -> None:
        with txn.cursor(table) as cursor:
            consumed, added = cursor.putmulti(items, append=True)
        if consumed != added:
            raise lmdb.CorruptedError("rows stand already behind the tip")

    def put_checkpoint(self, checkpoint: KeptCheckpoint, instead_of: Collection[int] = ()) -> None:
        """Keep a quorum checkpoint and drop those of the sizes `instead_of`, in one transaction, flushed. Raises LedgerFailed."""
        table, row = self._tables.checkpoints, rows.encode_checkpoint_row(checkpoint)
        with self._writing_lock:
            self._check_usable()
            with self._final_failure(), self._env.begin(write=True) as txn:
                for size in instead_of:
                    txn.delete(position_key(size), db=table)
                txn.put(position_key(checkpoint.size), row, db=table)

    def remember(self, name: str, value: bytes) -> None:
        """Keep a small fact under a name, flushed. Raises LedgerFailed."""
        with self._writing_lock:
            self._check_usable()
            with self._final_failure(), self._env.begin(write=True) as txn:
                key, table = name.encode("utf-8"), self._tables.remembered
                txn.put(key, value, db=table)
                txn.put(rows.remembered_check_key(key), rows.remembered_check(key, value), db=table)

    @contextmanager
    def _final_failure(self) -> Iterator[None]:
        """Whatever goes wrong inside makes the store refuse everything after."""
        try:
            yield
        except LedgerFailed as error:
            self._failure = error
            raise
        except (lmdb.Error, OSError) as error:
            self._failure = cannot_keep(error)
            raise self._failure from error
        except BaseException as error:
            self._failure = cannot_keep(error)
            raise

    def close(self) -> None:
        """Give the files back. Nothing is flushed that was not already."""
        with self._writing_lock:
            if self._closed:
                return
            self._closed = True
            if self._failure is None:
                self._failure = LedgerFailed("The ledger was closed. Open it again to go on.")
            self._segments.close()
            self._payloads.close()
            self._files.close()


def _without_bytes(
    batch: Batch, standing: list[StandingRecord], locators: list[rows.Locator]
) -> list[rows.Locator]:
    """The locators, where nothing was written for a record that has a payload: it is destroyed by order, or awaited from another site."""
    if rows.WITHOUT_PAYLOAD not in locators:
        return locators
    return [
        locator
        if locator.kind == rows.STORED
        else rows.locator_without_bytes(
            item.record.payload_hash,
            item.record.header.payload_bytes,
            destroyed=item.position in batch.destroyed,
        )
        for item, locator in zip(standing, locators, strict=True)
    ]


def _cannot_open(directory: Path, error: Exception) -> LedgerFailed:
    return LedgerFailed(
        f"The ledger in {directory} cannot be opened ({type(error).__name__}: {error}). "
        "Check the disk; if it is sound, run sento-node verify and rebuild the ledger from another site."
    )
