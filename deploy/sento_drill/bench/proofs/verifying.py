"""Verifying receipts: by the library in one process, and by the audit kit as an auditor runs it; each receipt under a checkpoint of its own.

The kit's rate is taken from two runs with different numbers of files, so that starting an interpreter is in neither; CPU seconds stand beside the wall clock,
because other programs may have the cores.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from sento_drill.bench.calls import LoadFailed
from sento_drill.bench.proofs.made_ledger import MadeLedger
from sento_drill.bench.proofs.parts import Found, Place, Row
from sento_drill.bench.proofs.rates import (
    Round,
    Timed,
    marginal_per_s,
    rate_fields,
    rate_words,
    rounds_per_s,
    timed_program,
)
from sento_proto.receipt import FILE_SUFFIX, decode_receipt, encode_receipt, verify_receipt

KIT = Path(__file__).resolve().parents[4] / "client" / "audit" / "audit_kit.py"
"""In a checkout; a program of one file belongs to no package."""


async def measure_verifying(place: Place) -> Found:
    """Receipts a second, with and without ML-DSA-44."""
    found = Found()
    for with_ml_dsa in (True, False):
        await asyncio.to_thread(_measure, place, found, with_ml_dsa)
    return found


def _measure(place: Place, found: Found, with_ml_dsa: bool) -> None:
    sizes = place.sizes
    keys = "Ed25519 and ML-DSA-44" if with_ml_dsa else "Ed25519 alone"
    name = "with_ml_dsa_44" if with_ml_dsa else "without_ml_dsa_44"
    place.tell(f"making {sizes.large_files:,} receipts, {keys}")
    ledger = MadeLedger(with_ml_dsa=with_ml_dsa)
    files = _receipt_files(ledger, sizes.large_files)
    place.tell(f"verifying them by the library, {keys}")
    rates = rounds_per_s(_library(ledger, files[:20]), sizes.rounds, sizes.round_s)
    row = Row(f"library, 3 sites, {keys}", *rate_words(rates, "receipts"))
    found.add(f"library_{name}", rate_fields(rates), row)

    place.tell(f"verifying them by the audit kit, {keys}")
    directory = place.directory / name
    directory.mkdir(parents=True)
    genesis = directory / "genesis.json"
    genesis.write_bytes(ledger.genesis_bytes)
    paths = [directory / f"{number}{FILE_SUFFIX}" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    counts = (sizes.small_files, sizes.large_files)
    kit = [
        (
            run_kit(directory, ["--genesis", str(genesis), *map(str, paths[: counts[0]])]),
            run_kit(directory, ["--genesis", str(genesis), *map(str, paths)]),
        )
        for _ in range(sizes.kit_rounds)
    ]
    found.add(f"kit_{name}", *kit_figures(f"audit kit, 3 sites, {keys}", "receipts", counts, kit))


def _receipt_files(ledger: MadeLedger, count: int) -> list[bytes]:
    size = len(ledger.leaves)
    return [
        encode_receipt(ledger.receipt(number, ledger.checkpoint(size - number))) for number in range(count)
    ]


def _library(ledger: MadeLedger, files: Sequence[bytes]) -> Callable[[], int]:
    governance = ledger.governance

    def once() -> int:
        for data in files:
            verified = verify_receipt(decode_receipt(data), governance)
            if not verified.holds:
                raise LoadFailed(f"a receipt that was just made does not hold: {verified.why}")
        return len(files)

    return once


def run_kit(directory: Path, arguments: Sequence[str]) -> Timed:
    """The kit over these files, all of which must hold. Blocks. Raises LoadFailed."""
    if not KIT.exists():
        raise LoadFailed(f"{KIT} is not there: the audit kit is measured in a checkout")
    # Isolated: an auditor's interpreter has nothing of ours on its path.
    return timed_program([sys.executable, "-I", str(KIT), *arguments], directory / "kit-said")


def kit_figures(
    words: str, what: str, counts: tuple[int, int], runs: Sequence[tuple[Timed, Timed]]
) -> tuple[dict[str, object], Row]:
    """From pairs of runs over few and over many things: the rate between them, by the wall clock and by CPU seconds, and what a start takes."""
    (few, many) = counts
    wall = [marginal_per_s(few, small.wall_s, many, large.wall_s) for small, large in runs]
    cpu = [marginal_per_s(few, small.cpu_s, many, large.cpu_s) for small, large in runs]
    rates = [Round(*each) for each in zip(wall, cpu, strict=True)]
    start_cpu_s = median(
        small.cpu_s - few / each.per_cpu_s for (small, _), each in zip(runs, rates, strict=True)
    )
    figures: dict[str, object] = {
        "few": few,
        "many": many,
        **rate_fields(rates),
        "start_cpu_s": round(start_cpu_s, 3),
        "wall_s": [[round(small.wall_s, 3), round(large.wall_s, 3)] for small, large in runs],
        "cpu_s": [[round(small.cpu_s, 3), round(large.cpu_s, 3)] for small, large in runs],
    }
    figure, note = rate_words(rates, what)
    return figures, Row(words, figure, f"{note}; its start takes {start_cpu_s:.2f} CPU s, which is not in it")
