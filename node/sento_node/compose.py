"""Putting one site's decisions together from what its store holds: the start of every life, in production and in the simulator alike.

Here too a site finds out that its own disk cannot be trusted: the tree at the size it last cosigned must have the root it cosigned.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from sento_node.intake.lanes import Lanes
from sento_node.ledger.replay import governance_of
from sento_node.ledger.scratch import is_opening
from sento_node.ledger.state import LedgerState
from sento_node.ledger.store import HoldsTree, LedgerStore, frontier_of
from sento_node.quorum.checkpoints import Checkpoints
from sento_node.quorum.effects import Cosigned, TreeAt
from sento_node.quorum.trimming import RetainedBlock
from sento_node.rebuild.deciding import NOTE_NAME, Note, Rebuild, decode_note, encode_note
from sento_node.site import OPENING, PAYLOADS_AWAITED, Site, SiteParts
from sento_proto import limits
from sento_proto.checkpoint import SiteSigners, decode_checkpoint
from sento_proto.genesis import Genesis
from sento_proto.keys import Signer
from sento_proto.merkle import Frontier
from sento_proto.wire import Reader, u32, u64

RETAINED_AT_START = 4_096
"""Blocks before the tip that the ordering log may still hold when a life begins; trimming one that is gone already does nothing."""
COSIGNED_NAME = "cosigned"
FLOOR_NAME = "cosign-floor"
"""Under this name a ledger that was made anew remembers the largest size that this site was known to have cosigned: nothing smaller again."""
REBUILDING = "rebuilding"
"""Why this site vouches for nothing while its ledger is made anew."""


class RolledBack(Exception):
    """The ledger on disk is not the one this site cosigned: it was rolled back or replaced. The site must not take part.

    The text is one sentence of cause and one of remedy."""


@dataclass(frozen=True, slots=True)
class Life:
    """What one life of a site is made with. `boot_number` names its lanes; `ml_dsa_44` signs checkpoints beside `signer` where the site has such a key."""

    site: str
    signer: Signer
    boot_number: int
    lanes: int
    block_max_bytes: int = limits.BLOCK_MAX_BYTES
    ml_dsa_44: Signer | None = None


def encode_cosigned(cosigned: Cosigned) -> bytes:
    """u32 epoch || u64 size || root: how the last cosigned checkpoint is remembered."""
    return u32(cosigned.epoch) + u64(cosigned.size) + cosigned.root


def decode_cosigned(data: bytes) -> Cosigned:
    """The reverse of `encode_cosigned`. Raises Malformed."""
    reader = Reader(data, "cosigned note")
    cosigned = Cosigned(reader.u32("epoch"), reader.u64("size"), reader.take(32, "root"))
    reader.end()
    return cosigned


def recall_cosigned(store: LedgerStore) -> Cosigned | None:
    """What this site last cosigned, by its own disk."""
    data = store.recall(COSIGNED_NAME)
    return decode_cosigned(data) if data else None


def recall_floor(store: LedgerStore) -> int:
    """Below which size this site cosigns nothing, whatever its own last note says; 0: nothing was ever lost here."""
    data = store.recall(FLOOR_NAME)
    return Reader(data, "cosign floor").u64("size") if data else 0


def recall_rebuild(store: LedgerStore) -> Note | None:
    """That the ledger is being made anew, as it remembers it itself; None: it is whole."""
    return decode_note(store.recall(NOTE_NAME))


def remember_floor(store: LedgerStore, size: int) -> None:
    """Cosign nothing below `size` from now on, flushed. A floor never sinks. Raises LedgerFailed."""
    if size > recall_floor(store):
        store.remember(FLOOR_NAME, u64(size))


def remember_rebuild(store: LedgerStore, note: Note) -> None:
    """Note that this ledger is behind what the site once vouched for, flushed: until it is whole again nothing is answered. Raises LedgerFailed."""
    remember_floor(store, note.floor_size)
    store.remember(NOTE_NAME, encode_note(note))


def remember_whole(store: LedgerStore, rebuild: Rebuild) -> None:
    """The ledger is whole again: first the floor, then the end of the note, each flushed. Raises LedgerFailed."""
    remember_floor(store, rebuild.floor_size)
    store.remember(NOTE_NAME, b"")


def root_at(store: HoldsTree, size: int) -> bytes:
    """The tree's root over the first `size` records."""
    return Frontier(size, frontier_of(store, size)).root()


def check_own_word(store: LedgerStore, cosigned: Cosigned | None) -> None:
    """Raises RolledBack unless the ledger still is one that extends what this site cosigned, and what a quorum did."""
    kept = store.checkpoint()
    flushed = kept is not None and kept.size <= store.tip.size
    if kept is not None and flushed and decode_checkpoint(kept.note).root != root_at(store, kept.size):
        raise RolledBack(
            f"The ledger's tree at size {kept.size} is not the one that a quorum cosigned: it was replaced or damaged. "
            "It is made anew from the other sites (runbook: rebuild)."
        )
    if cosigned is None:
        return
    if cosigned.size > store.tip.size:
        raise RolledBack(
            f"The ledger holds {store.tip.size} records and this site once cosigned {cosigned.size}: it was put back in time. "
            "It is made anew from the other sites (runbook: rebuild)."
        )
    if root_at(store, cosigned.size) != cosigned.root:
        raise RolledBack(
            f"The ledger's first {cosigned.size} records are not the ones this site cosigned: it was replaced or damaged. "
            "Run `sento-node verify`, set this data directory aside and let the site catch up from another."
        )


def compose_site(store: LedgerStore, genesis: Genesis, life: Life, now_ms: int) -> Site:
    """The site's decisions as of the store's tip. Raises RolledBack."""
    governance = governance_of(genesis, store)
    tip = store.tip
    cosigned = recall_cosigned(store)
    check_own_word(store, cosigned)
    state = LedgerState(governance, store, tip, store.window())
    lanes = Lanes(
        ledger_id=genesis.ledger_id,
        epoch=tip.epoch,
        site=life.site,
        boot_number=life.boot_number,
        count=life.lanes,
        signer=life.signer,
        block_max_bytes=life.block_max_bytes,
    )
    kept = store.checkpoint()
    quorum = (
        TreeAt(0, 0, root_at(store, 0))
        if kept is None
        else TreeAt(kept.block, kept.size, root_at(store, kept.size))
    )
    checkpoints = Checkpoints(
        ledger_id=genesis.ledger_id,
        epoch=tip.epoch,
        site=life.site,
        signers=SiteSigners(life.signer, life.ml_dsa_44),
        governance=governance,
        last_cosigned=cosigned,
        flushed=TreeAt(tip.block, tip.size, state.frontier.root()),
        quorum=quorum,
        now_ms=now_ms,
        floor_size=recall_floor(store),
        quorum_note=None if kept is None else decode_checkpoint(kept.note),
    )
    checkpoints.hold_back(REBUILDING, on=recall_rebuild(store) is not None)
    if store.awaited(1):
        checkpoints.hold_back(PAYLOADS_AWAITED, on=True)
    opening = is_opening(governance, tip.epoch)
    checkpoints.hold_back(OPENING, on=opening)
    base = tip.block if opening else governance.block_base
    return Site(SiteParts(state, lanes, checkpoints, _retained(store, base)))


def _retained(store: LedgerStore, base: int) -> deque[RetainedBlock]:
    """The blocks that the epoch's ordering log may still hold, all behind block `base`; their sizes are not kept, so each counts as a full one."""
    first = max(base + 1, store.tip.block - RETAINED_AT_START + 1)
    blocks = (store.block(number) for number in range(first, store.tip.block + 1))
    return deque(
        RetainedBlock(block.number, block.revision, block.lane, block.seq, limits.BLOCK_MAX_BYTES)
        for block in blocks
    )
