"""A site that lay still while records came is behind the fork: the same plan brings it over, and it keeps its ledger and copies the rest from the new epoch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner

from live_sites import AUTHOR, WAIT_S, LiveSites, running_sites
from raw_calls import WriteStream, codes, seed_in
from sento_drill.waiting import until
from sento_node.cli import main
from sento_node.ledger.lmdb_store import LmdbStore
from sento_proto.epoch_plan import decode_plan, encode_plan, signed_plan
from sento_proto.errors import Code
from sento_proto.keys import Ed25519Signer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]
MANY = 1_000
"""So many records behind one that is kept, a checkpoint is kept too: what lies closer is thinned."""
OFFICERS = ("digital-minister", "ciso", "deputy-health-minister")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites() as running:
        yield running


async def node(*arguments: object) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, main, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output
    return result.output


async def written(sites: LiveSites, site: str, count: int) -> dict[bytes, int]:
    """Records that a quorum has cosigned at this site, in submissions of ten: hash to position."""
    author, positions = sites.author(), dict[bytes, int]()
    async with sites.caller(AUTHOR, site) as caller, WriteStream(caller) as stream:
        for start in range(0, count, 10):
            records = author.records(min(10, count - start))
            outcomes = await stream.outcomes(author.submission(*records))
            assert set(codes(outcomes)) == {Code.ACCEPTED}
            positions |= {one.record_hash: at for one, (_, at) in zip(records, outcomes, strict=True)}
    size = max(positions.values()) + 1
    await sites.wait_status(site, lambda status: status.quorum_size >= size, f"{size} records agreed")
    return positions


async def test_a_site_behind_the_fork_catches_up_into_the_new_epoch(sites: LiveSites, tmp_path: Path) -> None:
    first, second, behind = sites.names
    genesis = sites.world.directory / "genesis.json"
    early = await written(sites, first, 5)
    sites.cluster.processes[behind].stop()
    below = await written(sites, first, MANY)
    moment = int(time.time())

    async def over() -> bool:
        return int(time.time()) > moment

    await until(over, deadline_s=WAIT_S, what="the next second")
    lost = await written(sites, first, 10)
    for site in (first, second):
        sites.cluster.processes[site].stop()
    plan_file = tmp_path / "plan.json"
    await node(
        "plan-epoch", "--data-dir", sites.data(first), "--genesis", genesis, "--legal-basis", "decision 12 of 2027",
        "--as-of", datetime.fromtimestamp(moment, UTC).isoformat(), "--nothing-again", "--out", plan_file,
    )  # fmt: skip
    plan = decode_plan(plan_file.read_bytes())
    fork = plan.parent.size
    assert max(early.values()) < min(below.values()) < fork
    for officer in OFFICERS:
        key = sites.world.officer(officer).directory / "signing.key"
        plan = signed_plan(plan, Ed25519Signer(seed_in(key)))
    plan_file.write_bytes(encode_plan(plan))
    told = {
        site: await node("begin-epoch", "--config", sites.files(site).config, "--plan", plan_file)
        for site in sites.names
    }
    assert "catches up from sites of epoch 1" in told[behind]
    for site in sites.names:
        sites.cluster.start(site)
    await sites.cluster.wait_serving(deadline_s=WAIT_S)

    async def open_everywhere() -> bool:
        return all((sites.data(site) / "epoch-0001.done").exists() for site in sites.names)

    await until(open_everywhere, deadline_s=WAIT_S, what="the epoch is open")
    # The life that copied ends when its ledger has come into the epoch; the next one takes part in it.
    await sites.wait_status(
        behind, lambda status: status.boot_number > 1 and status.state == "serving", "its next life serves"
    )
    fresh = await written(sites, behind, 1)
    size = (await sites.status(behind)).quorum_size
    for site in sites.names:
        await sites.wait_status(site, lambda status: status.quorum_size >= size, "all agree")
        sites.cluster.processes[site].stop()
    for site in sites.names:
        with closing(LmdbStore.open(sites.data(site) / "ledger", sites.world.genesis.ledger_id)) as store:
            assert store.tip.epoch == 1
            for record_hash, position in (early | below | lost).items():
                assert store.position_of_hash(record_hash) == (position if position < fork else None)
            assert all(store.position_of_hash(record_hash) == at for record_hash, at in fresh.items())
        await node("verify", "--config", sites.files(site).config)
