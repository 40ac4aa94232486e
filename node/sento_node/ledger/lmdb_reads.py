"""Reading from the ledger's database and segments: short read transactions, and nothing given out that does not verify.

A read transaction never waits for the writer and sees a committed state, never a part of one; a long read is many short ones, so that no old pages are held for
long. Rows carry a check, a record's hash is made anew and compared with the tree's tile, a payload with its hash. An error of LMDB itself is final
(`LedgerFailed`); bytes that do not verify are `LedgerDamaged` and name their position.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import TypeAlias, TypeVar

import lmdb

from sento_node.ledger import rows, tiles
from sento_node.ledger.lmdb_files import LedgerFiles, free_bytes
from sento_node.ledger.rows import decode_record_row, name_prefix, number_of, position_key
from sento_node.ledger.segments import PayloadMissing, PayloadWrong, SegmentReader
from sento_node.ledger.state import FactHead, StandingBrief, SubjectHead, Tip
from sento_node.ledger.store import (
    DiskSpace,
    KeptBlock,
    KeptCheckpoint,
    KeptRecord,
    LedgerDamaged,
    LedgerFailed,
)
from sento_proto import header as header_layout
from sento_proto import limits
from sento_proto.governance.state import BUDGET_WINDOW_POSITIONS
from sento_proto.merkle import HASH_BYTES
from sento_proto.record import record_hash_of
from sento_proto.wire import Malformed

KEY_MAX_BYTES = 511
"""LMDB's own limit."""
SUBTREES_CACHED = 32_768
ROWS_PER_READ = 128
"""Rows that one read transaction of a long read takes: a few milliseconds."""
FENCED = "the background reading found it damaged, and it is not healed yet"
_T = TypeVar("_T")
Txn: TypeAlias = "lmdb.Transaction[bytes]"


class LmdbReads:
    """Everything that `LedgerStore` answers, over open files. Any thread may ask."""

    def __init__(self, files: LedgerFiles, tip: Tip, payloads: SegmentReader) -> None:
        self._files = files
        self._env = files.env
        self._tables = files.tables
        self._tip = tip
        self._payloads = payloads
        self._failure: LedgerFailed | None = None
        self._held = threading.local()
        self.fenced_records: frozenset[int] = frozenset()
        self.fenced_blocks: frozenset[int] = frozenset()
        self._complete_subtree = functools.lru_cache(SUBTREES_CACHED)(self._read_subtree)

    @property
    def tip(self) -> Tip:
        """How far the flushed ledger goes."""
        return self._tip

    def fence(self, records: frozenset[int], blocks: frozenset[int]) -> None:
        """From here on these records and blocks, and no others, are not to be given out."""
        self.fenced_records, self.fenced_blocks = records, blocks

    def check_given_out(self, position: int) -> None:
        """Raises LedgerDamaged for a record that is fenced."""
        if position in self.fenced_records:
            raise _damaged(f"position {position}", FENCED)

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise self._failure

    # -- names ------------------------------------------------------------------------------------------------------

    def position_of_id(self, author: str, record_id: bytes) -> int | None:
        """Position of an author's record id."""
        return self._position(self._tables.ids, _key_of(author, record_id))

    def position_of_hash(self, record_hash: bytes) -> int | None:
        """Position of a record hash."""
        return self._position(self._tables.hashes, record_hash)

    def _position(self, table: lmdb._Database, key: bytes) -> int | None:
        found = self._read(lambda txn: _get(txn, table, key))
        return None if found is None else _index_entry(found)

    def fact_head(self, registry: str, fact: bytes) -> FactHead | None:
        """The standing version of a fact."""

        key = _key_of(registry, fact)
        held: Txn | None = getattr(self._held, "txn", None)
        if held is None:
            return self._read(functools.partial(self._fact_head, key))
        return self._fact_head(key, held)

    def _fact_head(self, key: bytes, txn: Txn) -> FactHead | None:
        found = txn.get(key, db=self._tables.facts) if 0 < len(key) <= KEY_MAX_BYTES else None
        if found is None:
            return None
        position = _index_entry(found)
        return FactHead(position, self._leaf(txn, position))

    def subject_head(self, registry: str, subject: bytes) -> SubjectHead | None:
        """The last record about a subject."""

        key = _key_of(registry, subject)
        held: Txn | None = getattr(self._held, "txn", None)
        if held is None:
            return self._read(functools.partial(self._subject_head, key))
        return self._subject_head(key, held)

    def _subject_head(self, key: bytes, txn: Txn) -> SubjectHead | None:
        found = txn.get(key, db=self._tables.subjects) if 0 < len(key) <= KEY_MAX_BYTES else None
        if found is None:
            return None
        position = _index_entry(found)
        return SubjectHead(position, self._row(txn, position).link)

    def record_hash_at(self, position: int) -> bytes:
        """The record hash at a position that stands."""
        return self._read(lambda txn: self._leaf(txn, position))

    def fact_at(self, position: int) -> tuple[str, bytes]:
        """(registry, fact) of the record at a position that stands."""
        row = self._read(lambda txn: self._row(txn, position))
        header = _header(position, row.header_bytes)
        return header.registry, header.fact

    # -- records, blocks, tree --------------------------------------------------------------------------------------

    def record(self, position: int, *, with_payload: bool = True) -> KeptRecord:
        """The record at a flushed position. Raises LedgerDamaged, IndexError."""
        return self._kept(
            *self._read(lambda txn: self._row_and_leaf(txn, position)), with_payload=with_payload
        )

    def records(self, start: int, end: int, *, with_payload: bool = True) -> Iterator[KeptRecord]:
        """Records [start, end) in order. Raises IndexError at once beyond the tip, LedgerDamaged on the way."""
        if not 0 <= start <= end <= self._tip.size:
            raise IndexError(
                f"positions {start} to {end} are not within the {self._tip.size} that are flushed"
            )
        return self._records(start, end, with_payload)

    def _records(self, start: int, end: int, with_payload: bool) -> Iterator[KeptRecord]:
        for low in range(start, end, ROWS_PER_READ):
            span = range(low, min(low + ROWS_PER_READ, end))
            for found in self._read(functools.partial(self._rows_and_leaves, span)):
                yield self._kept(*found, with_payload=with_payload)

    def _rows_and_leaves(self, span: range, txn: Txn) -> list[tuple[int, rows.RecordRow, bytes]]:
        leaf = self._leaves(txn)
        return [(at, self._row(txn, at), leaf(at)) for at in span]

    def _leaves(self, txn: Txn) -> Callable[[int], bytes]:
        """Record hashes by position as `_leaf` gives them, for many neighbours: each tile is read once."""
        tile = functools.lru_cache(8)(functools.partial(self._tile, txn, 0))

        def leaf(position: int) -> bytes:
            at = position % tiles.TILE_HASHES * HASH_BYTES
            found = tile(position >> tiles.TILE_BITS)[at : at + HASH_BYTES] if position >= 0 else b""
            return found if len(found) == HASH_BYTES else self._leaf(txn, position)

        return leaf

    def block(self, number: int) -> KeptBlock:
        """A flushed block. Raises LedgerDamaged, IndexError beyond the tip."""

        if number in self.fenced_blocks:
            raise _damaged(f"block {number}", FENCED)

        def question(txn: Txn) -> KeptBlock:
            asked = 0 < number <= rows.POSITION_MAX
            row = txn.get(position_key(number), db=self._tables.blocks) if asked else None
            if row is None:
                if not 0 < number <= self._tip.block:
                    raise IndexError(f"block {number} is not within the {self._tip.block} that are flushed")
                raise _damaged(f"block {number}", "its row is missing")
            try:
                return rows.decode_block_row(number, row, self._leaves(txn))
            except Malformed as error:
                raise _damaged(f"block {number}", str(error)) from error

        return self._read(question)

    def _read_subtree(self, level: int, index: int) -> bytes:
        if level < 0 or index < 0 or (index + 1) << level > self._tip.size:
            raise IndexError(
                f"subtree {index} of level {level} is not within the {self._tip.size} records that are flushed"
            )
        try:
            return self._read(lambda txn: tiles.subtree(functools.partial(self._tile, txn), level, index))
        except tiles.NotInTiles as error:
            raise _damaged(f"position {index << level}", str(error)) from error

    def subtree(self, level: int, index: int) -> bytes:
        """Hash of the complete subtree over leaves [index << level, (index + 1) << level). Raises IndexError beyond the flushed size."""
        return self._complete_subtree(level, index)

    def window(self) -> tuple[StandingBrief, ...]:
        """The records of the running budget window, in order."""
        size = self._tip.size
        start = size - size % BUDGET_WINDOW_POSITIONS
        return tuple(
            StandingBrief(kept.position, kept.author, _header(kept.position, kept.header_bytes).subject)
            for kept in self.records(start, size, with_payload=False)
        )

    # -- checkpoints and remembered facts ---------------------------------------------------------------------------

    def checkpoint(self, at_least_size: int = 0) -> KeptCheckpoint | None:
        """The newest quorum checkpoint if `at_least_size` is 0, else the smallest of at least that size."""

        def question(txn: Txn) -> KeptCheckpoint | None:
            with txn.cursor(self._tables.checkpoints) as cursor:
                found = cursor.set_range(position_key(at_least_size)) if at_least_size else cursor.last()
                return _checkpoint(*cursor.item()) if found else None

        return self._read(question)

    def newest_checkpoints(self, limit: int) -> list[KeptCheckpoint]:
        """The last quorum checkpoints, newest first, at most `limit`."""

        def question(txn: Txn) -> list[KeptCheckpoint]:
            with txn.cursor(self._tables.checkpoints) as cursor:
                if not cursor.last():
                    return []
                return [_checkpoint(*item) for item in itertools.islice(cursor.iterprev(), limit)]

        return self._read(question)

    def checkpoint_by_block(self, block: int) -> KeptCheckpoint | None:
        """The first quorum checkpoint that ends at this block or later."""
        size = (
            self.block(block).size_after
            if 0 < block <= self._tip.block
            else (self._tip.size if block > 0 else 0)
        )

        def question(txn: Txn) -> KeptCheckpoint | None:
            with txn.cursor(self._tables.checkpoints) as cursor:
                found = cursor.set_range(position_key(size))
                while found:
                    kept = _checkpoint(*cursor.item())
                    if kept.block >= block:
                        return kept
                    found = cursor.next()
            return None

        return self._read(question)

    def recall(self, name: str) -> bytes | None:
        """A remembered fact."""
        return self._read(lambda txn: _get(txn, self._tables.remembered, name.encode("utf-8")))

    # -- the rest ---------------------------------------------------------------------------------------------------

    def space(self) -> DiskSpace:
        """Space left: on the disk, and in the part of it that the database may grow into before the next start."""
        free, total = free_bytes(self._files.directory)
        info = self._env.info()
        page = self._env.stat()["psize"]
        return DiskSpace(min(free, info["map_size"] - (info["last_pgno"] + 1) * page), total)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Questions of this thread share one read transaction inside: many small ones about one block, well within a second."""
        self._check_usable()
        try:
            with self._env.begin() as txn:
                self._held.txn = txn
                try:
                    yield
                finally:
                    self._held.txn = None
        except lmdb.Error as error:
            self._failure = cannot_keep(error)
            raise self._failure from error

    def _read(self, question: Callable[[Txn], _T]) -> _T:
        """Ask in the transaction that this thread holds, or in one of its own."""
        self._check_usable()
        held: Txn | None = getattr(self._held, "txn", None)
        try:
            if held is not None:
                return question(held)
            with self._env.begin() as txn:
                return question(txn)
        except lmdb.Error as error:
            self._failure = cannot_keep(error)
            raise self._failure from error

    def _tile(self, txn: Txn, level: int, index: int) -> bytes:
        return txn.get(rows.tile_key(level, index), b"", db=self._tables.tiles)

    def _leaf(self, txn: Txn, position: int) -> bytes:
        if not 0 <= position <= rows.POSITION_MAX:
            raise self._not_there(position, "no tree holds it")
        at = position % tiles.TILE_HASHES * HASH_BYTES
        leaf = self._tile(txn, 0, position >> tiles.TILE_BITS)[at : at + HASH_BYTES]
        if len(leaf) != HASH_BYTES:
            raise self._not_there(position, "the tree does not hold its hash")
        return leaf

    def _row(self, txn: Txn, position: int) -> rows.RecordRow:
        asked = 0 <= position <= rows.POSITION_MAX
        row = txn.get(position_key(position), db=self._tables.rows) if asked else None
        if row is None:
            raise self._not_there(position, "its row is missing")
        try:
            return decode_record_row(position, row)
        except Malformed as error:
            raise _damaged(f"position {position}", str(error)) from error

    def _row_and_leaf(self, txn: Txn, position: int) -> tuple[int, rows.RecordRow, bytes]:
        return position, self._row(txn, position), self._leaf(txn, position)

    def _not_there(self, position: int, what: str) -> Exception:
        if 0 <= position < self._tip.size:
            return _damaged(f"position {position}", what)
        return IndexError(f"position {position} is not within the {self._tip.size} that are flushed")

    def _kept(self, position: int, row: rows.RecordRow, leaf: bytes, *, with_payload: bool) -> KeptRecord:
        if record_hash_of(row.header_bytes, row.payload_hash) != leaf:
            raise _damaged(f"position {position}", "its header does not have the hash that the tree holds")
        if not with_payload:
            return row.kept(position, leaf, b"")
        try:
            return row.kept(position, leaf, self._payload(position, row))
        except PayloadMissing:
            moved = self._moved(position, row)
            if moved is None:
                return row.kept(position, leaf, None)
            return self._kept(position, moved, leaf, with_payload=True)

    def _payload(self, position: int, row: rows.RecordRow) -> bytes | None:
        if row.locator.kind != rows.STORED:
            return b"" if row.locator.kind == rows.NO_PAYLOAD else None
        try:
            return self._payloads.read(position, row.payload_hash, row.locator)
        except PayloadWrong as error:
            raise _damaged(f"the payload at position {position}", str(error)) from error

    def _moved(self, position: int, row: rows.RecordRow) -> rows.RecordRow | None:
        """The row as it stands now, if the payload got another place since it was read: its old file was emptied meanwhile."""
        with self._env.begin() as txn:
            fresh = self._row(txn, position)
        return None if fresh.locator == row.locator else fresh


def _key_of(name: str, identifier: bytes) -> bytes:
    """The key of a name that may come from anybody; b"" for one that cannot stand."""
    prefix = _prefix_of(name) if len(name) <= limits.NAME_MAX_BYTES else b""
    return prefix and prefix + identifier


@functools.lru_cache(maxsize=4096)
def _prefix_of(name: str) -> bytes:
    return name_prefix(name) if name.isascii() and "\0" not in name else b""


def _get(txn: Txn, table: lmdb._Database, key: bytes) -> bytes | None:
    """The row under a key that may come from anybody. LMDB calls an empty or overlong key an error; here it is a name that does not stand."""
    return txn.get(key, db=table) if 0 < len(key) <= KEY_MAX_BYTES else None


def _index_entry(data: bytes) -> int:
    try:
        return number_of(data)
    except Malformed as error:
        raise _damaged("an index", str(error)) from error


def _header(position: int, header_bytes: bytes) -> header_layout.Header:
    try:
        return header_layout.decode(header_bytes)
    except Malformed as error:
        raise _damaged(f"position {position}", str(error)) from error


def _checkpoint(key: bytes, row: bytes) -> KeptCheckpoint:
    try:
        return rows.decode_checkpoint_row(key, row)
    except Malformed as error:
        raise _damaged("a checkpoint", str(error)) from error


def _damaged(what: str, why: str) -> LedgerDamaged:
    return LedgerDamaged(
        f"The ledger's copy of {what} does not verify: {why}. Run sento-node verify and ask another site meanwhile."
    )


def cannot_keep(error: BaseException) -> LedgerFailed:
    """The final failure that `error` is."""
    return LedgerFailed(
        f"The ledger's database can no longer be trusted to keep what it is told ({type(error).__name__}: {error}), so the site stops. "
        "Check the disk and its free space, then start the site again; the ordering log still holds what was not flushed."
    )
