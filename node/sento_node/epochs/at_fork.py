"""A voting site of a recovered epoch that is behind its fork: it copies up to the fork by the officers' word, and begins there.

Everything else that is copied ends at a tree that a quorum cosigned. At the fork of a recovery there may be none, and the sites that could cosign a later one
may be waiting for this very site. What k officers signed stands in for the quorum there: the plan says the fork's size, root and block, and each site of the
plan has verified it. So a site at the fork gives chunks that end there, without cosignatures, and only a site that holds the same plan adopts them.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sento_node.compose import root_at
from sento_node.epochs.copies import is_of_the_log
from sento_node.epochs.places import EpochPlaces, read_epoch
from sento_node.ledger.lmdb_cut import put_epoch
from sento_node.ledger.lmdb_files import database_directory
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.store import KeptCheckpoint, LedgerStore
from sento_node.rebuild.places import Places
from sento_proto.checkpoint import Checkpoint, encode_checkpoint
from sento_proto.epoch_plan import RECOVER, EpochPlan


def officers_tree(plan: EpochPlan | None) -> Checkpoint | None:
    """The tree at the fork as the officers signed it, without any cosignature; None where no recovery began the epoch."""
    if plan is None or plan.reason != RECOVER:
        return None
    return Checkpoint(plan.ledger_id, plan.parent.epoch, plan.parent.size, plan.parent.root)


def kept_fork(store: LedgerStore, plan: EpochPlan | None) -> KeptCheckpoint | None:
    """What this ledger gives chunks up to, by the officers' word, until a quorum's checkpoint lies at the fork or behind it."""
    tree, newest = officers_tree(plan), store.checkpoint()
    if tree is None or plan is None or store.tip.block < plan.parent.block:
        return None
    if newest is not None and newest.block >= plan.parent.block:
        return None
    return KeptCheckpoint(tree.size, plan.parent.block, encode_checkpoint(tree))


def is_at_fork(store: LedgerStore, plan: EpochPlan | None) -> bool:
    """Whether the ledger ends at the plan's fork, in the epoch before: it has to begin there."""
    if plan is None or plan.reason != RECOVER or store.tip.epoch >= plan.epoch:
        return False
    parent, tip = plan.parent, store.tip
    return (tip.size, tip.block) == (parent.size, parent.block) and root_at(store, tip.size) == parent.root


def is_behind_fork(store: LedgerStore, plan: EpochPlan | None) -> bool:
    """Whether the ledger lacks a part of what the plan's epoch stands on. Its member is not started before it has all of that: what the new log's majorities
    acknowledge could not be applied anywhere, if those that hold the fork were lost."""
    if plan is None or plan.reason != RECOVER or store.tip.epoch >= plan.epoch:
        return False
    return store.tip.block < plan.parent.block


def begin_at_fork(data_dir: Path) -> None:
    """Let a ledger that was copied up to the fork wait for the act that begins the epoch. Nobody has it open. Raises LedgerNotOpened, LedgerDamaged,
    LedgerFailed, BootFileDamaged, lmdb.Error, OSError."""
    epoch, ledger = read_epoch(data_dir), Places(data_dir).ledger
    plan = EpochPlaces(data_dir).plan(epoch) if epoch else None
    if plan is None or not (database_directory(ledger) / "data.mdb").exists():
        return
    with closing(LmdbStore.open(ledger, plan.ledger_id)) as store:
        waits = is_at_fork(store, plan)
    if waits:
        put_epoch(ledger, plan.epoch, is_of_the_log)
