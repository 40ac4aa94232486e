"""The ledger store without a disk, for the simulator and for tests: what was committed stands, what was not is forgotten.

A `MemoryDisk` is what survives; a `MemoryStore` is one life on it. `crash` ends a life and begins the next on the same disk, `snapshot` keeps a disk as it was:
a lost disk is a new `MemoryDisk`, a rolled-back one is an older snapshot. `at_flush` stands in for the flush: called before and after the batch becomes
durable, it may raise OSError, and the commit fails as a failed flush does, with the batch lost or, as also happens, durable and never said to be.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from sento_node.ledger.batches import check_follows, check_tree, standing_of
from sento_node.ledger.state import EMPTY_TIP, Batch, FactHead, StandingBrief, SubjectHead, Tip
from sento_node.ledger.store import (
    DiskSpace,
    ErasureStep,
    KeptBlock,
    KeptCheckpoint,
    KeptRecord,
    LedgerDamaged,
    LedgerFailed,
    LedgerStore,
)
from sento_proto import header as header_layout
from sento_proto.governance.state import BUDGET_WINDOW_POSITIONS
from sento_proto.merkle import Frontier, root_of
from sento_proto.record import PAYLOAD_HASH_OF_NOTHING

ROOMY = DiskSpace(free_bytes=1 << 40, total_bytes=1 << 40)


class FlushMoment(Enum):
    """When `at_flush` is called."""

    BEFORE = "nothing is durable"
    AFTER = "everything is durable and nobody was told"


@dataclass(slots=True)
class MemoryDisk:
    """What survives a crash."""

    ledger_id: bytes
    tip: Tip = EMPTY_TIP
    records: list[KeptRecord] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    blocks: list[KeptBlock] = field(default_factory=list)
    ids: dict[tuple[str, bytes], int] = field(default_factory=dict)
    hashes: dict[bytes, int] = field(default_factory=dict)
    facts: dict[tuple[str, bytes], FactHead] = field(default_factory=dict)
    subjects: dict[tuple[str, bytes], SubjectHead] = field(default_factory=dict)
    checkpoints: list[KeptCheckpoint] = field(default_factory=list)
    remembered: dict[str, bytes] = field(default_factory=dict)

    def copy(self) -> MemoryDisk:
        """An independent disk with the same content."""
        return MemoryDisk(
            self.ledger_id, self.tip, list(self.records), list(self.leaves), list(self.blocks), dict(self.ids), dict(self.hashes),
            dict(self.facts), dict(self.subjects), list(self.checkpoints), dict(self.remembered),
        )  # fmt: skip


def _flush_holds(moment: FlushMoment) -> None:
    """A disk that never fails."""


class MemoryStore(LedgerStore):
    """See `LedgerStore` for what it promises."""

    def __init__(
        self,
        disk: MemoryDisk,
        *,
        at_flush: Callable[[FlushMoment], None] = _flush_holds,
        space: DiskSpace = ROOMY,
    ) -> None:
        self._disk = disk
        self._at_flush = at_flush
        self._space = space
        self._failure: LedgerFailed | None = None
        self._fenced_records: frozenset[int] = frozenset()
        self._fenced_blocks: frozenset[int] = frozenset()
        self._frontier = Frontier(disk.tip.size, disk.tip.frontier)

    # -- lives and disks --------------------------------------------------------------------------------------------

    def crash(self) -> MemoryStore:
        """End this life; the next one, on the same disk, finds what was committed."""
        self.close()
        return MemoryStore(self._disk, at_flush=self._at_flush, space=self._space)

    def snapshot(self) -> MemoryDisk:
        """The disk as it is now, to roll back to."""
        return self._disk.copy()

    def restore(self, snapshot: MemoryDisk) -> MemoryStore:
        """End this life; the next one finds the disk as it was when the snapshot was taken. The snapshot can be used again."""
        self.close()
        return MemoryStore(snapshot.copy(), at_flush=self._at_flush, space=self._space)

    def set_space(self, space: DiskSpace) -> None:
        """Let the disk be this full."""
        self._space = space

    # -- writing ----------------------------------------------------------------------------------------------------

    @property
    def tip(self) -> Tip:
        """How far the flushed ledger goes."""
        return self._disk.tip

    def commit(self, batch: Batch) -> None:
        """Make the batch durable, all or nothing. Raises LedgerFailed; ValueError for a batch that does not follow the tip."""
        self._check_usable()
        check_follows(self.tip, batch)
        for item in standing_of(batch):
            self._frontier.append(item.record.record_hash)
        check_tree(batch, self._frontier.hashes)
        self._flush(lambda: self._keep(batch))

    def _keep(self, batch: Batch) -> None:
        disk = self._disk
        for block in batch.blocks:
            disk.blocks.append(
                KeptBlock(
                    block.number, block.revision, block.lane, block.seq, block.site, block.size_before, block.size_after,
                    block.refusal, block.submissions,
                )
            )  # fmt: skip
            for item in block.standing:
                record = item.record
                destroyed = item.position in batch.destroyed
                absent = record.payload_hash != PAYLOAD_HASH_OF_NOTHING and (destroyed or not record.payload)
                disk.leaves.append(record.record_hash)
                disk.records.append(
                    KeptRecord(
                        item.position, record.header_bytes, record.payload_hash, record.record_hash, item.link,
                        item.previous_of_subject, item.previous_of_fact, block.number, item.submission, item.nth, item.author,
                        None if absent else record.payload, absent and destroyed, absent and not destroyed,
                    )
                )  # fmt: skip
        disk.ids.update(batch.layer.ids)
        disk.hashes.update(batch.layer.hashes)
        disk.facts.update(batch.layer.facts)
        disk.subjects.update(batch.layer.subjects)
        disk.tip = batch.tip

    def put_checkpoint(self, checkpoint: KeptCheckpoint, instead_of: Collection[int] = ()) -> None:
        """Keep a quorum checkpoint, replacing one of the same size and those of the sizes `instead_of`. Raises LedgerFailed."""
        self._check_usable()
        self._flush(lambda: self._keep_checkpoint(checkpoint, {checkpoint.size, *instead_of}))

    def _keep_checkpoint(self, checkpoint: KeptCheckpoint, gone: Collection[int]) -> None:
        kept = [one for one in self._disk.checkpoints if one.size not in gone]
        bisect.insort(kept, checkpoint, key=lambda one: one.size)
        self._disk.checkpoints = kept

    def remember(self, name: str, value: bytes) -> None:
        """Keep a small fact under a name. Raises LedgerFailed."""
        self._check_usable()
        self._flush(lambda: self._disk.remembered.update({name: value}))

    def erase(self, positions: Sequence[int]) -> ErasureStep:
        """Forget the payloads at these positions, in one step. Raises LedgerFailed, IndexError beyond the tip."""
        held = [
            position
            for position in positions
            if not (kept := self.record(position)).erased and kept.payload_hash != PAYLOAD_HASH_OF_NOTHING
        ]
        if not held:
            return ErasureStep(True, 0, 0)
        records = list(self._disk.records)
        for position in held:
            records[position] = records[position]._replace(payload=None, erased=True, awaited=False)
        self._flush(lambda: self._put_records(records))
        return ErasureStep(True, len(held), 1)

    def awaited(self, limit: int, from_position: int = 0) -> list[int]:
        """Positions whose payloads are to come from another site."""
        return [kept.position for kept in self._read().records[from_position:] if kept.awaited][:limit]

    def fill(self, payloads: Sequence[tuple[int, bytes]]) -> int:
        """Store awaited payloads. Raises ValueError for bytes that are not the record's, LedgerFailed."""
        wanted = [(position, payload) for position, payload in payloads if self.record(position).awaited]
        for position, payload in wanted:
            if hashlib.sha256(payload).digest() != self.record(position).payload_hash:
                raise ValueError(f"the bytes are not the payload of the record at position {position}")
        records = list(self._disk.records)
        for position, payload in wanted:
            records[position] = records[position]._replace(payload=payload, awaited=False)
        self._flush(lambda: self._put_records(records))
        return len(wanted)

    def _put_records(self, records: list[KeptRecord]) -> None:
        self._disk.records = records

    def _flush(self, keep: Callable[[], None]) -> None:
        try:
            self._at_flush(FlushMoment.BEFORE)
            keep()
            self._at_flush(FlushMoment.AFTER)
        except OSError as error:
            self._failure = LedgerFailed(
                f"The ledger could not be flushed ({error}), so the site stops. Start it again: the ordering log still holds what was not flushed."
            )
            raise self._failure from error

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """End this life: it refuses everything after."""
        if self._failure is None:
            self._failure = LedgerFailed("The ledger was closed. Open it again to go on.")

    # -- reading ----------------------------------------------------------------------------------------------------

    def _read(self) -> MemoryDisk:
        self._check_usable()
        return self._disk

    def window(self) -> tuple[StandingBrief, ...]:
        """The records of the running budget window, in order."""
        start = self.tip.size - self.tip.size % BUDGET_WINDOW_POSITIONS
        return tuple(
            StandingBrief(kept.position, kept.author, header_layout.decode(kept.header_bytes).subject)
            for kept in self.records(start, self.tip.size, with_payload=False)
        )

    def position_of_id(self, author: str, record_id: bytes) -> int | None:
        """Position of an author's record id."""
        return self._read().ids.get((author, record_id))

    def position_of_hash(self, record_hash: bytes) -> int | None:
        """Position of a record hash."""
        return self._read().hashes.get(record_hash)

    def fact_head(self, registry: str, fact: bytes) -> FactHead | None:
        """The standing version of a fact."""
        return self._read().facts.get((registry, fact))

    def subject_head(self, registry: str, subject: bytes) -> SubjectHead | None:
        """The last record about a subject."""
        return self._read().subjects.get((registry, subject))

    def record_hash_at(self, position: int) -> bytes:
        """The record hash at a position that stands."""
        return self.record(position, with_payload=False).record_hash

    def held(self) -> contextlib.AbstractContextManager[None]:
        """Nothing needs to be held."""
        return contextlib.nullcontext()

    def fact_at(self, position: int) -> tuple[str, bytes]:
        """(registry, fact) of the record at a position that stands."""
        header = header_layout.decode(self.record(position, with_payload=False).header_bytes)
        return header.registry, header.fact

    def record(self, position: int, *, with_payload: bool = True) -> KeptRecord:
        """The record at a flushed position. Raises IndexError."""
        disk = self._read()
        if not 0 <= position < disk.tip.size:
            raise IndexError(f"position {position} is not within the {disk.tip.size} that are flushed")
        kept = disk.records[position]
        return kept if with_payload else kept._replace(payload=b"")

    def records(self, start: int, end: int, *, with_payload: bool = True) -> Iterator[KeptRecord]:
        """Records [start, end) in order. Raises IndexError at once beyond the tip."""
        if not 0 <= start <= end <= self._read().tip.size:
            raise IndexError(
                f"positions {start} to {end} are not within the {self.tip.size} that are flushed"
            )
        return (self.record(position, with_payload=with_payload) for position in range(start, end))

    def block(self, number: int) -> KeptBlock:
        """A flushed block. Raises IndexError beyond the tip."""
        disk = self._read()
        if not 0 < number <= disk.tip.block:
            raise IndexError(f"block {number} is not within the {disk.tip.block} that are flushed")
        if number in self._fenced_blocks:
            raise LedgerDamaged(f"Block {number} is fenced. Ask another site meanwhile.")
        return disk.blocks[number - 1]

    def subtree(self, level: int, index: int) -> bytes:
        """Hash of a complete subtree within the flushed size. Raises IndexError beyond it."""
        disk = self._read()
        if level < 0 or index < 0 or (index + 1) << level > disk.tip.size:
            raise IndexError(
                f"subtree {index} of level {level} is not within the {disk.tip.size} records that are flushed"
            )
        return root_of(disk.leaves[index << level : (index + 1) << level])

    def checkpoint(self, at_least_size: int = 0) -> KeptCheckpoint | None:
        """The newest quorum checkpoint if `at_least_size` is 0, else the smallest of at least that size."""
        kept = self._read().checkpoints
        if not at_least_size:
            return kept[-1] if kept else None
        return next(iter(kept[bisect.bisect_left(kept, at_least_size, key=lambda one: one.size) :]), None)

    def newest_checkpoints(self, limit: int) -> list[KeptCheckpoint]:
        """The last quorum checkpoints, newest first, at most `limit`."""
        return self._read().checkpoints[::-1][:limit]

    def checkpoint_by_block(self, block: int) -> KeptCheckpoint | None:
        """The first quorum checkpoint that ends at this block or later."""
        kept = self._read().checkpoints
        return next(iter(kept[bisect.bisect_left(kept, block, key=lambda one: one.block) :]), None)

    def fence(self, records: frozenset[int], blocks: frozenset[int]) -> None:
        """From here on these records and blocks, and no others, are not to be given out."""
        self._fenced_records, self._fenced_blocks = records, blocks

    def check_given_out(self, position: int) -> None:
        """Raises LedgerDamaged for a record that is fenced."""
        if position in self._fenced_records:
            raise LedgerDamaged(f"Position {position} is fenced. Ask another site meanwhile.")

    def recall(self, name: str) -> bytes | None:
        """A remembered fact."""
        return self._read().remembered.get(name)

    def space(self) -> DiskSpace:
        """Space left, as it was told."""
        return self._space
