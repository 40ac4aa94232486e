"""The command `sento-drill bench-courier`: a ledger on courier volumes, proven offline, and imported at an embassy that reaches nobody, with times."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sento_drill.bench.copying.sync_command import DIRECTORY, KEEP, place_of_work, say

if TYPE_CHECKING:
    from sento_drill.bench.copying.source import Source

FORMAT = "sento-bench-courier-1"
MILLION = 1_000_000
CONTENT_BYTES = 200
"""Of a record: a million of them fit on small disks, and times count records more than bytes."""
_LISTENS_DEADLINE_S = 60.0


@click.command("bench-courier")
@click.option("--records", type=click.IntRange(100, 100_000_000), default=MILLION, show_default=True)
@click.option(
    "--content-bytes",
    type=click.IntRange(1, 16_000),
    default=CONTENT_BYTES,
    show_default=True,
    help="Of a record.",
)
@click.option("--volume-size", default="64MB", show_default=True, help="As for `sento courier export`.")
@DIRECTORY
@KEEP
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("bench-courier.json"),
    show_default=True,
    help="Where all figures are written.",
)
def bench_courier_command(
    records: int, content_bytes: int, volume_size: str, directory: Path, keep: Path | None, output: Path
) -> None:
    """Write a ledger at one site, then time the three commands of a courier: export from the live site, verify offline, import at a fresh embassy.

    \b
    A million records are some ten minutes to write before anything is timed. For a short look:
        sento-drill bench-courier --records 20000

    The embassy reaches no other site: what it holds in the end came from the volumes, every record proven by it. Exit code 1: a step failed.
    """
    from sento_client import SentoError, SetupError
    from sento_drill.bench.calls import LoadFailed
    from sento_drill.bench.machine import describe
    from sento_drill.commands import CommandFailed
    from sento_drill.links.link import NoLink
    from sento_drill.waiting import TooLate
    from sento_drill.world import NoWorld

    document: dict[str, object] = {"format": FORMAT, "machine": describe(directory, None)}
    trouble = ""
    with place_of_work(directory, keep, "sento-bench-courier-") as base:
        try:
            document |= asyncio.run(_measure(base, records, content_bytes, volume_size, say))
        except (
            CommandFailed,
            LoadFailed,
            NoLink,
            TooLate,
            NoWorld,
            SentoError,
            SetupError,
            OSError,
        ) as error:
            trouble = str(error)
    document |= {"trouble": trouble, "load_average_after": os.getloadavg()[0]}
    output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    click.echo(
        json.dumps({name: document[name] for name in ("source", "courier") if name in document}, indent=1)
    )
    if trouble:
        click.echo(f"sento-drill: {trouble}", err=True)
    sys.exit(1 if trouble else 0)


async def _measure(
    base: Path, records: int, content_bytes: int, volume_size: str, tell: Callable[[str], None]
) -> dict[str, object]:
    """The source if it is not there yet, then the three steps."""
    from dataclasses import asdict

    from sento_drill.bench.copying.day import events
    from sento_drill.bench.copying.source import make_source, open_source

    source = open_source(base)
    if source is None:
        tell(f"writing {records:,} records at one site")
        source = await make_source(base, events(records, content_bytes), packets=None, tell=tell)
    volumes = base / "volumes"
    shutil.rmtree(volumes, ignore_errors=True)
    volumes.mkdir()
    return {"source": asdict(source.written), "courier": await _carry(source, volumes, volume_size, tell)}


async def _carry(
    source: Source, volumes: Path, volume_size: str, tell: Callable[[str], None]
) -> dict[str, object]:
    """Export from the live source; verify and import while it is stopped. Each step's seconds and records a second."""
    from sento_drill.bench.copying.arriving import prepare_embassy
    from sento_drill.bench.copying.source import ABROAD, HOME
    from sento_drill.cluster import LocalCluster
    from sento_drill.courier import Courier
    from sento_drill.links.figures import LOW_ORBIT
    from sento_drill.links.link import open_link
    from sento_drill.waiting import until

    courier = Courier(source.world, volumes, volume_size)
    prepare_embassy(source, {})
    found: dict[str, object] = {"volume_size": volume_size}

    def note(step: str, seconds: float, records: int) -> None:
        found[f"{step}_s"] = round(seconds, 1)
        found[f"{step}_records_per_s"] = round(records / seconds)
        tell(f"{step}: {seconds:.1f} s, {records / seconds:,.0f} records/s")

    with open_link(source.place, LOW_ORBIT) as link:
        async with LocalCluster(source.world, inside=link.inside) as cluster:
            try:
                cluster.start(HOME)
                await cluster.wait_serving(HOME)
                status = await cluster.status(HOME)
                size = int(status.flushed_size) if status is not None else source.written.records
                note("export", await courier.export(), size)
                await courier.fetch_trust()
                await asyncio.to_thread(cluster.processes[HOME].stop)
                number, size_bytes = courier.volumes()
                found |= {"records": size, "volumes": number, "volume_bytes": size_bytes}
                note("verify", await courier.verify(), size)

                async def listens() -> bool:
                    return await cluster.status(ABROAD) is not None

                cluster.start(ABROAD)
                await until(listens, deadline_s=_LISTENS_DEADLINE_S, what=f"{ABROAD} does not listen")
                note("import", await courier.bring(ABROAD), size)
                arrived = await cluster.status(ABROAD)
                found["imported_size"] = 0 if arrived is None else int(arrived.flushed_size)
            finally:
                await asyncio.to_thread(cluster.processes[ABROAD].kill)
                await cluster.end_all()
    return found
