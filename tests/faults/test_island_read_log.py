"""A site whose two others are dead gives records out from its disk, is killed itself, and all comes back: each release stands once, at every site."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from live_sites import AUTHOR, LiveSites, running_sites
from raw_calls import PURPOSE, Caller, WriteStream, codes, pems_of
from sento_drill.plan import READ_LOG_DESK, WorldPlan
from sento_drill.waiting import until
from sento_proto import header as header_layout
from sento_proto.access_record import COMPARTMENT
from sento_proto.errors import Code
from sento_proto.v1 import client_pb2, common_pb2

pytestmark = pytest.mark.asyncio
RELEASES = 5


async def read_local(sites: LiveSites, site: str, position: int) -> client_pb2.ReadReply:
    request = client_pb2.ReadRequest(purpose=PURPOSE, freshness=common_pb2.LOCAL, position=position)
    async with sites.caller(AUTHOR, site) as caller:
        reply: Any = await caller.registry.Read(request, timeout=20)
    assert reply.record.payload
    assert isinstance(reply, client_pb2.ReadReply)
    return reply


async def access_hashes(sites: LiveSites, site: str) -> list[bytes]:
    """Record hashes of all access records that stand at a site."""
    pems = pems_of(sites.world.institution(READ_LOG_DESK.name))
    async with Caller(sites.files(site), pems) as caller:
        request = client_pb2.ChangesRequest(purpose=PURPOSE, registry="residency", header_only=True)
        records = [record async for record in caller.registry.Changes(request, timeout=30)]
    return [
        record.record_hash
        for record in records
        if header_layout.decode(record.header).compartment == COMPARTMENT
    ]


async def test_an_island_that_is_killed_between_its_releases_has_each_of_them_in_the_ledger_once() -> None:
    async with running_sites(WorldPlan(name="sento-island")) as sites:
        island, *others = sites.names
        author = sites.author()
        async with sites.caller(AUTHOR, island) as caller, WriteStream(caller) as stream:
            outcomes = await stream.outcomes(author.submission(author.record()))
        assert codes(outcomes) == [Code.ACCEPTED]
        position = outcomes[0][1]
        await sites.wait_status(island, lambda status: status.flushed_size > position, "the flush")
        for other in others:
            await asyncio.to_thread(sites.cluster.kill_site, other)
        await sites.wait_state(island, "no-majority")

        given = [await read_local(sites, island, position) for _ in range(RELEASES)]
        assert (await sites.status(island)).access_records_spooled == RELEASES
        await asyncio.to_thread(sites.cluster.kill_site, island)
        sites.cluster.start(island)
        await sites.wait_state(island, "waiting-for-boot-confirmation")
        given.append(await read_local(sites, island, position))
        assert (await sites.status(island)).access_records_spooled == RELEASES + 1

        for other in others:
            sites.cluster.start(other)
        await sites.cluster.wait_serving(deadline_s=60)
        await sites.wait_status(
            island, lambda status: status.access_records_spooled == 0, "the spool is ordered"
        )
        wanted = sorted(reply.access.record.record_hash for reply in given)

        for site in sites.names:

            async def all_there(site: str = site) -> bool:
                return len(await access_hashes(sites, site)) >= len(wanted)

            await until(all_there, deadline_s=30, what=f"{site} lacks access records")
            assert sorted(await access_hashes(sites, site)) == wanted
