"""Votes that move between running sites, by acts alone: nobody restarts a node, nobody changes a member by hand, and writing goes on.

Three sites vote and one embassy is prepared; behind each test three or four of them vote. The sites find out by themselves what an act means for them.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner

from live_sites import AUTHOR, WAIT_S, LiveSites, running_sites, writes_again
from raw_calls import PURPOSE, refusal_of
from sento_client.cli.main import main
from sento_drill.places import LU_BETZDORF, PLACES
from sento_drill.plan import WorldPlan
from sento_drill.waiting import until
from sento_node.joining.note import NOTE_FILE
from sento_node.ordering.etcd.members import MemberChanges
from sento_node.ordering.etcd.settings import CLIENT_SOCKET
from sento_proto.errors import Code
from sento_proto.v1 import admin_pb2, client_pb2, common_pb2
from steady_writer import SteadyWriter, nothing_is_lost

pytestmark = pytest.mark.asyncio(loop_scope="module")

FUKUOKA, ISHIKAWA, IBARAKI = (place.site for place in PLACES)
EMBASSY = LU_BETZDORF.site
PLAN = WorldPlan(name="sento-moving", sites=(*PLACES, LU_BETZDORF), stand_by=True)
OFFICERS = ("digital-minister", "ciso", "deputy-health-minister")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(PLAN) as running:
        yield running


async def enact(sites: LiveSites, directory: Path, *changes: dict[str, object]) -> None:
    """Propose, sign by three, submit."""
    wanted, act = directory / "changes.json", directory / "act.json"
    wanted.write_text(json.dumps({"changes": changes}))
    act.unlink(missing_ok=True)

    async def sento(who: str, *arguments: str) -> None:
        config = str(sites.world.officer(who).config)
        done = await asyncio.to_thread(CliRunner().invoke, main, ["--config", config, "govern", *arguments])
        assert done.exit_code == 0, done.output

    await sento("ciso", "propose", "--reason", "test", "--out", str(act), "--file", str(wanted))
    for officer in OFFICERS:
        await sento(officer, "sign", str(act), "--yes")
    await sento("ciso", "submit", str(act))


def votes(site: str, *, yes: bool) -> dict[str, object]:
    return {"do": "set-site-votes", "name": site, "votes": yes}


async def members_are(sites: LiveSites, *wanted: str) -> None:
    """Wait until the members that vote are these sites', by the word of each of them, and every one of them serves."""

    def as_wanted(status: admin_pb2.StatusReply) -> bool:
        listed = sorted(member.site for member in status.ordering_members if member.votes)
        return (
            listed == sorted(wanted)
            and len(status.ordering_members) == len(wanted)
            and status.state == "serving"
        )

    for site in wanted:
        await sites.wait_status(site, as_wanted, f"the members are {wanted}", deadline_s=90)


async def voters_become(sites: LiveSites, directory: Path, *wanted: str) -> None:
    """Arrange who votes, whatever the tests before left, with a certificate for the embassy."""
    for file in (sites.world.directory / "safe" / "epoch-0000" / EMBASSY).iterdir():
        shutil.copy(file, sites.files(EMBASSY).directory / file.name)
    changes = [
        votes(site, yes=site in wanted)
        for site in (FUKUOKA, ISHIKAWA, IBARAKI, EMBASSY)
        if ((await sites.status(site)).role == "voting") != (site in wanted)
    ]
    if changes:
        await enact(sites, directory, *changes)
    await members_are(sites, *wanted)


async def is_embassy(sites: LiveSites, site: str) -> None:
    await sites.wait_status(
        site,
        lambda status: status.state == "serving" and status.role == "embassy" and not status.ordering_members,
        "serves as an embassy",
        deadline_s=90,
    )

    async def gone() -> bool:
        return sites.cluster.processes[site].member() is None

    await until(gone, deadline_s=WAIT_S, what=f"no member of {site} runs")


async def lead_to(sites: LiveSites, site: str) -> None:
    async with sites.operator(await sites.cluster.lead_site()) as operator:
        await operator.admin.HandOverLead(admin_pb2.HandOverLeadRequest(to_site=site), timeout=10)

    async def moved() -> bool:
        return (await sites.status(site)).is_lead

    await until(moved, deadline_s=WAIT_S, what=f"{site} leads")


def note_of(sites: LiveSites, site: str) -> dict[str, object]:
    try:
        value: dict[str, object] = json.loads((sites.data(site) / NOTE_FILE).read_bytes())
    except FileNotFoundError:
        return {}
    return value


async def becomes_learner(sites: LiveSites, site: str) -> None:
    """Wait until the site notes the learner that was added for it; it has not started then."""

    async def noted() -> bool:
        return note_of(sites, site).get("member_id", 0) != 0

    await until(noted, deadline_s=WAIT_S, poll_s=0.01, what="it became a learner")


async def test_an_embassy_is_given_a_vote_and_the_lead_and_a_voter_loses_its_vote_under_writes(
    sites: LiveSites, tmp_path: Path
) -> None:
    before = await sites.status(EMBASSY)
    assert before.role == "embassy"
    async with SteadyWriter(sites, callers=2) as writer:
        await writer.more(20)
        await enact(sites, tmp_path, votes(EMBASSY, yes=True))
        said = await sites.wait_status(
            EMBASSY, lambda status: any("ordering.ca" in alarm for alarm in status.alarms), "what it wants"
        )
        assert said.state == "serving"
        await writer.more(20)
        for file in (sites.world.directory / "safe" / "epoch-0000" / EMBASSY).iterdir():
            shutil.copy(file, sites.files(EMBASSY).directory / file.name)
        await members_are(sites, FUKUOKA, ISHIKAWA, IBARAKI, EMBASSY)
        assert (await sites.status(EMBASSY)).role == "voting"
        assert note_of(sites, EMBASSY) == {}
        await writer.more(20)
        await lead_to(sites, EMBASSY)
        await writer.more(20)
        await enact(sites, tmp_path, votes(IBARAKI, yes=False))
        await members_are(sites, FUKUOKA, ISHIKAWA, EMBASSY)
        await is_embassy(sites, IBARAKI)
        await writer.more(20)
    assert (await sites.status(EMBASSY)).is_lead
    await nothing_is_lost(sites, writer, "a vote moved")
    told = await sites.wait_status(
        EMBASSY, lambda status: all(peer.round_trip_us for peer in status.peers), "every round trip is known"
    )
    in_use, wanted = (
        (told.heartbeat_ms, told.election_ms),
        (told.heartbeat_wanted_ms, told.election_wanted_ms),
    )
    assert in_use == wanted == (100, 1_000)
    assert all(member.peer_url.startswith("https://") for member in told.ordering_members)
    assert [member.site for member in told.ordering_members if member.is_lead] == [EMBASSY]
    assert not any(peer.silent_ms for peer in told.peers)
    for site in sites.names:
        await sites.wait_status(site, lambda status: not status.alarms, "no alarm is left")
        assert '"alarm": "ordering-members"' not in sites.log(site), "what an act says is no alarm"


@pytest.mark.long
async def test_a_site_that_is_killed_twice_while_it_becomes_a_voter_goes_on_and_votes(
    sites: LiveSites, tmp_path: Path
) -> None:
    await voters_become(sites, tmp_path, FUKUOKA, ISHIKAWA, EMBASSY)
    await enact(sites, tmp_path, votes(IBARAKI, yes=True))
    await becomes_learner(sites, IBARAKI)
    sites.cluster.kill_site(IBARAKI)
    sites.cluster.start(IBARAKI)

    async def running() -> bool:
        return sites.cluster.processes[IBARAKI].member() is not None

    await until(running, deadline_s=WAIT_S, poll_s=0.01, what="its member was started")
    sites.cluster.kill_site(IBARAKI)
    sites.cluster.start(IBARAKI)
    await members_are(sites, FUKUOKA, ISHIKAWA, EMBASSY, IBARAKI)
    assert note_of(sites, IBARAKI) == {}
    async with sites.caller(AUTHOR, IBARAKI) as caller:
        request = client_pb2.ReadRequest(purpose=PURPOSE, position=0, freshness=common_pb2.LOCAL)
        assert (await caller.registry.Read(request, timeout=20)).record.record_hash
    await writes_again(sites, IBARAKI)


@pytest.mark.long
async def test_two_sites_lose_their_votes_in_one_act_the_lead_among_them_and_leave_one_after_the_other(
    sites: LiveSites, tmp_path: Path
) -> None:
    await voters_become(sites, tmp_path, FUKUOKA, ISHIKAWA, EMBASSY, IBARAKI)
    async with SteadyWriter(sites, callers=2) as writer:
        await writer.more(20)
        await lead_to(sites, FUKUOKA)
        await enact(sites, tmp_path, votes(FUKUOKA, yes=False), votes(ISHIKAWA, yes=False))
        await members_are(sites, EMBASSY, IBARAKI)
        for site in (FUKUOKA, ISHIKAWA):
            await is_embassy(sites, site)
        await writer.more(20)
    await nothing_is_lost(sites, writer, "two votes ended")
    await enact(sites, tmp_path, votes(FUKUOKA, yes=True), votes(ISHIKAWA, yes=True))
    await members_are(sites, FUKUOKA, ISHIKAWA, IBARAKI, EMBASSY)
    await nothing_is_lost(sites, writer, "two votes given back")


@pytest.mark.long
async def test_the_member_of_a_dead_site_is_removed_once_its_vote_is_ended_and_it_comes_back_as_an_embassy(
    sites: LiveSites, tmp_path: Path
) -> None:
    await voters_become(sites, tmp_path, FUKUOKA, ISHIKAWA, EMBASSY, IBARAKI)
    sites.cluster.kill_site(EMBASSY)
    standing: Sequence[str] = (FUKUOKA, ISHIKAWA, IBARAKI)
    async with sites.operator(FUKUOKA) as operator:

        async def remove() -> admin_pb2.RemoveMemberReply:
            request = admin_pb2.RemoveMemberRequest(site=EMBASSY)
            reply: admin_pb2.RemoveMemberReply = await operator.admin.RemoveMember(request, timeout=20)
            return reply

        refused = await refusal_of(remove())
        assert refused.code is Code.MEMBER_NOT_CHANGED
        assert "Governance lets lu-betzdorf vote" in refused.words
        await writes_again(sites, FUKUOKA)
        await enact(sites, tmp_path, votes(EMBASSY, yes=False))
        assert (await remove()).removed
        assert not (await remove()).removed
    await members_are(sites, *standing)
    sites.cluster.start(EMBASSY)
    await is_embassy(sites, EMBASSY)
    await writes_again(sites, EMBASSY)


@pytest.mark.long
async def test_a_vote_that_is_ended_before_it_was_taken_leaves_no_member_behind(
    sites: LiveSites, tmp_path: Path
) -> None:
    await voters_become(sites, tmp_path, FUKUOKA, ISHIKAWA, IBARAKI)
    await enact(sites, tmp_path, votes(EMBASSY, yes=True))
    await becomes_learner(sites, EMBASSY)
    sites.cluster.kill_site(EMBASSY)
    await enact(sites, tmp_path, votes(EMBASSY, yes=False))
    sites.cluster.start(EMBASSY)

    async def forgotten() -> bool:
        return note_of(sites, EMBASSY) == {}

    await until(forgotten, deadline_s=WAIT_S, what="nothing is joining any more")
    await is_embassy(sites, EMBASSY)
    await members_are(sites, FUKUOKA, ISHIKAWA, IBARAKI)


@pytest.mark.long
async def test_a_member_that_was_taken_out_by_hand_stops_its_site_in_words_and_its_next_start_too(
    sites: LiveSites, tmp_path: Path
) -> None:
    await voters_become(sites, tmp_path, FUKUOKA, ISHIKAWA, IBARAKI)
    changes = MemberChanges(f"unix:{sites.data(FUKUOKA)}/ordering/epoch-0000/run/{CLIENT_SOCKET}")
    listed = await changes.listed(timeout_ms=5_000)
    (victim,) = (member.member_id for member in listed if member.site == ISHIKAWA)
    await changes.remove(victim, timeout_ms=5_000)
    await changes.close()
    said = await sites.wait_status(
        FUKUOKA, lambda status: any("ordering-members" in alarm for alarm in status.alarms), "the alarm"
    )
    assert any(f"{ISHIKAWA} does not vote" in alarm for alarm in said.alarms)
    for _ in range(2):
        assert await sites.wait_ended(ISHIKAWA) == 1
        assert "removed this member, and its identity cannot return" in sites.log(ISHIKAWA)
        sites.cluster.start(ISHIKAWA)
    await writes_again(sites, FUKUOKA)
