"""A site that is shown a later epoch stops acknowledging: what it took in from then on would be lost with its own epoch.

Shown means proven: a checkpoint of this ledger and of a later epoch that a quorum of the receipt set cosigned which this site itself knows; or the epoch's
plan, under the signatures of officers whom it knows, which also proves where none of its sites is in the new receipt set. Sites of the new epoch hand both to
every site that they reach, so a site that was not brought over learns of it within a second or two. The plan stays on its disk: it takes no part in its next
life either. A claim alone, by an announced boot for instance, stops nobody: it is answered with a refusal.
"""

from __future__ import annotations

import asyncio

import structlog

from sento_node.compose import root_at
from sento_node.epochs.places import EpochPlaces
from sento_node.epochs.showing import (
    Standing,
    held_by,
    is_officers_word,
    state_by,
    words_of,
)
from sento_node.ledger.replay import governance_of
from sento_node.service.node_state import NodeState
from sento_proto.checkpoint import Checkpoint, cosigners
from sento_proto.epoch_plan import EpochPlan, plan_hash
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import Governance


def standing_of(node: NodeState) -> Standing:
    """Where this site stands."""
    here = node.epoch
    if here.plan is not None or not here.number:
        return Standing(here.number, here.plan_hash)
    begun = next((one for one in node.governance.epochs if one.number == here.number), None)
    return Standing(here.number, b"" if begun is None else begun.plan)


def votes_here(node: NodeState) -> bool:
    """Whether this site votes in the epoch that it takes part in: an embassy that has a member prepared for a later epoch does not."""
    config = node.config
    return node.epoch.votes(config.site, node.governance, configured=config.ordering is not None)


# -- shown a checkpoint --------------------------------------------------------------------------------------------------


def proves_later_epoch(checkpoint: Checkpoint, governance: Governance, epoch: int) -> bool:
    """Whether the checkpoint is of this ledger and of an epoch after `epoch`, by a quorum of the receipt set in force here."""
    if checkpoint.ledger_id != governance.ledger_id or checkpoint.epoch <= epoch:
        return False
    wanted = governance.receipt_quorums[-1]
    return len(cosigners(checkpoint, wanted.keys)) >= wanted.quorum


def shown(node: NodeState, checkpoint: Checkpoint) -> None:
    """Another site hands over a checkpoint: this site's part ends where it proves a later epoch. Raises SentoError EPOCH_ENDED then."""
    runner = node.runner
    if runner is None or not proves_later_epoch(checkpoint, node.governance, runner.site.state.epoch):
        return
    if runner.site.state.epoch < node.epoch.number:
        return  # it takes part in the new epoch already, and still copies what it misses
    node.end_life(
        "epoch-ended",
        f"Epoch {checkpoint.epoch} of this ledger has begun, by a checkpoint that a quorum cosigned, and this site stands in epoch {runner.site.state.epoch}. "
        "Stop it and bring it over with the signed plan (sento-node begin-epoch; runbook: restore).",
    )
    raise SentoError(Code.EPOCH_ENDED)


# -- shown a plan --------------------------------------------------------------------------------------------------------


def known_governances(node: NodeState, plan: EpochPlan) -> tuple[Governance, ...]:
    """By whose officers a plan may be judged: those at its fork, where this ledger holds it, and those in office now. Raises LedgerDamaged, LedgerFailed."""
    now, store, parent = node.governance, node.store, plan.parent
    if store.tip.size < parent.size or root_at(store, parent.size) != parent.root:
        return (now,)
    return (governance_of(node.genesis, store, size=parent.size), now)


def concerns(node: NodeState, plan: EpochPlan) -> bool:
    """Whether the plan, if it is proven, ends this site's part: it is of a later epoch, or another one of the same number. A site whose ledger is not whole
    answers nobody, and comes into the epoch by what it copies. Raises SentoError NOT_READY there."""
    condition = node.condition
    if not state_by(standing_of(node), Standing(plan.epoch, plan_hash(plan))):
        return False
    if not condition.takes_writes and (condition.rebuilding is not None or condition.joining is not None):
        raise SentoError(Code.NOT_READY)
    return True


def check_proven(node: NodeState, plan: EpochPlan) -> None:
    """Verify the officers' signatures, by what the ledger says of them: not on the loop. Raises SentoError NOT_PROVEN, LedgerDamaged, LedgerFailed."""
    if not is_officers_word(plan, known_governances(node, plan)):
        raise SentoError(
            Code.NOT_PROVEN,
            f"the plan of epoch {plan.epoch} that was shown is not signed by enough officers whom this site knows",
        )


def end_by(node: NodeState, plan: EpochPlan) -> None:
    """This site's part ends by a plan that is proven, also in its next life. Raises OSError."""
    own, other = standing_of(node), Standing(plan.epoch, plan_hash(plan))
    state = state_by(own, other)
    EpochPlaces(node.config.data_dir).keep_offered(plan)
    structlog.get_logger("sento.node").error("another epoch was shown", epoch=plan.epoch, state=state)
    node.end_life(state, words_of(state, own, other))


async def shown_plan(node: NodeState, plan: EpochPlan) -> Standing:
    """Another site shows the plan by which its epoch began: where this one stands. Raises SentoError: NOT_PROVEN; NOT_READY where the ledger is not whole."""
    own = standing_of(node)
    if concerns(node, plan):
        await asyncio.to_thread(check_proven, node, plan)
        end_by(node, plan)
    return own


def hold_back(node: NodeState) -> bool:
    """Whether a plan shown in a former life keeps this one from taking part, which the condition then says. Raises BootFileDamaged, OSError."""
    own = standing_of(node)
    plan = held_by(own, EpochPlaces(node.config.data_dir).offered())
    if plan is None:
        return False
    other = Standing(plan.epoch, plan_hash(plan))
    state = state_by(own, other)
    node.condition.state, node.condition.explanation = state, words_of(state, own, other)
    return True


# -- what carries an epoch's number --------------------------------------------------------------------------------------


def check_announced(node: NodeState, caller: str, epoch: int) -> None:
    """A boot is confirmed within one epoch only; whoever was left behind is shown the plan at once. Raises SentoError: EPOCH_ENDED for such a site, NOT_READY
    where this one may be it."""
    if epoch < node.epoch.number:
        node.look_at(caller)
    check_same_epoch(node, epoch, "the boot is announced")


def check_same_epoch(node: NodeState, epoch: int, what: str) -> None:
    """What another site asks for is of this site's own epoch. Raises SentoError: EPOCH_ENDED for a site that was left behind, NOT_READY where this one may
    be it."""
    own = node.epoch.number
    if epoch < own:
        raise SentoError(
            Code.EPOCH_ENDED, f"epoch {own} of this ledger has begun, and {what} for epoch {epoch}"
        )
    if epoch > own:
        raise SentoError(
            Code.NOT_READY, f"this site is in epoch {own} and was not brought over to epoch {epoch}"
        )
