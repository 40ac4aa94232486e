"""A voting site on a new disk: one command takes the former member out, adds a learner, copies the ledger and promotes it, with a kill at any step.

Writers go on at the other sites. Nothing that was acknowledged is lost, the site has another member than before, and what its former disk held never votes
again.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio

from live_sites import LiveSites, running_sites, writes_again
from sento_drill.waiting import until
from sento_node.joining.note import NOTE_FILE
from sento_node.ordering.etcd.members import Member, MemberChanges
from sento_proto.v1 import sync_pb2
from steady_writer import SteadyWriter, nothing_is_lost

pytestmark = pytest.mark.asyncio(loop_scope="module")

VICTIM, HELPER, OTHER = "jp-fukuoka", "jp-ishikawa", "jp-ibaraki"
REPLACE = "replace-disk"
JOINED_S = 90.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[LiveSites]:
    async with running_sites() as sites:
        yield sites


@pytest_asyncio.fixture(loop_scope="module")
async def sites(running: LiveSites) -> LiveSites:
    running.cluster.start_all()
    await running.cluster.wait_serving()
    return running


async def members(sites: LiveSites, at: str = HELPER) -> dict[str, Member]:
    """The ordering log's members by the name they started with, as a standing site's own member lists them."""
    run = sites.data(at) / "ordering/epoch-0000/run"
    changes = MemberChanges(f"unix:{run}/client:1")
    try:
        return {one.site: one for one in await changes.listed(timeout_ms=3_000)}
    finally:
        await changes.close()


async def joined(sites: LiveSites) -> None:
    """The site serves, and its joining is over."""
    await sites.wait_state(VICTIM, "serving", deadline_s=JOINED_S)

    async def over() -> bool:
        return not (sites.data(VICTIM) / NOTE_FILE).exists()

    await until(over, deadline_s=JOINED_S, what="the joining is over")


async def test_a_lost_disk_is_replaced_under_writes_and_nothing_acknowledged_is_lost(
    sites: LiveSites, tmp_path: Path
) -> None:
    before = await members(sites)
    async with SteadyWriter(sites, callers=2) as writer:
        await writer.more(100)
        sites.cluster.kill_site(VICTIM)
        former = tmp_path / "former-disk"
        shutil.move(sites.data(VICTIM), former)
        sites.cluster.start(VICTIM)
        said = await sites.wait_state(VICTIM, "refused")
        assert "disk is empty" in said.explanation
        assert "sento-node replace-disk" in said.explanation
        await asyncio.to_thread(sites.cluster.processes[VICTIM].stop)
        sites.cluster.start(VICTIM, REPLACE)
        await joined(sites)
        await writer.more(100)
    after = await members(sites)
    assert set(after) == set(before), "one member for each site, and none twice"
    assert after[VICTIM].votes
    assert after[VICTIM].member_id != before[VICTIM].member_id
    await sites.cluster.wait_caught_up(VICTIM)
    await nothing_is_lost(sites, writer, "a replaced disk")
    await writes_again(sites, VICTIM)
    assert (sites.data(VICTIM) / "replaced-1").is_dir(), "what a refused start had left was set aside"

    await asyncio.to_thread(sites.cluster.processes[VICTIM].stop)
    present = tmp_path / "present-disk"
    shutil.move(sites.data(VICTIM), present)
    shutil.move(former, sites.data(VICTIM))
    sites.cluster.start(VICTIM)
    said = await sites.wait_state(VICTIM, "refused")
    assert "rolled back" in said.explanation
    assert sites.cluster.processes[VICTIM].member() is None, "the former member never starts"
    await asyncio.to_thread(sites.cluster.processes[VICTIM].stop)
    shutil.rmtree(sites.data(VICTIM))
    shutil.move(present, sites.data(VICTIM))
    sites.cluster.start(VICTIM)
    await sites.wait_state(VICTIM, "serving")


KILLED_AT = {
    "what lay there is set aside": lambda note, _member: note["set_aside"],
    "an empty ledger is made": lambda note, _member: note["ledger_made"],
    "the boot is confirmed": lambda note, _member: note["confirmed"],
    "a learner is added": lambda note, _member: note["member_id"] != 0,
    "the learner has started": lambda note, member: (
        member is not None and member.member_id == note["member_id"]
    ),
    "the learner votes": lambda note, member: (
        member is not None and member.member_id == note["member_id"] and member.votes
    ),
}
"""What was done, by the note and by the member that stands under the site's name, when the site is killed."""


@pytest.mark.long
async def test_a_replacement_that_is_killed_at_each_step_goes_on_and_makes_one_member_alone(
    sites: LiveSites,
) -> None:
    before = await members(sites)
    async with SteadyWriter(sites, callers=2) as writer:
        await writer.more(50)
        sites.cluster.kill_site(VICTIM)
        set_aside = [path.name for path in sites.data(VICTIM).glob("replaced-*")]
        for number, (what, reached) in enumerate(KILLED_AT.items()):
            sites.cluster.start(VICTIM, REPLACE if number % 2 == 0 else "run")

            async def killable(reached: Callable[..., bool] = reached) -> bool:
                note = note_of(sites)
                if note is None:
                    return False
                return reached(note, (await members(sites)).get(VICTIM))

            await until(killable, deadline_s=JOINED_S, poll_s=0.01, what=what)
            sites.cluster.kill_site(VICTIM)
        sites.cluster.start(VICTIM)
        await joined(sites)
        await writer.more(50)
    after = await members(sites)
    assert set(after) == set(before), "one member for each site, and none twice"
    assert after[VICTIM].votes
    assert after[VICTIM].member_id != before[VICTIM].member_id
    assert len(list(sites.data(VICTIM).glob("replaced-*"))) == len(set_aside) + 1, "set aside once"
    await sites.cluster.wait_caught_up(VICTIM)
    await nothing_is_lost(sites, writer, "a replaced disk")


def note_of(sites: LiveSites) -> dict[str, Any] | None:
    """How far the joining is, by its note."""
    try:
        found: dict[str, Any] = json.loads((sites.data(VICTIM) / NOTE_FILE).read_bytes())
    except FileNotFoundError:
        return None
    return found


async def test_a_replacement_while_the_former_member_still_runs_waits_in_words_and_takes_no_vote_away(
    sites: LiveSites,
) -> None:
    """The operator moves a site to another machine and forgets to stop the member that is left on the former one."""
    before = await members(sites)
    asked = await refusal(sites, VICTIM, before[VICTIM].member_id)
    assert "active and healthy" in asked
    assert await members(sites) == before


async def test_a_site_changes_its_own_membership_only(sites: LiveSites) -> None:
    before = await members(sites)
    asked = await refusal(sites, OTHER, before[VICTIM].member_id)
    assert "its own membership only" in asked
    assert await members(sites) == before


async def refusal(sites: LiveSites, speaker: str, member_id: int) -> str:
    """What HELPER answers when `speaker` asks it to remove a member."""
    request = sync_pb2.ChangeMemberRequest(change=sync_pb2.REMOVE_FORMER, member_id=member_id)
    async with sites.as_site(speaker, HELPER) as caller:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await caller.sync.ChangeMember(request, timeout=10)
    return str(refused.value.details())
