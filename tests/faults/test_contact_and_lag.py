"""Three real sites without any load: each knows of each whether it answers, whoever leads; and one that is cut off from the order knows since when it lags."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from live_sites import WAIT_S, LiveSites, paused_member, running_sites, writes_again
from sento_drill.cluster import Status
from sento_drill.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOTICED_WITHIN_S = 10.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[LiveSites]:
    async with running_sites() as sites:
        yield sites


@pytest_asyncio.fixture(loop_scope="module")
async def sites(running: LiveSites) -> LiveSites:
    """All three sites serve and reach each other, whatever the test before did."""
    running.cluster.start_all()
    await running.cluster.wait_serving()
    for name in running.names:
        await running.wait_status(name, reaches_all, "all peers answer")
    return running


def reaches_all(status: Status) -> bool:
    return all(peer.reachable for peer in status.peers)


def reached(status: Status) -> set[str]:
    return {peer.site for peer in status.peers if peer.reachable}


async def test_contact_is_refreshed_at_every_site_while_nobody_writes(sites: LiveSites) -> None:
    for name in sites.names:
        first = {peer.site: peer.last_contact_ms for peer in (await sites.status(name)).peers}
        assert set(first) == set(sites.names) - {name}

        def refreshed(status: Status, first: dict[str, int] = first) -> bool:
            return all(peer.last_contact_ms > first[peer.site] for peer in status.peers)

        await sites.wait_status(name, refreshed, "a newer contact with both", deadline_s=NOTICED_WITHIN_S)
        assert (await sites.status(name)).lag_ms == 0


@pytest.mark.parametrize("victim_leads", [True, False], ids=["the lead dies", "a follower dies"])
async def test_a_dead_site_is_noticed_by_both_others_in_time_and_so_is_its_return(
    sites: LiveSites, victim_leads: bool
) -> None:
    lead = await sites.cluster.lead_site()
    victim = lead if victim_leads else next(name for name in sites.names if name != lead)
    others = [name for name in sites.names if name != victim]
    sites.cluster.kill_site(victim)
    killed_s = time.monotonic()

    async def noticed() -> bool:
        statuses = await asyncio.gather(*map(sites.status, others))
        return all(victim not in reached(status) for status in statuses)

    await until(noticed, deadline_s=WAIT_S, what=f"{others} do not notice that {victim} is gone")
    took_s = time.monotonic() - killed_s
    print(f"noticed after {took_s:.1f} s")
    assert took_s <= NOTICED_WITHIN_S
    for name in others:
        status = await sites.status(name)
        assert reached(status) == set(others) - {name}, "the others still reach each other"
        gone = next(peer for peer in status.peers if peer.site == victim)
        assert 0 < gone.last_contact_ms <= status.now_ms
    sites.cluster.start(victim)
    for name in others:
        await sites.wait_status(name, reaches_all, f"{victim} answers again")


async def test_a_site_whose_member_stands_still_learns_from_the_others_that_it_lags(sites: LiveSites) -> None:
    lead = await sites.cluster.lead_site()
    writer, cut_off = lead, next(name for name in sites.names if name != lead)
    async with paused_member(sites, cut_off):
        await sites.wait_state(cut_off, "no-majority")
        before = await sites.status(cut_off)
        await writes_again(sites, writer)
        behind = await sites.wait_status(cut_off, lambda status: status.lag_ms > 2_000, "its lag grows")
        assert behind.applied_block == behind.ordered_block == before.applied_block, (
            "its own log says nothing"
        )
        assert (await sites.status(writer)).lag_ms == 0
    await sites.wait_status(cut_off, lambda status: status.lag_ms == 0, "it is level again")
    after = await sites.wait_status(
        cut_off,
        lambda status: status.flushed_block > before.applied_block and status.flush_ms >= 1,
        "what it missed is flushed, and how long the flush took is told",  # the writer's thread is a moment ahead of the count
    )
    assert after.flush_ms < WAIT_S * 1_000
