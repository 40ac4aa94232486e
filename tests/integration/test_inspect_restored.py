"""A site's backup is restored as it was at a moment and served to be looked at: the client reads, lists and exports from it, and can write nothing to it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner

from client_world import FactName
from courier_sites import CourierDesk
from live_sites import AUTHOR, ONE_SITE, WAIT_S, LiveSites, running_sites
from sento_client import Freshness, SentoClient, Version
from sento_client.cli.app import App
from sento_client.cli.main import main
from sento_drill.plan import OFFICERS
from sento_drill.waiting import until
from sento_node.cli import main as node_main
from sento_node.ledger.lmdb_store import LmdbStore
from sento_proto.errors import SentoError

pytestmark = pytest.mark.asyncio(loop_scope="module")
PERSON = "900000000115"
ADDRESS = FactName(registry="residency", kind="residence/entry", subject=PERSON, fact="address")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(ONE_SITE) as running:
        yield running


def client(sites: LiveSites) -> SentoClient:
    return SentoClient.open(sites.world.institution(AUTHOR).config)


async def agreed(sites: LiveSites, size: int) -> None:
    await sites.wait_status(
        sites.names[0], lambda status: status.quorum_size >= size, f"{size} records agreed"
    )


async def test_the_past_is_read_from_a_restored_backup_and_nothing_is_written_to_it(
    sites: LiveSites, tmp_path: Path
) -> None:
    desk, backup, into = CourierDesk(sites, OFFICERS[0]), tmp_path / "backup", tmp_path / "into"
    async with client(sites) as city:
        before = await city.write(**ADDRESS, compartment="basic", content={"town": "Iizuka"})
        read = await city.read(before.position, purpose="address proof", case_number="2026-118")
        await agreed(sites, read.position + 1)
        assert (await desk.with_operator("backup", backup)).code == 0
        second = int(time.time())

        async def over() -> bool:
            return int(time.time()) > second

        await until(over, deadline_s=WAIT_S, what="the next second")
        later = await city.write(
            **ADDRESS, compartment="basic", content={"town": "Kaga"}, previous=before.record_hash
        )
        await agreed(sites, later.position + 1)
    assert (await desk.with_operator("backup", backup)).code == 0
    [site] = sites.names
    sites.cluster.processes[site].stop()
    arguments = [
        "restore", "--from", backup, "--genesis", sites.world.directory / "genesis.json", "--into", into,
        "--as-of", datetime.fromtimestamp(second, UTC).isoformat(),
    ]  # fmt: skip
    restored = await asyncio.to_thread(CliRunner().invoke, node_main, [str(one) for one in arguments])
    assert restored.exit_code == 0, restored.output
    with closing(LmdbStore.open(into / "ledger", sites.world.genesis.ledger_id)) as store:
        size = store.tip.size
        assert before.position < size <= later.position

    command = [
        sys.executable,
        "-m",
        "sento_node.cli",
        "inspect",
        "--config",
        sites.files(site).config,
        "--data-dir",
        into,
    ]
    process = subprocess.Popen([str(one) for one in command], env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        status = await sites.wait_status(site, lambda one: one.state == "inspecting", "it shows the ledger")
        assert (status.flushed_size, status.quorum_size) == (size, size)
        await looked_at(sites, before.position, later.position, tmp_path)
        assert (await sites.status(site)).flushed_size == size, "nothing was added"
        assert (await sites.status(site)).access_records_spooled >= 1
        assert any("spool" in path.name for path in into.iterdir())
    finally:
        process.terminate()
        assert await asyncio.to_thread(process.wait, WAIT_S) == 0


async def looked_at(sites: LiveSites, position: int, later: int, directory: Path) -> None:
    """With the library and with the command."""
    asked = {"purpose": "what was it at noon", "case_number": "2026-200"}
    async with client(sites) as city:

        async def read(at: int, freshness: Freshness) -> Version:
            return await city.read(
                at,
                freshness=freshness,
                deadline_ms=3_000,
                purpose=asked["purpose"],
                case_number=asked["case_number"],
            )

        record = await read(position, Freshness.LOCAL)
        assert json.loads(record.content or b"") == {"town": "Iizuka"}
        with pytest.raises(SentoError):
            await read(later, Freshness.LOCAL)
        with pytest.raises(SentoError) as refused:
            await read(position, Freshness.LINEARIZABLE)
        assert "LOCAL reads only" in str(refused.value)
        with pytest.raises(SentoError):
            await city.write(**ADDRESS, compartment="basic", content={"town": "Nowhere"}, deadline_ms=3_000)
    config = str(sites.world.institution(AUTHOR).config)
    words = [
        "history",
        "residency",
        "residence/entry",
        "--fact",
        "address",
        "--purpose",
        "noon",
        "--case",
        "2026-200",
        "--local",
    ]

    def run(*arguments: str) -> object:
        result = CliRunner(env={"SENTO_SUBJECT": PERSON}).invoke(
            main, ["--config", config, "--json", *arguments], obj=App(), catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.strip().splitlines()]

    assert str(position) in json.dumps(await asyncio.to_thread(run, *words))
