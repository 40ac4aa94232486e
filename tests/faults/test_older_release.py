"""One of three real sites runs an older release: officers cannot raise the rules over its head, and once it does not count it stops in words, not in silence.

The older node is this release's own program without the newest rules number, in a process of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from live_sites import WAIT_S, LiveSites, running_sites
from older_release import older_node_command
from sento_client.governing.client import GoverningClient, Standing
from sento_client.governing.following import Followed
from sento_client.governing.proposal import act_content, make_proposal
from sento_client.keyfiles import read_signing_key
from sento_drill.cluster import LocalCluster
from sento_drill.places import PLACES
from sento_drill.plan import OFFICERS, OFFICERS_THRESHOLD, WorldPlan
from sento_drill.processes import SiteProcesses
from sento_drill.waiting import until
from sento_proto.errors import Code, SentoError
from sento_proto.ids import RANDOM_BYTES, uuid7
from sento_proto.rules import NEWEST_RULES, RULES_KNOWN
from steady_writer import SteadyWriter, nothing_is_lost

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]

OLDER = PLACES[2].site
SIGNING = OFFICERS[:OFFICERS_THRESHOLD]
RAISE = {"do": "set-rules", "rules": NEWEST_RULES}


def _older_release_at_one_site(cluster: LocalCluster) -> None:
    files = next(site for site in cluster.world.sites if site.name == OLDER)
    command = older_node_command(files.config)
    cluster.processes[OLDER] = SiteProcesses(OLDER, files.directory, command)


@pytest_asyncio.fixture(loop_scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    plan = WorldPlan(name="sento-older", rules=NEWEST_RULES - 1)
    async with running_sites(plan, arrange=_older_release_at_one_site) as running:
        yield running


async def governance_of(sites: LiveSites) -> Followed:
    """Governance as an officer's client verifies it."""
    async with GoverningClient.open(sites.world.officer(SIGNING[0]).config) as client:
        return await client.follow()


async def act(sites: LiveSites, *changes: dict[str, object]) -> Standing:
    """An act that as many officers as are needed sign, sent to whichever site answers. Raises SentoError."""
    async with GoverningClient.open(sites.world.officer(SIGNING[0]).config) as client:
        governance = (await client.follow()).governance
        now_ms = client.wall_ms
        proposal = make_proposal(
            governance.ledger_id,
            client.epoch,
            act_content("The rules are raised.", changes),
            governance.last_act,
            record_id=uuid7(now_ms, client.random_bytes(RANDOM_BYTES)),
            time_ms=now_ms,
        )
        for officer in SIGNING:
            key = sites.world.officer(officer).directory / "signing.key"
            proposal = proposal.signed(read_signing_key(key))
        return await client.submit(proposal)


async def wait_announced(sites: LiveSites, expected: dict[str, tuple[int, ...]]) -> None:
    """Wait until the ledger says of each site that it knows these rules."""

    async def announced() -> bool:
        known = (await governance_of(sites)).governance.site_rules
        return {site: tuple(sorted(rules)) for site, rules in known.items()} == expected

    await until(announced, deadline_s=WAIT_S, what="not every site has announced its rules")


async def test_a_node_of_an_older_release_holds_the_rules_down_then_stops_in_words_and_comes_back_with_the_new_one(
    sites: LiveSites,
) -> None:
    present = [name for name in sites.names if name != OLDER]
    older_knows = RULES_KNOWN[:-1]
    await wait_announced(sites, {**dict.fromkeys(present, RULES_KNOWN), OLDER: older_knows})

    with pytest.raises(SentoError) as refused:
        await act(sites, RAISE)
    assert refused.value.code is Code.RULES_NOT_ANNOUNCED
    assert f"{OLDER} has not announced that it knows rules {NEWEST_RULES}" in str(refused.value)

    async with SteadyWriter(sites) as writer:
        await writer.more(50)
        await act(sites, {"do": "set-receipt-set", "sites": present, "quorum": len(present)})
        await act(sites, RAISE)

        assert await sites.wait_ended(OLDER) == 1
        stopped = f"install a release that lists rules {NEWEST_RULES}"
        assert stopped in sites.log(OLDER)
        await writer.more(100)

        told = sites.log(OLDER).count(stopped)
        sites.cluster.start(OLDER)
        assert await sites.wait_ended(OLDER) == 1
        assert sites.log(OLDER).count(stopped) > told

        sites.cluster.processes[OLDER] = LocalCluster.processes_of(sites.world, bound=True)[OLDER]
        sites.cluster.start(OLDER)
        await sites.cluster.wait_caught_up(OLDER)
        await writer.more(50)
    await wait_announced(sites, dict.fromkeys(sites.names, RULES_KNOWN))
    assert (await governance_of(sites)).governance.rules == NEWEST_RULES
    await nothing_is_lost(sites, writer, "older release")

    # Put back by mistake: its ledger now holds an announcement that only the present rules can judge.
    await asyncio.to_thread(sites.cluster.processes[OLDER].stop)
    _older_release_at_one_site(sites.cluster)
    told = sites.log(OLDER).count(stopped)
    sites.cluster.start(OLDER)
    assert await sites.wait_ended(OLDER) == 1
    assert sites.log(OLDER).count(stopped) > told
    assert "Traceback" not in sites.log(OLDER)
