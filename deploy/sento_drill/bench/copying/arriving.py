"""One copy over one link: a fresh embassy starts at the far end, and the clock runs until it has flushed what the source held.

Bytes are those that the link itself counted, in both directions and with what was lost and sent again: TLS, acknowledgements, cosignatures and
all. How far the embassy is, it is asked past the link.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass

from sento_drill.bench.copying.source import ABROAD, HOME, Source
from sento_drill.cluster import SERVING, LocalCluster, Status
from sento_drill.config_files import DATA_DIR, NODE_TOML, OrderingSettings, Table, node_toml
from sento_drill.links.figures import in_words
from sento_drill.links.link import open_link
from sento_drill.links.shaping import Counters, Shape
from sento_drill.waiting import TooLate, until

WHOLE, SPINE = "whole", "headers"
_POLL_S = 0.1
_SLACK_S = 120.0
_SLOWNESS = 4
"""A run may take so many times what the narrow link alone takes; then it hangs."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is to be measured. `what`: the whole, or headers alone; `goal_s`: None where no time was promised."""

    link: str
    shape: Shape
    what: str
    goal_s: float | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """What was found. `needed_bytes`: headers and payloads (or payload hashes) alone; `serving_s`: None where the run ended before."""

    run: Run
    kind: str
    records: int
    seconds: float
    serving_s: float | None
    needed_bytes: float
    there: Counters
    back: Counters

    @property
    def link_bytes(self) -> int:
        """What the link carried in both directions."""
        return self.there.sent_bytes + self.back.sent_bytes

    @property
    def ratio(self) -> float:
        """Bytes on the link for each byte that a copy cannot do without."""
        return self.link_bytes / self.needed_bytes

    def fields(self) -> dict[str, object]:
        """For JSON."""
        return {
            "link": self.run.link,
            "figures": in_words(self.run.shape),
            "shape": asdict(self.run.shape),
            "kind": self.kind,
            "what": self.run.what,
            "records": self.records,
            "seconds": round(self.seconds, 2),
            "goal_s": self.run.goal_s,
            "serving_s": None if self.serving_s is None else round(self.serving_s, 2),
            "records_per_s": round(self.records / self.seconds, 1),
            "needed_bytes": round(self.needed_bytes),
            "link_bytes": self.link_bytes,
            "bytes_ratio": round(self.ratio, 4),
            "link_used": round(self.there.sent_bytes / self.run.shape.rate_bytes_per_s / self.seconds, 3),
            "there": asdict(self.there),
            "back": asdict(self.back),
        }


async def copy_over(source: Source, run: Run, tell: Callable[[str], None]) -> Arrived:
    """Let a fresh embassy copy the source over the link. Raises TooLate with what it said last, NoLink, OSError."""
    needed = source.written.whole_bytes if run.what == WHOLE else source.written.spine_bytes
    deadline_s = _SLACK_S + _SLOWNESS * needed / run.shape.rate_bytes_per_s
    prepare_embassy(source, {"payloads": "after"} if run.what == SPINE else {})
    with open_link(source.place, run.shape) as link:
        async with LocalCluster(source.world, inside=link.inside) as cluster:
            try:
                cluster.start(HOME)
                await cluster.wait_serving(HOME)
                goal = await _size_at_home(cluster)
                before = link.counters()
                clock = asyncio.get_running_loop().time
                begun_s = clock()
                cluster.start(ABROAD)
                await _until_copied(cluster, run, goal, deadline_s, tell)
                seconds = clock() - begun_s
                counters = link.counters()
                serving_s = None
                if run.what == WHOLE:
                    await cluster.wait_serving(ABROAD, deadline_s=_SLACK_S)
                    serving_s = clock() - begun_s
            finally:
                await _end(cluster)
    there, back = (_since(one, other) for one, other in zip(before, counters, strict=True))
    return Arrived(run, source.place.kind, goal, seconds, serving_s, needed, there, back)


def prepare_embassy(source: Source, sync: Table) -> None:
    """An embassy as it comes from the factory, with these settings of its sync."""
    site = source.world.sites_directory / ABROAD
    shutil.rmtree(site / DATA_DIR, ignore_errors=True)
    config = node_toml(ABROAD, source.place.ports, OrderingSettings(), (ABROAD,), sync)
    (site / NODE_TOML).write_text(config, encoding="utf-8")


async def _size_at_home(cluster: LocalCluster) -> int:
    status = await cluster.status(HOME)
    if status is None:
        raise TooLate(await cluster.explain((HOME,)))
    return int(status.flushed_size)


async def _until_copied(
    cluster: LocalCluster, run: Run, goal: int, deadline_s: float, tell: Callable[[str], None]
) -> None:
    told = 0

    async def copied() -> bool:
        nonlocal told
        if cluster.processes[ABROAD].node() is None:
            raise TooLate(f"{ABROAD} ended by itself")
        status = await cluster.status(ABROAD)
        if status is None:
            return False
        if 10 * status.flushed_size // goal != told:
            told = 10 * status.flushed_size // goal
            tell(_progress(status, goal))
        return status.flushed_size >= goal and (run.what == SPINE or not status.payloads_awaited)

    try:
        await until(copied, deadline_s=deadline_s, what=f"{ABROAD} has not copied it all", poll_s=_POLL_S)
    except TooLate as error:
        raise TooLate(f"{error}\n{await cluster.explain((ABROAD,))}") from None


def _progress(status: Status, goal: int) -> str:
    sync = status.sync
    words = f"{status.flushed_size:,} of {goal:,} records, {status.payloads_awaited:,} payloads awaited"
    if sync.stage:
        words += f"; {sync.stage} from {sync.source}, {sync.rate_bytes_per_s / 1e6:.2f} MB/s, {sync.time_to_go_s:,} s to go"
    return words if status.state != SERVING else f"{words}; serving"


async def _end(cluster: LocalCluster) -> None:
    """The embassy's data goes away with the next run; the source stops in order, because it is used again."""
    await asyncio.to_thread(cluster.processes[ABROAD].kill)
    await cluster.end_all()


def _since(before: Counters, now: Counters) -> Counters:
    earlier = asdict(before)
    return Counters(**{name: value - earlier[name] for name, value in asdict(now).items()})
