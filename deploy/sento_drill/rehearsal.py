"""What every drill against a local cluster shares: a world that runs, offices that write, a table that is kept up to date, and an end in any case.

async with Rehearsal(...) as drill:       the world is made, its sites serve
    ...
                                          sites are stopped, unless they are to stay
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from sento_drill.cluster import LocalCluster
from sento_drill.config_files import OrderingSettings
from sento_drill.display import Display
from sento_drill.municipality import municipality
from sento_drill.offices import Offices
from sento_drill.plan import WorldPlan
from sento_drill.tally import Tally
from sento_drill.waiting import TooLate, until
from sento_drill.workload import Workload
from sento_drill.world import SITES, NoWorld, World, make_world, open_world

WRITES_IN_FLIGHT = 256
EVENTS_PER_S = 200.0
TABLE_EVERY_S = 0.5
FLUSHED_DEADLINE_S = 60.0
PROGRESS_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class RehearsalSettings:
    """`directory`: where the world is made anew. `stay`: leave it running at the end. `base_port`: None asks the OS.

    `later`: sites that are not started with the others."""

    directory: Path
    residents: int = 1_000
    seed: int = 1
    stay: bool = False
    base_port: int | None = None
    ordering: OrderingSettings = field(default_factory=OrderingSettings)
    plan: WorldPlan = field(default_factory=WorldPlan)
    later: tuple[str, ...] = ()


class Rehearsal:
    """One cluster under one municipality's writes."""

    def __init__(self, settings: RehearsalSettings, display: Display) -> None:
        self.settings = settings
        self.display = display
        self.town = municipality(settings.residents, settings.seed)
        self.tally = Tally()
        self._done: Callable[[], int] = lambda: 0
        self._silent: set[str] = set()
        self._events = (event.fact for event in self.town.events() if event.fact.author not in self._silent)
        self._stop_writing = asyncio.Event()
        self.pace_per_s = EVENTS_PER_S
        """How fast events are written from now on."""
        self._writing: asyncio.Task[None] | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Rehearsal:
        self.stage("making a world: certificates, keys, genesis")
        self.world = await asyncio.to_thread(fresh_world, self.settings)
        sites = ", ".join(site.name for site in self.world.sites)
        self.display.say(
            f"{self.world.directory}: {sites}; ledger {self.world.genesis.ledger_id.hex()[:16]}…"
        )
        self.cluster = LocalCluster(self.world, bound=not self.settings.stay)
        self.offices = Offices(self.world)
        try:
            await self._start()
        except BaseException:
            await self.end()
            raise
        return self

    async def _start(self) -> None:
        await self.offices.__aenter__()
        self.workload = Workload(self.offices.write, self.tally, in_flight=WRITES_IN_FLIGHT)
        self.stage("starting the sites: a node each, and an ordering member where there is a vote")
        first = [site.name for site in self.world.sites if site.name not in self.settings.later]
        for site in first:
            self.cluster.start(site)
        self._ticking = asyncio.create_task(self._tick())
        await self.cluster.wait_serving(*first)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.end(leave_running=self.settings.stay and error is None)

    async def end(self, *, leave_running: bool = False) -> None:
        """Close clients, stop what runs."""
        for task in (self._writing, self._ticking):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await self.offices.__aexit__(None, None, None)
        if not leave_running:
            await self.cluster.end_all()
        await self.cluster.close()

    def stage(self, title: str, total: int | None = None, done: Callable[[], int] | None = None) -> None:
        """The next part begins; `done` tells how far it is (None: acknowledgements from now on)."""
        before = len(self.tally)
        self._done = done or (lambda: len(self.tally) - before)
        self.display.stage(title, total)

    async def load(self) -> None:
        """Write the municipality's first facts, and say how fast it went."""
        facts = await asyncio.to_thread(lambda: list(self.town.facts()))
        self.stage(f"loading {self.settings.residents:,} residents", len(facts))
        start_s = time.monotonic()
        await self.workload.load(facts, self.offices.write_many)
        took_s = time.monotonic() - start_s
        self.display.say(
            f"{len(self.tally):,} records in {took_s:.1f} s, {len(self.tally) / took_s:,.0f} a second"
        )

    def start_writing(self, per_s: float = EVENTS_PER_S) -> None:
        """Begin to write events, until `stop_writing`."""
        self._stop_writing.clear()
        self.pace_per_s = per_s
        writing = self.workload.keep_writing(
            self._events, per_s=lambda: self.pace_per_s, stop=self._stop_writing
        )
        self._writing = asyncio.create_task(writing)

    async def stop_writing(self) -> None:
        """End the events; returns when everything on its way is answered."""
        self._stop_writing.set()
        if self._writing is not None:
            await self._writing
            self._writing = None

    async def silence(self, author: str) -> None:
        """From now on nothing happens that this office would write; returns when all that it had on its way is answered."""
        self._silent.add(author)
        await self.wait(lambda: not self.workload.under_way(author), f"{author} has writes on their way")

    def speak(self, author: str) -> None:
        """This office writes again."""
        self._silent.discard(author)

    async def wait_acknowledged(self, more: int, since_s: float) -> None:
        """Wait until so many acknowledgements came after `since_s`. Raises TooLate."""
        await self.wait(
            lambda: self.tally.count_since(since_s) >= more, f"fewer than {more} acknowledgements"
        )

    async def wait_flushed(self, sites: Sequence[str] | None = None) -> None:
        """Wait until every site (of these) has flushed every acknowledged record. Raises TooLate."""
        size = self.tally.size

        async def flushed() -> bool:
            answers = await self.cluster.statuses()
            statuses = [answers[site] for site in (answers if sites is None else sites)]
            return all(status is not None and status.flushed_size >= size for status in statuses)

        await self.until(flushed, FLUSHED_DEADLINE_S, f"not every site has flushed {size} records")

    async def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that shows in the tally. Raises TooLate."""

        async def holds() -> bool:
            if self._writing is not None and self._writing.done():
                await self._writing
            return condition()

        await self.until(holds, PROGRESS_DEADLINE_S, what)

    async def until(self, condition: Callable[[], Awaitable[bool]], deadline_s: float, what: str) -> None:
        """Wait until it holds. Raises TooLate with what every site says."""
        try:
            await until(condition, deadline_s=deadline_s, what=what)
        except TooLate as error:
            raise TooLate(f"{error}\n{await self.cluster.explain()}") from None

    async def _tick(self) -> None:
        while True:
            self.display.advance(self._done())
            self.display.sites(await self.cluster.statuses())
            await asyncio.sleep(TABLE_EVERY_S)


def fresh_world(settings: RehearsalSettings) -> World:
    """A new world where an earlier drill may have left one: its sites are ended by their ids and its directory is removed.

    Raises NoWorld when the directory holds something else."""
    directory = settings.directory
    if (directory / SITES).is_dir():
        remove_world(directory)
    elif directory.exists() and any(directory.iterdir()):
        raise NoWorld(f"{directory} holds something that is no world; name another directory")
    return make_world(directory, settings.plan, base_port=settings.base_port, ordering=settings.ordering)


def remove_world(directory: Path) -> None:
    """End what runs in a world and remove it. Raises NoWorld when it is none."""
    world = open_world(directory)
    for processes in LocalCluster.processes_of(world, bound=True).values():
        processes.end()
    shutil.rmtree(world.directory)
