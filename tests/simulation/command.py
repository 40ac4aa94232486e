"""The command: run seeds, print figures, and end with 1 and the seed when a promise did not hold."""

from __future__ import annotations

import argparse
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from tests.simulation.happened import DECIDED, HAPPENED, covering, met
from tests.simulation.moving import simulate_moving
from tests.simulation.moving_happened import MOVING_HAPPENED, moving_met
from tests.simulation.world import Report, simulate

MOVING_EVERY = 4


class Simulate(Protocol):
    """Runs one world."""

    def __call__(self, seed: int, *, show: bool = ...) -> Report: ...


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when every promise held at every seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument(
        "--seeds", default="0:200", metavar="A:B", help="seeds from A up to, not including, B"
    )
    parser.add_argument("--seed", type=int, help="one seed alone")
    parser.add_argument("--trace", action="store_true", help="print every line of the trace (with --seed)")
    parser.add_argument("--planted", action="store_true", help="look for each planted bug in the seeds")
    parser.add_argument(
        "--cover", action="store_true", help="name few of the seeds that meet what must have happened"
    )
    parser.add_argument(
        "--moving",
        action="store_true",
        help="only worlds whose capital moves (else one for each fourth seed)",
    )
    chosen = parser.parse_args(arguments)
    first, _, end = chosen.seeds.partition(":")
    seeds = range(int(first), int(end)) if chosen.seed is None else range(chosen.seed, chosen.seed + 1)
    if chosen.planted and chosen.moving:
        from tests.simulation.planted_moving import print_moving_table

        return print_moving_table(seeds)
    if chosen.planted:
        from tests.simulation.planted import print_table

        return print_table(seeds)
    if chosen.cover and chosen.moving:
        return _cover(seeds, simulate_moving, MOVING_HAPPENED, moving_met)
    if chosen.cover:
        return _cover(seeds, simulate, (*HAPPENED, *DECIDED), met)
    show = chosen.trace and chosen.seed is not None
    worlds: list[tuple[Simulate, int]] = []
    for seed in seeds:
        worlds += [] if chosen.moving else [(simulate, seed)]
        shared = chosen.seed is None and seed % MOVING_EVERY == 0
        worlds += [(simulate_moving, seed)] if chosen.moving or shared else []
    return _run(worlds, show=show)


def _run(worlds: Sequence[tuple[Simulate, int]], *, show: bool) -> int:
    began = time.perf_counter()
    reports: list[Report] = []
    for run, seed in worlds:
        report = run(seed, show=show)
        reports.append(report)
        if report.violation is not None:
            _print_failure(report, " --moving" if run is simulate_moving else "")
            return 1
    _print_figures(reports, time.perf_counter() - began)
    return 0


def _cover(
    seeds: range, run: Simulate, wanted: Sequence[str], met_by_one: Callable[[Report], set[str]]
) -> int:
    """Few seeds for the tests; exit code 1 when something happened in none of them."""
    met_by: dict[int, set[str]] = {}
    for seed in seeds:
        report = run(seed)
        if report.violation is not None:
            _print_failure(report, " --moving" if run is simulate_moving else "")
            return 1
        met_by[seed] = met_by_one(report)
    missing = [name for name in wanted if not any(name in one for one in met_by.values())]
    print(f"seeds {covering(met_by)}")
    print(f"met in none: {missing}")
    return 1 if missing else 0


def _print_failure(report: Report, more: str = "") -> None:
    print(f"seed {report.seed} failed after {report.virtual_ms} virtual ms: {report.violation}")
    if report.violation is not None and report.violation.__cause__ is not None:
        traceback.print_exception(report.violation.__cause__)
    print(f"replay, with every event: python -m tests.simulation{more} --seed {report.seed} --trace")


def _print_figures(reports: Sequence[Report], wall_s: float) -> None:
    virtual_s = sum(report.virtual_ms for report in reports) / 1_000
    faults: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for report in reports:
        faults.update(report.faults)
        codes.update(report.codes)
    blocks, records, acknowledged, events = (
        sum(getattr(report, name) for report in reports)
        for name in ("blocks", "records", "acknowledged", "events")
    )
    print(f"{len(reports)} worlds, all promises held: {wall_s:.1f} s, {len(reports) / wall_s:.1f} a second")
    print(f"virtual {virtual_s:.0f} s ({virtual_s / wall_s:.0f} times real time), {events} events, ", end="")
    print(f"{blocks} blocks, {records} records, {acknowledged} acknowledged")
    acts, decisions = sum(report.acts for report in reports), sum(report.decisions for report in reports)
    print(f"governance: {acts} acts stand, decisions={decisions:,} compared, none differs")
    if len(reports) == 1:
        print(f"trace {reports[0].trace_hash}")
    settled = sorted(report.settled_after_ms for report in reports)
    print(f"settled after faults stopped: median {settled[len(settled) // 2]} ms, longest {settled[-1]} ms")
    for title, counts in (("faults and what followed", faults), ("outcomes in the order", codes)):
        print(f"{title}:")
        for name, count in sorted(counts.items()):
            print(f"  {count:>8}  {name}")
