"""From runs to figures: medians, and ratios of runs that stood next to each other. Pure.

`ratios.<work>.<peer>` is the median over the pairs of (our records a second / the peer's in the same pair), above 1 where we are ahead: runs of one pair are
minutes apart and met the same neighbours on the machine, runs of different pairs may not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from sento_drill.bench.calls import Calls
from sento_drill.bench.sides import PEERS, SENTO
from sento_drill.bench.usage import Usage

PAIRS_FOR_A_CLAIM = 5


@dataclass(frozen=True, slots=True)
class Run:
    """One side under one work in one pair. Percentiles are those of a call; `failed` counts records, all of a call that failed."""

    work: str
    side: str
    pair: int
    records: int
    failed: int
    seconds: float
    records_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_s: Mapping[str, float]
    peak_rss_mib: Mapping[str, float]
    elsewhere_cpu_s: float

    def line(self) -> str:
        """For people and programs."""
        return (
            f"bench: work={self.work} side={self.side} pair={self.pair} records={self.records} failed={self.failed} "
            f"records_per_s={self.records_per_s:.0f} p50_ms={self.p50_ms:.1f} p99_ms={self.p99_ms:.1f}"
        )

    def fields(self) -> dict[str, object]:
        """For bench.json, rounded to what was measured."""
        return {
            "work": self.work,
            "side": self.side,
            "pair": self.pair,
            "records": self.records,
            "failed": self.failed,
            "seconds": round(self.seconds, 3),
            "records_per_s": round(self.records_per_s, 1),
            "p50_ms": round(self.p50_ms, 3),
            "p99_ms": round(self.p99_ms, 3),
            "cpu_s": {role: round(spent_s, 2) for role, spent_s in self.cpu_s.items()},
            "peak_rss_mib": {role: round(mib, 1) for role, mib in self.peak_rss_mib.items()},
            "elsewhere_cpu_s": round(self.elsewhere_cpu_s, 2),
        }


class Figures(NamedTuple):
    """Medians over a side's runs of one work. `cpu_us_per_record`: of all its processes, the client's too."""

    records_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_record: float


def run_of(work: str, batch: int, side: str, pair: int, calls: Calls, usage: Usage) -> Run:
    """A run from what its load and the process table said. Raises LoadFailed when no call succeeded."""
    return Run(
        work,
        side,
        pair,
        len(calls.took_us) * batch,
        calls.failed * batch,
        calls.seconds,
        calls.per_s * batch,
        calls.percentile_ms(50),
        calls.percentile_ms(99),
        usage.cpu_s,
        usage.peak_rss_mib,
        usage.elsewhere_cpu_s,
    )


def in_turn(names: Sequence[str], turn: int) -> list[str]:
    """The names in rotated order, so that over the turns each comes first, and after each other, equally often."""
    start = turn % len(names) if names else 0
    return [*names[start:], *names[:start]]


def medians(runs: Sequence[Run]) -> dict[str, dict[str, Figures]]:
    """Work -> side -> medians, in the order of the runs."""
    found: dict[str, dict[str, Figures]] = {}
    for run in runs:
        mine = [each for each in runs if (each.work, each.side) == (run.work, run.side)]
        found.setdefault(run.work, {})[run.side] = Figures(
            round(median(each.records_per_s for each in mine), 1),
            round(median(each.p50_ms for each in mine), 3),
            round(median(each.p99_ms for each in mine), 3),
            round(median(sum(each.cpu_s.values()) / each.records * 1e6 for each in mine), 1),
        )
    return found


def ratios(
    runs: Sequence[Run], ours: str = SENTO, peers: Sequence[str] = PEERS
) -> dict[str, dict[str, float]]:
    """Work -> peer -> median of the pairwise throughput ratios ours/peer; a peer without a pair is left out."""
    per_s = {(run.work, run.side, run.pair): run.records_per_s for run in runs}
    found: dict[str, dict[str, float]] = {}
    for work in dict.fromkeys(run.work for run in runs):
        for peer in peers:
            of_pairs = [
                mine / per_s[work, peer, pair]
                for (of_work, side, pair), mine in per_s.items()
                if of_work == work and side == ours and per_s.get((work, peer, pair))
            ]
            if of_pairs:
                found.setdefault(work, {})[peer] = round(median(of_pairs), 3)
    return found
