"""What must have happened in the moving worlds of every run of the tests, by the name under which `EventHeap` counts it, and the seeds that meet it."""

from __future__ import annotations

from tests.simulation.world import Report

MOVING_SEEDS_IN_CI = (3, 12, 41)
MOVING_HAPPENED = (
    "acknowledged record known to be missing",
    "blocks taken from a survivor's log",
    "epoch recovered",
    "fork copied by the officers' word",
    "held submission let go",
    "held submission sent again in a later epoch",
    "later epoch shown",
    "ledger came into the epoch from other sites",
    "lost act signed again in a plan",
    "lost revocation signed again in a plan",
    "orphan on a person's list",
    "orphans found",
    "orphans taken in as late entries",
    "receipt lost with its epoch",
    "records set aside with an epoch",
    "relocated",
    "relocation",
    "site brought over by an operator",
    "site killed as it begins an epoch",
    "submission held for a site abroad",
    "submission taken over from an outbox",
    "two epochs met",
    "two recoveries at once",
    "voter cut",
    "voter gone",
    "voter off",
)


def moving_met(report: Report) -> set[str]:
    """Which of these one world met."""
    return {kind for kind in MOVING_HAPPENED if report.faults[kind]}
