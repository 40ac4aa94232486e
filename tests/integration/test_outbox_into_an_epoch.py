"""A program goes on running while the registry goes over to a new epoch: what it lacks comes back by itself, once, with nobody writing anything anew."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from client_world import FactName
from live_sites import AUTHOR, WAIT_S, LiveSites, running_sites
from raw_calls import seed_in
from sento_client import Acknowledgement, SentoClient
from sento_drill.plan import FIVE_SITES
from sento_drill.waiting import until
from sento_node.cli import main as node_main
from sento_node.ledger.lmdb_store import LmdbStore
from sento_proto.epoch_plan import decode_plan, encode_plan, signed_plan
from sento_proto.keys import Ed25519Signer

pytestmark = [pytest.mark.asyncio, pytest.mark.long]
OFFICERS = ("digital-minister", "ciso", "deputy-health-minister")


async def write(sento: SentoClient, fact: str) -> Acknowledgement:
    where = FactName(registry="residency", kind="residence/entry", subject="900000000115", fact=fact)
    return await sento.write(**where, compartment="basic", content={"town": "Iizuka"})


async def node(*arguments: str) -> None:
    result = await asyncio.to_thread(CliRunner().invoke, node_main, list(arguments))
    assert result.exit_code == 0, result.output


async def second_is_over(sites: LiveSites) -> str:
    """Cosignatures tell whole seconds: the second in which all this happened, once it is over."""
    now_s = (await sites.status()).now_ms // 1000

    async def over() -> bool:
        return (await sites.status()).now_ms // 1000 > now_s + 1

    await until(over, deadline_s=WAIT_S, what="the next second")
    return datetime.fromtimestamp(now_s + 1, UTC).isoformat()


async def begin_epoch(sites: LiveSites, voting: list[str], as_of: str, tmp_path: Path) -> None:
    genesis, plan_file = str(sites.world.directory / "genesis.json"), tmp_path / "plan.json"
    await node(
        "plan-epoch", "--data-dir", str(sites.data(voting[0])), "--genesis", genesis, "--as-of", as_of,
        "--out", str(plan_file), "--legal-basis", "decision 12", "--nothing-again",
    )  # fmt: skip
    plan = decode_plan(plan_file.read_bytes())
    for officer in OFFICERS:
        key = seed_in(sites.world.officer(officer).directory / "signing.key")
        plan = signed_plan(plan, Ed25519Signer(key))
    plan_file.write_bytes(encode_plan(plan))
    for site in voting:
        await node("begin-epoch", "--config", str(sites.files(site).config), "--plan", str(plan_file))
        sites.cluster.start(site)


async def test_what_a_lost_embassy_never_had_is_sent_again_into_the_new_epoch_and_stands_once(
    tmp_path: Path,
) -> None:
    async with running_sites(FIVE_SITES) as sites:
        async with SentoClient.open(sites.world.institution(AUTHOR).config) as city:
            below = await write(city, "below")
            voting = [site.name for site in city.followed.governance.sites.values() if site.votes]
            for site in voting:
                await sites.wait_status(
                    site, lambda status: status.quorum_size > below.position, "below is agreed"
                )
            for site in sites.names:
                if site not in voting:
                    await asyncio.to_thread(sites.cluster.kill_site, site)
            as_of = await second_is_over(sites)
            lost = [await write(city, f"lost {number}") for number in range(3)]
            keeper = city._keeper
            assert keeper is not None

            async def all_held() -> bool:
                return keeper.held.records >= len(lost) and not city.outbox.uncovered

            await until(all_held, deadline_s=WAIT_S, what="a quorum at home has them, and they are held")
            for site in voting:
                sites.cluster.processes[site].stop()
            await begin_epoch(sites, voting, as_of, tmp_path)
            await sites.cluster.wait_serving(*voting, deadline_s=WAIT_S)
            ledger_id = sites.world.genesis.ledger_id

            async def sent_again() -> bool:
                return (
                    city.followed.governance.epoch == 1 and city.outbox.sending == city.outbox.uncovered == 0
                )

            await until(sent_again, deadline_s=WAIT_S, what="the client follows the epoch and has sent again")
            fresh = await write(city, "in the new epoch")
            for site in voting:
                await sites.wait_status(
                    site, lambda status: status.quorum_size > fresh.position, "everything is agreed"
                )
        for site in voting:
            sites.cluster.processes[site].stop()
            with closing(LmdbStore.open(sites.data(site) / "ledger", ledger_id)) as store:
                stand = [
                    record.record_hash for record in store.records(0, store.tip.size, with_payload=False)
                ]
            for done in (below, *lost, fresh):
                assert stand.count(done.record_hash) == 1
