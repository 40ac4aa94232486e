"""What the scrub costs writers: pairs of runs at the same three sites, one with it and one without, by configuration; the first of a pair changes.

With it, a round follows the next at once (`pause_s` 0.1 where sites rest for a minute), so that reading goes on through the whole window at the default rate at
all three sites, which here share one machine's cores: the most that it can cost. How much was read is asked of the sites, so that a run without is known to
be one.
"""

from __future__ import annotations

import asyncio
import re
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from sento_client import SentoClient
from sento_drill.bench.calls import Calls, LoadFailed, decode_calls
from sento_drill.bench.programs import finish_load, start_load
from sento_drill.bench.proofs.parts import Found, Place, Row
from sento_drill.bench.proofs.running import (
    AUTHOR,
    end_at_once,
    fill,
    running_sites,
    start_and_settle,
    tree_bytes,
)
from sento_drill.bench.proofs.scrub_speed import DEFAULT_MIB_PER_S, MIB
from sento_drill.bench.usage import Usage, sampled, usage_between
from sento_drill.bench.works import Timing
from sento_drill.cluster import LocalCluster
from sento_drill.config_files import DATA_DIR
from sento_drill.waiting import TooLate
from sento_drill.world import SiteFiles

WITH, WITHOUT = "with", "without"
CALLERS = 64
_TABLES = {
    WITH: f"\n[scrub]\nmib_per_s = {DEFAULT_MIB_PER_S:g}\npause_s = 0.1\n",
    WITHOUT: "\n[scrub]\nmib_per_s = 0\n",
}
_READ = re.compile(r"^sento_scrub_read_bytes(?:_total)? ([0-9.e+]+)$", re.MULTILINE)


class PairedRun(NamedTuple):
    """One run of 64 callers. `cpu_us_per_record`: of sites, their ordering members and the client."""

    pair: int
    scrub: str
    records_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_record: float
    elsewhere_cpu_s: float
    scrubbed_mib: float


class Paired(NamedTuple):
    """What came of all pairs: medians of each arm, and the median over the pairs of with / without in the same pair."""

    medians: dict[str, dict[str, float]]
    ratios: dict[str, float]
    pairs: int


async def measure_scrub_cost(place: Place) -> Found:
    """Medians and ratios."""
    sizes, found = place.sizes, Found()
    runs: list[PairedRun] = []
    async with running_sites(place.directory / "world") as cluster:
        files = cluster.world.sites
        plain = {site.name: site.config.read_text(encoding="utf-8") for site in files}
        ledger = files[0].directory / DATA_DIR / "ledger"
        place.tell(f"writing a ledger of {sizes.pairs_mib} MiB a site")
        async with SentoClient.open(cluster.world.institution(AUTHOR).config) as client:
            await fill(client, lambda: tree_bytes(ledger) < sizes.pairs_mib * MIB)
        for pair in range(1, sizes.pairs + 1):
            for scrub in (WITH, WITHOUT) if pair % 2 else (WITHOUT, WITH):
                await end_at_once(cluster)
                for site in files:
                    site.config.write_text(plain[site.name] + _TABLES[scrub], encoding="utf-8")
                runs.append(await _run(cluster, pair, scrub, sizes.pair))
                place.tell(f"pair {pair}, {scrub} scrub: {runs[-1].records_per_s:,.0f} records/s")
    _show(found, runs)
    return found


async def _run(cluster: LocalCluster, pair: int, scrub: str, timing: Timing) -> PairedRun:
    try:
        await start_and_settle(cluster)
    except TooLate as error:
        raise LoadFailed(f"pair {pair}, {scrub} scrub: {error}") from None
    config = cluster.world.institution(AUTHOR).config
    before = await _scrubbed_bytes(cluster.world.sites)
    calls, usage = await _write(cluster, config, timing)
    scrubbed = await _scrubbed_bytes(cluster.world.sites) - before
    if (scrubbed > 0) != (scrub == WITH):
        raise LoadFailed(f"pair {pair}, {scrub} scrub: {scrubbed:,} bytes were scrubbed meanwhile")
    return PairedRun(
        pair,
        scrub,
        calls.per_s,
        calls.percentile_ms(50),
        calls.percentile_ms(99),
        sum(usage.cpu_s.values()) * 1e6 / len(calls.took_us),
        usage.elsewhere_cpu_s,
        scrubbed / MIB,
    )


async def _write(cluster: LocalCluster, config: Path, timing: Timing) -> tuple[Calls, Usage]:
    command = [sys.executable, "-m", "sento_drill.bench.sento_load", "--config", str(config)]
    command += ["--callers", str(CALLERS)]
    command += ["--warm-up", str(timing.warm_up_s), "--seconds", str(timing.seconds)]
    roots = {
        f"{role} {site}": process.pid
        for site, processes in cluster.processes.items()
        for role, process in (("node", processes.node()), ("ordering", processes.member()))
        if process is not None
    }
    load = await start_load(command)
    async with sampled({**roots, "client": load.pid}) as samples:
        printed = await finish_load(load, timing.deadline_s)
    calls = decode_calls(printed)
    return calls, usage_between(samples, calls.from_s, calls.until_s)


async def _scrubbed_bytes(sites: Sequence[SiteFiles]) -> int:
    """What the sites' scrubs have read in this life, by their metrics."""
    return sum(await asyncio.gather(*(asyncio.to_thread(_scrubbed_at, site) for site in sites)))


def _scrubbed_at(site: SiteFiles) -> int:
    with urllib.request.urlopen(f"http://{site.metrics_address}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    found = _READ.search(text)
    if found is None:
        raise LoadFailed(f"{site.name} does not say how much it scrubbed")
    return int(float(found[1]))


def paired(runs: Sequence[PairedRun]) -> Paired:
    """Pure. A pair of which one run is missing counts for nothing."""
    by_pair: dict[int, dict[str, PairedRun]] = {}
    for run in runs:
        by_pair.setdefault(run.pair, {})[run.scrub] = run
    whole = [arms for arms in by_pair.values() if len(arms) == 2]
    if not whole:
        raise LoadFailed("no pair of runs is whole")
    names = ("records_per_s", "p50_ms", "p99_ms", "cpu_us_per_record")
    medians = {
        arm: {name: round(median(getattr(arms[arm], name) for arms in whole), 2) for name in names}
        for arm in (WITH, WITHOUT)
    }
    ratios = {
        name: round(median(getattr(arms[WITH], name) / getattr(arms[WITHOUT], name) for arms in whole), 3)
        for name in names
    }
    return Paired(medians, ratios, len(whole))


def _show(found: Found, runs: Sequence[PairedRun]) -> None:
    medians, ratios, pairs = paired(runs)
    figures = {
        "runs": [run._asdict() for run in runs],
        "medians": medians,
        "ratios_with_over_without": ratios,
    }
    rows = [
        Row(
            f"{CALLERS} callers, {arm} scrub",
            f"{each['records_per_s']:,.0f} records/s",
            f"p50 {each['p50_ms']:,.0f} ms, p99 {each['p99_ms']:,.0f} ms, {each['cpu_us_per_record']:,.0f} CPU us a record",
        )
        for arm, each in medians.items()
    ]
    scrubbed = median(run.scrubbed_mib for run in runs if run.scrub == WITH)
    words = f"p50 {ratios['p50_ms']:.2f}, p99 {ratios['p99_ms']:.2f}, CPU a record {ratios['cpu_us_per_record']:.2f}"
    words += f"; {pairs} pairs; {scrubbed:,.0f} MiB scrubbed a run"
    rows.append(
        Row("with / without, median over pairs", f"{ratios['records_per_s']:.2f} of the records/s", words)
    )
    found.add("pairs", figures, *rows)
