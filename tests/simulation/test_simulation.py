"""Some dozen worlds in which every promise holds, the same world twice, and every planted bug found.

A failing test names its seed; `make sim SEED=n` replays it.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.simulation.happened import DECIDED, HAPPENED, SEEDS_IN_CI, met
from tests.simulation.planted import PLANTED, Planted, look_for
from tests.simulation.world import Report, simulate

ROOT = Path(__file__).resolve().parents[2]
TESTS = 10
"""So many tests share the seeds, so that they can be dealt out."""
DECISIONS_A_SEED = 8_000


@functools.cache
def world_of(seed: int) -> Report:
    return simulate(seed)


@pytest.mark.parametrize("part", range(TESTS))
def test_every_promise_holds_under_faults_and_everything_settles_after_them(part: int) -> None:
    failed = {
        seed: str(world_of(seed).violation)
        for seed in SEEDS_IN_CI[part::TESTS]
        if world_of(seed).violation is not None
    }
    assert not failed, f"replay with: make sim SEED={min(failed)}"


def test_the_seeds_together_inject_every_fault_and_meet_every_outcome() -> None:
    """When a change has moved the worlds: `python -m tests.simulation --cover --seeds 0:200` names seeds that meet all of it."""
    reports = [world_of(seed) for seed in SEEDS_IN_CI]
    seen = set().union(*map(met, reports))
    assert [name for name in (*HAPPENED, *DECIDED) if name not in seen] == []
    assert sum(report.decisions for report in reports) > DECISIONS_A_SEED * len(SEEDS_IN_CI)


def test_a_seed_makes_the_same_trace_in_another_process_with_other_hashes() -> None:
    traces = set()
    for hash_seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "5"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        traces.add(next(line for line in run.stdout.splitlines() if line.startswith("trace ")))
    assert traces == {f"trace {world_of(5).trace_hash}"}


def test_two_seeds_make_two_worlds() -> None:
    assert world_of(1).trace_hash != world_of(2).trace_hash


@pytest.mark.parametrize(
    "planted", [one for one in PLANTED if one.seeds], ids=lambda planted: planted.bug.__name__
)
def test_planted_bug_is_found_and_its_seed_passes_without_it(planted: Planted) -> None:
    found = look_for(planted.bug, planted.seeds)
    assert found is not None, f"no seed of {planted.seeds} found it: {planted.bug.__doc__}"
    assert found.checker in planted.found_by
    assert world_of(found.seed).violation is None


def test_the_table_of_planted_bugs_lists_every_one_as_it_is() -> None:
    table = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    for planted in PLANTED:
        assert f"| {planted.bug.__name__} | {planted.bug.__doc__} |" in table
