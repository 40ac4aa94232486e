"""What a read costs by how much it shows: local, linearizable, confirmed by a quorum; and what the access record of a release adds to it.

Two ledgers stand on the same machine at the same time, one whose sites record each release and one under rules 3, whose sites do not; the windows of all ways
follow each other within one process, and ratios are medians over rounds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from sento_drill.bench.calls import LoadFailed
from sento_drill.bench.programs import finish_load, start_load
from sento_drill.bench.proofs.parts import Found, Place, Row
from sento_drill.bench.proofs.read_load import CALLERS, WAYS
from sento_drill.bench.proofs.running import AUTHOR, running_sites
from sento_drill.plan import WorldPlan

RULES_WITHOUT_LOG = 3
_WORDS = {
    "local": "local, recorded",
    "linearizable": "linearizable, recorded",
    "confirmed": "confirmed, recorded",
    "header-local": "header alone, local (no release)",
    "header-linearizable": "header alone, linearizable (no release)",
    "header-confirmed": "header alone, confirmed (no release)",
    "unrecorded-local": "local, rules 3 (releases not recorded)",
    "unrecorded-linearizable": "linearizable, rules 3 (releases not recorded)",
}
RATIOS = {
    "confirmed / linearizable": ("header-confirmed", "header-linearizable"),
    "linearizable / local": ("header-linearizable", "header-local"),
    "recorded / not, linearizable": ("linearizable", "unrecorded-linearizable"),
    "recorded / not, local": ("local", "unrecorded-local"),
}
"""The first two on headers, where nothing is recorded."""


class Window(NamedTuple):
    """One way under so many callers in one round."""

    way: str
    callers: int
    round: int
    calls: int
    per_s: float
    p50_ms: float
    p99_ms: float
    failed: int
    added: int


async def measure_reading(place: Place) -> Found:
    """Medians of each way, and ratios."""
    sizes, found = place.sizes, Found()
    plan = WorldPlan(name="sento-bench-rules-3", rules=RULES_WITHOUT_LOG)
    async with (
        running_sites(place.directory / "with-log") as recording,
        running_sites(place.directory / "without-log", plan) as silent,
    ):
        place.tell(f"{len(WAYS)} ways to read, {sizes.read_rounds} rounds under 1 and 64 callers")
        command = [sys.executable, "-m", "sento_drill.bench.proofs.read_load"]
        command += ["--with-log", str(recording.world.institution(AUTHOR).config)]
        command += ["--without-log", str(silent.world.institution(AUTHOR).config)]
        command += ["--rounds", str(sizes.read_rounds), "--seconds", str(sizes.read_window_s)]
        deadline_s = 120 + sizes.read_rounds * len(WAYS) * len(CALLERS) * (sizes.read_window_s + 5)
        windows = decode_windows(await finish_load(await start_load(command), deadline_s))
    _show(found, windows)
    return found


def decode_windows(printed: str) -> list[Window]:
    """What the load printed. Raises LoadFailed."""
    try:
        return [Window(**json.loads(line)) for line in printed.splitlines()]
    except (ValueError, TypeError) as error:
        raise LoadFailed(f"a load printed no windows: {printed[:200]!r} ({error!r})") from None


def ratio(windows: Sequence[Window], callers: int, over: str, under: str) -> float | None:
    """Median over rounds of p50 / p50 in the same round; None where no round has both. Pure."""
    p50_ms = {(each.way, each.round): each.p50_ms for each in windows if each.callers == callers}
    found = [
        p50 / p50_ms[under, number]
        for (way, number), p50 in p50_ms.items()
        if way == over and p50_ms.get((under, number))
    ]
    return median(found) if found else None


def _show(found: Found, windows: Sequence[Window]) -> None:
    medians: dict[str, dict[str, float]] = {}
    for callers in CALLERS:
        for way in WAYS:
            mine = [each for each in windows if (each.way, each.callers) == (way, callers)]
            if not mine:
                continue
            p50_ms, p99_ms, per_s = (
                median(getattr(each, name) for each in mine) for name in ("p50_ms", "p99_ms", "per_s")
            )
            failed, added = sum(each.failed for each in mine), sum(each.added for each in mine)
            medians[f"{callers} {way}"] = {
                "p50_ms": round(p50_ms, 2),
                "p99_ms": round(p99_ms, 2),
                "per_s": round(per_s, 1),
            }
            note = f"p99 {p99_ms:,.1f} ms, {per_s:,.0f} reads/s" + (f", {failed} failed" if failed else "")
            note += f"; {sum(each.calls for each in mine):,} calls, {added:,} records added meanwhile"
            what = f"{callers} caller{'s' if callers > 1 else ''}, {_WORDS[way]}"
            found.rows.append(Row(what, f"p50 {p50_ms:,.1f} ms", note))
    ratios: dict[str, float] = {}
    for callers in CALLERS:
        for name, (over, under) in RATIOS.items():
            value = ratio(windows, callers, over, under)
            if value is not None:
                ratios[f"{callers} {name}"] = round(value, 3)
                found.rows.append(
                    Row(f"{callers} caller{'s' if callers > 1 else ''}, p50: {name}", f"{value:.2f}")
                )
    found.add("windows", [each._asdict() for each in windows])
    found.add("medians", medians)
    found.add("ratios_of_p50", ratios)
