"""The blocks that a log's raft entries hold behind a ledger's end, numbered as the ledger would. Pure.

The ledger's last block is looked for in the log; from there on each entry is put into effect as etcd would: an append counts when its lane stands where the
append says, so that a repeated one makes no second block. Whether entries behind the hard state's commit were ever acknowledged nobody can tell: they count.

A log that begins behind the ledger's end cannot be joined to it, because blocks between them may be missing: that is said, and no block is given. An append
may have been repeated, so the ledger's last block is known for certain only where the one before it stands before it, or where the log is whole.

Source: Ongaro and Ousterhout, In Search of an Understandable Consensus Algorithm, 5.4 (what of a log may have been committed).
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from sento_node.ordering.port import OrderedBlock
from sento_node.salvage.steps import Append, Full, Mark, Step, Strange, Trim
from sento_node.salvage.wal import Wal

_FIRST_REVISION: Final = 1
"""Of an etcd that nobody has written to (etcd 3.4, mvcc/kvstore.go)."""


class LedgerBlocks(Protocol):
    """A ledger's blocks of the log's epoch."""

    @property
    def base(self) -> int:
        """The ledger's block before the log's first."""
        ...

    @property
    def last(self) -> tuple[int, int]:
        """(number, revision) of the ledger's last block."""
        ...

    def number_of(self, lane: str, seq: int) -> int | None:
        """The number of a block of this epoch that stands in the ledger."""
        ...

    def last_seq(self, lane: str) -> int:
        """The lane's last block in the ledger; 0 without any."""
        ...


class TailBlock(NamedTuple):
    """A block behind the ledger's end. `entry`, `term`: of its raft entry; `committed`: the member knew it to be."""

    ordered: OrderedBlock
    entry: int
    term: int
    committed: bool


class Tail(NamedTuple):
    """What the log holds behind the ledger. `joined`: the ledger's end was found in it; everything was told by entries from number `joined_at` on (0: by all).
    `ended`: its last record is torn, in words, which takes nothing away; `trouble`: why blocks may be missing, in words."""

    blocks: tuple[TailBlock, ...]
    last_term: int
    last_index: int
    joined: bool
    joined_at: int = 0
    ended: str = ""
    trouble: str = ""
    cluster_id: int = 0

    @property
    def uncommitted(self) -> int:
        """How many of the blocks the member did not know to be committed."""
        return sum(not block.committed for block in self.blocks)

    def through(self, number: int) -> tuple[OrderedBlock, ...]:
        """The blocks up to a number."""
        return tuple(block.ordered for block in self.blocks if block.ordered.number <= number)


def tail_of(wal: Wal[Step], ledger: LedgerBlocks) -> Tail:
    """The blocks behind the ledger's end."""
    fold = _Fold(wal, ledger)
    start = fold.find_end()
    if start is not None:
        fold.go_on_from(start)
    trouble = " ".join(words for words in (fold.trouble, wal.trouble) if words)
    return Tail(
        tuple(fold.blocks), *wal.last, start is not None, fold.joined_at, wal.ended, trouble, wal.cluster_id
    )


class _Fold:
    def __init__(self, wal: Wal[Step], ledger: LedgerBlocks) -> None:
        self._wal = wal
        self._ledger = ledger
        self._number, self._revision = ledger.last
        self._lanes: dict[str, int] = {}
        self._trimmed: dict[str, int] = {}
        self._full: set[int] = set()
        self.blocks: list[TailBlock] = []
        self.trouble = ""
        self.joined_at = 0

    def find_end(self) -> int | None:
        """The place in the entries from which on they are behind the ledger's end; None where it is not found."""
        entries, ledger = self._wal.entries, self._ledger
        if self._number == ledger.base:
            if self._wal.from_start:
                self._revision = max(self._revision, _FIRST_REVISION)
                return 0
            self.trouble = self._begins_behind() if entries else ""
            return None
        newest = newest_at = 0
        for at, entry in enumerate(entries):
            step = entry.value
            self._note(step)
            if not isinstance(step, Append):
                continue
            number = ledger.number_of(step.lane, step.seq)
            if number is None and step.seq > ledger.last_seq(step.lane):
                self.trouble = self._begins_behind()
                return None
            if number == self._number:
                if newest == number - 1:
                    self.joined_at = newest_at
                if newest == number - 1 or self._wal.from_start:
                    return at + 1
                self.trouble = self._begins_behind()
                return None
            if number is not None and number > newest:
                newest, newest_at = number, entry.number
        return None

    def _begins_behind(self) -> str:
        first = self._wal.entries[0].number if self._wal.entries else 0
        return (
            f"The ordering log's files begin with entry {first}, behind the ledger's last block {self._number} or too close to it: "
            "blocks between them may be missing, so none of the log was added to the ledger."
        )

    def _note(self, step: Step) -> None:
        if isinstance(step, Trim):
            for lane, seq in step.through_seq:
                self._trimmed[lane] = max(seq, self._trimmed.get(lane, 0))
        elif isinstance(step, Full):
            (self._full.add if step.raised else self._full.discard)(step.member_id)

    def go_on_from(self, start: int) -> None:
        """Put every entry behind the ledger's end into effect."""
        for entry in self._wal.entries[start:]:
            step = entry.value
            if isinstance(step, Strange):
                self.trouble = (
                    f"Entry {entry.number} of the ordering log is not Sento's: {step.why}. "
                    "What follows it cannot be told; find who holds a certificate of the ordering log."
                )
                return
            if isinstance(step, Append):
                if self._is_ordered(step):
                    self._order(step, entry.number, entry.term)
            elif isinstance(step, Mark) or (isinstance(step, Trim) and self._removes(step)):
                self._revision += 1
            self._note(step)

    def _is_ordered(self, step: Append) -> bool:
        return not self._full and self._last_seq(step.lane) == step.seq - 1

    def _last_seq(self, lane: str) -> int:
        return self._lanes[lane] if lane in self._lanes else self._ledger.last_seq(lane)

    def _order(self, step: Append, index: int, term: int) -> None:
        self._number, self._revision = self._number + 1, self._revision + 1
        self._lanes[step.lane] = step.seq
        block = OrderedBlock(self._number, self._revision, step.lane, step.seq, step.data)
        self.blocks.append(TailBlock(block, index, term, index <= self._wal.commit))

    def _removes(self, step: Trim) -> bool:
        """Whether a block that was still there goes: deleting nothing takes no revision."""
        return any(
            self._trimmed.get(lane, 0) < min(seq, self._last_seq(lane)) for lane, seq in step.through_seq
        )
