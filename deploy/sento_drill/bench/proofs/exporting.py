"""The whole ledger in one file: how fast a client exports it, each record verified on the way, and how fast the audit kit proves the file anew."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from sento_client import SentoClient
from sento_client.exporting.face import Wanted
from sento_drill.bench.proofs.parts import Found, Place, Row
from sento_drill.bench.proofs.rates import Timed, marginal_per_s
from sento_drill.bench.proofs.running import AUTHOR, fill_records, running_sites, wait_all_flushed
from sento_drill.bench.proofs.verifying import kit_figures, run_kit
from sento_drill.cluster import LocalCluster
from sento_drill.config_files import GENESIS
from sento_drill.plan import AUDITOR_BOARD

_WANTED = Wanted("bench", "bench-1")


async def measure_exporting(place: Place) -> Found:
    """Records a second, from a small and a large export of one ledger; headers and signatures without payloads, as an auditor has them."""
    sizes, found = place.sizes, Found()
    genesis = place.directory / GENESIS
    async with running_sites(place.directory / "world") as cluster:
        small, large = [
            await _export(place, cluster, records) for records in (sizes.small_export, sizes.large_export)
        ]
        genesis.write_bytes((cluster.world.directory / GENESIS).read_bytes())
    counts = (small[0], large[0])
    rate = marginal_per_s(small[0], small[1], large[0], large[1])
    size_bytes = (large[2].stat().st_size - small[2].stat().st_size) / (large[0] - small[0])
    figures = {"records": counts, "took_s": [round(small[1], 3), round(large[1], 3)], "per_s": round(rate, 1)}
    figures["bytes_a_record"] = round(size_bytes)
    row = Row(
        "export by a client, verified",
        f"{rate:,.0f} records/s",
        f"{size_bytes:,.0f} bytes a record, no payloads",
    )
    found.add("export", figures, row)
    place.tell("proving the exports by the audit kit")
    kit: list[tuple[Timed, Timed]] = [
        (
            await asyncio.to_thread(run_kit, place.directory, ["--genesis", str(genesis), str(small[2])]),
            await asyncio.to_thread(run_kit, place.directory, ["--genesis", str(genesis), str(large[2])]),
        )
        for _ in range(sizes.kit_rounds)
    ]
    found.add("kit_export", *kit_figures("audit kit, an export's records", "records", counts, kit))
    return found


async def _export(place: Place, cluster: LocalCluster, records: int) -> tuple[int, float, Path]:
    """Fill the ledger up to so many records and export it: how many are in the file, how long it took, where it is."""
    place.tell(f"an export of {records:,} records")
    world = cluster.world
    async with SentoClient.open(world.institution(AUTHOR).config) as client:
        written = await fill_records(client, records)
        await wait_all_flushed(cluster)
        await client.checkpoint(at_least_size=max(written) + 1)
    path = place.directory / f"{records}.sento-export"
    async with SentoClient.open(world.institution(AUDITOR_BOARD.name).config) as client:
        await client.governance()
        start_s = time.perf_counter()
        exported = await client.export_ledger(path, _WANTED)
        return exported.checkpoint.size, time.perf_counter() - start_s, path
