"""Point reads from 64 callers: ours verified and opened, linearizable and `LOCAL`, against etcd's linearizable get of 1 KiB.

Each load writes 5,000 records first and reads them at random. Each of our reads is a release, so the site records who was shown what, and why: a write of its
own, which etcd's get has nothing of, and whoever reads the figures is told so. What that record costs: `sento-drill bench-proofs --only reads`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sento_client import Freshness
from sento_drill.bench.attempts import Attempts
from sento_drill.bench.etcd_side import EtcdSide
from sento_drill.bench.sento_side import SentoSide
from sento_drill.bench.sides import ETCD, Load, Side, run_alone
from sento_drill.bench.summary import Run, in_turn, medians, ratios, run_of
from sento_drill.bench.works import READERS, Timing

LINEARIZABLE, LOCAL, ETCD_GET = "sento-linearizable", "sento-local", "etcd-linearizable"
NOTE = "each of our reads leaves an access record of its own in the ledger, a release record of who was shown what; etcd's get leaves nothing"
_WORK = f"read-{READERS}x1"


@dataclass(frozen=True, slots=True)
class Reads:
    """What can be read: a name, where, and the load."""

    name: str
    side: Side
    load: Callable[[Timing], Load]


def reads_of(sento: SentoSide | None, etcd: EtcdSide | None) -> list[Reads]:
    """The reading loads of the sides that are here."""
    found: list[Reads] = []
    if sento is not None:
        found.append(Reads(LINEARIZABLE, sento, lambda t: sento.reading(Freshness.LINEARIZABLE, t)))
        found.append(Reads(LOCAL, sento, lambda t: sento.reading(Freshness.LOCAL, t)))
    if etcd is not None:
        found.append(Reads(ETCD_GET, etcd, etcd.reading))
    return found


async def measure_reads(
    reads: Sequence[Reads],
    pairs: int,
    timing: Timing,
    attempts: Attempts,
    done: Callable[[Run | None], Awaitable[None]],
) -> None:
    """All loads, pair by pair in rotating order, each on fresh servers; `done` gets each run, or None for one that failed."""
    by_name = {each.name: each for each in reads}
    for pair in range(1, pairs + 1):
        for name in in_turn(list(by_name), pair - 1):
            await done(await attempts.at(f"{_WORK} {name} pair {pair}", _read(by_name[name], pair, timing)))


async def _read(reads: Reads, pair: int, timing: Timing) -> Run:
    calls, usage = await run_alone(reads.side, lambda: reads.load(timing), timing)
    return run_of(_WORK, 1, reads.name, pair, calls, usage)


def reads_fields(runs: Sequence[Run]) -> dict[str, object]:
    """For bench.json; `ratios`: ours over etcd's get."""
    found = {
        name: ratios(runs, ours, [ETCD_GET]).get(_WORK, {}).get(ETCD_GET)
        for name, ours in (("linearizable", LINEARIZABLE), ("local", LOCAL))
    }
    return {
        "note": NOTE,
        "runs": [run.fields() for run in runs],
        "medians": {side: figures._asdict() for side, figures in medians(runs).get(_WORK, {}).items()},
        "ratios": {name: {ETCD: ratio} for name, ratio in found.items() if ratio is not None},
    }
