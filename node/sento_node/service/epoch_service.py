"""Admin.BeginEpoch and Sync.ShowEpoch: a signed plan of a new epoch, given to this running site to carry it out, or shown to it by a site that did.

Both answer in every state that a survivor may be in: without a majority, while a boot waits to be confirmed, while the ordering member does not come up, and
at a site that takes no further part. Judging reads the ledger, in a thread of its own.
"""

from __future__ import annotations

import asyncio

from sento_node.epochs.asked import ask, begun_before
from sento_node.epochs.ended import shown_plan, standing_of
from sento_node.epochs.fitting import Fit, Surroundings, fit_here, majority_in_words
from sento_node.epochs.places import EpochPlaces
from sento_node.epochs.showing import ENDED, TWO, Standing, is_beside, is_to_be_shown
from sento_node.service.node_state import NodeState
from sento_proto.epoch_plan import EpochPlan, PlanRefused, decode_plan, plan_hash
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import admin_pb2, sync_pb2
from sento_proto.wire import Malformed


class EpochService:
    """What a site answers about plans of epochs."""

    def __init__(self, node: NodeState) -> None:
        self._node = node

    async def begin(self, request: admin_pb2.BeginEpochRequest) -> admin_pb2.BeginEpochReply:
        """Judge the plan and carry it out with the next life, which begins at once. Raises SentoError."""
        node = self._node
        if not node.keeps_ledger:
            raise SentoError(
                Code.PLAN_NOT_FIT,
                "a tie-breaker keeps no ledger to begin an epoch from; once the epoch is open it joins with a bootstrap file (runbook: join)",
            )
        if node.stands_in or node.condition.state in ("stopping", "stopped", "inspecting"):
            raise SentoError(node.condition.code, node.condition.shown_explanation)
        places = EpochPlaces(node.config.data_dir)
        try:
            plan = decode_plan(request.plan)
            if words := begun_before(places, node, plan):
                return admin_pb2.BeginEpochReply(words=words, begun_before=True)
            fit = await asyncio.to_thread(self._fit, plan)
            if words := begun_before(places, node, plan):  # asked for by another call meanwhile
                return admin_pb2.BeginEpochReply(words=words, begun_before=True)
        except PlanRefused as error:
            raise SentoError(Code.PLAN_NOT_FIT, str(error)) from error
        except Malformed as error:
            raise SentoError(Code.PLAN_NOT_FIT, f"the file is no plan: {error}") from error
        why = majority_in_words(plan, self._surroundings(plan))
        if why:
            raise SentoError(Code.MAJORITY_ANSWERS, why)
        if not request.dry_run:
            ask(places, node, plan)
        return admin_pb2.BeginEpochReply(words=fit.words, set_aside=fit.set_aside)

    def _fit(self, plan: EpochPlan) -> Fit:
        node = self._node
        return fit_here(plan, node.genesis, node.store, node.governance, node.config)

    def _surroundings(self, plan: EpochPlan) -> Surroundings:
        """What this site sees of its epoch. Sites that stand in another one do not count as answering in this; where two epochs began from one parent, nobody
        goes on."""
        node, name = self._node, plan_hash(plan)
        own, state = standing_of(node), node.condition.state
        begun = Standing(plan.epoch, name)
        offered = EpochPlaces(node.config.data_dir).offered()
        voting = node.epoch.voting_sites(node.governance)
        answering = {
            site
            for site in voting
            if state != TWO
            and (
                state != ENDED
                if site == node.config.site
                else node.reaches(site) and is_beside(own, node.contacts[site].standing)
            )
        }
        return Surroundings(
            voting,
            answering,
            state == "serving",
            any(plan_hash(one) == name for one in offered)
            or any(contact.standing == begun for contact in node.contacts.values()),
        )

    async def shown(self, request: sync_pb2.ShowEpochRequest) -> sync_pb2.ShowEpochReply:
        """Another site shows the plan by which its epoch began. Raises SentoError NOT_PROVEN, Malformed."""
        node = self._node
        if node.stands_in:
            raise SentoError(Code.NOT_READY)
        plan = await asyncio.to_thread(decode_plan, request.plan)
        before = shown_plan(node, plan)
        return sync_pb2.ShowEpochReply(epoch=before.epoch, plan_hash=before.plan_hash)


def add_epoch(reply: admin_pb2.StatusReply, node: NodeState) -> None:
    """By which plan the epoch began that this site takes part in, and where it forked off."""
    own = standing_of(node)
    reply.epoch_plan = own.plan_hash
    begun = next((one for one in node.governance.epochs if one.number == own.epoch), None)
    if begun is not None:
        reply.epoch_from_size = begun.fork_size
    elif node.epoch.plan is not None:
        reply.epoch_from_size = node.epoch.plan.parent.size


def peer_state(node: NodeState, caller: str, request: sync_pb2.PeerStateRequest) -> sync_pb2.PeerStateReply:
    """How far this site is and where it stands. A caller who stands elsewhere is asked back at once, so that it is shown the plan."""
    own = standing_of(node)
    other, contact = Standing(request.epoch, request.plan_hash), node.contacts.get(caller)
    if is_to_be_shown(own, other) and (contact is None or contact.standing != other):
        node.look_at(caller)
    tip, kept = node.store.tip, node.store.checkpoint()
    return sync_pb2.PeerStateReply(
        site=node.config.site,
        flushed_block=tip.block,
        flushed_size=tip.size,
        quorum_size=kept.size if kept else 0,
        quorum_block=kept.block if kept else 0,
        boot_number=node.boot_number,
        now_ms=node.clock.wall_ms(),
        epoch=own.epoch,
        plan_hash=own.plan_hash,
    )
