"""An ordering member is its disk: a site whose disk was lost, exchanged or put back in time never votes under its old id, and says so in words.

Each test takes something of one site's disk away while it is stopped, looks at what the site does, and puts it back: with its own disk it joins again by
itself. The others acknowledge all the while. The last test is the story that the rule is for.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from live_sites import AUTHOR, LiveSites, running_sites, writes_again
from raw_calls import PURPOSE, WriteStream, codes
from sento_drill import procfs
from sento_drill.cluster import Status
from sento_drill.waiting import until
from sento_proto.errors import Code
from sento_proto.v1 import client_pb2, common_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

VICTIM, HELPER, ABSENT = "jp-fukuoka", "jp-ishikawa", "jp-ibaraki"
MEMBER_DATA = "ordering/epoch-0000/etcd"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[LiveSites]:
    async with running_sites() as sites:
        yield sites


@pytest_asyncio.fixture(loop_scope="module")
async def sites(running: LiveSites) -> LiveSites:
    """All three sites serve, whatever the test before did."""
    for processes in running.cluster.processes.values():
        processes.resume()
    running.cluster.start_all()
    await running.cluster.wait_serving()
    return running


async def stop(sites: LiveSites, site: str) -> None:
    await asyncio.to_thread(sites.cluster.processes[site].stop)


async def refused(sites: LiveSites, site: str) -> Status:
    """Start a site that must not take part: what it says, with its member never started."""
    sites.cluster.start(site)
    said = await sites.wait_status(
        site, lambda status: status.state in ("refused", "serving"), "the site decides about its disk"
    )
    assert said.state == "refused", said
    assert sites.cluster.processes[site].member() is None
    assert "sento-node replace-disk" in said.explanation, "the way back is named"
    return said


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        (".", "disk is empty"),
        pytest.param("ordering", "replaced or rolled back", marks=pytest.mark.long),
        (MEMBER_DATA, "directory is empty"),
        pytest.param("boot-number", "replaced or rolled back", marks=pytest.mark.long),
    ],
    ids=["whole-disk", "ordering-directory", "members-data", "boot-number"],
)
async def test_a_site_that_lost_a_part_of_its_disk_is_refused_and_joins_again_with_its_own(
    sites: LiveSites, tmp_path: Path, lost: str, says: str
) -> None:
    await stop(sites, VICTIM)
    part, aside = sites.data(VICTIM) / lost, tmp_path / "aside"
    shutil.move(part, aside)
    try:
        said = await refused(sites, VICTIM)
        assert says in said.explanation
        await writes_again(sites, HELPER)
        await stop(sites, VICTIM)
        assert sites.cluster.processes[VICTIM].exit_code() == 1
        assert says in (await refused(sites, VICTIM)).explanation, "starting it again wears no refusal off"
        await stop(sites, VICTIM)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)
        shutil.move(aside, part)
    sites.cluster.start(VICTIM)
    await sites.cluster.wait_caught_up(VICTIM)


async def test_a_site_whose_disk_was_put_back_in_time_is_refused_by_what_the_others_remember(
    sites: LiveSites, tmp_path: Path
) -> None:
    await stop(sites, VICTIM)
    earlier, present = tmp_path / "earlier", tmp_path / "present"
    data = sites.data(VICTIM)
    shutil.copytree(data, earlier, symlinks=True)
    sites.cluster.start(VICTIM)
    await sites.cluster.wait_serving()
    await writes_again(sites, VICTIM)
    await stop(sites, VICTIM)
    shutil.move(data, present)
    shutil.move(earlier, data)
    said = await refused(sites, VICTIM)
    assert "rolled back" in said.explanation
    await stop(sites, VICTIM)
    shutil.rmtree(data)
    shutil.move(present, data)
    sites.cluster.start(VICTIM)
    await sites.cluster.wait_caught_up(VICTIM)


@pytest.mark.long
async def test_a_member_whose_directory_is_emptied_under_it_is_not_started_empty_even_with_nobody_to_ask(
    sites: LiveSites, tmp_path: Path
) -> None:
    """The others are paused, so that etcd itself could not learn from them that this member had been there before."""
    processes = sites.cluster.processes[VICTIM]
    member = processes.member()
    assert member is not None
    aside, data = tmp_path / "aside", sites.data(VICTIM) / MEMBER_DATA
    for name in (HELPER, ABSENT):
        sites.cluster.processes[name].pause()
    shutil.move(data, aside)
    procfs.send(member, signal.SIGKILL)
    assert await sites.wait_ended(VICTIM) == 1
    for name in (HELPER, ABSENT):
        sites.cluster.processes[name].resume()
    assert "emptied while it ran" in processes.log_tail()
    assert not (data / "member").exists(), "no member ever began anew there"
    shutil.rmtree(data, ignore_errors=True)
    shutil.move(aside, data)
    sites.cluster.start(VICTIM)
    await sites.cluster.wait_serving()
    await writes_again(sites, VICTIM)


async def test_the_lost_write_a_wiped_member_under_its_old_id_never_makes_a_majority_that_forgets(
    sites: LiveSites, tmp_path: Path
) -> None:
    """The write is flushed by two of three; one of the two loses its disk, the other is away, and the third never had it."""
    author = sites.author()
    record = author.record()
    sites.cluster.kill_site(ABSENT)
    await sites.wait_state(VICTIM, "serving")
    async with sites.caller(AUTHOR, VICTIM) as caller, WriteStream(caller) as stream:

        async def acknowledged() -> int | None:
            reply = await stream.ask(author.submission(record))
            return None if reply.HasField("error") else int(reply.outcomes[0].position)

        position = await until(acknowledged, deadline_s=30, what="two of three do not acknowledge")
    sites.cluster.kill_site(VICTIM)
    sites.cluster.kill_site(HELPER)
    data, aside = sites.data(VICTIM), tmp_path / "aside"
    shutil.move(data, aside)

    sites.cluster.start(VICTIM)
    await sites.wait_state(VICTIM, "waiting-for-boot-confirmation")
    sites.cluster.start(ABSENT)
    said = await sites.wait_state(VICTIM, "refused")
    assert ABSENT in said.explanation
    third = await sites.wait_status(
        ABSENT, lambda status: status.state == "starting", "the third site has booted"
    )
    assert sites.cluster.processes[VICTIM].member() is None
    async with sites.caller(AUTHOR, ABSENT) as caller, WriteStream(caller) as stream:
        assert await stream.refused(author.submission(author.record())) is Code.NOT_READY
    assert third.flushed_size <= position

    sites.cluster.start(HELPER)
    await sites.cluster.wait_serving(HELPER, ABSENT)
    for name in (HELPER, ABSENT):
        async with sites.caller(AUTHOR, name) as caller:
            request = client_pb2.ReadRequest(
                purpose=PURPOSE, position=position, freshness=common_pb2.LINEARIZABLE
            )
            assert (await caller.registry.Read(request, timeout=20)).record.record_hash == record.record_hash
    async with sites.caller(AUTHOR, HELPER) as caller, WriteStream(caller) as stream:
        again = await stream.outcomes(author.submission(record))
    assert (codes(again), again[0][1]) == ([Code.KNOWN], position)

    await stop(sites, VICTIM)
    shutil.rmtree(data)
    shutil.move(aside, data)
    sites.cluster.start(VICTIM)
    await sites.cluster.wait_caught_up(VICTIM)
