"""Two recoveries at once, at two embassies and by two plans that officers signed: both stop as soon as they meet, until a third plan says which stands."""

from __future__ import annotations

import asyncio
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
FIRST, SECOND = EMBASSIES


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(PREPARED) as running:
        yield running


def looked_at(sites: LiveSites, site: str, to: Path) -> Path:
    """A copy of the ledger of a site that has nothing to write."""
    shutil.copytree(sites.data(site) / "ledger", to)
    return to


async def test_two_plans_for_one_parent_stop_both_sites_until_officers_sign_a_third(
    sites: LiveSites, tmp_path: Path
) -> None:
    early = await written(sites, VOTERS[0], 10)
    await all_hold(sites, max(early.values()) + 1, *sites.names)
    for site in VOTERS:
        sites.cluster.kill_site(site)
    for site in EMBASSIES:
        sites.world.hand_over_certificates(site, 1)
        await sites.wait_state(site, "no-majority")
    plans = {
        site: signed(sites, plan_of(sites, looked_at(sites, site, tmp_path / site), (site,)))
        for site in EMBASSIES
    }
    await nobody_answers(sites, plans)
    await asyncio.gather(*(asked(sites, site, plan) for site, plan in plans.items()))
    for site in EMBASSIES:
        await sites.wait_state(site, "two-epochs")
        assert await taken(sites, site) is Code.TWO_EPOCHS
        assert sites.cluster.processes[site].member() is None
    for site in EMBASSIES:
        sites.cluster.processes[site].stop()
    third = plan_of(sites, sites.data(FIRST) / "ledger", (FIRST,), epoch=2)
    sites.cluster.start(FIRST)
    await sites.wait_state(FIRST, "two-epochs")
    prepared = sites.files(FIRST).directory
    for name in ("ordering-ca-{}.pem", "ordering-{}.pem", "ordering-{}.key"):
        shutil.copy2(prepared / name.format("0001"), prepared / name.format("0002"))
    await asked(sites, FIRST, signed(sites, third))
    await sites.cluster.wait_serving(FIRST, deadline_s=WAIT_S)
    await is_open(sites, FIRST, 2)
    fresh = await written(sites, FIRST, 3)
    sites.cluster.processes[FIRST].stop()
    holds(sites, sites.data(FIRST) / "ledger", [*early, *fresh])
