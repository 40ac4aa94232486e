"""What a site's own log held behind its ledger when it left a former epoch: added to the ledger that was set aside, so that it is listed and can come back.

Of an old capital that was cut off, its clients have answers for blocks that its ledger may not hold yet: they lie in its ordering log alone, which nobody reads
once the epoch is over. Which of them were acknowledged nobody can tell, and none may be thrown away. A site that is behind the fork sets no ledger aside: it
gets a copy of its own with those blocks, if there are any.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

from sento_node.durable_files import sync_directory
from sento_node.epochs.copies import copy_ledger
from sento_node.epochs.places import EpochPlaces
from sento_node.epochs.recovering import member_dir_of
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.scratch import is_opening
from sento_node.ordering.port import OrderedBlock
from sento_node.rebuild.places import Places
from sento_node.salvage.extending import extend, foresee
from sento_node.salvage.held_files import has_log
from sento_proto.epoch_plan import EpochPlan
from sento_proto.genesis import Genesis

DRAFT = "epoch-orphans-draft"


def complete_orphans(data_dir: Path, genesis: Genesis, plan: EpochPlan) -> str:
    """Add them, behind a beginning of the plan's epoch; what was done, in one sentence, or empty. Nobody may have a ledger open. Safe to repeat.

    Raises LedgerNotOpened, LedgerFailed, LedgerDamaged, LedgerGrew, UnknownRules, OSError, Malformed."""
    places, epoch = EpochPlaces(data_dir), plan.parent.epoch
    if (data_dir / DRAFT).exists():
        shutil.rmtree(data_dir / DRAFT)
    if not has_log(member_dir_of(data_dir)(epoch)):
        return ""
    aside = places.newest_orphans(epoch)
    blocks = _behind(aside or Places(data_dir).ledger, data_dir, genesis, epoch)
    if not blocks:
        return ""
    if aside is None:
        draft, aside = data_dir / DRAFT, places.orphans(epoch)
        copy_ledger(Places(data_dir).ledger, draft)
        extend(draft, genesis, blocks)
        draft.rename(aside)
        sync_directory(data_dir)
    else:
        extend(aside, genesis, blocks)
    return f"{len(blocks)} blocks that only this site's own ordering log held lie in {aside.name} too."


def _behind(ledger: Path, data_dir: Path, genesis: Genesis, epoch: int) -> tuple[OrderedBlock, ...]:
    """The blocks of the own log behind a ledger of this epoch."""
    with closing(LmdbStore.open(ledger, genesis.ledger_id)) as store:
        if store.tip.epoch != epoch or is_opening(governance_of(genesis, store), epoch):
            return ()
        return foresee(store, genesis, member_dir_of(data_dir)).blocks
