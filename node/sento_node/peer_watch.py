"""Asking every other site how far it is, every two seconds, for as long as this node lives: led or leading, loaded or not, refused or well.

What comes of it: the contacts in the status, the lag of a site whose ordering log says nothing, whose clock is off, and what may be trimmed. One question is
a few bytes and a read of what the other has in memory. Each peer has a task of its own, so that a silent one does not make the others look silent.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import structlog

from sento_node import bounds
from sento_node.epochs.ended import standing_of
from sento_node.epochs.showing import Standing, is_to_be_shown
from sento_node.peers import PeerNode, Peers, PeerSilent
from sento_node.service.node_state import NodeState
from sento_proto.epoch_plan import encode_plan

ASK_EVERY_MS = 2_000
SHOW_AGAIN_MS = 60_000
SHOW_REFUSED_AGAIN_MS = 10_000
"""A site that was shown the plan of this epoch, or refused to look at it, and stands where it stood, is shown it again so often; in another life at once."""
SHOW_TIMEOUT_MS = 10_000


async def watch_peers(node: NodeState, peers: Peers) -> None:
    """Ask for ever; return at once when there is nobody to ask. Something unforeseen is an alarm: nobody may take this site's deafness for their silence."""
    try:
        async with asyncio.TaskGroup() as group:
            for peer in peers.values():
                group.create_task(watch_peer(node, peer), name=f"watch-{peer.name}")
    except ExceptionGroup:
        structlog.get_logger("sento.node").exception("the watch of the other sites failed")
        node.condition.raise_alarm(
            "peer-watch-ended",
            "This site no longer asks the others how far they are, because of a condition it does not know. "
            "Restart the node, and report it with this log.",
        )


async def watch_peer(node: NodeState, peer: PeerNode) -> None:
    """Ask one site for ever; one that stands in an earlier epoch, or in the same one by another plan, is shown the plan."""
    at_once = node.look_now.setdefault(peer.name, asyncio.Event())
    showing = _Showing(node, peer)
    node.watched_since_ms.setdefault(peer.name, node.clock.now_ms())
    while True:
        at_once.clear()
        with contextlib.suppress(PeerSilent):  # silence shows as the age of the last contact
            asked_ms, asked_ns = node.clock.wall_ms(), time.perf_counter_ns()
            try:
                progress = await peer.progress(bounds.PEER_CALL_TIMEOUT_MS, standing_of(node))
            finally:
                node.asked_once.add(peer.name)
            node.round_trips.heard(peer.name, max(1, (time.perf_counter_ns() - asked_ns) // 1000))
            off_s = clock_off_s(progress.now_ms, asked_ms, node.clock.wall_ms())
            node.heard(peer.name, progress.flushed_size, progress.flushed_block, off_s)
            node.contacts[peer.name].standing = progress.standing
            if node.runner is not None:
                node.runner.carry_out(node.runner.site.clock_heard(peer.name, off_s))
                node.runner.site.checkpoints.heard(
                    peer.name, progress.flushed_block, node.clock.now_ms(), progress.quorum_block
                )
            await showing.show(progress.standing, progress.boot_number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(at_once.wait(), ASK_EVERY_MS / 1000)


class _Showing:
    """What one other site was shown."""

    def __init__(self, node: NodeState, peer: PeerNode) -> None:
        self._node = node
        self._peer = peer
        self._shown: tuple[Standing, int] | None = None
        self._again_ms = 0

    async def show(self, other: Standing, boot_number: int) -> None:
        """Show it the plan of this site's epoch, if that says anything to it. Raises PeerSilent."""
        node, plan, now_ms = self._node, self._node.epoch.plan, self._node.clock.now_ms()
        if plan is None or not is_to_be_shown(standing_of(node), other):
            return
        if self._shown == (other, boot_number) and now_ms < self._again_ms:
            return
        taken = await self._peer.show_epoch(encode_plan(plan), SHOW_TIMEOUT_MS)
        self._shown = (other, boot_number)
        self._again_ms = now_ms + (SHOW_AGAIN_MS if taken else SHOW_REFUSED_AGAIN_MS)
        structlog.get_logger("sento.node").warning(
            "the plan was shown to a site in another epoch", to=self._peer.name, taken=taken
        )


def clock_off_s(told_ms: int, asked_ms: int, answered_ms: int) -> int:
    """How far another clock that told its time between asking and answering is ahead of this one, in whole seconds. One that told none goes right."""
    return round((told_ms - (asked_ms + answered_ms) / 2) / 1000) if told_ms else 0
