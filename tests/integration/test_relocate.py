"""Votes are moved by a signed plan between real sites while records are written: there, with the operator stopped on the way, and back again."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner

from live_sites import LiveSites, running_sites
from sento_client.cli.main import main
from sento_drill.places import LU_BETZDORF, PLACES
from sento_drill.plan import WorldPlan
from steady_writer import SteadyWriter, nothing_is_lost

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]

FUKUOKA, ISHIKAWA, IBARAKI = (place.site for place in PLACES)
EMBASSY = LU_BETZDORF.site
PLAN = WorldPlan(name="sento-relocate", sites=(*PLACES, LU_BETZDORF), stand_by=True)
OFFICERS = ("digital-minister", "ciso", "deputy-health-minister")
COUNTRY = "majority-country:JP"
BASIS = ("--legal-basis", "Decision 7/2027", "--accept", COUNTRY)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(PLAN) as running:
        for file in (running.world.directory / "safe" / "epoch-0000" / EMBASSY).iterdir():
            shutil.copy(file, running.files(EMBASSY).directory / file.name)
        yield running


async def sento(sites: LiveSites, who: str, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    """One command; its output."""
    config = str(sites.world.officer(who).config)
    done = await asyncio.to_thread(CliRunner().invoke, main, ["--config", config, *arguments])
    assert done.exit_code in codes, done.output
    return done.output


async def operate(sites: LiveSites, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    """One command with the operator's certificate, as JSON where it says so."""
    operator = ("--operator", str(sites.world.operator.directory))
    return await sento(sites, "ciso", *arguments, *operator, codes=codes)


async def signed(sites: LiveSites, path: Path) -> None:
    for officer in OFFICERS:
        await sento(sites, officer, "relocate", "sign", str(path), "--yes")


async def test_the_capital_moves_abroad_under_writes_and_returns(sites: LiveSites, tmp_path: Path) -> None:
    there, back = tmp_path / "plan.json", tmp_path / "return.json"
    moving = ("--target", EMBASSY, "--retire", FUKUOKA, "--registry", "residency", "--registry", "health")
    refused = await operate(
        sites, "relocate", "plan", *moving, "--legal-basis", "none", "--out", str(there), codes=(1,)
    )
    assert "PLACEMENT_REFUSED" in refused
    assert COUNTRY in refused
    await operate(sites, "relocate", "plan", *moving, *BASIS, "--out", str(there))
    await operate(sites, "relocate", "run", str(there), codes=(1,))
    assert (await sites.status(EMBASSY)).role == "embassy", "nothing is done with too few signatures"
    await signed(sites, there)
    async with SteadyWriter(sites, callers=2) as writer:
        await writer.more(20)
        dry = await operate(sites, "relocate", "check", str(there), codes=(0, 5))
        assert "Expected pause of writes" in dry
        # The operator's computer stops once on the way; whoever runs it again goes on.
        await operate(sites, "relocate", "run", str(there), "--timeout", "1", codes=(0, 6))
        await operate(sites, "relocate", "run", str(there), "--timeout", "120")
        await writer.more(20)
        report = json.loads(await _report(sites, there))
        assert (report["stage"], report["lead"], report["same_head"], report["lost"]) == (
            "retired",
            EMBASSY,
            True,
            0,
        )
        assert report["records_while_watched"] > 0
        assert report["longest_pause_ms"] is not None
        late = await operate(sites, "relocate", "back-out", str(there), codes=(1,))
        assert "sento relocate return" in late
        await operate(sites, "relocate", "return", str(there), *BASIS, "--out", str(back))
        await signed(sites, back)
        await operate(sites, "relocate", "run", str(back), "--timeout", "120")
        await writer.more(20)
        report = json.loads(await _report(sites, back))
        assert (report["lead"], report["same_head"]) == (FUKUOKA, True)
    assert writer.longest_gap_s < 20, "writing went on"
    await nothing_is_lost(sites, writer, "the capital moved and returned")


async def test_a_move_that_was_begun_is_backed_out_of_and_votes_are_as_before(
    sites: LiveSites, tmp_path: Path
) -> None:
    path = tmp_path / "plan.json"
    await operate(
        sites, "relocate", "plan", "--target", EMBASSY, "--retire", FUKUOKA, *BASIS, "--out", str(path)
    )
    await signed(sites, path)
    # One second is too short to get behind the vote, so the retirement cannot stand yet.
    await operate(sites, "relocate", "run", str(path), "--timeout", "1", codes=(6,))
    await operate(sites, "relocate", "back-out", str(path), "--timeout", "120")
    await voting_are(sites, FUKUOKA, ISHIKAWA, IBARAKI)
    assert "was backed out" in await operate(sites, "relocate", "run", str(path), codes=(1,))


async def test_a_capital_that_is_down_is_retired_first_and_comes_back_as_a_copy(
    sites: LiveSites, tmp_path: Path
) -> None:
    path = tmp_path / "plan.json"
    async with SteadyWriter(sites, callers=2) as writer:
        await writer.more(20)
        sites.cluster.kill_site(FUKUOKA)
        await writer.more(20)
        await operate(
            sites, "relocate", "plan", "--target", EMBASSY, "--retire", FUKUOKA, *BASIS, "--out", str(path)
        )
        await signed(sites, path)
        await operate(sites, "relocate", "run", str(path), "--timeout", "180")
        await voting_are(sites, EMBASSY, ISHIKAWA, IBARAKI)
        assert (await sites.status(EMBASSY)).is_lead
        sites.cluster.start(FUKUOKA)
        await sites.wait_status(
            FUKUOKA,
            lambda status: status.state == "serving" and status.role == "embassy",
            "a copy",
            deadline_s=90,
        )
        await writer.more(20)
    await nothing_is_lost(sites, writer, "the capital burnt and its vote was given abroad")


async def voting_are(sites: LiveSites, *wanted: str) -> None:
    """Wait until the members of the ordering log are these, by the word of each."""
    for site in wanted:
        await sites.wait_status(
            site,
            lambda status: sorted(member.site for member in status.ordering_members) == sorted(wanted),
            f"the members are {wanted}",
            deadline_s=60,
        )


async def _report(sites: LiveSites, path: Path) -> str:
    config = str(sites.world.officer("ciso").config)
    arguments = [
        "--config",
        config,
        "--json",
        "relocate",
        "report",
        str(path),
        "--operator",
        str(sites.world.operator.directory),
    ]
    done = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout
