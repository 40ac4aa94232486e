"""The site that is copied from: a world of one voting site and one embassy; the voting site was filled by ordinary writes and is used by every run after.

The bytes of the records themselves, headers and payloads, are what a copy cannot do without; they are averaged over a sample, because all are of a few sizes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from sento_client import Draft, SentoClient, SentoError
from sento_drill.bench.calls import LoadFailed
from sento_drill.cluster import LocalCluster
from sento_drill.links.figures import LOW_ORBIT
from sento_drill.links.link import PACKETS, LinkPlace, open_link, place_link
from sento_drill.offices import CASE_NUMBER, PURPOSE
from sento_drill.places import JP_FUKUOKA, LU_BETZDORF
from sento_drill.plan import AUDITOR_BOARD, IIZUKA_CITY, WorldPlan
from sento_drill.ports import SitePorts, free_ports
from sento_drill.world import World, make_world, open_world
from sento_proto.header import encode

HOME, ABROAD = JP_FUKUOKA.site, LU_BETZDORF.site
PLAN = WorldPlan(name="sento-bench-copies", sites=(JP_FUKUOKA, LU_BETZDORF))
PAYLOAD_HASH_BYTES = 32
"""Goes with each header where the payload does not."""
SAMPLE = 1_000
_CALLERS, _BATCH = 8, 100
_NOTE = "source.json"


@dataclass(frozen=True, slots=True)
class Written:
    """What stands in the source. `header_bytes` and `payload_bytes`: of a record, on average; `write_s`: how long writing took."""

    records: int
    header_bytes: float
    payload_bytes: float
    write_s: float

    @property
    def whole_bytes(self) -> float:
        """Headers and payloads of all records."""
        return self.records * (self.header_bytes + self.payload_bytes)

    @property
    def spine_bytes(self) -> float:
        """Headers and hashes of payloads."""
        return self.records * (self.header_bytes + PAYLOAD_HASH_BYTES)


@dataclass(frozen=True, slots=True)
class Source:
    """A filled world and where its link is."""

    world: World
    place: LinkPlace
    written: Written


def open_source(directory: Path) -> Source | None:
    """A source that was made before; None where there is none. Raises NoWorld when its world is gone."""
    try:
        note = json.loads((directory / _NOTE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    ports = {site: SitePorts(**found) for site, found in note["ports"].items()}
    place = LinkPlace(note["kind"], (HOME, ABROAD), ports)
    return Source(open_world(directory / "world"), place, Written(**note["written"]))


async def make_source(
    directory: Path, drafts: Iterator[Draft], *, packets: bool | None, tell: Callable[[str], None]
) -> Source:
    """Make a world in `directory`, write `drafts` at its voting site, and stop it. Raises LoadFailed, NoLink, NoWorld, TooLate, SentoError."""
    place = place_link((HOME, ABROAD), dict(zip((HOME, ABROAD), free_ports(2), strict=True)), packets=packets)
    world = await asyncio.to_thread(make_world, directory / "world", PLAN, ports=place.ports)
    loop = asyncio.get_running_loop()
    # Nothing passes the link yet; its namespace is where the site's addresses are.
    with open_link(place, LOW_ORBIT) as link:
        async with LocalCluster(world, inside=link.inside) as cluster:
            cluster.start(HOME)
            try:
                await cluster.wait_serving(HOME)
                begun_s = loop.time()
                async with SentoClient.open(world.institution(IIZUKA_CITY.name).config) as client:
                    records = await write_all(client, drafts, tell)
                write_s = loop.time() - begun_s
                headers, payloads = await _sizes(world)
                await asyncio.to_thread(cluster.processes[HOME].stop)
            finally:
                await cluster.end_all()
    written = Written(records, headers, payloads, round(write_s, 1))
    note = {
        "kind": place.kind,
        "ports": {site: asdict(found) for site, found in place.ports.items()},
        "written": asdict(written),
    }
    (directory / _NOTE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    return Source(world, place, written)


async def write_all(client: SentoClient, drafts: Iterator[Draft], tell: Callable[[str], None]) -> int:
    """Write them in batches by several callers; how many. Raises LoadFailed."""
    done = 0

    async def caller() -> None:
        nonlocal done
        while batch := list(islice(drafts, _BATCH)):
            for result in await client.write_many(batch):
                if isinstance(result, SentoError):
                    raise LoadFailed(f"what is to be copied cannot be written: {result}")
            before, done = done, done + len(batch)
            if before // 20_000 != done // 20_000:
                tell(f"{done:,} records written")

    await asyncio.gather(*(caller() for _ in range(_CALLERS)))
    return done


async def _sizes(world: World) -> tuple[float, float]:
    """Bytes of a record's header and of its payload, averaged over the first of the ministry's records."""
    headers: list[int] = []
    payloads: list[int] = []
    async with SentoClient.open(world.institution(AUDITOR_BOARD.name).config) as auditor:
        changes = auditor.changes(
            registry="residency",
            from_position=0,
            purpose=PURPOSE,
            case_number=CASE_NUMBER,
            site=HOME,
            header_only=True,
        )
        async for version in changes:
            headers.append(len(encode(version.header)))
            payloads.append(version.header.payload_bytes)
            if len(headers) == SAMPLE:
                break
    return round(sum(headers) / len(headers), 1), round(sum(payloads) / len(payloads), 1)


def of_packets(source: Source) -> bool:
    """Whether its link carries packets, so that TCP feels loss."""
    return source.place.kind == PACKETS
