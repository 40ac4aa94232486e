"""Real sites for a test module: a development world in a directory that goes away, its nodes and members as processes, ended by their ids.

The node under test is the command `sento-node` and nothing else; a test looks at it from outside, over gRPC, at its files and at its processes.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

from raw_calls import Author, Caller, Pems, WriteStream, pems_of, site_pems
from sento_drill import procfs
from sento_drill.cluster import LocalCluster, Status
from sento_drill.places import PLACES
from sento_drill.plan import WorldPlan
from sento_drill.waiting import until
from sento_drill.world import SiteFiles, World, make_world
from sento_node.releases.sealing import recipients_of
from sento_proto.governance.state import from_genesis
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.rules import RULES

WAIT_S = 60.0
ONE_SITE = WorldPlan(name="sento-one", sites=PLACES[:1])
AUTHOR, OTHER_AUTHOR, READER, AUDITOR = (
    "iizuka-city",
    "iizuka-hospital",
    "disaster-medical-team",
    "auditor-board",
)

_T = TypeVar("_T")


class LiveSites:
    """A running world."""

    def __init__(self, world: World, cluster: LocalCluster) -> None:
        self.world = world
        self.cluster = cluster
        self.names = tuple(site.name for site in world.sites)

    def files(self, site: str) -> SiteFiles:
        """A site's directory and address."""
        return next(files for files in self.world.sites if files.name == site)

    def data(self, site: str) -> Path:
        """A site's data directory."""
        return self.files(site).directory / "data"

    def caller(self, who: str, site: str | None = None) -> Caller:
        """An institution's certificate at a site (the first, if none is named)."""
        return Caller(self.files(site or self.names[0]), pems_of(self.world.institution(who)))

    def operator(self, site: str | None = None) -> Caller:
        """The operator's certificate at a site."""
        return Caller(self.files(site or self.names[0]), pems_of(self.world.operator))

    def as_site(self, speaker: str, site: str) -> Caller:
        """One site's certificate at another."""
        return Caller(self.files(site), site_pems(self.files(speaker)))

    def with_pems(self, pems: Pems, site: str | None = None) -> Caller:
        """Any certificate at a site."""
        return Caller(self.files(site or self.names[0]), pems)

    def author(self, name: str = AUTHOR) -> Author:
        """An institution that signs."""
        return Author.of(self.world, name)

    def log(self, site: str) -> str:
        """All that a site's node and member said."""
        return self.cluster.processes[site].log_tail(lines=100_000)

    async def status(self, site: str | None = None) -> Status:
        """What a site says of itself, which must answer."""
        status = await self.cluster.status(site or self.names[0])
        assert status is not None, f"{site or self.names[0]} does not answer"
        return status

    async def wait_status(
        self, site: str, condition: Callable[[Status], bool], what: str, *, deadline_s: float = WAIT_S
    ) -> Status:
        """The first status of a site for which `condition` holds. Raises TooLate with what the site said last."""
        last: list[str] = ["no answer"]

        async def look() -> Status | None:
            status = await self.cluster.status(site)
            if status is None:
                return None
            last[0] = f"{status.state}: {status.explanation} {list(status.alarms)}"
            return status if condition(status) else None

        try:
            return await until(look, deadline_s=deadline_s, what=f"{site}: {what}")
        except Exception as error:
            error.add_note(f"{site} said last: {last[0]}")
            raise

    async def wait_state(self, site: str, state: str, *, deadline_s: float = WAIT_S) -> Status:
        """Wait until a site says this state of itself."""
        return await self.wait_status(
            site, lambda status: status.state == state, f"state {state}", deadline_s=deadline_s
        )

    async def wait_ended(self, site: str, *, deadline_s: float = WAIT_S) -> int:
        """Wait until a site's node has ended by itself; its exit code."""
        processes = self.cluster.processes[site]

        async def ended() -> int | None:
            return processes.exit_code()

        return await until(ended, deadline_s=deadline_s, what=f"{site} still runs")


def _nothing(*_: object) -> None:
    return None


@contextlib.asynccontextmanager
async def running_sites(
    plan: WorldPlan | None = None,
    *,
    prepare: Callable[[World], None] = _nothing,
    arrange: Callable[[LocalCluster], None] = _nothing,
    after: Callable[[], None] = _nothing,
) -> AsyncIterator[LiveSites]:
    """A world of its own with all its sites serving. `prepare` may change files before they start, `arrange` how they are started, `after` is called when
    all have ended."""
    directory = Path(tempfile.mkdtemp(prefix="sento-live-"))
    try:
        world = make_world(directory / "world", plan)
        prepare(world)
        async with LocalCluster(world) as cluster:
            arrange(cluster)
            try:
                cluster.start_all()
                await cluster.wait_serving(deadline_s=WAIT_S)
                sites = LiveSites(world, cluster)
                await announcements_stand(sites)
                yield sites
            finally:
                await cluster.end_all()
    finally:
        after()
        shutil.rmtree(directory)


async def announcements_stand(sites: LiveSites) -> None:
    """A new ledger's first records are its sites' own, an announcement each and the seals of their keys for access records: no test is to meet one of them
    between two of its looks."""
    genesis = sites.world.genesis
    rules = RULES[genesis.rules]
    if not rules.acts:
        return
    governance = from_genesis(genesis)
    sealed = [
        registry
        for registry in governance.registries
        if registry not in CLEAR_CONTENT_REGISTRIES and recipients_of(governance, registry)
    ]
    each = 1 + (len(sealed) if rules.read_log else 0)
    keepers = [site.name for site in genesis.sites if site.ledger]
    for site in keepers:
        await sites.wait_status(
            site,
            lambda status: status.flushed_size >= each * len(keepers),
            "every site's own first records stand",
        )


@contextlib.asynccontextmanager
async def paused_member(sites: LiveSites, site: str | None = None) -> AsyncIterator[None]:
    """A site's ordering member is stopped (SIGSTOP) inside the block; after it the site writes again."""
    site = site or sites.names[0]
    member = sites.cluster.processes[site].member()
    assert member is not None, f"{site} has no member"
    procfs.send(member, signal.SIGSTOP)
    try:
        yield
    finally:
        procfs.send(member, signal.SIGCONT)
    await sites.wait_state(site, "serving")
    await writes_again(sites, site)


async def writes_again(sites: LiveSites, site: str) -> None:
    """Wait until a site acknowledges a record."""
    author = sites.author()
    async with sites.caller(AUTHOR, site) as caller, WriteStream(caller) as stream:

        async def acknowledged() -> bool:
            reply = await stream.ask(author.submission(author.record()))
            return not reply.HasField("error")

        await until(acknowledged, deadline_s=WAIT_S, what=f"{site} does not write")
