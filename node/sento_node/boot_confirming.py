"""One life's boot number: raised on disk, announced, and confirmed by the other sites before the ordering member may start.

What is refused, waited for or found behind goes into the node's condition in words; the decision itself is `ordering/boot.py`'s.
"""

from __future__ import annotations

import asyncio
import os

import structlog

from sento_node import boot_keeper
from sento_node.compose import RolledBack, check_own_word, recall_cosigned, remember_rebuild
from sento_node.condition import Rebuilding
from sento_node.epochs.ended import votes_here
from sento_node.ordering.boot import (
    Announcement,
    PeerMemory,
    Raise,
    Refuse,
    Start,
    Wait,
    announcement_of,
    decide_boot,
    steady,
)
from sento_node.peers import Peers
from sento_node.rebuild.deciding import OWN_BOOT_NAME, Note
from sento_node.service.node_state import NodeState
from sento_proto.v1 import sync_pb2
from sento_proto.wire import u64

ANNOUNCE_AGAIN_MS = 500


async def confirm_boot(
    node: NodeState, files: boot_keeper.BootFiles, peers: Peers, *, new_disk: bool = False
) -> sync_pb2.AnnounceBootRequest | None:
    """Raise the boot number, and wait until it is confirmed: what was announced. None when this site must not take part. `new_disk`: by its operator's word
    this disk is new, and its former member will not start (`joining/`)."""
    condition, store = node.condition, node.store
    keys = None if node.signers is None else node.signers.keys
    cosigned = recall_cosigned(store)
    try:
        check_own_word(store, cosigned)
    except RolledBack as error:
        condition.state, condition.explanation = "rebuilding" if peers else "diverged", str(error)
        condition.rebuilding = Rebuilding(str(error)) if peers else None
        return None
    try:
        disk = files.read(store.tip.size, 0 if cosigned is None else cosigned.size)
        unconfirmed = files.unconfirmed()
    except boot_keeper.BootFileDamaged as error:
        condition.state, condition.explanation = "refused", str(error)
        return None
    announcement, disk = announcement_of(disk, unconfirmed, os.urandom(boot_keeper.LIFE_BYTES))
    number = announcement.boot_number
    voting_others = frozenset(node.epoch.voting_sites(node.governance)) - {node.config.site}
    anew = new_disk or not votes_here(node)
    by_itself = decide_boot(disk, number, {}, voting_others, takes_new_number=anew)
    if isinstance(by_itself, Refuse):
        condition.state, condition.explanation = "refused", by_itself.words
        return None
    request = _raised(node, files, announcement, new_disk=new_disk)
    timeout_ms = boot_keeper.ANNOUNCE_TIMEOUT_MS
    first: dict[str, PeerMemory] = {}
    while True:
        told, silence = await boot_keeper.announce(peers, request, keys, timeout_ms)
        answers = steady(told, first, number)
        first = {**told, **first}
        match decide_boot(disk, number, answers, voting_others, takes_new_number=anew):
            case Raise(higher):
                number = higher
                request = _raised(node, files, Announcement(number, announcement.life), new_disk=new_disk)
            case Start(_, cosigned_size):
                files.note_confirmed()
                _note_floor(node, cosigned_size, has_peers=bool(peers))
                log = structlog.get_logger("sento.node").bind(site=node.config.site)
                log.info("boot confirmed", boot_number=number, by=sorted(answers))
                return request
            case Refuse(words):
                condition.state, condition.explanation = "refused", words
                return None
            case Wait(words):
                condition.state = "waiting-for-boot-confirmation"
                condition.explanation = f"{words} {boot_keeper.silence_in_words(silence)}"
                timeout_ms = min(2 * timeout_ms, boot_keeper.ANNOUNCE_TIMEOUT_MAX_MS)
                await asyncio.sleep(ANNOUNCE_AGAIN_MS / 1000)


def _raised(
    node: NodeState, files: boot_keeper.BootFiles, announcement: Announcement, *, new_disk: bool
) -> sync_pb2.AnnounceBootRequest:
    """Raise the number on disk, flushed, before anybody is told: what to tell."""
    number = announcement.boot_number
    files.note_unconfirmed(announcement)
    node.store.remember(OWN_BOOT_NAME, u64(number))
    files.raise_to(number)
    node.boot_number = number
    return sync_pb2.AnnounceBootRequest(
        site=node.config.site,
        ledger_id=node.genesis.ledger_id,
        epoch=node.epoch.number,
        boot_number=number,
        life=announcement.life,
        new_disk=new_disk,
    )


def _note_floor(node: NodeState, cosigned_size: int, *, has_peers: bool) -> None:
    """The ledger is behind what somebody remembers of this site's word: it is made whole before anything is answered or cosigned."""
    condition, store = node.condition, node.store
    if condition.rebuilding is None and cosigned_size > store.tip.size and has_peers:
        reason = f"The ledger holds {store.tip.size} records, and this site once cosigned {cosigned_size}."
        remember_rebuild(store, Note(reason, 1, cosigned_size, store.tip.size))
        condition.rebuilding = Rebuilding(reason, cosigned_size)
