"""Taking payloads off the disk, and putting awaited ones on it: the part of the LMDB store that changes what already stands.

A payload is erased in two moves. First its row says so (locator ERASED), in one transaction for many: from there on nobody is given it. Then the segment file
that holds its bytes is emptied: whatever else lies in it is appended to the newest segment like any payload, flushed, and in one transaction the rows name the
new place and the old file's account counts what left it. When all has left, the account goes, then the file, then the directory is flushed.

Each call does a bounded piece, so that commits go on between two of them. A crash at any moment leaves a ledger that opens and verifies: bytes appended
and not named are cut off at the next start, a file whose account is gone is removed then, and what remains to be done is seen from the rows themselves.
Source of emptying segments by moving what lives: M. Rosenblum, J. K. Ousterhout, "The Design and Implementation of a Log-Structured File System", 1992.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from sento_node.ledger import rows
from sento_node.ledger.lmdb_reads import LmdbReads, Txn
from sento_node.ledger.rows import Locator, RecordRow, position_key
from sento_node.ledger.segments import (
    FRAME_BYTES,
    HEADER_BYTES,
    PayloadMissing,
    PayloadOutOfReach,
    PayloadWrong,
    SegmentWriter,
    entries_of,
    remove_segment,
    segment_path,
)
from sento_node.ledger.store import ErasureStep, LedgerFailed

MARKED_PER_STEP = 1_000
"""Rows that one step marks as erased."""
MOVED_BYTES_PER_STEP = 4 * 1024 * 1024
"""Payload bytes that one step moves to the newest segment: some tens of milliseconds."""


class _Moving(NamedTuple):
    """A record whose entry leaves a segment; `payload` is None when there is nothing to carry over."""

    position: int
    row: RecordRow
    payload: bytes | None


class LmdbErasure(LmdbReads):
    """`LedgerStore.erase`, `fill` and `awaited` over open files. The writer's thread calls the first two."""

    _segments: SegmentWriter
    _writing_lock: threading.Lock
    _final_failure: Callable[[], AbstractContextManager[None]]
    _emptying: tuple[int, deque[int]] | None = None

    # -- erasing ----------------------------------------------------------------------------------------------------

    def erase(self, positions: Sequence[int]) -> ErasureStep:
        """One bounded step towards a disk without these payloads. Raises LedgerFailed, LedgerDamaged, IndexError beyond the tip."""
        with self._writing_lock:
            self._check_usable()
            marked, dirty = self._look_at(positions)
            with self._final_failure():
                if marked:
                    self._mark(marked[:MARKED_PER_STEP])
                    return ErasureStep(False, len(marked[:MARKED_PER_STEP]), 0)
                if not dirty:
                    return ErasureStep(True, 0, 0)
                number = min(dirty)
                emptied = self._empty(number)
            return ErasureStep(emptied and len(dirty) == 1, 0, int(emptied))

    def _look_at(self, positions: Sequence[int]) -> tuple[list[tuple[int, RecordRow]], set[int]]:
        """The rows that still have a payload, and the segments in which bytes of erased ones lie."""
        marked: list[tuple[int, RecordRow]] = []
        dirty = self._begun()
        for low in range(0, len(positions), rows.POSITIONS_PER_READ):
            span = positions[low : low + rows.POSITIONS_PER_READ]
            for position, row in self._read(lambda txn, span=span: [(at, self._row(txn, at)) for at in span]):  # type: ignore[misc]
                if row.locator.kind in (rows.STORED, rows.AWAITED):
                    marked.append((position, row))
                elif row.locator.kind == rows.ERASED and row.locator.segment:
                    dirty.add(row.locator.segment)
        return marked, dirty

    def _begun(self) -> set[int]:
        """Segments that something has left already: they are emptied to the end, whichever order began it."""

        def question(txn: Txn) -> set[int]:
            with txn.cursor(self._tables.segments) as cursor:
                accounts = [rows.decode_segment_account(key, row) for key, row in cursor]
            return {account.number for account in accounts if account.gone_bytes}

        return self._read(question)

    def _mark(self, marked: Iterable[tuple[int, RecordRow]]) -> None:
        with self._env.begin(write=True) as txn:
            for position, row in marked:
                self._put_row(txn, position, row, row.locator._replace(kind=rows.ERASED))
                txn.delete(rows.awaited_key(position), db=self._tables.remembered)

    def _empty(self, number: int) -> bool:
        """Move a piece of what lives in the segment away; True when the file is gone."""
        accounts: dict[int, int] = {}
        if number == self._segments.number:
            accounts = self._segments.begin_next()
        if self._emptying is None or self._emptying[0] != number:
            self._emptying = (number, deque(self._positions_in(number)))
        left = self._emptying[1]
        moving = self._take(number, left)
        locators, ends = self._segments.append(
            (item.position, item.row.payload_hash, item.payload or b"") for item in moving
        )
        with self._env.begin(write=True) as txn:
            for item, locator in zip(moving, locators, strict=True):
                self._put_row(txn, item.position, item.row, self._moved_to(txn, item, locator))
            for at, end in {**accounts, **ends}.items():
                txn.put(rows.segment_key(at), rows.encode_segment_row(end), db=self._tables.segments)
            if left:
                self._count_left(txn, number, moving)
            else:
                txn.delete(rows.segment_key(number), db=self._tables.segments)
        if left:
            return False
        self._emptying = None
        self._payloads.forget(number)
        remove_segment(self._files.payloads, number)
        return True

    def _take(self, number: int, left: deque[int]) -> list[_Moving]:
        """The next entries that leave, as many as one step carries."""
        moving: list[_Moving] = []
        taken = 0
        while left and taken < MOVED_BYTES_PER_STEP:
            position = left.popleft()
            row = self._read(lambda txn, at=position: self._row(txn, at))  # type: ignore[misc]
            if row.locator.segment != number:
                continue
            taken += FRAME_BYTES + row.locator.length
            moving.append(_Moving(position, row, self._living(position, row)))
        return moving

    def _living(self, position: int, row: RecordRow) -> bytes | None:
        """What is carried over of an entry. The file is removed behind it, so damage to its header or a frame takes no payload along that its hash proves.

        Raises LedgerFailed where the file is out of reach: that is no damage, and nothing may be given up for it."""
        if row.locator.kind != rows.STORED:
            return None
        try:
            return self._payloads.read(position, row.payload_hash, row.locator)
        except PayloadOutOfReach as error:
            raise _out_of_reach(error) from error
        except (PayloadMissing, PayloadWrong):
            try:
                return self._payloads.rescue(row.payload_hash, row.locator)
            except PayloadOutOfReach as error:
                raise _out_of_reach(error) from error

    def _moved_to(self, txn: Txn, item: _Moving, locator: Locator) -> Locator:
        """The new place; for an erased payload none, and for one that no longer verifies: awaited from another site."""
        if item.payload is not None:
            return locator
        kind = rows.ERASED if item.row.locator.kind == rows.ERASED else rows.AWAITED
        if kind == rows.AWAITED:
            txn.put(rows.awaited_key(item.position), b"", db=self._tables.remembered)
        return Locator(kind, 0, 0, item.row.locator.length)

    def _count_left(self, txn: Txn, number: int, moving: Sequence[_Moving]) -> None:
        key = rows.segment_key(number)
        account = rows.decode_segment_account(key, txn.get(key, b"", db=self._tables.segments))
        gone = sum(FRAME_BYTES + item.row.locator.length for item in moving)
        txn.put(
            key, rows.encode_segment_row(account.end, account.gone_bytes + gone), db=self._tables.segments
        )

    def _positions_in(self, number: int) -> list[int]:
        """Positions whose rows name the segment, by its own entries; by all rows where the file cannot be walked."""
        key = rows.segment_key(number)
        row = self._read(lambda txn: txn.get(key, b"", db=self._tables.segments))
        account = rows.decode_segment_account(key, row) if row else rows.SegmentAccount(number, 0, 0)
        walked = entries_of(segment_path(self._files.payloads, number), account.end)
        if walked is not None and len(set(walked)) == len(walked):
            within = [at for at in walked if at < self._tip.size]
            found = {at: place.length for at in within if (place := self._place_of(at)).segment == number}
            named = sum(FRAME_BYTES + length for length in found.values())
            if HEADER_BYTES + account.gone_bytes + named == account.end:
                return list(found)
        return [at for at in range(self._tip.size) if self._place_of(at).segment == number]

    def _place_of(self, position: int) -> Locator:
        return self._read(lambda txn: self._row(txn, position)).locator

    def _put_row(self, txn: Txn, position: int, row: RecordRow, locator: Locator) -> None:
        txn.put(position_key(position), rows.with_locator(position, row, locator), db=self._tables.rows)

    # -- awaited payloads -------------------------------------------------------------------------------------------

    def awaited(self, limit: int, from_position: int = 0) -> list[int]:
        """Positions from `from_position` on whose payloads this site should hold and does not, rising, at most `limit`."""

        def question(txn: Txn) -> list[int]:
            with txn.cursor(self._tables.remembered) as cursor:
                if not cursor.set_range(rows.awaited_key(from_position)):
                    return []
                keys = itertools.takewhile(
                    lambda key: key.startswith(rows.AWAITED_PREFIX), cursor.iternext(keys=True, values=False)
                )
                return [rows.awaited_position(key) for key in itertools.islice(keys, limit)]

        return self._read(question)

    def fill(self, payloads: Sequence[tuple[int, bytes]]) -> int:
        """Store awaited payloads, (position, payload) each; those that are not awaited any more are passed over. Returns how many were stored.

        Raises ValueError for a payload that is not the record's, with nothing stored; LedgerFailed."""
        with self._writing_lock:
            self._check_usable()
            wanted: list[_Moving] = []
            for position, payload in payloads:
                row = self._read(lambda txn, at=position: self._row(txn, at))  # type: ignore[misc]
                if row.locator.kind != rows.AWAITED:
                    continue
                if hashlib.sha256(payload).digest() != row.payload_hash:
                    raise ValueError(f"the bytes are not the payload of the record at position {position}")
                wanted.append(_Moving(position, row, payload))
            with self._final_failure():
                self._fill(wanted)
            return len(wanted)

    def _fill(self, wanted: Sequence[_Moving]) -> None:
        locators, ends = self._segments.append(
            (item.position, item.row.payload_hash, item.payload or b"") for item in wanted
        )
        with self._env.begin(write=True) as txn:
            for item, locator in zip(wanted, locators, strict=True):
                self._put_row(txn, item.position, item.row, locator)
                txn.delete(rows.awaited_key(item.position), db=self._tables.remembered)
            for number, end in ends.items():
                txn.put(rows.segment_key(number), rows.encode_segment_row(end), db=self._tables.segments)


def _out_of_reach(error: PayloadOutOfReach) -> LedgerFailed:
    return LedgerFailed(
        f"A payload that lives could not be moved out of a segment that is being emptied: {error}. "
        "Nothing was removed; see to the node's limits and the permissions of its data directory, then start the site again."
    )
