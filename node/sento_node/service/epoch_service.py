"""Admin.BeginEpoch and Sync.ShowEpoch: a signed plan of a new epoch, given to this running site to carry it out, or shown to it by a site that did.

Both answer in every state that a survivor may be in: without a majority, while a boot waits to be confirmed, while the ordering member does not come up, and
at a site that takes no further part. Judging reads the ledger, in a thread of its own.
"""

from __future__ import annotations

import asyncio

from sento_node import bounds
from sento_node.epochs.asked import ask, begun_before
from sento_node.epochs.ended import shown_plan, standing_of
from sento_node.epochs.fitting import Fit, Surroundings, fit_here, majority_in_words
from sento_node.epochs.places import EpochPlaces
from sento_node.epochs.showing import ENDED, TWO, Standing, is_beside, is_to_be_shown
from sento_node.service.node_state import NodeState
from sento_proto.epoch_plan import RECOVER, EpochPlan, PlanRefused, decode_plan, plan_hash
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import admin_pb2, sync_pb2
from sento_proto.wire import Malformed

LOOK_AGAIN_MS = 50
ASKED_WITHIN_MS = 2 * bounds.PEER_CALL_TIMEOUT_MS


class EpochService:
    """What a site answers about plans of epochs."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._showing: set[str] = set()
        self._one_at_a_time, self._judging = asyncio.Lock(), asyncio.Lock()

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
            async with self._judging:  # it reads the own log: one at a time
                fit = await asyncio.to_thread(self._fit, plan)
            if plan.reason == RECOVER and not plan.although:
                await self._voters_asked()
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
        goes on. That the plan's epoch has begun is known from a site that showed the plan, and never from a standing, which anybody may claim."""
        node, name = self._node, plan_hash(plan)
        own, state = standing_of(node), node.condition.state
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
            any(plan_hash(one) == name for one in offered),
        )

    async def _voters_asked(self) -> None:
        """A life that has just begun has heard nobody, and must not take that for silence. Raises SentoError NOT_READY."""
        node = self._node
        voting = frozenset(node.epoch.voting_sites(node.governance))
        waited_ms = 0
        while unheard := sorted(voting & node.watched_since_ms.keys() - node.asked_once):
            if waited_ms >= ASKED_WITHIN_MS:
                raise SentoError(
                    Code.NOT_READY, f"this site does not know yet whether {', '.join(unheard)} answers it"
                )
            await asyncio.sleep(LOOK_AGAIN_MS / 1000)
            waited_ms += LOOK_AGAIN_MS

    async def shown(self, request: sync_pb2.ShowEpochRequest, caller: str = "") -> sync_pb2.ShowEpochReply:
        """Another site shows the plan by which its epoch began. One plan of a caller is judged at a time, and all one behind the other, so that nobody who
        shows plan after plan keeps this site busy or others from showing theirs. Raises SentoError NOT_PROVEN, QUEUE_FULL, Malformed."""
        node = self._node
        if node.stands_in:
            raise SentoError(Code.NOT_READY)
        if caller in self._showing:
            raise SentoError(Code.QUEUE_FULL, "a plan that this site showed is being judged")
        self._showing.add(caller)
        try:
            async with self._one_at_a_time:
                plan = await asyncio.to_thread(decode_plan, request.plan)
                before = await shown_plan(node, plan)
        finally:
            self._showing.discard(caller)
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
