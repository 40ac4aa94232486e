"""What this site holds now that others are gone: the survey that it makes and signs for operators, in every state in which its ledger is open.

It is made in a thread of its own over the open ledger, one at a time, and writes nothing: no disk is used however large ledger and log are.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version

from sento_node.epochs.recovering import member_dir_of
from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.store import LedgerDamaged
from sento_node.salvage.extending import LOOKS
from sento_node.salvage.surveying import Here, survey_of
from sento_node.service.node_state import NodeState
from sento_proto.errors import Code, SentoError
from sento_proto.site_word import sign_word
from sento_proto.survey import SURVEY, Contact, encode_survey
from sento_proto.v1 import admin_pb2

_LOOKS_IN_ORDER = 2
"""A site that takes part in ordering grows all the time: it is not looked at often."""


class SurveyDesk:
    """One node's surveys."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._one_at_a_time = asyncio.Lock()

    async def reply(self) -> admin_pb2.SurveyReply:
        """The signed survey. Raises SentoError: NOT_READY without a ledger to look at, STOPPED for one that cannot be read."""
        node = self._node
        if node.stands_in or not node.keeps_ledger or node.signers is None:
            raise SentoError(Code.NOT_READY, "this site has no ledger open that could be surveyed")
        async with self._one_at_a_time:
            here = here_now(node)
            looks = _LOOKS_IN_ORDER if here.has_majority else LOOKS
            member_dir = member_dir_of(node.config.data_dir)
            try:
                survey = await asyncio.to_thread(survey_of, node.store, node.genesis, member_dir, here, looks)
            except (LedgerDamaged, UnknownRules) as error:
                raise SentoError(Code.STOPPED, str(error)) from error
        body = encode_survey(survey)
        return admin_pb2.SurveyReply(
            survey=sign_word(SURVEY, node.genesis.ledger_id, node.config.site, body, node.signers)
        )


def here_now(node: NodeState) -> Here:
    """What the node knows besides its disk."""
    listed = [peer.name for peer in node.config.peers]
    names = (*listed, *(name for name in node.contacts if name not in listed))
    contacts = tuple(
        Contact(name, node.reaches(name), node.contacts[name].at_ms if name in node.contacts else 0)
        for name in names
    )
    return Here(node.config.site, node.clock.wall_ms(), version("sento"), contacts, has_majority(node))


def has_majority(node: NodeState) -> bool:
    """Whether the former order goes on as far as this site sees: it serves, or reaches more than half of the voting sites of its epoch, itself counted."""
    voting = node.epoch.voting_sites(node.governance)
    reached = sum(
        site == node.config.site
        or (node.reaches(site) and node.contacts[site].standing.epoch <= node.epoch.number)
        for site in voting
    )
    return node.condition.state == "serving" or 2 * reached > len(voting)
