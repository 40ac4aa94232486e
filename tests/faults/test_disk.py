"""One site's disk fills up, or fails a flush: the site says so and stops before it could lie, the others go on, and nothing acknowledged is lost.

The soft limit closes the site's ingress and opens it again by itself; the hard end (no space, EIO) stops the node with exit code 1 and one sentence each of
cause and remedy. Where the machine cannot mount a small file system or trace a process, the test says so and is passed over.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hurt_disks import MIB, SmallDisk, flushes_fail, why_no_small_disk, why_no_strace
from live_sites import AUTHOR, LiveSites, running_sites, writes_again
from raw_calls import WriteStream, codes
from sento_drill.world import World
from sento_proto.errors import Code
from steady_writer import SteadyWriter, nothing_is_lost

pytestmark = pytest.mark.asyncio(loop_scope="module")

VICTIM, OTHER = "jp-fukuoka", "jp-ishikawa"
DISK_BYTES = 64 * MIB
NO_SMALL_DISK, NO_STRACE = why_no_small_disk(), why_no_strace()
needs_small_disk = pytest.mark.skipif(NO_SMALL_DISK is not None, reason=NO_SMALL_DISK or "")
needs_strace = pytest.mark.skipif(NO_STRACE is not None, reason=NO_STRACE or "")


class OneSmallDisk:
    """The victim's ledger lies on a small disk of its own where that is possible."""

    def __init__(self) -> None:
        self.disk: SmallDisk | None = None

    def mount(self, world: World) -> None:
        if NO_SMALL_DISK is None:
            site = next(site for site in world.sites if site.name == VICTIM)
            self.disk = SmallDisk(site.directory / "data" / "ledger", DISK_BYTES)
            assert self.disk.mount() is None

    def unmount(self) -> None:
        if self.disk is not None:
            self.disk.unmount()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[tuple[LiveSites, OneSmallDisk]]:
    small = OneSmallDisk()
    async with running_sites(prepare=small.mount, after=small.unmount) as sites:
        yield sites, small


@pytest_asyncio.fixture(loop_scope="module")
async def sites(running: tuple[LiveSites, OneSmallDisk]) -> LiveSites:
    """All three sites serve with room on their disks, whatever the test before did."""
    sites, small = running
    if small.disk is not None:
        small.disk.free()
    sites.cluster.start_all()
    await sites.cluster.wait_serving()
    return sites


@pytest.fixture
def disk(running: tuple[LiveSites, OneSmallDisk]) -> SmallDisk:
    assert running[1].disk is not None
    return running[1].disk


async def stopped_in_words(sites: LiveSites) -> str:
    """The victim ended by itself with exit code 1; what it said."""
    assert await sites.wait_ended(VICTIM) == 1
    lines = [line for line in sites.log(VICTIM).splitlines() if "takes no further part" in line]
    assert lines, sites.cluster.processes[VICTIM].log_tail()
    return lines[-1]


@needs_small_disk
async def test_a_disk_nearly_full_closes_its_sites_ingress_alone_and_opens_it_again_by_itself(
    sites: LiveSites, disk: SmallDisk
) -> None:
    author = sites.author()
    submission = author.submission(author.record())
    disk.fill(leave_bytes=2 * MIB)
    said = await sites.wait_status(VICTIM, lambda status: "disk-low" in str(status.alarms), "the alarm")
    assert said.state == "serving"
    assert re.search(r"Free space or enlarge the disk: at \d+ MiB the site opens again", str(said.alarms))
    async with sites.caller(AUTHOR, VICTIM) as caller, WriteStream(caller) as stream:
        assert await stream.refused(submission) is Code.DISK_LOW
        async with sites.caller(AUTHOR, OTHER) as elsewhere, WriteStream(elsewhere) as other:
            assert codes(await other.outcomes(submission)) == [Code.ACCEPTED]
        # The other site answers when a majority has the block; this one has it a moment later.
        await sites.wait_status(VICTIM, lambda status: status.applied_size > said.applied_size, "the record")
        assert codes(await stream.outcomes(submission)) == [Code.KNOWN], (
            "what stands is answered all the same"
        )
        disk.free()
        await sites.wait_status(VICTIM, lambda status: not status.alarms, "the alarm is over")
        await writes_again(sites, VICTIM)


@needs_small_disk
async def test_a_full_disk_stops_its_site_in_words_and_loses_nothing(
    sites: LiveSites, disk: SmallDisk
) -> None:
    async with SteadyWriter(sites, callers=2) as writer:
        await writer.more(20)
        disk.fill(leave_bytes=0)
        words = await stopped_in_words(sites)
        await writer.more(50)
    assert re.search("No space left on device|Input/output error", words), (
        words
    )  # LMDB calls a short write EIO
    assert "Check the disk and its free space, then start the site again" in words
    disk.free()
    sites.cluster.start(VICTIM)
    await nothing_is_lost(sites, writer, "disk full")


@needs_strace
@pytest.mark.parametrize(
    "file",
    [
        pytest.param("payloads/0000000001.segment", id="payloads", marks=pytest.mark.long),
        pytest.param("database/data.mdb", id="database"),
    ],
)
async def test_a_failed_flush_stops_its_site_at_once_in_words_and_loses_nothing(
    sites: LiveSites, file: str
) -> None:
    node = sites.cluster.processes[VICTIM].node()
    assert node is not None
    async with SteadyWriter(sites, callers=2) as writer:
        await writer.more(20)
        with flushes_fail(node.pid, sites.data(VICTIM) / "ledger" / file):
            words = await stopped_in_words(sites)
        await writer.more(50)
    assert "Input/output error" in words
    assert "Check the disk" in words
    sites.cluster.start(VICTIM)
    await nothing_is_lost(sites, writer, f"flush of {file} failed")
