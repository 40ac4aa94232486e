"""Beginning an epoch at one stopped site: the plan is verified, the ledger cut to the fork, the old one set aside whole.

 1. the plan is judged by the ledger itself: its officers, its parent, the root at the fork, the quorum's checkpoint there
 2. a draft is made beside the ledger: a copy (segments are hard links but for the last), cut back to the fork, verified whole, waiting for the act
 3. the draft is called ready; the old ledger becomes epoch-<m>-orphans, the draft the ledger, the epoch is noted

A kill before "ready" leaves everything as it was, and the command begins again; one behind it is finished by the command or by the next `run`. A site that is
behind the fork keeps its ledger as it is and catches up from sites of the new epoch.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sento_node.boot_keeper import memory_name
from sento_node.compose import COSIGNED_NAME, FLOOR_NAME, root_at
from sento_node.durable_files import sync_directory
from sento_node.epochs.places import EpochPlaces, read_epoch
from sento_node.ledger.findings import Kind
from sento_node.ledger.lmdb_cut import cut_ledger, put_epoch
from sento_node.ledger.lmdb_files import database_directory, payloads_directory
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.segments import segment_numbers, segment_path
from sento_node.ledger.store import LedgerStore
from sento_node.ledger.verify import Verification
from sento_node.rebuild.boot_memories import LOST_NAME
from sento_node.rebuild.deciding import NOTE_NAME, OWN_BOOT_NAME
from sento_node.rebuild.places import Places
from sento_node.rebuild.preparing import cut_segments
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.epoch_plan import EpochPlan, PlanRefused, check_plan, plan_hash
from sento_proto.genesis import Genesis
from sento_proto.governance.state import Governance

_OF_THE_LOG = frozenset((COSIGNED_NAME, FLOOR_NAME, OWN_BOOT_NAME, LOST_NAME, NOTE_NAME))


def _is_of_the_log(name: str) -> bool:
    """Whether what is remembered under this name belongs to one epoch's log: what was cosigned in it, and boots of its members."""
    return name in _OF_THE_LOG or name.startswith(memory_name(""))


def begin(data_dir: Path, genesis: Genesis, plan: EpochPlan) -> str:
    """Begin the plan's epoch here; what was done, in one sentence. Safe to repeat. Raises PlanRefused, LedgerNotOpened, LedgerFailed, OSError, Malformed."""
    places = EpochPlaces(data_dir)
    ready = places.ready()
    if ready is not None:
        _check_same(ready, plan)
        places.finish(ready)
    if (done := _begun_already(places, plan)) is not None:
        return done
    shutil.rmtree(places.draft, ignore_errors=True)
    store = LmdbStore.open(Places(data_dir).ledger, genesis.ledger_id)
    try:
        behind = store.tip.size < plan.parent.size
        if behind:
            _check_behind(store, plan, genesis)
        else:
            _check_fork(store, plan)
    finally:
        store.close()
    if behind:
        put_epoch(Places(data_dir).ledger, None, _is_of_the_log)
    else:
        draft = places.draft
        copy_ledger(Places(data_dir).ledger, draft)
        cut_to(draft, plan.parent.size, plan.parent.block)
        check_plan(plan, governance_of_copy(draft, genesis))
        put_epoch(draft, plan.epoch, _is_of_the_log)
        verify_copy(draft, genesis)
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


# -- copies of a ledger that nobody has open -----------------------------------------------------------------------------


def copy_ledger(ledger: Path, to: Path, *, link: bool = True) -> None:
    """A copy of a closed ledger; `link`: segments become hard links, for a copy on the same disk that is cut before it grows. Raises OSError."""
    database, payloads = database_directory(to), payloads_directory(to)
    for path in (database, payloads):
        path.mkdir(parents=True, mode=0o750, exist_ok=True)
    shutil.copyfile(database_directory(ledger) / "data.mdb", database / "data.mdb")
    former = payloads_directory(ledger)
    for number in segment_numbers(former):
        source, target = segment_path(former, number), segment_path(payloads, number)
        if link:
            os.link(source, target)
        else:
            shutil.copyfile(source, target)
    if link and segment_numbers(payloads):
        _own_file(segment_path(payloads, max(segment_numbers(payloads))))
    sync_directory(payloads)
    sync_directory(database)


def _own_file(path: Path) -> None:
    """The last segment grows: the copy must not grow in the old ledger too."""
    copy = path.with_suffix(".copy")
    shutil.copyfile(path, copy)
    copy.replace(path)


def cut_to(copy: Path, size: int, block: int, epoch: int | None = None) -> None:
    """Cut a copy back to the end of a block, of this epoch (None: of the one that it is in). Raises LedgerDamaged, lmdb.Error, LedgerNotOpened, OSError."""
    cut_segments(payloads_directory(copy), cut_ledger(copy, size, block, epoch))


def governance_of_copy(copy: Path, genesis: Genesis) -> Governance:
    """The governance behind everything in a copy. Raises LedgerDamaged, UnknownRules, LedgerNotOpened."""
    store = LmdbStore.open(copy, genesis.ledger_id)
    try:
        return governance_of(genesis, store)
    finally:
        store.close()


def verify_copy(copy: Path, genesis: Genesis) -> None:
    """Everything in a copy derived anew. Raises PlanRefused with the first finding."""
    for finding in Verification(copy, genesis).findings():
        if finding.kind is Kind.ERASED:
            continue
        raise PlanRefused(
            f"The ledger up to the fork does not verify here ({finding.words}). Run sento-node rebuild, and begin the epoch behind it."
        )
