"""Copies of a ledger that nobody has open: made with hard links, cut, waiting for an epoch, verified whole; and what an epoch's end lets a site forget."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sento_node.boot_keeper import memory_name
from sento_node.compose import COSIGNED_NAME, FLOOR_NAME
from sento_node.durable_files import sync_directory
from sento_node.ledger.findings import Kind
from sento_node.ledger.lmdb_cut import cut_ledger
from sento_node.ledger.lmdb_files import database_directory, payloads_directory
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.segments import segment_numbers, segment_path
from sento_node.ledger.verify import Verification
from sento_node.rebuild.boot_memories import LOST_NAME
from sento_node.rebuild.deciding import NOTE_NAME, OWN_BOOT_NAME
from sento_node.rebuild.preparing import cut_segments
from sento_proto.epoch_plan import PlanRefused
from sento_proto.genesis import Genesis
from sento_proto.governance.state import Governance

_OF_THE_LOG = frozenset((COSIGNED_NAME, FLOOR_NAME, OWN_BOOT_NAME, LOST_NAME, NOTE_NAME))


def is_of_the_log(name: str) -> bool:
    """Whether what is remembered under this name belongs to one epoch's log: what was cosigned in it, and boots of its members."""
    return name in _OF_THE_LOG or name.startswith(memory_name(""))


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
