"""Two data sites, an embassy and a tie-breaker, as processes: what each may be lost for, and what the embassy answers while it is alone.

The embassy has no ordering member: it orders and follows through a data site's node, so each test that hurts one looks at the embassy too. After every loss
records are acknowledged and come under a checkpoint of a quorum, because both are promised.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from live_sites import AUTHOR, WAIT_S, LiveSites, running_sites, writes_again
from raw_calls import PURPOSE, WriteStream, refusal_of, root_at
from sento_drill.plan import TIE_BREAKER_WORLD
from sento_proto.checkpoint import Checkpoint, cosigners, decode_checkpoint
from sento_proto.errors import Code
from sento_proto.governance.site_keys import keys_of_site
from sento_proto.v1 import client_pb2, common_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

DATA_SITES = ("jp-fukuoka", "jp-ishikawa")
TIE_BREAKER, EMBASSY = "jp-ibaraki", "lu-betzdorf"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[LiveSites]:
    async with running_sites(TIE_BREAKER_WORLD) as sites:
        yield sites


@pytest_asyncio.fixture(loop_scope="module")
async def sites(running: LiveSites) -> LiveSites:
    """All four sites serve, whatever the test before did."""
    for processes in running.cluster.processes.values():
        processes.resume()
    running.cluster.start_all()
    await running.cluster.wait_serving()
    return running


async def written(sites: LiveSites, at: str) -> tuple[int, bytes]:
    """One more record, acknowledged at that site: its position and hash."""
    author = sites.author()
    record = author.record()
    async with sites.caller(AUTHOR, at) as caller, WriteStream(caller) as stream:
        ((code, position),) = await stream.outcomes(author.submission(record))
    assert code is Code.ACCEPTED
    return position, record.record_hash


async def read(
    sites: LiveSites, at: str, position: int, freshness: common_pb2.Freshness.ValueType
) -> client_pb2.ReadReply:
    async with sites.caller(AUTHOR, at) as caller:
        request = client_pb2.ReadRequest(purpose=PURPOSE, position=position, freshness=freshness)
        reply: client_pb2.ReadReply = await caller.registry.Read(request, timeout=20)
        return reply


async def checkpoint_over(sites: LiveSites, at: str, position: int, *cosigned_by: str) -> Checkpoint:
    """The first checkpoint over that record that a quorum cosigned, and one of these sites."""
    async with sites.caller(AUTHOR, at) as caller:
        request = client_pb2.CheckpointRequest(
            at_least_size=position + 1, cosigned_by=cosigned_by, wait_ms=28_000
        )
        note = decode_checkpoint((await caller.registry.Checkpoint(request, timeout=30)).checkpoint)
        assert note.root == await root_at(caller, note.size)
    return note


async def goes_on_without(sites: LiveSites, lost: str) -> None:
    """Records are acknowledged at every site with a ledger that is left, and come under a quorum's checkpoint."""
    left = [site for site in (*DATA_SITES, EMBASSY) if site != lost]
    for at in left:
        await writes_again(sites, at)
        position, _ = await written(sites, at)
        note = await checkpoint_over(sites, at, position)
        assert lost not in cosigners(
            note, {site.name: keys_of_site(site) for site in sites.world.genesis.sites}
        )


async def test_what_is_written_through_the_embassy_is_read_there_and_at_home(sites: LiveSites) -> None:
    position, record_hash = await written(sites, EMBASSY)
    for at in (EMBASSY, *DATA_SITES):
        reply = await read(sites, at, position, common_pb2.LINEARIZABLE)
        assert reply.record.record_hash == record_hash
    reply = await read(sites, EMBASSY, position, common_pb2.LOCAL)
    assert reply.record.record_hash == record_hash
    status = await sites.status(EMBASSY)
    assert (status.role, status.follows_through in DATA_SITES) == ("embassy", True)


async def test_what_is_written_at_home_is_read_at_the_embassy_at_once(sites: LiveSites) -> None:
    for at in DATA_SITES * 3:
        position, record_hash = await written(sites, at)
        reply = await read(sites, EMBASSY, position, common_pb2.LINEARIZABLE)
        assert reply.record.record_hash == record_hash


async def test_the_embassys_cosignature_comes_to_every_site_though_a_quorum_did_without_it(
    sites: LiveSites,
) -> None:
    position, _ = await written(sites, DATA_SITES[0])
    for at in (*DATA_SITES, EMBASSY):
        note = await checkpoint_over(sites, at, position, EMBASSY)
        known = {site.name: keys_of_site(site) for site in sites.world.genesis.sites}
        assert EMBASSY in cosigners(note, known)


async def test_a_tie_breaker_says_that_it_keeps_no_ledger_and_leads_for_no_longer_than_it_must(
    sites: LiveSites,
) -> None:
    async with sites.caller(AUTHOR, TIE_BREAKER) as caller:
        request = client_pb2.ReadRequest(purpose=PURPOSE, position=0)
        refused = await refusal_of(caller.registry.Read(request, timeout=20))
        assert refused.code is Code.NO_LEDGER_HERE
        refused = await refusal_of(caller.registry.Checkpoint(client_pb2.CheckpointRequest(), timeout=20))
        assert refused.code is Code.NO_LEDGER_HERE
    status = await sites.wait_status(
        TIE_BREAKER, lambda s: s.lead_site in DATA_SITES, "the lead is with a data site"
    )
    assert (status.role, status.flushed_size) == ("tie-breaker", 0)


async def test_the_site_that_the_embassy_follows_through_is_lost(sites: LiveSites) -> None:
    lost = (await sites.status(EMBASSY)).follows_through
    sites.cluster.kill_site(lost)
    await goes_on_without(sites, lost)
    assert (await sites.status(EMBASSY)).follows_through not in ("", lost)
    sites.cluster.start(lost)
    await sites.cluster.wait_caught_up(lost)


async def test_the_tie_breaker_is_lost(sites: LiveSites) -> None:
    sites.cluster.kill_site(TIE_BREAKER)
    await goes_on_without(sites, TIE_BREAKER)
    sites.cluster.start(TIE_BREAKER)
    await sites.wait_state(TIE_BREAKER, "serving")


async def test_the_embassy_is_lost_and_comes_back_with_all_that_was_written(sites: LiveSites) -> None:
    sites.cluster.kill_site(EMBASSY)
    await goes_on_without(sites, EMBASSY)
    position, record_hash = await written(sites, DATA_SITES[1])
    sites.cluster.start(EMBASSY)
    await sites.wait_state(EMBASSY, "serving")
    assert (await read(sites, EMBASSY, position, common_pb2.LINEARIZABLE)).record.record_hash == record_hash


async def test_an_embassy_cut_off_reads_with_its_age_spools_who_read_and_reports_it_afterwards(
    sites: LiveSites,
) -> None:
    position, record_hash = await written(sites, EMBASSY)
    await read(sites, EMBASSY, position, common_pb2.LINEARIZABLE)
    for site in DATA_SITES:
        sites.cluster.processes[site].pause()
    await sites.wait_state(EMBASSY, "no-majority")
    reply = await read(sites, EMBASSY, position, common_pb2.LOCAL)
    assert reply.record.record_hash == record_hash
    assert reply.record.payload
    assert reply.as_of.confirmed_at_ms < (await sites.status(EMBASSY)).now_ms
    async with sites.caller(AUTHOR, EMBASSY) as caller:
        request = client_pb2.ReadRequest(purpose=PURPOSE, position=position)
        assert (await refusal_of(caller.registry.Read(request, timeout=20))).code is Code.NOT_FRESH
    alone = await sites.status(EMBASSY)
    assert alone.access_records_spooled
    for site in DATA_SITES:
        sites.cluster.processes[site].resume()
    await sites.wait_status(
        EMBASSY,
        lambda s: (
            s.state == "serving" and not s.access_records_spooled and s.flushed_size > alone.flushed_size
        ),
        "what was read alone is recorded",
        deadline_s=WAIT_S,
    )
