"""How much the bench of proofs measures: enough to be of use, or just so much that every part has run."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sento_drill.bench.works import Timing


@dataclass(frozen=True, slots=True)
class Sizes:
    """`rounds` of `round_s` for work without sites; `small_files`, `large_files`: receipts for the kit, and `small_export`, `large_export`: records, from
    whose difference a rate is taken; `ledger_mib`: what the scrub reads; `pairs` of runs with and without it, on a ledger of `pairs_mib` a site;
    `erasures`, each of `erased_records`; `read_rounds` of windows of `read_window_s` for each way to read."""

    rounds: int
    round_s: float
    small_files: int
    large_files: int
    small_export: int
    large_export: int
    kit_rounds: int
    latency: Timing
    ledger_mib: int
    scrub_rounds: int
    pairs: int
    pairs_mib: int
    pair: Timing
    erasures: int
    erased_records: int
    read_rounds: int
    read_window_s: float

    def fields(self) -> dict[str, object]:
        """For the results."""
        return asdict(self)


FULL = Sizes(
    rounds=5,
    round_s=1.0,
    small_files=100,
    large_files=1_000,
    small_export=400,
    large_export=6_000,
    kit_rounds=3,
    latency=Timing(2.0, 10.0),
    ledger_mib=200,
    scrub_rounds=3,
    pairs=5,
    pairs_mib=80,
    pair=Timing(2.0, 5.0),
    erasures=3,
    erased_records=200,
    read_rounds=3,
    read_window_s=1.0,
)
QUICK = Sizes(
    rounds=1,
    round_s=0.2,
    small_files=10,
    large_files=60,
    small_export=100,
    large_export=600,
    kit_rounds=1,
    latency=Timing(0.5, 1.0),
    ledger_mib=8,
    scrub_rounds=1,
    pairs=1,
    pairs_mib=8,
    pair=Timing(0.5, 1.5),
    erasures=1,
    erased_records=20,
    read_rounds=1,
    read_window_s=0.3,
)
