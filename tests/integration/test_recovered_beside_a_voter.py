"""One site at home survives, without a majority: it goes on with an embassy that votes from then on, and the other embassy follows once it is brought over.

None of them is stopped by hand. The embassy that was not asked yet learns of the epoch from the others, and takes nothing until it is asked too."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from live_sites import WAIT_S, LiveSites, running_sites
from recovered_sites import (
    EMBASSIES,
    VOTERS,
    all_hold,
    asked,
    holds,
    is_open,
    nobody_answers,
    plan_of,
    signed,
    taken,
    written,
)
from sento_drill.plan import PREPARED
from sento_proto.errors import Code

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]
*LOST, SURVIVOR = VOTERS
NEW_VOTER, FOLLOWER = EMBASSIES


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(PREPARED) as running:
        yield running


async def test_a_surviving_voter_and_an_embassy_go_on_and_the_other_embassy_follows_them(
    sites: LiveSites, tmp_path: Path
) -> None:
    early = await written(sites, SURVIVOR, 10)
    await all_hold(sites, max(early.values()) + 1, *sites.names)
    for site in LOST:
        sites.cluster.kill_site(site)
    voting = (SURVIVOR, NEW_VOTER)
    for site in voting:
        sites.world.hand_over_certificates(site, 1)
    for site in (*voting, FOLLOWER):
        await sites.wait_state(site, "no-majority")
    shutil.copytree(sites.data(SURVIVOR) / "ledger", tmp_path / "ledger")
    file = signed(sites, plan_of(sites, tmp_path / "ledger", voting))
    await nobody_answers(sites, dict.fromkeys((*voting, FOLLOWER), file))
    for site in voting:
        await asked(sites, site, file)
    await sites.cluster.wait_serving(*voting, deadline_s=WAIT_S)
    for site in voting:
        await is_open(sites, site)
    await sites.wait_state(FOLLOWER, "epoch-ended")
    assert await taken(sites, FOLLOWER) is Code.EPOCH_ENDED
    await asked(sites, FOLLOWER, file)
    status = await sites.wait_status(
        FOLLOWER, lambda status: status.state == "serving" and status.epoch == 1, "it follows"
    )
    assert (status.role, status.follows_through in voting) == ("embassy", True)
    await is_open(sites, FOLLOWER)
    fresh = await written(sites, FOLLOWER, 3) | await written(sites, SURVIVOR, 3)
    await all_hold(sites, max(fresh.values()) + 1, *voting, FOLLOWER)
    for site in (*voting, FOLLOWER):
        sites.cluster.processes[site].stop()
        holds(sites, sites.data(site) / "ledger", [*early, *fresh])
