"""Bringing a site to the fork of a recovered epoch: what its ledger is to that fork, and the draft that follows from it.

A recovery forks at the end of the best state that survives: a ledger with the blocks that a site's own log holds behind it, committed or not. No quorum need
have cosigned that end, so root and block are compared, and the officers' signatures prove the rest.

| the ledger, with its own log | the draft |
|---|---|
| ends at the fork | a copy as it is: it is the ledger that this site served, and is not verified anew |
| reaches the fork by its own log | a copy, extended by just those blocks |
| holds the fork below its end | a copy, cut back to the fork and verified; what was above it stays whole among the orphans |
| has another tree at the fork | a copy, cut back to the largest tree known that a quorum cosigned, verified; the rest comes from sites of the new epoch |
| the same, and no such tree is known | empty: everything comes from sites of the new epoch |
| is behind the fork, above the largest tree known that a quorum cosigned | a copy, cut back to that: blocks above it may be others than the fork's |
| is behind the fork, and holds no more | none: the ledger goes on as it is, and catches up from sites of the new epoch |

A disk that was put back in time is behind, like any other: what it once cosigned belongs to the former epoch. A ledger that contradicts what a quorum cosigned
is another history and is refused: people decide what becomes of it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from sento_node.boot_keeper import BootFiles
from sento_node.compose import root_at
from sento_node.epochs.copies import copy_ledger, cut_to, is_of_the_log, verify_copy
from sento_node.epochs.places import EpochPlaces
from sento_node.ledger.lmdb_cut import put_epoch
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.scratch import is_opening
from sento_node.ledger.store import LedgerStore
from sento_node.ordering.port import OrderedBlock
from sento_node.rebuild.places import Places
from sento_node.salvage.extending import LedgerGrew, extend, foresee
from sento_proto.epoch_plan import EpochPlan, PlanRefused, check_members, check_plan, offices_of
from sento_proto.genesis import Genesis
from sento_proto.governance.epoch_changes import Parent
from sento_proto.governance.state import Governance, from_genesis


class Way(enum.Enum):
    """What becomes of the ledger; see above."""

    AS_IT_IS = enum.auto()
    EXTENDED = enum.auto()
    CUT_TO_FORK = enum.auto()
    CUT_TO_AGREED = enum.auto()
    FROM_NOTHING = enum.auto()
    BEHIND_AND_CUT = enum.auto()
    BEHIND = enum.auto()


class Fit(NamedTuple):
    """How a ledger of `size` records comes to the fork: the blocks of the own log that lead there, records that are set aside, and up to where a quorum
    cosigned what is set aside (0: nothing of it). `trouble`: why the own log does not lead there, in words."""

    way: Way
    size: int
    blocks: tuple[OrderedBlock, ...] = ()
    set_aside: int = 0
    cosigned_size: int = 0
    trouble: str = ""

    def words(self, plan: EpochPlan, orphans: str) -> str:
        """What is done, or would be, in a sentence or two. `orphans`: where the former ledger lies then."""
        fork, epoch = plan.parent.size, plan.epoch
        if self.way is Way.BEHIND:
            why = f" {self.trouble}" if self.trouble else ""
            return f"The ledger holds {self.size} records and the fork lies at {fork}: it catches up from sites of epoch {epoch}.{why}"
        aside = f"{self.set_aside} records are set aside in {orphans}."
        if self.cosigned_size:
            aside += f" A quorum had cosigned a tree of {self.cosigned_size} records among them: they are acknowledged, and are to be taken over again."
        if self.way is Way.EXTENDED:
            return f"Epoch {epoch} begins here from {fork} records, {fork - self.size} of them from this site's own ordering log."
        if self.way in (Way.AS_IT_IS, Way.CUT_TO_FORK):
            return f"Epoch {epoch} begins here from {fork} records; {aside}"
        kept = self.size - self.set_aside
        if self.way is Way.BEHIND_AND_CUT:
            return (
                f"The ledger holds {self.size} records and the fork lies at {fork}: {kept} records stay, which a quorum cosigned, and it catches up from "
                f"sites of epoch {epoch}; {aside} Those of them that stand in the epoch come with it again."
            )
        return f"This ledger is another one than the plan's at its fork: {kept} records stay, the rest comes from sites of epoch {epoch}; {aside}"


def judge_recovery(
    store: LedgerStore, genesis: Genesis, plan: EpochPlan, member_dir: Callable[[int], Path]
) -> Fit:
    """How the ledger in `store`, which a node may have open, comes to the plan's fork, and that enough officers signed. Changes nothing.

    Raises PlanRefused, LedgerDamaged, UnknownRules, OSError, Malformed."""
    tip, parent, agreed = store.tip, plan.parent, plan.agreed
    epoch = _epoch_of(store, genesis)
    if plan.ledger_id != genesis.ledger_id or epoch > parent.epoch:
        raise PlanRefused(
            "The plan is of another ledger, or of an epoch that this site has left. Use the plan of this ledger."
        )
    if epoch < parent.epoch:
        raise PlanRefused(
            f"This site stands in epoch {epoch} and missed epoch {parent.epoch}: what it holds behind that one's fork may be another history. "
            f"Bring it over with the plan of epoch {epoch + 1} first, then with each later one."
        )
    at_fork = _holds(store, parent)
    at_agreed = None if agreed is None else _holds(store, agreed)
    if at_fork and at_agreed is False:
        raise PlanRefused(
            "The plan's fork does not go on from the tree that it says a quorum agreed on: receipts of others would be called good. Make the plan anew."
        )
    if at_fork:
        check_plan(plan, governance_of(genesis, store, size=parent.size))
        kept = store.checkpoint()
        above = 0 if kept is None or kept.size <= parent.size else kept.size
        whole = tip.block == parent.block and not above
        way, aside = Way.AS_IT_IS if whole else Way.CUT_TO_FORK, tip.size - parent.size
        return Fit(way, tip.size, set_aside=aside, cosigned_size=min(above, tip.size) if aside else 0)
    if at_agreed is False:
        raise PlanRefused(
            f"This ledger's tree differs already at {agreed.size if agreed else 0} records, which a quorum cosigned: it is another history, or damaged. "
            "Compare it with the other sites; begin this site with a new disk (sento-node replace-disk) once the epoch stands."
        )
    if at_fork is None:
        return _judge_behind(store, genesis, plan, member_dir, is_above_agreed=at_agreed is True)
    if agreed is None:
        _check_signed(plan, from_genesis(genesis))
        return Fit(Way.FROM_NOTHING, tip.size, set_aside=tip.size)
    _check_signed(plan, governance_of(genesis, store, size=agreed.size))
    kept = store.checkpoint()
    above = 0 if kept is None or kept.size <= agreed.size else kept.size
    return Fit(Way.CUT_TO_AGREED, tip.size, set_aside=tip.size - agreed.size, cosigned_size=above)


def _epoch_of(store: LedgerStore, genesis: Genesis) -> int:
    """The epoch of the ledger's last records. One that waits for the act that begins an epoch is in the former one still."""
    governance = governance_of(genesis, store)
    return governance.epoch if is_opening(governance, store.tip.epoch) else store.tip.epoch


def _holds(store: LedgerStore, tree: Parent) -> bool | None:
    """Whether the ledger holds this tree at the end of its block; None where it does not go so far."""
    if store.tip.block < tree.block:
        return None
    size = store.block(tree.block).size_after if tree.block else 0
    return size == tree.size and root_at(store, size) == tree.root


def _judge_behind(
    store: LedgerStore,
    genesis: Genesis,
    plan: EpochPlan,
    member_dir: Callable[[int], Path],
    *,
    is_above_agreed: bool,
) -> Fit:
    tip, agreed = store.tip, plan.agreed
    try:
        foreseen = foresee(store, genesis, member_dir, through=plan.parent.block)
    except LedgerGrew as error:
        raise PlanRefused(str(error)) from error
    if foreseen.extended == (plan.parent.size, plan.parent.root, plan.parent.block):
        check_plan(plan, foreseen.governance)
        return Fit(Way.EXTENDED, foreseen.tip.size, foreseen.blocks)
    _check_signed(plan, governance_of(genesis, store))
    if agreed is not None and is_above_agreed and tip.block > agreed.block:
        kept = store.checkpoint()
        above = 0 if kept is None or kept.size <= agreed.size else kept.size
        return Fit(
            Way.BEHIND_AND_CUT, tip.size, set_aside=tip.size - agreed.size, cosigned_size=min(above, tip.size)
        )
    return Fit(Way.BEHIND, foreseen.tip.size, trouble=foreseen.trouble)


def _check_signed(plan: EpochPlan, governance: Governance) -> None:
    """Where the fork's governance is not known here: enough of those in office by what is known signed. Raises PlanRefused, Malformed."""
    check_members(plan)
    signed, needed = len(offices_of(plan, governance)), governance.officers.threshold
    if signed < needed:
        raise PlanRefused(
            f"{signed} officers of those that this site knows signed the plan, and {needed} are needed. Have it signed by more."
        )


def member_dir_of(data_dir: Path) -> Callable[[int], Path]:
    """Where the member of an epoch keeps its log."""
    return lambda epoch: BootFiles(data_dir, epoch).member_dir


def recover(places: EpochPlaces, genesis: Genesis, plan: EpochPlan) -> str:
    """Make the draft of a recovered epoch, flushed, or let the ledger wait for other sites; what was done, in words. The draft is not called ready yet.

    Raises PlanRefused, LedgerNotOpened, LedgerFailed, LedgerDamaged, OSError, Malformed."""
    ledger, draft, parent = Places(places.data_dir).ledger, places.draft, plan.parent
    with closing(LmdbStore.open(ledger, genesis.ledger_id)) as store:
        fit = judge_recovery(store, genesis, plan, member_dir_of(places.data_dir))
    words = fit.words(plan, places.orphans(parent.epoch).name)
    if fit.way is Way.BEHIND:
        return words
    if fit.way is Way.FROM_NOTHING:
        LmdbStore.open(draft, genesis.ledger_id).close()
        return words
    copy_ledger(ledger, draft)
    if fit.way in (Way.CUT_TO_AGREED, Way.BEHIND_AND_CUT):
        assert plan.agreed is not None, "it was compared"
        cut_to(draft, plan.agreed.size, plan.agreed.block, plan.agreed.epoch)
        put_epoch(draft, None, is_of_the_log)
        _check_draft(draft, genesis, plan.agreed)
        if fit.way is Way.CUT_TO_AGREED:
            verify_copy(draft, genesis)
        return words
    if fit.way is Way.CUT_TO_FORK:
        cut_to(draft, parent.size, parent.block)
    elif fit.way is Way.EXTENDED:
        extend(draft, genesis, fit.blocks)
        _drop_later_checkpoints(draft, genesis, parent)
    put_epoch(draft, plan.epoch, is_of_the_log)
    _check_draft(draft, genesis, parent)
    if fit.way is Way.CUT_TO_FORK:
        verify_copy(draft, genesis)
    return words


def _drop_later_checkpoints(draft: Path, genesis: Genesis, parent: Parent) -> None:
    """A quorum may have cosigned more than survives anywhere: the epoch's ledger keeps no checkpoint of a tree that it does not hold."""
    with closing(LmdbStore.open(draft, genesis.ledger_id)) as store:
        kept = store.checkpoint()
    if kept is not None and kept.size > parent.size:
        cut_to(draft, parent.size, parent.block)


def _check_draft(draft: Path, genesis: Genesis, tree: Parent) -> None:
    """Raises PlanRefused unless the draft is this tree of the plan's."""
    with closing(LmdbStore.open(draft, genesis.ledger_id)) as store:
        if store.tip.block != tree.block or not _holds(store, tree):
            raise PlanRefused(
                "The ledger that was made for the epoch is not the plan's tree, so the disk did not keep what was written. "
                "Check the disk, and begin this site with a new one (sento-node replace-disk)."
            )
