"""A ledger carried by hand between real sites: exported from live ones while writers go on, proven offline, brought into a site that lost its disk and reaches
nobody, with a damaged and a missing volume first; then the difference by link."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from courier_sites import CourierDesk, Ended
from live_sites import AUTHOR, LiveSites, running_sites
from raw_calls import WriteStream, codes
from sento_drill.places import LU_BETZDORF, PLACES
from sento_drill.plan import OFFICERS, WorldPlan
from sento_proto.arrival import decode_arrival
from sento_proto.errors import Code
from steady_writer import SteadyWriter

pytestmark = pytest.mark.asyncio(loop_scope="module")

ABROAD = LU_BETZDORF.site
RECIPIENT = "disaster-medical-team"
RECORD_BYTES = 29_000
RECORDS = 480


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(WorldPlan(sites=(*PLACES, LU_BETZDORF))) as sites:
        await write_large(sites, RECORDS)
        for name in sites.names:
            await sites.wait_status(
                name, lambda status: status.quorum_size >= RECORDS, "a quorum's checkpoint over all of it"
            )
        yield sites


@pytest.fixture
def desk(sites: LiveSites) -> CourierDesk:
    return CourierDesk(sites, OFFICERS[0])


async def write_large(sites: LiveSites, count: int) -> None:
    author = sites.author()
    async with sites.caller(AUTHOR) as caller, WriteStream(caller) as stream:

        async def write() -> None:
            submission = author.submission(author.record(content_bytes=RECORD_BYTES))
            assert codes(await stream.outcomes(submission)) == [Code.ACCEPTED]

        for _ in range(count // 16):
            await asyncio.gather(*(write() for _ in range(16)))


def seal_key(sites: LiveSites) -> Path:
    return sites.world.institution(RECIPIENT).directory / "seal.key"


async def imported(sites: LiveSites, desk: CourierDesk, directory: Path) -> Ended:
    return await desk.with_operator(
        "courier", "import", directory, "--site", ABROAD, "--key", seal_key(sites)
    )


async def test_a_carried_ledger_fills_a_site_that_reaches_nobody_and_the_rest_comes_by_link(
    sites: LiveSites, desk: CourierDesk, tmp_path: Path
) -> None:
    disk, trust = tmp_path / "disk", tmp_path / "trust.json"
    async with SteadyWriter(sites, callers=1) as writer:
        await writer.more(5)
        made = await desk.with_operator("courier", "export", disk, "--to", RECIPIENT, "--volume-size", "5MB")
        await writer.more(20)
    assert made.code == 0, made.words
    size, root = made.value["to_size"], made.value["root"]
    told = await desk.run("govern", "trust", "--out", trust)
    assert told.code == 0, told.words
    proven = await desk.run("courier", "verify", disk, "--trust", trust, "--key", seal_key(sites))
    assert proven.code == 0, proven.words
    assert (proven.value["size"], proven.value["root"]) == (size, root)
    assert proven.value["payloads_left_out"] == 0

    for site in sites.names:
        await asyncio.to_thread(sites.cluster.processes[site].stop)
    shutil.rmtree(sites.data(ABROAD))
    payloads = sorted(disk.glob("*.sento-volume"))[1:-2]
    assert len(payloads) >= 3, "enough payloads for several volumes"
    good = payloads[0].read_bytes()
    payloads[0].write_bytes(
        good[: len(good) // 2] + bytes([good[len(good) // 2] ^ 1]) + good[len(good) // 2 + 1 :]
    )
    away = tmp_path / payloads[1].name
    payloads[1].rename(away)
    sites.cluster.start(ABROAD)
    await sites.wait_status(ABROAD, lambda status: True, "the site answers")

    first = await imported(sites, desk, disk)
    assert first.code == 5, first.words
    bad = first.value["bad"]
    assert isinstance(bad, list)
    assert {one["verdict"] for one in bad} == {"damaged", "missing"}
    assert (first.value["size"], first.value["root"]) == (size, root), "the spine is whole"
    assert first.value["payloads_awaited"]

    payloads[0].write_bytes(good)
    away.rename(payloads[1])
    second = await imported(sites, desk, disk)
    assert second.code == 0, second.words
    assert second.value["payloads_awaited"] == 0
    assert (second.value["size"], second.value["root"]) == (size, root)
    receipt = decode_arrival(Path(str(second.value["receipt"])).read_bytes()).content
    assert (receipt.site, receipt.size, receipt.root.hex()) == (ABROAD, size, root)
    assert {volume.verdict for volume in receipt.volumes} == {"used"}

    third = await imported(sites, desk, disk)
    assert third.code == 0
    assert third.value["chunks"] == {}, "nothing is sent twice"

    for site in sites.names:
        if site != ABROAD:
            sites.cluster.start(site)
    await sites.cluster.wait_serving()
    newest = (await sites.status(sites.names[0])).flushed_size
    assert newest > int(str(size))
    await sites.wait_status(
        ABROAD, lambda status: status.flushed_size >= newest, "the difference came by link"
    )
    assert (await sites.status(ABROAD)).payloads_awaited == 0


async def test_a_backup_of_running_sites_grows_by_what_is_new_and_proves_itself(
    sites: LiveSites, desk: CourierDesk, tmp_path: Path
) -> None:
    directory, trust = tmp_path / "backup", tmp_path / "trust.json"
    assert (await desk.run("govern", "trust", "--out", trust)).code == 0
    first = await desk.with_operator("backup", directory)
    assert first.code == 0, first.words
    before = {path: path.stat().st_mtime_ns for path in directory.glob("*.sento-volume")}
    await write_large(sites, 16)
    await sites.wait_status(
        sites.names[0],
        lambda status: status.quorum_size >= int(str(first.value["to_size"])) + 16,
        "the records are cosigned",
    )
    second = await desk.with_operator("backup", directory)
    assert second.code == 0, second.words
    assert second.value["from_size"] == first.value["to_size"]
    assert before == {path: path.stat().st_mtime_ns for path in before}, "what was written stays as it was"
    proven = await desk.run("backup", "verify", directory, "--trust", trust)
    assert proven.code == 0, proven.words
    assert (proven.value["size"], proven.value["root"]) == (second.value["to_size"], second.value["root"])


async def test_whoever_is_no_operator_neither_gets_nor_brings_volumes(
    sites: LiveSites, desk: CourierDesk, tmp_path: Path
) -> None:
    refused = await desk.run("courier", "export", tmp_path / "disk", "--to", RECIPIENT)
    assert refused.code == 1
    assert "IDENTITY_REFUSED" in refused.words
