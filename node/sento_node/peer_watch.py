"""Asking every other site how far it is, every two seconds, for as long as this node lives: led or leading, loaded or not, refused or well.

What comes of it: the contacts in the status, the lag of a site whose ordering log says nothing, whose clock is off, and what may be trimmed. One question is
a few bytes and a read of what the other has in memory. Each peer has a task of its own, so that a silent one does not make the others look silent.
"""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from sento_node import bounds
from sento_node.peers import PeerNode, Peers, PeerSilent
from sento_node.service.node_state import NodeState

ASK_EVERY_MS = 2_000


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
    """Ask one site for ever."""
    while True:
        with contextlib.suppress(PeerSilent):  # silence shows as the age of the last contact
            asked_ms = node.clock.wall_ms()
            progress = await peer.progress(bounds.PEER_CALL_TIMEOUT_MS)
            off_s = clock_off_s(progress.now_ms, asked_ms, node.clock.wall_ms())
            node.heard(peer.name, progress.flushed_size, progress.flushed_block, off_s)
            if node.runner is not None:
                node.runner.carry_out(node.runner.site.clock_heard(peer.name, off_s))
                node.runner.site.checkpoints.heard(
                    peer.name, progress.flushed_block, node.clock.now_ms(), progress.quorum_block
                )
        await asyncio.sleep(ASK_EVERY_MS / 1000)


def clock_off_s(told_ms: int, asked_ms: int, answered_ms: int) -> int:
    """How far another clock that told its time between asking and answering is ahead of this one, in whole seconds. One that told none goes right."""
    return round((told_ms - (asked_ms + answered_ms) / 2) / 1000) if told_ms else 0
