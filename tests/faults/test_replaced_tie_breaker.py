"""A tie-breaker on a new disk: it has no ledger to copy, and its vote counts again when one data site is lost."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from live_sites import LiveSites, running_sites, writes_again
from sento_drill.plan import TIE_BREAKER_WORLD
from sento_drill.processes import REPLACE_DISK
from sento_drill.waiting import until
from sento_node.joining.note import NOTE_FILE
from sento_node.ordering.etcd.members import Member, MemberChanges

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]

TIE_BREAKER, ONE, OTHER = "jp-ibaraki", "jp-fukuoka", "jp-ishikawa"
JOINED_S = 90.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(TIE_BREAKER_WORLD) as sites:
        yield sites


async def member_of_tie_breaker(sites: LiveSites) -> Member:
    """As a data site's own member lists it."""
    changes = MemberChanges(f"unix:{sites.data(ONE)}/ordering/epoch-0000/run/client:1")
    try:
        listed = await changes.listed(timeout_ms=3_000)
        (member,) = [one for one in listed if one.site == TIE_BREAKER]
        return member
    finally:
        await changes.close()


async def test_a_tie_breaker_whose_disk_was_lost_votes_again_after_one_command_and_a_data_site_may_be_lost(
    sites: LiveSites,
) -> None:
    before = await member_of_tie_breaker(sites)
    await writes_again(sites, ONE)
    sites.cluster.kill_site(TIE_BREAKER)
    shutil.rmtree(sites.data(TIE_BREAKER))
    sites.cluster.start(TIE_BREAKER)
    said = await sites.wait_state(TIE_BREAKER, "refused")
    assert "sento-node replace-disk" in said.explanation
    await asyncio.to_thread(sites.cluster.processes[TIE_BREAKER].stop)

    sites.cluster.start(TIE_BREAKER, REPLACE_DISK)
    serving = await sites.wait_state(TIE_BREAKER, "serving", deadline_s=JOINED_S)
    assert serving.role == "tie-breaker"

    async def over() -> bool:
        return not (sites.data(TIE_BREAKER) / NOTE_FILE).exists()

    await until(over, deadline_s=JOINED_S, what="the joining is over")
    after = await member_of_tie_breaker(sites)
    assert (after.votes, after.member_id != before.member_id) == (True, True)
    assert not (sites.data(TIE_BREAKER) / "ledger").exists()

    lost = await sites.cluster.lead_site()
    sites.cluster.kill_site(lost)
    await writes_again(sites, OTHER if lost == ONE else ONE)
    sites.cluster.start(lost)
    await sites.cluster.wait_caught_up(lost)

    await asyncio.to_thread(sites.cluster.processes[TIE_BREAKER].stop)
    sites.cluster.start(TIE_BREAKER)
    await sites.wait_state(TIE_BREAKER, "serving")
