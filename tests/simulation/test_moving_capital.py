"""Worlds whose capital is lost, recovered abroad, returns and is relocated, in which every promise holds; and every planted bug of them found.

A failing test names its seed; `python -m tests.simulation --moving --seed n --trace` replays it.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from tests.simulation.moving import simulate_moving
from tests.simulation.moving_happened import MOVING_HAPPENED, MOVING_SEEDS_IN_CI, moving_met
from tests.simulation.planted_moving import PLANTED_MOVING, PlantedMoving, look_for_moving
from tests.simulation.world import Report


@functools.cache
def moving_world_of(seed: int) -> Report:
    return simulate_moving(seed)


@pytest.mark.parametrize("seed", MOVING_SEEDS_IN_CI)
def test_every_promise_holds_when_a_capital_is_lost_recovered_and_returns(seed: int) -> None:
    violation = moving_world_of(seed).violation
    assert violation is None, f"replay with: python -m tests.simulation --moving --seed {seed} --trace"


def test_the_moving_seeds_together_meet_every_fate_and_every_step() -> None:
    """When a change has moved the worlds: `python -m tests.simulation --moving --cover --seeds 0:60` names seeds that meet all of it."""
    seen = set().union(*(moving_met(moving_world_of(seed)) for seed in MOVING_SEEDS_IN_CI))
    assert [name for name in MOVING_HAPPENED if name not in seen] == []


def test_a_moving_seed_makes_the_same_trace_again() -> None:
    seed = MOVING_SEEDS_IN_CI[0]
    assert simulate_moving(seed).trace_hash == moving_world_of(seed).trace_hash


@pytest.mark.parametrize("planted", PLANTED_MOVING, ids=lambda planted: planted.bug.__name__)
def test_planted_bug_of_a_moved_capital_is_found_and_its_seed_passes_without_it(
    planted: PlantedMoving,
) -> None:
    found = look_for_moving(planted.bug, planted.seeds)
    assert found is not None, f"no seed of {planted.seeds} found it: {planted.bug.__doc__}"
    assert found.checker in planted.found_by
    assert moving_world_of(found.seed).violation is None


def test_the_table_of_planted_bugs_of_moved_capitals_lists_every_one_as_it_is() -> None:
    table = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    for planted in PLANTED_MOVING:
        assert f"| {planted.bug.__name__} | {planted.bug.__doc__} |" in table
