"""The capital is destroyed: two embassies carry officers' plan out while they run, vote from then on, and the old capital that comes back is stopped by them.

Three real sites vote in the former epoch and two embassies do not. The voters acknowledge records that no embassy has, and are killed with their disks; two of
those disks come back later, which are a majority of the former epoch.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from live_sites import WAIT_S, LiveSites, running_sites
from recovered_sites import (
    EMBASSIES,
    OFFICERS,
    VOTERS,
    all_hold,
    asked,
    holds,
    is_open,
    nobody_answers,
    plan_of,
    refused,
    signed,
    taken,
    written,
)
from sento_drill.plan import PREPARED
from sento_drill.waiting import until
from sento_proto.epoch_plan import EpochPlan, plan_hash
from sento_proto.errors import Code

pytestmark = pytest.mark.asyncio(loop_scope="module")
FIRST, SECOND = EMBASSIES
CAME_BACK = VOTERS[:2]
HOME = 20
EXTRA = 7
"""Records that only the capital acknowledged."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(PREPARED) as running:
        yield running


async def test_two_embassies_go_on_after_the_capital_is_destroyed_and_stop_it_when_it_comes_back(
    sites: LiveSites, tmp_path: Path
) -> None:
    early = await written(sites, VOTERS[0], HOME)
    await all_hold(sites, max(early.values()) + 1, *sites.names)
    for site in EMBASSIES:
        sites.cluster.processes[site].stop()
    extra = await written(sites, VOTERS[0], EXTRA)
    await all_hold(sites, max(extra.values()) + 1, *CAME_BACK)
    saved = await destroyed(sites, tmp_path)

    # The embassies are started anew among the ruins, where nobody confirms their boots.
    plan = plan_of(sites, sites.data(FIRST) / "ledger")
    file = signed(sites, plan)
    for site in EMBASSIES:
        sites.cluster.start(site)
    for site in EMBASSIES:
        await sites.wait_state(site, "waiting-for-boot-confirmation")
    assert await refused(sites, FIRST, signed(sites, plan, OFFICERS[:2])) is Code.PLAN_NOT_FIT
    assert await refused(sites, FIRST, file) is Code.PLAN_NOT_FIT, "the certificates of the epoch are missing"
    for site in EMBASSIES:
        sites.world.hand_over_certificates(site, 1)
    await nobody_answers(sites, dict.fromkeys(EMBASSIES, file))

    reply = await asked(sites, FIRST, file)
    assert not reply.begun_before
    await killed_twice(sites, FIRST)
    reply = await asked(sites, SECOND, file)
    assert not reply.begun_before
    await sites.cluster.wait_serving(*EMBASSIES, deadline_s=WAIT_S)
    await stands_in_the_epoch(sites, plan)
    fresh = await written(sites, FIRST, 5) | await written(sites, SECOND, 5)
    assert (await asked(sites, FIRST, file)).begun_before

    await old_capital_is_stopped(sites, saved)
    reply = await asked(sites, CAME_BACK[0], file)
    assert reply.set_aside >= EXTRA
    back = await sites.wait_status(
        CAME_BACK[0],
        lambda status: status.state == "serving" and status.epoch == 1,
        "it follows the new epoch",
    )
    assert (back.role, back.follows_through in EMBASSIES) == ("embassy", True)
    await is_open(sites, CAME_BACK[0])
    newest = await written(sites, CAME_BACK[0], 3)
    size = max(newest.values()) + 1
    await all_hold(sites, size, *EMBASSIES)
    await sites.wait_status(CAME_BACK[0], lambda status: status.flushed_size >= size, "it holds all")
    for site in (*EMBASSIES, CAME_BACK[0]):
        sites.cluster.processes[site].stop()
        holds(sites, sites.data(site) / "ledger", [*early, *fresh, *newest], [*extra])
    holds(sites, sites.data(CAME_BACK[0]) / "epoch-0000-orphans", [*extra], [*fresh])


async def destroyed(sites: LiveSites, tmp_path: Path) -> dict[str, Path]:
    """The three voters are killed and their disks deleted; what two of them held is kept aside, to come back one day."""
    saved: dict[str, Path] = {}
    for site in VOTERS:
        sites.cluster.kill_site(site)
    for site in VOTERS:
        if site in CAME_BACK:
            saved[site] = tmp_path / site
            shutil.copytree(sites.data(site), saved[site], ignore=shutil.ignore_patterns("run"))
        shutil.rmtree(sites.data(site))
    return saved


async def killed_twice(sites: LiveSites, site: str) -> None:
    """kill -9 right behind the answer, and again while the next start begins the epoch."""
    data = sites.data(site)
    sites.cluster.kill_site(site)
    sites.cluster.start(site)

    async def begins() -> bool:
        return (data / "epoch-draft").exists() or (data / "epoch").exists()

    await until(begins, deadline_s=WAIT_S, what="the epoch is not being begun")
    sites.cluster.kill_site(site)
    sites.cluster.start(site)


async def stands_in_the_epoch(sites: LiveSites, plan: EpochPlan) -> None:
    for site in EMBASSIES:
        status = await sites.wait_status(
            site, lambda status: (status.epoch, status.role) == (1, "voting"), "it votes in the epoch"
        )
        assert status.epoch_plan == plan_hash(plan)
        assert status.epoch_from_size == plan.parent.size
        await is_open(sites, site)


async def old_capital_is_stopped(sites: LiveSites, saved: dict[str, Path]) -> None:
    """Two disks come back, a majority of the former epoch: they are shown the plan, stop, and remain stopped when they are started again."""
    for site in CAME_BACK:
        shutil.copytree(saved[site], sites.data(site))
        sites.cluster.start(site)
    for site in CAME_BACK:
        await sites.wait_state(site, "epoch-ended")
    assert await taken(sites, CAME_BACK[0]) is Code.EPOCH_ENDED
    for site in CAME_BACK:
        sites.cluster.processes[site].stop()
    sites.cluster.start(CAME_BACK[0])
    status = await sites.wait_state(CAME_BACK[0], "epoch-ended")
    assert "sento recover apply" in status.explanation
    assert sites.cluster.processes[CAME_BACK[0]].member() is None
