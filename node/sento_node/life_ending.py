"""How a life of a node ends well: the lead is in other hands before the member goes, and what ended it is said in words that tell what to do."""

from __future__ import annotations

import asyncio

import structlog

from sento_node.epochs.showing import ENDED, TWO
from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.store import LedgerDamaged, LedgerFailed
from sento_node.ordering.etcd.directories import DirectoryTaken, DirectoryUnsafe
from sento_node.runner import Runner
from sento_node.service.node_state import NodeState
from sento_proto.errors import SentoError

STAYS = ("refused", "diverged", ENDED, TWO)
"""In these states a node takes no part, and goes on answering how it stands."""
HAND_ON_TIMEOUT_MS = 2_000
IN_WORDS = (DirectoryTaken, DirectoryUnsafe, LedgerFailed, LedgerDamaged, UnknownRules)
"""Failures whose text is one sentence of cause and one of remedy."""


async def hand_on(runner: Runner, own_site: str) -> None:
    """Give the lead away, if it is here, so that writers elsewhere do not wait for an election."""
    status = runner.condition.ordering
    if status is None or not status.is_lead:
        return
    others = [member.site for member in status.members if member.votes and member.site != own_site]
    for site in others:
        try:
            await runner.handed_over(site, HAND_ON_TIMEOUT_MS)
        except SentoError as error:
            log = structlog.get_logger("sento.node").bind(site=own_site)
            log.warning("the lead was not taken", by=site, why=str(error)[:200])
        else:
            return


def failure_in_words(failure: BaseException) -> str:
    """What an operator is told of the failure that ended a life."""
    if isinstance(failure, IN_WORDS):
        return str(failure)
    if isinstance(failure, OSError):
        return f"The node's own files cannot be used ({failure}). Check the disk, its free space and the directory's owner, then start again."
    return f"The node met a condition it does not know ({type(failure).__name__}) and stopped itself. Report it with this log."


async def part_ended(node: NodeState, living: asyncio.Task[None]) -> None:
    """This site's part was asked to end, or ended by itself: nothing that it was at goes on."""
    if node.ending is not None:
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)
        _say_ending(node)


async def until_brought_over(node: NodeState, stop: asyncio.Task[bool]) -> None:
    """Wait for a stop, or for a plan by which this site is brought over into another epoch."""
    next_epoch = asyncio.create_task(node.next_epoch.wait(), name="next-epoch")
    await asyncio.wait({stop, next_epoch}, return_when=asyncio.FIRST_COMPLETED)
    next_epoch.cancel()
    _say_ending(node)


def _say_ending(node: NodeState) -> None:
    """What was ended may have said something else of itself after it was asked to end."""
    if node.ending is not None:
        node.condition.state, node.condition.explanation = node.ending
