"""Beginning an epoch at one stopped site: the plan is verified, the ledger cut to the fork, the old one set aside whole.

 1. the plan is judged by the ledger itself: its officers, its parent, the root at the fork, the quorum's checkpoint there
 2. a draft is made beside the ledger: a copy (segments are hard links but for the last), cut back to the fork, verified whole, waiting for the act
 3. the draft is called ready; the old ledger becomes epoch-<m>-orphans, the draft the ledger, the epoch is noted

A kill before "ready" leaves everything as it was, and the command begins again; one behind it is finished by the command or by the next `run`. A site that is
behind the fork keeps its ledger as it is, forgets what belongs to the former epoch's log once the plan is called ready, and catches up from sites of the new
epoch. How the draft of a recovered epoch is made stands in `recovering.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sento_node.compose import root_at
from sento_node.epochs.copies import copy_ledger, cut_to, governance_of_copy, is_of_the_log, verify_copy
from sento_node.epochs.places import EpochPlaces, read_epoch
from sento_node.epochs.recovering import recover
from sento_node.ledger.lmdb_cut import put_epoch
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.store import LedgerStore
from sento_node.rebuild.places import Places
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.epoch_plan import RECOVER, EpochPlan, PlanRefused, check_plan, plan_hash
from sento_proto.genesis import Genesis


def _nothing() -> None:
    pass


def begin(
    data_dir: Path, genesis: Genesis, plan: EpochPlan, *, before_ready: Callable[[], None] = _nothing
) -> str:
    """Begin the plan's epoch here; what was done, in one sentence. Safe to repeat. `before_ready` is done once nothing is left that could refuse the plan.

    Raises PlanRefused, LedgerNotOpened, LedgerFailed, OSError, Malformed."""
    places = EpochPlaces(data_dir)
    ready = places.ready()
    if ready is not None:
        _check_same(ready, plan)
        places.finish(ready)
    if (done := _begun_already(places, plan)) is not None:
        return done
    places.drop_draft()
    if plan.reason == RECOVER:
        words = recover(places, genesis, plan)
        before_ready()
        places.call_ready(plan)
        places.finish(plan)
        return words
    store = LmdbStore.open(Places(data_dir).ledger, genesis.ledger_id)
    try:
        behind = store.tip.size < plan.parent.size
        if behind:
            _check_behind(store, plan, genesis)
        else:
            _check_fork(store, plan)
    finally:
        store.close()
    if not behind:
        draft = places.draft
        copy_ledger(Places(data_dir).ledger, draft)
        cut_to(draft, plan.parent.size, plan.parent.block)
        check_plan(plan, governance_of_copy(draft, genesis))
        put_epoch(draft, plan.epoch, is_of_the_log)
        verify_copy(draft, genesis)
    before_ready()
    places.call_ready(plan)
    places.finish(plan)
    former = store.tip
    if behind:
        return f"The ledger holds {former.size} records and the fork lies at {plan.parent.size}: it catches up from sites of epoch {plan.epoch}."
    return (
        f"Epoch {plan.epoch} begins here from {plan.parent.size} records; {former.size - plan.parent.size} records behind them are set aside in "
        f"{places.orphans(plan.parent.epoch).name}."
    )


def _check_same(ready: EpochPlan, plan: EpochPlan) -> None:
    if plan_hash(ready) != plan_hash(plan):
        raise PlanRefused(
            f"This site is in the middle of beginning epoch {ready.epoch} by another plan ({plan_hash(ready).hex()[:16]}). "
            "Two plans must not be carried out: ask the officers which one stands, and give every site that one."
        )


def _begun_already(places: EpochPlaces, plan: EpochPlan) -> str | None:
    """What to say when this very plan was carried out here. Raises PlanRefused for another one."""
    epoch = read_epoch(places.data_dir)
    kept = places.plan(plan.epoch)
    if kept is not None and plan_hash(kept) != plan_hash(plan):
        raise PlanRefused(
            f"This site began epoch {plan.epoch} by another plan ({plan_hash(kept).hex()[:16]}). "
            "Two epochs with one parent stop and wait: ask the officers which one stands."
        )
    if kept is not None and epoch >= plan.epoch:
        return f"Epoch {plan.epoch} was begun here before, by this plan; nothing was changed."
    if epoch >= plan.epoch:
        raise PlanRefused(
            f"This site is in epoch {epoch} already, and the plan begins epoch {plan.epoch}. Make a plan with a higher number."
        )
    return None


def _check_fork(store: LedgerStore, plan: EpochPlan) -> None:
    """The fork is a tree of this very ledger that a quorum cosigned. Raises PlanRefused."""
    parent = plan.parent
    if plan.ledger_id != getattr(store, "ledger_id", plan.ledger_id) or store.tip.epoch < parent.epoch:
        raise PlanRefused(
            "The plan is of another ledger or of a later epoch than this site's. Use the plan of this ledger."
        )
    kept = store.checkpoint(parent.size)
    if kept is None or kept.size != parent.size or kept.block != parent.block:
        raise PlanRefused(
            f"This site keeps no quorum checkpoint of size {parent.size} at block {parent.block}, so it cannot fork there. "
            "Give it the plan of this ledger, or let it catch up as a site with a new disk."
        )
    note = decode_checkpoint(kept.note)
    if note.epoch != parent.epoch or parent.root != note.root or root_at(store, parent.size) != parent.root:
        raise PlanRefused(
            f"The tree of {parent.size} records here is not the plan's parent: the plan is stale or of another history. "
            "Run sento-node verify, and compare with the other sites."
        )


def _check_behind(store: LedgerStore, plan: EpochPlan, genesis: Genesis) -> None:
    """A site that is behind can tell only that the ledger is the same, and the epoch an older one. Raises PlanRefused."""
    if plan.ledger_id != genesis.ledger_id or store.tip.epoch > plan.parent.epoch:
        raise PlanRefused(
            "The plan is of another ledger, or of an epoch that this site has left. Use the plan of this ledger."
        )
