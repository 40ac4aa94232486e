"""`sento-node verify` on a data directory that a real node wrote: sound, in use, spoiled byte by byte, and of another ledger."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from live_sites import AUDITOR, AUTHOR, ONE_SITE, LiveSites, running_sites
from raw_calls import WriteStream, ledger_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

RECORDS = 120
TOTAL = 1 + RECORDS
"""The first record is the site's own: which rules its release knows."""


class Written(NamedTuple):
    """What a node left behind: its configuration, a copy of its data directory, and what it had said of it."""

    config: Path
    data: Path
    root: bytes
    in_use: subprocess.CompletedProcess[str]


def verify(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sento_node.cli", "verify", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


async def write_and_stop(sites: LiveSites) -> bytes:
    """Records in several blocks, flushed; the root of all. The site is stopped then."""
    await sites.wait_status(sites.names[0], lambda s: s.flushed_size == 1, "its rules announced")
    author = sites.author()
    async with sites.caller(AUTHOR) as caller, WriteStream(caller) as stream:
        for _ in range(4):
            await stream.outcomes(author.submission(*author.records(RECORDS // 4)))
    await sites.wait_status(sites.names[0], lambda s: s.quorum_size == TOTAL, "a checkpoint over all")
    async with sites.caller(AUDITOR) as auditor:
        _, root = await ledger_of(auditor)
    return root


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def written(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Written]:
    keep = tmp_path_factory.mktemp("verify")
    async with running_sites(replace(ONE_SITE, rules=3)) as sites:
        root = await write_and_stop(sites)
        site = sites.files(sites.names[0])
        in_use = await asyncio.to_thread(verify, "--config", site.config)
        await asyncio.to_thread(sites.cluster.processes[site.name].stop)
        directory = Path(shutil.copytree(site.directory, keep / "site"))
    yield Written(directory / "node.toml", directory / "data", root, in_use)
    shutil.rmtree(keep)


@pytest.fixture
def copy(written: Written, tmp_path: Path) -> Path:
    """A copy of the ledger's directory, to spoil; returns the data directory above it."""
    shutil.copytree(written.data / "ledger", tmp_path / "data" / "ledger")
    return tmp_path / "data"


def spoil(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


async def test_a_sound_ledger_is_said_to_be_sound_with_the_root_that_the_site_gave(written: Written) -> None:
    result = verify("--config", written.config)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{TOTAL} records" in result.stdout
    assert written.root.hex() in result.stdout
    assert "Nothing is wrong or missing" in result.stdout


async def test_a_ledger_in_use_is_left_alone_in_words(written: Written) -> None:
    assert written.in_use.returncode == 2
    assert "Another process has the ledger" in written.in_use.stderr


async def test_a_copy_is_verified_with_the_genesis_file_alone(written: Written, copy: Path) -> None:
    genesis = written.config.parent / "genesis.json"
    assert verify("--genesis", genesis, "--data-dir", copy).returncode == 0
    without = verify("--genesis", genesis)
    assert (without.returncode, "--data-dir" in without.stderr) == (2, True)


async def test_a_spoiled_payload_is_found_at_its_position_and_the_way_back_is_named(
    written: Written, copy: Path
) -> None:
    spoil(copy / "ledger" / "payloads" / "0000000001.segment", -10)
    result = verify("--config", written.config, "--data-dir", copy)
    assert result.returncode == 1
    assert f"wrong: position {TOTAL - 1}" in result.stdout
    assert "let the site catch up from another" in result.stdout


async def test_a_missing_segment_is_missing_and_not_wrong(written: Written, copy: Path) -> None:
    (copy / "ledger" / "payloads" / "0000000001.segment").unlink()
    lines = verify("--config", written.config, "--data-dir", copy, "--json").stdout.splitlines()
    found = [json.loads(line) for line in lines]
    summary = found[-1]["summary"]
    assert (summary["wrong"], summary["sound"]) == (0, False)
    assert summary["missing"] >= RECORDS
    positions = [one["position"] for one in found[:-1] if one["position"] is not None]
    assert positions == sorted(positions)


async def test_a_spoiled_database_is_found(written: Written, copy: Path) -> None:
    database = copy / "ledger" / "database" / "data.mdb"
    page = database.read_bytes().find(b"residency")
    assert page > 0
    spoil(database, page)
    assert verify("--config", written.config, "--data-dir", copy).returncode == 1


async def test_json_is_one_object_a_line_and_ends_with_the_summary(written: Written) -> None:
    result = verify("--config", written.config, "--json")
    (line,) = result.stdout.splitlines()
    summary = json.loads(line)["summary"]
    assert (summary["sound"], summary["records"], summary["root"]) == (True, TOTAL, written.root.hex())


async def test_progress_is_shown_beside_the_findings_and_not_among_them(written: Written) -> None:
    result = verify("--config", written.config, "--progress")
    assert "Verifying records" in result.stderr
    assert "Verifying records" not in result.stdout


@pytest.mark.parametrize("missing", ["data", "config"])
async def test_a_directory_or_configuration_that_is_not_there_is_said(
    written: Written, tmp_path: Path, missing: str
) -> None:
    arguments = (
        ("--config", written.config, "--data-dir", tmp_path / "none")
        if missing == "data"
        else ("--config", tmp_path / "none.toml")
    )
    result = verify(*arguments)
    assert (result.returncode, "none" in result.stderr) == (2, True)
    assert "Traceback" not in result.stderr
