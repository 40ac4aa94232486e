"""How a life of a node ends well: the lead is in other hands before the member goes, and what ended it is said in words that tell what to do."""

from __future__ import annotations

import structlog

from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.store import LedgerDamaged, LedgerFailed
from sento_node.ordering.etcd.directories import DirectoryTaken, DirectoryUnsafe
from sento_node.runner import Runner
from sento_proto.errors import SentoError

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
