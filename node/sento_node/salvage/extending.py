"""A ledger and the blocks that the site's own log holds behind it: what they come to together, foreseen in memory or added to a copy.

The blocks go through the very same `apply` as in a site that follows the order: signatures, budgets and refusals come out as they would have there. Foreseeing
writes nothing and may be done over a ledger that a node has open; one that grew meanwhile is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from sento_node.compose import root_at
from sento_node.ledger.apply import UnknownRules, apply_block
from sento_node.ledger.forking import OtherFork
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.scratch import is_opening
from sento_node.ledger.state import LedgerState, Tip
from sento_node.ledger.store import LedgerStore
from sento_node.ordering.port import OrderedBlock
from sento_node.salvage.held_files import has_log, read_tail
from sento_node.salvage.tail import LedgerBlocks, Tail
from sento_proto.errors import Code
from sento_proto.genesis import Genesis
from sento_proto.governance.state import Governance
from sento_proto.header import decode as decode_header
from sento_proto.survey import Tree

LOOKS: Final = 8
"""A ledger that grew meanwhile is looked at so often."""
_ANOTHER_LOG: Final = "Every block of the ordering log is of another ledger or epoch, so none was added: the log does not belong to this ledger."
_COMMIT_RECORDS: Final = 4_096
_COMMIT_BLOCKS: Final = 1_024


class LedgerGrew(Exception):
    """The ledger grew each time it was looked at. The text is one sentence of cause and one of remedy."""


class StoreBlocks(LedgerBlocks):
    """The blocks of the log's epoch in a store, read backwards as far as is asked for."""

    def __init__(self, store: LedgerStore, tip: Tip, base: int) -> None:
        self._store = store
        self._base = base
        self._last = (tip.block, tip.revision)
        self._read_down_to = tip.block + 1
        self._numbers: dict[tuple[str, int], int] = {}
        self._last_seqs: dict[str, int] = {}

    @property
    def base(self) -> int:
        """See `LedgerBlocks.base`."""
        return self._base

    @property
    def last(self) -> tuple[int, int]:
        """See `LedgerBlocks.last`."""
        return self._last

    def number_of(self, lane: str, seq: int) -> int | None:
        """See `LedgerBlocks.number_of`. A lane's blocks stand in the order of their seqs."""
        if seq > self.last_seq(lane):
            return None
        while (lane, seq) not in self._numbers and self._read_one():
            pass
        return self._numbers.get((lane, seq))

    def last_seq(self, lane: str) -> int:
        """See `LedgerBlocks.last_seq`."""
        while lane not in self._last_seqs and self._read_one():
            pass
        return self._last_seqs.get(lane, 0)

    def _read_one(self) -> bool:
        number = self._read_down_to - 1
        if number <= self._base:
            return False
        block = self._store.block(number)
        self._numbers[block.lane, block.seq] = number
        self._last_seqs.setdefault(block.lane, block.seq)
        self._read_down_to = number
        return True


class Foreseen(NamedTuple):
    """What a ledger comes to with its log's tail. `tail`: None where the site has no log of its own for the ledger's epoch. `blocks`: those that were
    applied, all of the tail's but where `trouble`, which says everything that is wrong, names one that could not be."""

    tip: Tip
    tree: Tree
    extended: Tree
    governance: Governance
    last_record_ms: int
    tail: Tail | None
    blocks: tuple[OrderedBlock, ...]
    trouble: str = ""


def foresee(
    store: LedgerStore,
    genesis: Genesis,
    member_dir: Callable[[int], Path],
    through: int | None = None,
    looks: int = LOOKS,
) -> Foreseen:
    """What the ledger comes to with its own log; only blocks up to `through`, if it is given. `member_dir`: of the member of an epoch.

    Writes nothing. Raises LedgerGrew, LedgerDamaged, UnknownRules for the ledger itself, OSError."""
    for _ in range(looks):
        tip = store.tip
        foreseen = _foresee(store, genesis, member_dir(tip.epoch), tip, through)
        if store.tip == tip:
            return foreseen
    raise LedgerGrew(
        "The ledger grows while it is surveyed, so the site takes part in ordering. Ask again when it does not, or stop it."
    )


def _foresee(
    store: LedgerStore, genesis: Genesis, member_dir: Path, tip: Tip, through: int | None
) -> Foreseen:
    state = LedgerState(governance_of(genesis, store, size=tip.size), store, tip, store.window())
    tree = Tree(tip.size, root_at(store, tip.size), tip.block)
    tail = None
    if has_log(member_dir):
        tail = read_tail(member_dir, StoreBlocks(store, tip, _base(state)))
    time_ms = last_record_ms(store, tip.size)
    blocks = () if tail is None else tail.through(tail_end(tail) if through is None else through)
    trouble = "" if tail is None else tail.trouble
    former, strange = state.governance, 0
    for at, block in enumerate(blocks):
        try:
            result = apply_block(state, block)
        except (UnknownRules, OtherFork) as error:
            trouble = f"{trouble} Block {block.number} of the ordering log cannot be added: {error}".strip()
            blocks = blocks[:at]
            break
        strange += result.refusal is Code.WRONG_LEDGER
        if result.standing:
            time_ms = result.standing[-1].record.header.time_ms
    if blocks and strange == len(blocks):
        return Foreseen(tip, tree, tree, former, time_ms, tail, (), _ANOTHER_LOG)
    extended = Tree(state.size, state.frontier.root(), state.block)
    return Foreseen(tip, tree, extended, state.governance, time_ms, tail, blocks, trouble)


def tail_end(tail: Tail) -> int:
    """The number of its last block; 0 without any."""
    return tail.blocks[-1].ordered.number if tail.blocks else 0


def _base(state: LedgerState) -> int:
    return state.block if is_opening(state.governance, state.epoch) else state.governance.block_base


def last_record_ms(store: LedgerStore, size: int) -> int:
    """The time in the header of the last of `size` records, in ms since 1970; 0 without any."""
    if not size:
        return 0
    return decode_header(store.record(size - 1, with_payload=False).header_bytes).time_ms


def extend(copy: Path, genesis: Genesis, blocks: Sequence[OrderedBlock]) -> Tree:
    """Add the blocks to a copy of a ledger that nobody has open, flushed; what it holds then.

    Raises LedgerFailed, LedgerNotOpened, LedgerDamaged, UnknownRules, OtherFork, ValueError for blocks that do not follow its tip."""
    with closing(LmdbStore.open(copy, genesis.ledger_id)) as store:
        state = LedgerState(governance_of(genesis, store), store, store.tip, store.window())
        for block in blocks:
            apply_block(state, block)
            if state.pending_records >= _COMMIT_RECORDS or state.pending_blocks >= _COMMIT_BLOCKS:
                _commit(store, state)
        _commit(store, state)
        return Tree(store.tip.size, root_at(store, store.tip.size), store.tip.block)


def _commit(store: LmdbStore, state: LedgerState) -> None:
    batch = state.seal_batch()
    if batch is not None:
        store.commit(batch)
        state.batch_flushed()
