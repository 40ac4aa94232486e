"""Three real sites hurt in the ways that processes and majorities are hurt: killed, paused, stopped, cut to a minority, away for too long.

After each fault every record that was acknowledged stands at every site, in the same place and under the same root; the longest time without an
acknowledgement is printed, because it is a figure and not a promise of a test machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from live_sites import AUTHOR, LiveSites, running_sites, writes_again
from raw_calls import PURPOSE, WriteStream, codes, refusal_of, root_at
from sento_drill import procfs
from sento_drill.waiting import until
from sento_proto.checkpoint import cosigners, decode_checkpoint
from sento_proto.errors import Code
from sento_proto.governance.site_keys import keys_of_site
from sento_proto.v1 import admin_pb2, client_pb2, common_pb2
from steady_writer import SteadyWriter, all_agree, nothing_is_lost

pytestmark = pytest.mark.asyncio(loop_scope="module")


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


async def lead_and_followers(sites: LiveSites) -> tuple[str, list[str]]:
    lead = await sites.cluster.lead_site()
    return lead, [name for name in sites.names if name != lead]


# Whole.


async def test_a_linearizable_read_at_any_site_sees_what_any_other_has_just_acknowledged(
    sites: LiveSites,
) -> None:
    author = sites.author()
    async with contextlib.AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(sites.caller(AUTHOR, name)) for name in sites.names]
        streams = [await stack.enter_async_context(WriteStream(caller)) for caller in callers]
        for turn in range(12):
            record = author.record()
            ((_, position),) = await streams[turn % 3].outcomes(author.submission(record))
            request = client_pb2.ReadRequest(purpose=PURPOSE, position=position)
            reply = await callers[(turn + 1 + turn // 6) % 3].registry.Read(request, timeout=20)
            assert reply.record.record_hash == record.record_hash


async def test_the_newest_checkpoint_of_every_site_is_cosigned_by_a_quorum_over_its_own_tree(
    sites: LiveSites,
) -> None:
    await writes_again(sites, sites.names[0])
    size = await all_agree(sites)
    genesis = sites.world.genesis
    keys = {site.name: keys_of_site(site) for site in genesis.sites}
    for name in sites.names:
        await sites.wait_status(
            name, lambda s: s.quorum_size >= size, "a quorum's checkpoint over everything"
        )
        async with sites.caller(AUTHOR, name) as caller:
            reply = await caller.registry.Checkpoint(client_pb2.CheckpointRequest(), timeout=20)
            note = decode_checkpoint(reply.checkpoint)
            assert note.root == await root_at(caller, note.size)
        assert len(cosigners(note, keys)) >= genesis.receipt_set.quorum
        assert note.ledger_id == genesis.ledger_id
        assert note.size >= size


# Killed.


async def test_the_leading_site_killed_under_load_loses_no_acknowledged_record(sites: LiveSites) -> None:
    lead, _ = await lead_and_followers(sites)
    async with SteadyWriter(sites) as writer:
        await writer.more(100)
        sites.cluster.kill_site(lead)
        await writer.more(200)
        sites.cluster.start(lead)
        await sites.cluster.wait_caught_up(lead)
        await writer.more(50)
    await nothing_is_lost(sites, writer, "leader killed")


async def test_an_ordering_member_killed_alone_is_started_again_by_its_node(sites: LiveSites) -> None:
    lead, _ = await lead_and_followers(sites)
    processes = sites.cluster.processes[lead]
    node, member = processes.node(), processes.member()
    assert member is not None
    async with SteadyWriter(sites) as writer:
        await writer.more(50)
        procfs.send(member, signal.SIGKILL)

        async def another_member() -> bool:
            return processes.member() not in (None, member)

        await until(another_member, deadline_s=30, what="the node does not start its member again")
        await writer.more(100)
    await writes_again(sites, lead)
    assert processes.node() == node
    await nothing_is_lost(sites, writer, "member killed alone")


# Paused.


@pytest.mark.parametrize("who", ["follower", "leader"])
async def test_a_site_paused_under_load_holds_nobody_up_and_catches_up_when_it_goes_on(
    sites: LiveSites, who: str
) -> None:
    lead, followers = await lead_and_followers(sites)
    victim = lead if who == "leader" else followers[0]
    async with SteadyWriter(sites) as writer:
        await writer.more(50)
        sites.cluster.processes[victim].pause()
        await writer.more(200)
        sites.cluster.processes[victim].resume()
        await writer.more(50)
    await nothing_is_lost(sites, writer, f"{who} paused")


# Stopped in order.


async def test_a_leading_site_that_is_stopped_hands_the_lead_on_first_and_fails_no_write(
    sites: LiveSites,
) -> None:
    lead, followers = await lead_and_followers(sites)
    async with SteadyWriter(sites) as writer:
        await writer.more(50)
        stopping = asyncio.create_task(asyncio.to_thread(sites.cluster.processes[lead].stop))

        async def lead_moved() -> bool:
            statuses = [await sites.cluster.status(name) for name in followers]
            return any(status is not None and status.is_lead for status in statuses)

        await until(lead_moved, deadline_s=20, what="no other site leads")
        await writer.more(100)
        await stopping
    assert sites.cluster.processes[lead].exit_code() == 0
    assert writer.longest_gap_s < 5
    assert not set(writer.refusals) - {"STOPPING", "NO_ORDERING", "StreamEnded", "TimeoutError"}
    sites.cluster.start(lead)
    await nothing_is_lost(sites, writer, "leader stopped in order")


async def test_the_lead_is_handed_to_the_site_that_an_operator_names(sites: LiveSites) -> None:
    lead, followers = await lead_and_followers(sites)
    async with sites.operator(lead) as operator:
        await operator.admin.HandOverLead(admin_pb2.HandOverLeadRequest(to_site=followers[1]), timeout=10)

    async def moved() -> bool:
        return await sites.cluster.lead_site() == followers[1]

    await until(moved, deadline_s=20, what="the lead did not move")


# A minority.


async def test_one_site_of_three_alone_refuses_to_write_and_reads_locally_with_its_age_until_another_is_back(
    sites: LiveSites,
) -> None:
    _, followers = await lead_and_followers(sites)
    alone, others = followers[0], [name for name in sites.names if name != followers[0]]
    author = sites.author()
    record, late = author.record(), author.submission(author.record())
    async with sites.caller(AUTHOR, alone) as caller:
        async with WriteStream(caller) as stream:
            ((_, position),) = await stream.outcomes(author.submission(record))
        await all_agree(sites)
        for name in others:
            sites.cluster.kill_site(name)
        before_ms = time.time_ns() // 1_000_000
        said = await sites.wait_state(alone, "no-majority")
        async with WriteStream(caller) as stream:
            assert await stream.refused(late) is Code.NO_ORDERING
        fresh = client_pb2.ReadRequest(purpose=PURPOSE, position=position)
        refused = await refusal_of(caller.registry.Read(fresh, timeout=20))
        assert (refused.status, refused.code) == (grpc.StatusCode.UNAVAILABLE, Code.NOT_FRESH)
        local = client_pb2.ReadRequest(purpose=PURPOSE, position=position, freshness=common_pb2.LOCAL)
        answer = await caller.registry.Read(local, timeout=20)
        assert answer.record.record_hash == record.record_hash
        assert 0 < answer.as_of.confirmed_at_ms <= before_ms + 1_000
        assert answer.as_of.confirmed_at_ms < said.now_ms

        sites.cluster.start(others[0])
        await sites.cluster.wait_serving(alone, others[0])
        async with WriteStream(caller) as stream:

            async def stands() -> bool:
                reply = await stream.ask(late)
                return not reply.HasField("error")

            await until(
                stands, deadline_s=30, what="the refused record is not taken when the majority is back"
            )
            assert codes(await stream.outcomes(late)) == [Code.KNOWN]


# Away too long.


async def test_a_site_away_beyond_trimming_catches_up_from_a_ledger_to_the_same_root(
    sites: LiveSites,
) -> None:
    lead, followers = await lead_and_followers(sites)
    away = followers[0]
    await all_agree(sites)
    left_at = (await sites.status(away)).flushed_block
    await asyncio.to_thread(sites.cluster.processes[away].stop)
    async with SteadyWriter(sites, callers=2) as writer:
        await sites.wait_status(
            lead,
            lambda status: status.trimmed_block > left_at + 5,
            "the log is trimmed beyond the site that is away",
        )
    sites.cluster.start(away)
    await sites.cluster.wait_caught_up(away)
    await nothing_is_lost(sites, writer, "away beyond trimming")
    assert "another site's ledger is copied" in sites.log(away)
