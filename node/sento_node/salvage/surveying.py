"""A site's survey made from its disk: the ledger, what its own log adds to it, what a quorum had cosigned, and what it remembers of others.

The caller says what only a running node knows (whom it reaches), and signs. Nothing is written: the ledger may be open in a node, or lie in a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sento_node.compose import recall_cosigned, recall_floor, root_at
from sento_node.epochs.forks import agreed_at_s
from sento_node.ledger.replay import governance_of
from sento_node.ledger.store import LedgerStore
from sento_node.salvage.extending import LOOKS, Foreseen, LedgerGrew, foresee, last_record_ms
from sento_proto.checkpoint import cosigners, decode_checkpoint
from sento_proto.genesis import Genesis
from sento_proto.governance.state import Governance
from sento_proto.survey import Contact, LogTail, Survey, Tree

CHECKPOINTS_SEARCHED = 256
"""So many of the newest checkpoints are looked through for other sites' cosignatures."""
AWAITED_COUNTED_MAX = 100_000
"""More awaited payloads than this are told as this many."""


class Here(NamedTuple):
    """What the survey says besides the disk. `made_at_ms`: ms since 1970."""

    site: str
    made_at_ms: int
    version: str
    contacts: tuple[Contact, ...] = ()
    has_majority: bool = False


def survey_of(
    store: LedgerStore, genesis: Genesis, member_dir: Callable[[int], Path], here: Here, looks: int = LOOKS
) -> Survey:
    """What this ledger holds, alone and with the log of its epoch's member. A ledger that grows all the while is told without its log.

    Raises LedgerDamaged, UnknownRules, OSError."""
    try:
        foreseen = foresee(store, genesis, member_dir, looks=looks)
    except LedgerGrew as grew:
        foreseen = _without_log(store, genesis, str(grew))
    governance = foreseen.governance
    kept = store.checkpoint()
    agreed, agreed_s = None, 0
    if kept is not None:
        agreed = Tree(kept.size, decode_checkpoint(kept.note).root, kept.block)
        agreed_s = agreed_at_s(kept.note, governance) or 0
    cosigned = recall_cosigned(store)
    return Survey(
        ledger_id=genesis.ledger_id,
        site=here.site,
        epoch=foreseen.tip.epoch,
        made_at_ms=here.made_at_ms,
        tip=foreseen.tree,
        extended=foreseen.extended,
        agreed=agreed,
        agreed_note=b"" if kept is None else kept.note,
        agreed_at_s=agreed_s,
        last_record_ms=foreseen.last_record_ms,
        last_act=governance.last_act,
        cosigned_size=max(recall_floor(store), 0 if cosigned is None else cosigned.size),
        remembers=_remembered(store, governance, here.site),
        tail=_told(foreseen),
        contacts=here.contacts,
        has_majority=here.has_majority,
        payloads_awaited=len(store.awaited(AWAITED_COUNTED_MAX)),
        version=here.version,
    )


def _told(foreseen: Foreseen) -> LogTail | None:
    tail = foreseen.tail
    if tail is None:
        return LogTail(0, 0, 0, 0, foreseen.trouble) if foreseen.trouble else None
    last = foreseen.extended.block
    applied = [block for block in tail.blocks if block.ordered.number <= last]
    uncommitted = sum(not block.committed for block in applied)
    return LogTail(len(applied), uncommitted, tail.last_term, tail.last_index, foreseen.trouble)


def _without_log(store: LedgerStore, genesis: Genesis, trouble: str) -> Foreseen:
    """The ledger as of one moment, alone."""
    tip = store.tip
    tree = Tree(tip.size, root_at(store, tip.size), tip.block)
    governance = governance_of(genesis, store, size=tip.size)
    return Foreseen(tip, tree, tree, governance, last_record_ms(store, tip.size), None, (), trouble)


def _remembered(store: LedgerStore, governance: Governance, own: str) -> tuple[tuple[str, int], ...]:
    """Of each other site, the largest size under which a checkpoint kept here has its cosignature."""
    sizes: dict[str, int] = {}
    for kept in store.newest_checkpoints(CHECKPOINTS_SEARCHED):
        for site in cosigners(decode_checkpoint(kept.note), governance.site_keys):
            if site != own:
                sizes[site] = max(kept.size, sizes.get(site, 0))
    return tuple(sorted(sizes.items()))
