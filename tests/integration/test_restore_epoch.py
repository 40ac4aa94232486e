"""A mass change at a known moment is undone: three real sites go back to the state before it in a new epoch, and take over again what was lawful afterwards."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from live_sites import AUTHOR, OTHER_AUTHOR, WAIT_S, LiveSites, running_sites
from raw_calls import Author, StreamEnded, WriteStream, seed_in
from sento_drill.waiting import until
from sento_node.cli import main as node_main
from sento_node.ledger.lmdb_store import LmdbStore
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.epoch_plan import EpochPlan, decode_plan, encode_plan, signed_plan
from sento_proto.errors import Code
from sento_proto.keys import Ed25519Signer
from sento_proto.record import Record

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIVES = 50
OFFICERS = ("digital-minister", "ciso", "deputy-health-minister")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites() as running:
        yield running


async def command(*arguments: str, code: int = 0) -> Result:
    result = await asyncio.to_thread(CliRunner().invoke, node_main, list(arguments))
    assert result.exit_code == code, result.output
    return result


async def write(sites: LiveSites, who: str, author: Author, records: Sequence[Record]) -> list[int]:
    """Submissions of ten records; the positions, all accepted."""
    positions: list[int] = []
    async with sites.caller(who) as caller, WriteStream(caller) as stream:
        for start in range(0, len(records), 10):
            outcomes = await stream.outcomes(author.submission(*records[start : start + 10]))
            assert {code for code, _ in outcomes} == {Code.ACCEPTED}
            positions += [position for _, position in outcomes]
    return positions


async def agreed(sites: LiveSites, size: int) -> None:
    """Every site holds a quorum checkpoint over so many records."""
    for site in sites.names:
        await sites.wait_status(site, lambda status: status.quorum_size >= size, f"{size} records agreed")


async def next_second() -> str:
    """Cosignatures tell whole seconds: wait until the second in which all this happened is over, and name it."""
    second = int(time.time())

    async def over() -> bool:
        return int(time.time()) > second

    await until(over, deadline_s=WAIT_S, what="the next second")
    return datetime.fromtimestamp(second, UTC).isoformat()


def stop_all(sites: LiveSites) -> None:
    for site in sites.names:
        sites.cluster.processes[site].stop()


def signed(sites: LiveSites, plan: EpochPlan, *officers: str) -> EpochPlan:
    for officer in officers:
        path = sites.world.officer(officer).directory / "signing.key"
        plan = signed_plan(plan, Ed25519Signer(seed_in(path)))
    return plan


async def open_at(sites: LiveSites, *names: str) -> None:
    async def is_open() -> bool:
        return all((sites.data(site) / "epoch-0001.done").exists() for site in names)

    await until(is_open, deadline_s=WAIT_S, what="the epoch is open")


async def stays_out(sites: LiveSites, site: str) -> None:
    """A site that was not brought over stops acknowledging when it is shown the new epoch, and is refused when it starts again as it is."""
    await sites.wait_state(site, "epoch-ended")
    author = sites.author(AUTHOR)
    async with sites.caller(AUTHOR, site) as caller, WriteStream(caller) as stream:
        [answer] = await asyncio.gather(
            stream.ask(author.submission(author.record())), return_exceptions=True
        )
    if isinstance(answer, StreamEnded):
        assert answer.refusal is not None
        assert answer.refusal.code is Code.EPOCH_ENDED
    else:
        assert not isinstance(answer, BaseException)
        assert Code(answer.error.code) is Code.EPOCH_ENDED
    sites.cluster.processes[site].stop()
    sites.cluster.start(site)
    await sites.wait_status(site, lambda status: "EPOCH_ENDED" in status.explanation, "it is refused")
    sites.cluster.processes[site].stop()


async def test_a_night_s_mass_change_is_undone_and_what_was_lawful_after_it_comes_back(
    sites: LiveSites, tmp_path: Path
) -> None:
    """Fifty addresses are changed at once; the state before it is kept, a hospital's later records stand again under their own hashes, the changes do not."""
    town, hospital = sites.author(AUTHOR), sites.author(OTHER_AUTHOR)
    genesis = str(sites.world.directory / "genesis.json")
    before = town.records(LIVES)
    positions = await write(sites, AUTHOR, town, before)
    await agreed(sites, max(positions) + 1)
    as_of = await next_second()
    changes = [
        town.record(subject=one.header.subject, fact=one.header.fact, previous=one.record_hash)
        for one in before
    ]
    await write(sites, AUTHOR, town, changes)
    lawful = [hospital.record(registry="health", compartment="open", kind="health/visit") for _ in range(20)]
    later = await write(sites, OTHER_AUTHOR, hospital, lawful)
    await agreed(sites, max(later) + 1)
    first, second, left_behind = sites.names
    for site in (first, second):
        sites.cluster.processes[site].stop()
    looked_at = tmp_path / "looked-at"
    await command(
        "restore", "--data-dir", str(sites.data(first)), "--genesis", genesis, "--as-of", as_of, "--into", str(looked_at),
    )  # fmt: skip
    ledger_id = sites.world.genesis.ledger_id
    with closing(LmdbStore.open(looked_at / "ledger", ledger_id)) as store:
        assert all(store.position_of_hash(one.record_hash) is not None for one in before)
        assert all(store.position_of_hash(one.record_hash) is None for one in (*changes, *lawful))
        fork_size = store.tip.size

    plan_file = tmp_path / "plan.json"
    await command(
        "plan-epoch", "--data-dir", str(sites.data(first)), "--genesis", genesis, "--as-of", as_of, "--out", str(plan_file),
        "--legal-basis", "decision 12 of 2027", "--leave-out", f"{AUTHOR}:residency",
    )  # fmt: skip
    plan = decode_plan(plan_file.read_bytes())
    assert plan.parent.size == fork_size
    assert {one.record_hash for one in lawful} <= set(plan.readmit)
    assert not {one.record_hash for one in changes} & set(plan.readmit)

    config = {site: str(sites.files(site).config) for site in sites.names}
    few = tmp_path / "few.json"
    few.write_bytes(encode_plan(signed(sites, plan, *OFFICERS[:2])))
    refused = await command("begin-epoch", "--config", config[first], "--plan", str(few), code=1)
    assert "Too few officers" in refused.output
    whole = signed(sites, plan, *OFFICERS)
    altered = json.loads(encode_plan(whole))
    altered["readmit"] = altered["readmit"][1:]
    (tmp_path / "altered.json").write_text(json.dumps(altered))
    refused = await command(
        "begin-epoch", "--config", config[first], "--plan", str(tmp_path / "altered.json"), code=1
    )
    assert "altered" in refused.output

    plan_file.write_bytes(encode_plan(whole))
    for site in (first, second):
        done = await command("begin-epoch", "--config", config[site], "--plan", str(plan_file))
        assert "Epoch 1 begins here" in done.output
    again = await command("begin-epoch", "--config", config[first], "--plan", str(plan_file))
    assert "nothing was changed" in again.output

    for site in (first, second):
        sites.cluster.start(site)
    await sites.cluster.wait_serving(first, second, deadline_s=WAIT_S)
    await open_at(sites, first, second)
    await stays_out(sites, left_behind)
    await command("begin-epoch", "--config", config[left_behind], "--plan", str(plan_file))
    sites.cluster.start(left_behind)
    await sites.cluster.wait_serving(left_behind, deadline_s=WAIT_S)
    await open_at(sites, left_behind)
    fresh = hospital.record(registry="health", compartment="open", kind="health/visit")
    newest = await write(sites, OTHER_AUTHOR, hospital, [fresh])
    await agreed(sites, max(newest) + 1)
    stop_all(sites)
    for site in sites.names:
        with closing(LmdbStore.open(sites.data(site) / "ledger", ledger_id)) as store:
            assert store.tip.epoch == 1
            kept = store.checkpoint()
            assert kept is not None
            assert decode_checkpoint(kept.note).epoch == 1
            stand = [store.position_of_hash(one.record_hash) for one in lawful]
            assert all(position is not None and position > fork_size for position in stand)
            assert all(store.position_of_hash(one.record_hash) is None for one in changes)
        await command("verify", "--config", config[site])
        assert (sites.data(site) / "epoch-0000-orphans").is_dir()
    shutil.rmtree(looked_at)
