"""How fast the scrub's child reads a ledger, without bound and at the rate that sites have by default, and the CPU that a gigabyte takes.

A gigabyte is 10^9 bytes of the ledger's files. The site is stopped, so nobody else reads them; they lie in the page cache, so no disk is measured: the child is
bound by its own work on every record and page, not by reading. It runs in the lowest priority: where others want the cores, its
speed by the clock is what they leave, and CPU seconds say what it needs.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from statistics import median

from sento_client import SentoClient
from sento_drill.bench.calls import LoadFailed
from sento_drill.bench.proofs.parts import Found, Place, Row
from sento_drill.bench.proofs.rates import Timed, timed_program
from sento_drill.bench.proofs.running import AUTHOR, fill, running_sites, tree_bytes
from sento_drill.config_files import DATA_DIR, GENESIS
from sento_drill.places import PLACES
from sento_drill.plan import WorldPlan
from sento_drill.world import SiteFiles

DEFAULT_MIB_PER_S = 8.0
"""What a site has whose configuration does not say otherwise (node/DESIGN.md, scrub)."""
LEDGER = "ledger"
GB, MIB = 10**9, 1 << 20
ONE_SITE = WorldPlan(name="sento-bench-one", sites=PLACES[:1])


async def measure_scrub(place: Place) -> Found:
    """Rates and CPU of the child over a ledger of records of 1 KiB."""
    sizes, found = place.sizes, Found()
    async with running_sites(place.directory / "world", ONE_SITE) as cluster:
        (site,) = cluster.world.sites
        ledger = site.directory / DATA_DIR / LEDGER
        place.tell(f"writing a ledger of {sizes.ledger_mib} MiB")
        async with SentoClient.open(cluster.world.institution(AUTHOR).config) as client:
            await fill(client, lambda: tree_bytes(ledger) < sizes.ledger_mib * MIB)
        await asyncio.to_thread(cluster.processes[site.name].stop)
        ledger_bytes = tree_bytes(ledger)
        place.tell(f"the child reads {ledger_bytes / MIB:,.0f} MiB without bound")
        free = [await _read(place, site, 0.0) for _ in range(sizes.scrub_rounds)]
        place.tell(f"the same at {DEFAULT_MIB_PER_S:g} MiB/s")
        bound = await _read(place, site, DEFAULT_MIB_PER_S)
    for name, runs in (("unbounded", free), ("default_rate", [bound])):
        _show(found, name, ledger_bytes, runs)
    return found


class _Reading(Timed):
    """A round of the child: how it ran, and how many bytes and records it says that it took in."""

    @property
    def ended(self) -> dict[str, int]:
        """Its last line. Raises LoadFailed when it is none, or when damage was told."""
        lines = self.printed.splitlines()
        try:
            if any("finding" in json.loads(line) for line in lines):
                raise LoadFailed("the scrub found damage in a ledger that was just written")
            return dict(json.loads(lines[-1])["ended"])
        except (ValueError, KeyError, IndexError) as error:
            raise LoadFailed(f"the scrub's child said no end: {self.printed[-300:]!r} ({error!r})") from None


async def _read(place: Place, site: SiteFiles, mib_per_s: float) -> _Reading:
    command = [sys.executable, "-m", "sento_node.scrub.child", str(site.directory / DATA_DIR / LEDGER)]
    command += [str(site.directory / GENESIS), str(mib_per_s)]
    timed = await asyncio.to_thread(timed_program, command, Path(place.directory / "child-said"))
    return _Reading(*timed)


def _show(found: Found, name: str, ledger_bytes: int, runs: list[_Reading]) -> None:
    gb_per_h = median(ledger_bytes / GB / (run.wall_s / 3600) for run in runs)
    cpu_s_per_gb = median(run.cpu_s / (ledger_bytes / GB) for run in runs)
    ended = runs[-1].ended
    figures = {
        "ledger_mib": round(ledger_bytes / MIB, 1),
        "records": ended["records"],
        "read_mib": round(ended["bytes"] / MIB, 1),
        "gb_per_h": round(gb_per_h, 2),
        "cpu_s_per_gb": round(cpu_s_per_gb, 1),
        "wall_s": [round(run.wall_s, 2) for run in runs],
        "cpu_s": [round(run.cpu_s, 2) for run in runs],
    }
    words = "without bound" if name == "unbounded" else f"at {DEFAULT_MIB_PER_S:g} MiB/s, the default"
    note = f"{cpu_s_per_gb:,.0f} CPU s a GB, which is {3600 / cpu_s_per_gb:,.0f} GB/h of a free core; {ended['records']:,} records"
    note += f", files of {ledger_bytes / MIB:,.0f} MiB, {ended['bytes'] / MIB:,.0f} MiB taken in"
    found.add(name, figures, Row(f"scrub's child, {words}", f"{gb_per_h:,.1f} GB/h", note))
