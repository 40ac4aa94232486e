"""Plans of new epochs for tests: from a ledger as it stands, signed by some of its officers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from genesis_builder import OFFICERS
from ledger_driver import LedgerDriver
from sento_proto.epoch_plan import EpochPlan, act_bytes, signed_plan
from sento_proto.governance.epoch_changes import Parent

MADE_AT_MS = 1_780_000_000_000


def plan_here(driver: LedgerDriver, epoch: int = 1, **fields: object) -> EpochPlan:
    """A plan that goes on from the ledger's very end, not signed; `fields` are set otherwise."""
    state, governance = driver.state, driver.governance
    parent = Parent(governance.epoch, state.size, state.frontier.root(), state.block)
    plan = EpochPlan(
        governance.ledger_id,
        "restore",
        epoch,
        parent,
        governance.last_act,
        governance.voting_sites,
        governance.receipt_set,
        (),
        "a test",
        MADE_AT_MS,
        MADE_AT_MS,
        ("One sentence.",),
    )
    return replace(plan, **fields)  # type: ignore[arg-type]  # each caller names fields of its own types


def signed(driver: LedgerDriver, plan: EpochPlan, officers: Sequence[str] = OFFICERS[:2]) -> EpochPlan:
    """The plan under signatures of these officers."""
    for name in officers:
        plan = signed_plan(plan, driver.world.officer_signers[name])
    return plan


def begin_bytes(driver: LedgerDriver, plan: EpochPlan, officers: Sequence[str] = OFFICERS[:2]) -> bytes:
    """The submission that begins the plan's epoch."""
    return act_bytes(signed(driver, plan, officers))
