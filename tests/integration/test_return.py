"""An old capital comes back: two real sites went on in epoch 1, the third one held more; its orphans are listed and come back once, by `sento` over mTLS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from live_sites import AUTHOR, WAIT_S, LiveSites, running_sites
from raw_calls import Author, WriteStream, seed_in
from sento_client.cli.main import main as client_main
from sento_drill.waiting import until
from sento_node.cli import main as node_main
from sento_proto.epoch_plan import decode_plan, encode_plan, signed_plan
from sento_proto.errors import Code
from sento_proto.keys import Ed25519Signer
from sento_proto.record import Record

pytestmark = pytest.mark.asyncio(loop_scope="module")
OFFICERS = ("digital-minister", "ciso", "deputy-health-minister")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites() as running:
        yield running


async def node(*arguments: str) -> None:
    result = await asyncio.to_thread(CliRunner().invoke, node_main, list(arguments))
    assert result.exit_code == 0, result.output


async def sento(sites: LiveSites, *arguments: str, code: int = 0) -> dict[str, object]:
    config = operator_config(sites)
    options = ["--config", str(config), "--json", "return", *arguments]
    result: Result = await asyncio.to_thread(CliRunner().invoke, client_main, options)
    assert result.exit_code == code, result.output
    value = json.loads(result.output)
    assert isinstance(value, dict)
    return value


def operator_config(sites: LiveSites) -> Path:
    """An author's `sento.toml` with the operator's certificate in it."""
    author = sites.world.institution(AUTHOR)
    path = author.config.with_name("operator.toml")
    operator = sites.world.operator
    text = author.config.read_text()
    for name in ("client.pem", "client.key"):
        assert f'"{name}"' in text
        text = text.replace(f'"{name}"', f'"{operator.directory / name}"')
    path.write_text(text)
    return path


async def write(sites: LiveSites, author: Author, records: Sequence[Record]) -> int:
    """One submission; the size that covers it."""
    async with sites.caller(AUTHOR) as caller, WriteStream(caller) as stream:
        outcomes = await stream.outcomes(author.submission(*records))
    assert {code for code, _ in outcomes} == {Code.ACCEPTED}
    return max(position for _, position in outcomes) + 1


async def agreed(sites: LiveSites, size: int) -> None:
    for site in sites.names:
        await sites.wait_status(site, lambda status: status.quorum_size >= size, f"{size} records agreed")


async def test_the_old_capital_s_orphans_come_back_once_and_a_conflict_waits_for_people(
    sites: LiveSites, tmp_path: Path
) -> None:
    author = sites.author(AUTHOR)
    genesis = str(sites.world.directory / "genesis.json")
    below = author.records(2)
    fork = await write(sites, author, below)
    await agreed(sites, fork)
    moment = (await sites.status()).now_ms

    async def next_second() -> bool:
        return (await sites.status()).now_ms // 1000 > moment // 1000 + 1

    await until(next_second, deadline_s=WAIT_S, what="the next second")
    as_of = datetime.fromtimestamp(moment // 1000 + 1, UTC).isoformat()
    late = author.record(
        subject=below[0].header.subject, fact=below[0].header.fact, previous=below[0].record_hash
    )
    lawful = author.records(3)
    await write(sites, author, [late])
    await agreed(sites, await write(sites, author, lawful))
    for site in sites.names:
        sites.cluster.processes[site].stop()

    plan_file = tmp_path / "plan.json"
    await node(
        "plan-epoch", "--data-dir", str(sites.data(sites.names[0])), "--genesis", genesis, "--as-of",
        as_of, "--out", str(plan_file), "--legal-basis", "decision 12", "--nothing-again",
    )  # fmt: skip
    plan = decode_plan(plan_file.read_bytes())
    for officer in OFFICERS:
        plan = signed_plan(
            plan, Ed25519Signer(seed_in(sites.world.officer(officer).directory / "signing.key"))
        )
    plan_file.write_bytes(encode_plan(plan))
    for site in sites.names:
        await node("begin-epoch", "--config", str(sites.files(site).config), "--plan", str(plan_file))
        sites.cluster.start(site)
    await sites.cluster.wait_serving(*sites.names, deadline_s=WAIT_S)

    async def is_open() -> bool:
        return all((sites.data(site) / "epoch-0001.done").exists() for site in sites.names)

    await until(is_open, deadline_s=WAIT_S, what="the epoch is open")
    newer = author.record(
        subject=below[0].header.subject, fact=below[0].header.fact, previous=below[0].record_hash
    )
    against = (
        await write(sites, author, [newer]) - 1
    )  # the capital is asked at once: its list must know of it

    capital, file = sites.names[2], tmp_path / "orphans.json"
    listed = await sento(sites, "orphans", "--site", capital, "--epoch", "0", "--out", str(file), code=5)
    assert listed["counts"]["to offer"] == len(lawful)  # type: ignore[index]
    conflict = next(
        one
        for one in listed["listed"]  # type: ignore[attr-defined]
        if one["place"] == "conflict"
    )
    assert (conflict["record"], conflict["against"]) == (late.record_hash.hex(), against)
    size = 0
    for time in range(2):
        after = await sento(sites, "readmit", str(file), "--site", capital, "--yes", code=5)
        assert after["counts"]["stands"] == len(lawful)  # type: ignore[index]
        assert after["counts"]["conflict"] == 1  # type: ignore[index]
        now = (await sites.status(capital)).applied_size
        assert not time or now == size, "twice changes nothing"
        size = now
    other = tmp_path / "again.json"
    again = await sento(sites, "orphans", "--site", capital, "--epoch", "0", "--out", str(other), code=5)
    assert again["counts"]["to offer"] == 0  # type: ignore[index]
