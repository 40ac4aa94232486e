"""Sites for a part: a fresh world whose sites serve and have written their own first records, ended and removed when the part is over; and records in it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from sento_client import SentoClient, SentoError
from sento_drill.bench.calls import LoadFailed
from sento_drill.bench.works import drafts
from sento_drill.cluster import LocalCluster
from sento_drill.plan import IIZUKA_CITY, WorldPlan
from sento_drill.waiting import until
from sento_drill.world import World, make_world

AUTHOR = IIZUKA_CITY.name
FILL_CALLERS, FILL_BATCH = 8, 100
QUIET_S = 1.0
QUIET_DEADLINE_S = 60.0


def _as_it_is(_world: World) -> None:
    return None


@contextlib.asynccontextmanager
async def running_sites(
    directory: Path, plan: WorldPlan | None = None, *, prepare: Callable[[World], None] = _as_it_is
) -> AsyncIterator[LocalCluster]:
    """A world made in `directory` with all sites serving. `prepare` may change its files before they start. Raises TooLate, NoWorld."""
    world = await asyncio.to_thread(make_world, directory, plan)
    prepare(world)
    async with LocalCluster(world) as cluster:
        try:
            await start_and_settle(cluster)
            yield cluster
        finally:
            await end_at_once(cluster)
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


async def start_and_settle(cluster: LocalCluster) -> None:
    """Start what does not run; wait until all serve, agree on who leads, and write nothing of their own any more. Raises TooLate."""
    cluster.start_all()
    await cluster.wait_serving()
    await cluster.lead_site()
    before: list[int] = []

    async def quiet() -> bool:
        nonlocal before
        sizes = await flushed_sizes(cluster)
        same = len(set(sizes)) == 1 and sizes[0] > 0 and sizes == before
        before = sizes
        return same

    await until(
        quiet,
        deadline_s=QUIET_DEADLINE_S,
        what="sites go on writing records of their own",
        poll_s=QUIET_S,
    )


async def end_at_once(cluster: LocalCluster) -> None:
    """Kill the sites; what they would still have done is of no use."""
    for site in cluster.processes:
        await asyncio.to_thread(cluster.kill_site, site)
    await cluster.end_all()


async def flushed_sizes(cluster: LocalCluster) -> list[int]:
    """How many records each site has on disk; 0 where it does not answer."""
    return [0 if status is None else status.flushed_size for status in (await cluster.statuses()).values()]


async def wait_all_flushed(cluster: LocalCluster) -> int:
    """Wait until all sites have flushed as much as the furthest had. Returns that size. Raises TooLate."""
    goal = max(await flushed_sizes(cluster))

    async def flushed() -> bool:
        return min(await flushed_sizes(cluster)) >= goal

    await until(flushed, deadline_s=QUIET_DEADLINE_S, what=f"not every site has flushed {goal} records")
    return goal


async def fill(client: SentoClient, more: Callable[[], bool]) -> list[int]:
    """Write records of about 1 KiB, in batches by several callers, while `more` says so; their positions. Raises LoadFailed."""
    source, positions = drafts(), list[int]()

    async def caller() -> None:
        while more():
            for result in await client.write_many([next(source) for _ in range(FILL_BATCH)]):
                if isinstance(result, SentoError):
                    raise LoadFailed(f"what is to be measured cannot be written: {result}")
                positions.append(result.position)

    await asyncio.gather(*(caller() for _ in range(FILL_CALLERS)))
    return positions


async def fill_records(client: SentoClient, records: int) -> list[int]:
    """At least so many records. Raises as `fill`."""
    begun = 0

    def more() -> bool:
        nonlocal begun
        begun += FILL_BATCH
        return begun - FILL_BATCH < records

    return await fill(client, more)


def tree_bytes(directory: Path) -> int:
    """Bytes of all files below a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
