"""Where a site stands among epochs, what another one's standing means for it, and whether a plan that it is shown is the officers' word.

    standing      (epoch, hash of the plan by which it began); sites tell it each other with every question how far they are
    ahead         the other site stands in an earlier epoch, or in the same one by another plan: it is shown the own plan
    later         k officers in office at the plan's fork, or now, signed a plan of a later epoch: this site's epoch has ended
    other         the same of this site's own epoch by another plan: two epochs, and nobody goes on

A standing is a claim and stops nobody; a plan is proven by signatures that this site verifies by its own ledger. Decisions alone: no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from sento_proto.epoch_plan import EpochPlan, PlanRefused, offices_of, plan_hash
from sento_proto.governance.state import Governance

ENDED: Final = "epoch-ended"
TWO: Final = "two-epochs"
NEXT_EPOCH: Final = "next-epoch"
"""States of a node: its epoch has ended; so have two that began from one parent; and its next life, in another epoch, begins at once."""


class Standing(NamedTuple):
    """The epoch that a site takes part in, and SHA-256 of the plan by which that began: empty in the first, and where it is not known yet."""

    epoch: int
    plan_hash: bytes = b""


FIRST: Final = Standing(0)
"""Of a site that says nothing, and of every site in the first epoch."""


def is_to_be_shown(own: Standing, other: Standing) -> bool:
    """Whether the other site is to be shown the own plan."""
    if not own.plan_hash:
        return False
    return other.epoch < own.epoch or (other.epoch == own.epoch and _differ(own, other))


def is_beside(own: Standing, other: Standing) -> bool:
    """Whether the other site takes part in the same epoch."""
    return other.epoch == own.epoch and not _differ(own, other)


def state_by(own: Standing, shown: Standing) -> str:
    """The state that a proven plan of this standing puts a site in: ENDED, TWO, or empty where it changes nothing."""
    if shown.epoch > own.epoch:
        return ENDED
    return TWO if shown.epoch == own.epoch and _differ(own, shown) else ""


def _differ(one: Standing, other: Standing) -> bool:
    return bool(one.plan_hash and other.plan_hash) and one.plan_hash != other.plan_hash


def is_officers_word(plan: EpochPlan, known: Iterable[Governance]) -> bool:
    """Whether enough officers signed the plan, by one of the governances that this site knows (at the plan's fork, and now)."""
    return any(_is_signed(plan, governance) for governance in known)


def _is_signed(plan: EpochPlan, governance: Governance) -> bool:
    needed = governance.officers.threshold
    if plan.ledger_id != governance.ledger_id or not needed:
        return False
    try:
        return len(offices_of(plan, governance)) >= needed
    except PlanRefused:
        return False


def held_by(own: Standing, offered: Iterable[EpochPlan]) -> EpochPlan | None:
    """The plan, of those that were shown here and proven in a former life, that keeps this site from taking part; None when none does."""
    keeping = [
        plan for plan in offered if state_by(own, Standing(plan.epoch, _hash_if_needed(own, plan))) != ""
    ]
    return max(keeping, key=lambda plan: plan.epoch, default=None)


def _hash_if_needed(own: Standing, plan: EpochPlan) -> bytes:
    return plan_hash(plan) if plan.epoch == own.epoch else b""


def words_of(state: str, own: Standing, shown: Standing) -> str:
    """What an operator is told of a site that takes no further part."""
    if state == TWO:
        return (
            f"Epoch {own.epoch} was begun here by plan {own.plan_hash.hex()[:16]} and elsewhere by plan {shown.plan_hash.hex()[:16]}, both signed by officers. "
            "This site takes no further part until officers say which one stands and it is given their plan (runbook: recover)."
        )
    return (
        f"EPOCH_ENDED: epoch {shown.epoch} of this ledger has begun, by plan {shown.plan_hash.hex()[:16]} that officers signed, and this site stands in epoch "
        f"{own.epoch}. Bring it over with that plan: it runs and can be asked to (sento recover apply), or stopped (sento-node begin-epoch; runbook: restore)."
    )
