"""Our side: three sites of a fresh world, each a node and its ordering member, with every check on at every site, under one client of one institution."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sento_client import Freshness
from sento_drill.bench.sides import SENTO, Load
from sento_drill.bench.works import READERS, Timing, Work
from sento_drill.cluster import LocalCluster
from sento_drill.config_files import OrderingSettings
from sento_drill.plan import IIZUKA_CITY
from sento_drill.world import make_world

_MODE = {Freshness.LINEARIZABLE: "read", Freshness.LOCAL: "read-local"}


class SentoSide:
    """Sites that are made anew for every run."""

    name = SENTO

    def __init__(self, directory: Path, ordering: OrderingSettings) -> None:
        self._directory = directory
        self._ordering = ordering
        self._cluster: LocalCluster | None = None

    def servers(self) -> Mapping[str, int]:
        """Role -> process id, of each node and each ordering member."""
        found: dict[str, int] = {}
        for site, processes in self._running().processes.items():
            for role, process in (("node", processes.node()), ("ordering", processes.member())):
                if process is not None:
                    found[f"{role} {site}"] = process.pid
        return found

    async def start(self) -> None:
        """Make a world and start its sites; wait until all serve and agree on who leads. Raises TooLate, NoWorld."""
        world = await asyncio.to_thread(make_world, self._directory, ordering=self._ordering)
        self._cluster = LocalCluster(world)
        self._cluster.start_all()
        await self._cluster.wait_serving()
        await self._cluster.lead_site()

    async def stop(self) -> None:
        """End the sites and remove the world."""
        if self._cluster is not None:
            for site in self._cluster.processes:
                await asyncio.to_thread(self._cluster.kill_site, site)
            await self._cluster.end_all()
            await self._cluster.close()
            self._cluster = None
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    def writing(self, work: Work, timing: Timing) -> Load:
        """One client with so many callers."""
        return self._load("write", work.callers, timing, "--batch", str(work.batch))

    def reading(self, freshness: Freshness, timing: Timing) -> Load:
        """Reads of records that the load wrote before, each verified and opened."""
        return self._load(_MODE[freshness], READERS, timing)

    def probing(self, every_ms: int) -> Sequence[str]:
        """One write after the other through one client."""
        return [*self._program("probe"), "--every-ms", str(every_ms)]

    async def find_lead(self) -> Callable[[], None]:
        """What kills the leading site: its ordering member, and its node right after it."""
        cluster = self._running()
        lead = await cluster.lead_site()
        return lambda: cluster.kill_site(lead)

    def _load(self, mode: str, callers: int, timing: Timing, *more: str) -> Load:
        window = ["--warm-up", str(timing.warm_up_s), "--seconds", str(timing.seconds)]
        return Load([[*self._program(mode), "--callers", str(callers), *window, *more]])

    def _program(self, mode: str) -> list[str]:
        config = self._running().world.institution(IIZUKA_CITY.name).config
        return [sys.executable, "-m", "sento_drill.bench.sento_load", "--config", str(config), "--mode", mode]

    def _running(self) -> LocalCluster:
        assert self._cluster is not None, "the side was started"
        return self._cluster
