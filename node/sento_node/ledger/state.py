"""The state that apply reads and changes: what is on disk, with everything since the last flush laid over it.

`LedgerState` answers apply's questions (is this record known, what is this fact's head, this subject's last link, may this author still write)
from the newest layer down to the store's indexes. Changes go into the pending layer; `seal_batch` hands the layer over to be flushed while apply goes on
in a new one. Nothing here waits, reads a clock or fails in part: the same blocks give the same state at every site.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from sento_node.ledger.results import NOWHERE, BlockResult, StandingRecord
from sento_node.ledger.verified import VerifiedMemo
from sento_proto.chain import FIRST_LINK
from sento_proto.governance.state import BUDGET_WINDOW_POSITIONS, Governance
from sento_proto.merkle import Frontier


class FactHead(NamedTuple):
    """The standing version of a fact."""

    position: int
    record_hash: bytes


class SubjectHead(NamedTuple):
    """The last record about a subject in a registry, and the chain's link after it."""

    position: int
    link: bytes


NOTHING_ABOUT_IT = SubjectHead(NOWHERE, FIRST_LINK)


class Tip(NamedTuple):
    """How far a ledger goes: the tree's frontier, and the last block with its revision in the ordering log of `epoch`."""

    epoch: int
    block: int
    revision: int
    size: int
    frontier: tuple[bytes, ...]


EMPTY_TIP = Tip(epoch=0, block=0, revision=0, size=0, frontier=())


class Indexes(Protocol):
    """What a store answers about its flushed records. Every name is exact; None means that it does not stand."""

    def position_of_id(self, author: str, record_id: bytes) -> int | None:
        """Position of an author's record id."""
        ...

    def position_of_hash(self, record_hash: bytes) -> int | None:
        """Position of a record hash."""
        ...

    def fact_head(self, registry: str, fact: bytes) -> FactHead | None:
        """The standing version of a fact."""
        ...

    def subject_head(self, registry: str, subject: bytes) -> SubjectHead | None:
        """The last record about a subject."""
        ...

    def record_hash_at(self, position: int) -> bytes:
        """The record hash at a position that stands."""
        ...

    def fact_at(self, position: int) -> tuple[str, bytes]:
        """(registry, fact) of the record at a position that stands."""
        ...

    def held(self) -> AbstractContextManager[None]:
        """Inside, many questions of this thread cost little more than one: a block asks several for each record. Not for longer than a block."""
        ...


class Usage(NamedTuple):
    """What an author used of its budget in the running window."""

    records: int
    subjects: frozenset[bytes] | set[bytes]


class StandingBrief(NamedTuple):
    """What the budget window must know of a record; also what the store returns to fill the window at start."""

    position: int
    author: str
    subject: bytes


@dataclass(slots=True)
class Layer:
    """Changes since one flush, by the names that apply asks for."""

    ids: dict[tuple[str, bytes], int] = field(default_factory=dict)
    hashes: dict[bytes, int] = field(default_factory=dict)
    facts: dict[tuple[str, bytes], FactHead] = field(default_factory=dict)
    subjects: dict[tuple[str, bytes], SubjectHead] = field(default_factory=dict)
    standing: dict[int, StandingRecord] = field(default_factory=dict)

    def add(self, item: StandingRecord) -> None:
        """Take in one record that stands."""
        position, record = item.position, item.record
        header, record_hash = record.header, record.record_hash
        registry = header.registry
        self.ids[item.author, header.record_id] = position
        self.hashes[record_hash] = position
        self.facts[registry, header.fact] = FactHead._make((position, record_hash))
        self.subjects[registry, header.subject] = SubjectHead._make((position, item.link))
        self.standing[position] = item

    def merge(self, newer: Layer) -> None:
        """Take in all of a layer that came after this one."""
        self.ids.update(newer.ids)
        self.hashes.update(newer.hashes)
        self.facts.update(newer.facts)
        self.subjects.update(newer.subjects)
        self.standing.update(newer.standing)

    def is_version_of(self, registry: str, fact: bytes, record_hash: bytes) -> bool | None:
        """Whether a record of this hash here is a version of this fact; None when no record of this hash is here."""
        position = self.hashes.get(record_hash)
        if position is None:
            return None
        header = self.standing[position].record.header
        return (header.registry, header.fact) == (registry, fact)


class Batch(NamedTuple):
    """What one flush makes durable: blocks in order, the newest index entries of all their records, and the tip after them."""

    blocks: tuple[BlockResult, ...]
    layer: Layer
    tip: Tip
    destroyed: frozenset[int] = frozenset()
    """Positions among them whose payloads an order has had destroyed: they are never written."""


class LedgerState:
    """Apply's state of one site. `window` holds the records since the start of the budget window, for a store that was not empty."""

    def __init__(
        self, governance: Governance, indexes: Indexes, tip: Tip, window: tuple[StandingBrief, ...] = ()
    ) -> None:
        self.governance = governance
        self.epoch = tip.epoch
        self.block = tip.block
        self.revision = tip.revision
        self.frontier = Frontier(tip.size, tip.frontier)
        self.verified = VerifiedMemo()
        self._indexes = indexes
        self._pending = Layer()
        self._pending_blocks: list[BlockResult] = []
        self._flushing: Layer | None = None
        self._window_start = tip.size - tip.size % BUDGET_WINDOW_POSITIONS
        self._usage: dict[str, tuple[int, set[bytes]]] = {}
        for brief in window:
            if brief.position >= self._window_start:
                self._use(brief.author, brief.subject)

    @property
    def size(self) -> int:
        """Records that stand, flushed or not."""
        return self.frontier.size

    @property
    def tip(self) -> Tip:
        """The tip after everything applied."""
        return Tip(self.epoch, self.block, self.revision, self.size, tuple(self.frontier.hashes))

    @property
    def pending_records(self) -> int:
        """Records applied and not yet handed over to a flush."""
        return len(self._pending.standing)

    @property
    def pending_blocks(self) -> int:
        """Blocks applied and not yet handed over to a flush."""
        return len(self._pending_blocks)

    def held(self) -> AbstractContextManager[None]:
        """See `Indexes.held`."""
        return self._indexes.held()

    def _layers(self) -> tuple[Layer, ...]:
        return (self._pending,) if self._flushing is None else (self._pending, self._flushing)

    def position_of_id(self, author: str, record_id: bytes) -> int | None:
        """Position of an author's record id, or None."""
        for layer in self._layers():
            found = layer.ids.get((author, record_id))
            if found is not None:
                return found
        return self._indexes.position_of_id(author, record_id)

    def record_hash_at(self, position: int) -> bytes:
        """Record hash at a position that stands."""
        for layer in self._layers():
            found = layer.standing.get(position)
            if found is not None:
                return found.record.record_hash
        return self._indexes.record_hash_at(position)

    def fact_head(self, registry: str, fact: bytes) -> FactHead | None:
        """The standing version of a fact, or None."""
        name = (registry, fact)
        found = self._pending.facts.get(name)
        if found is None and self._flushing is not None:
            found = self._flushing.facts.get(name)
        return self._indexes.fact_head(registry, fact) if found is None else found

    def subject_head(self, registry: str, subject: bytes) -> SubjectHead:
        """The end of a subject's chain; (NOWHERE, zeros) when nothing stands about it."""
        name = (registry, subject)
        found = self._pending.subjects.get(name)
        if found is None and self._flushing is not None:
            found = self._flushing.subjects.get(name)
        if found is None:
            found = self._indexes.subject_head(registry, subject)
        return NOTHING_ABOUT_IT if found is None else found

    def is_version_of(self, registry: str, fact: bytes, record_hash: bytes) -> bool:
        """Whether a standing record of this hash is a version of this fact."""
        for layer in self._layers():
            found = layer.is_version_of(registry, fact, record_hash)
            if found is not None:
                return found
        position = self._indexes.position_of_hash(record_hash)
        return position is not None and self._indexes.fact_at(position) == (registry, fact)

    def usage(self, author: str, position: int) -> tuple[int, set[bytes]]:
        """(records, subjects) that the author used in the window that `position` falls into."""
        if position - position % BUDGET_WINDOW_POSITIONS != self._window_start:
            return 0, set()
        return self._usage.get(author, (0, set()))

    def _use(self, author: str, subject: bytes) -> None:
        records, subjects = self._usage.get(author, (0, set()))
        subjects.add(subject)
        self._usage[author] = (records + 1, subjects)

    def enter_epoch(self, epoch: int) -> None:
        """The blocks from here on come from a new epoch's ordering log, whose revisions begin anew."""
        self.epoch, self.revision = epoch, 0

    def absorb(self, result: BlockResult, governance: Governance, layer: Layer | None = None) -> None:
        """Make a block's result part of the state; `layer` holds exactly its standing records where there is one; and `governance` is the one behind it.

        The records were appended to the frontier by whoever made the result."""
        if result.number != self.block + 1 or result.revision <= self.revision:
            raise ValueError("blocks are absorbed in order, each once")
        window_end = self._window_start + BUDGET_WINDOW_POSITIONS
        for item in result.standing:
            position, record, author, _, _, _, _, _ = item
            if position >= window_end:
                self._window_start = position - position % BUDGET_WINDOW_POSITIONS
                window_end = self._window_start + BUDGET_WINDOW_POSITIONS
                self._usage.clear()
            self._use(author, record.header.subject)
            if layer is None:
                self._pending.add(item)
        if layer is not None:
            self._pending.merge(layer)
        self._pending_blocks.append(result)
        self.governance = governance
        self.block, self.revision = result.number, result.revision

    def absorb_records(self, layer: Layer, frontier: Frontier) -> None:
        """Take in at once what stands in blocks that were absorbed without their records, and the tree behind them."""
        self._pending.merge(layer)
        self.frontier = frontier

    def seal_batch(self) -> Batch | None:
        """Hand over everything pending to a flush, or None when there is nothing or a flush is under way."""
        if self._flushing is not None or not self._pending_blocks:
            return None
        blocks = tuple(self._pending_blocks)
        batch = Batch(blocks, self._pending, self.tip, destroyed_among(blocks, self.governance))
        self._flushing, self._pending, self._pending_blocks = self._pending, Layer(), []
        return batch

    def batch_flushed(self) -> None:
        """The store now answers for the batch that was handed over last."""
        self._flushing = None


def destroyed_among(blocks: Iterable[BlockResult], governance: Governance) -> frozenset[int]:
    """Positions of standing records in these blocks whose payloads a carried-out order covers: whoever writes payloads asks here first."""
    if all(order.carried_out_at is None for order in governance.erasure_orders.values()):
        return frozenset()
    return frozenset(
        item.position
        for block in blocks
        for item in block.standing
        if governance.destroyed_by(
            item.record.record_hash, item.record.header.registry, item.record.header.subject, item.position
        )
        is not None
    )
