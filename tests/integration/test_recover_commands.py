"""The capital is destroyed under a ministry's program: `sento recover` leads from its ruins to an epoch at two embassies and names what is missing.

The program's outbox brings that back by itself. Real sites, a real client with receipts and an outbox, and the commands as officers and the operator type them.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from live_sites import AUTHOR, WAIT_S, LiveSites, running_sites
from recovered_sites import EMBASSIES, OFFICERS, VOTERS, all_hold
from sento_client import SentoClient
from sento_client.cli.main import main
from sento_client.receipts.store import look, store_path
from sento_drill.plan import PREPARED
from sento_drill.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
EARLY, LATE = 8, 5


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(PREPARED) as running:
        yield running


async def sento(
    sites: LiveSites, officer: str, *arguments: str | Path, codes: Collection[int] = (0,)
) -> Result:
    """One command of `sento recover` at an officer's computer; those that ask sites with the operator's certificate."""
    operator = ("--operator", str(sites.world.operator.directory))
    asks = operator if arguments[0] in ("collect", "apply", "verify") else ()
    options = ["--config", str(sites.world.officer(officer).config), "recover", *map(str, arguments), *asks]
    result = await asyncio.to_thread(CliRunner().invoke, main, options)
    assert result.exit_code in codes, result.output
    return result


async def write(sento_client: SentoClient, first: int, count: int) -> None:
    for number in range(first, first + count):
        await sento_client.write(
            registry="residency",
            kind="residence/entry",
            subject="123456789018",
            fact=f"address {number}",
            content=f"{number}",
        )


def receipts(sites: LiveSites) -> int:
    stands = look(store_path(sites.world.institution(AUTHOR).directory / "receipts", AUTHOR))
    return 0 if stands is None else stands.receipts


async def receipted(sites: LiveSites, count: int) -> None:
    async def done() -> bool:
        return receipts(sites) >= count

    await until(done, deadline_s=WAIT_S, what=f"{count} receipts")


async def test_commands_lead_from_the_ruins_to_an_epoch_in_which_the_outbox_closes_the_gap(
    sites: LiveSites, tmp_path: Path
) -> None:
    institution = sites.world.institution(AUTHOR)
    async with SentoClient.open(institution.config) as client:
        await write(client, 0, EARLY)
        await receipted(sites, EARLY)
        size = (await sites.status(VOTERS[0])).applied_size
        await all_hold(sites, size, *sites.names)
        for site in EMBASSIES:
            sites.cluster.processes[site].stop()
        await write(client, EARLY, LATE)
        await receipted(sites, EARLY + LATE)
    for site in VOTERS:
        sites.cluster.kill_site(site)
        shutil.rmtree(sites.data(site))
    for site in EMBASSIES:
        sites.world.hand_over_certificates(site, 1)
        sites.cluster.start(site)
    for site in EMBASSIES:
        await sites.wait_state(site, "waiting-for-boot-confirmation")

    collected, plan, out = tmp_path / "collected.json", tmp_path / "plan.json", tmp_path / "result"
    stores = ("--receipts", institution.directory / "receipts", "--outbox", institution.directory / "outbox")
    asked = await sento(sites, OFFICERS[0], "collect", *stores, "--out", collected, codes=(5,))
    assert f"{EARLY + LATE} acknowledged" in asked.output
    rehearsed = await sento(sites, OFFICERS[0], "rehearse", collected)
    assert "REHEARSAL" in rehearsed.output
    made = await sento(sites, OFFICERS[0], "plan", collected, "--legal-basis", "Decision 31", "--out", plan)
    assert f"{LATE} records known from receipts" in made.output
    assert f"{LATE} of them wait in outboxes" in made.output
    for officer in OFFICERS:
        await sento(sites, officer, "sign", plan, "--yes")

    async def fits() -> bool:
        judged = await sento(sites, OFFICERS[1], "apply", plan, "--dry-run", codes=(0, 1))
        assert judged.exit_code == 0 or "MAJORITY_ANSWERS" in judged.output, judged.output
        return judged.exit_code == 0

    await until(fits, deadline_s=WAIT_S, what="the plan is refused")
    applied = await sento(sites, OFFICERS[1], "apply", plan)
    assert "Epoch 1 serves at every voting site" in applied.output

    verify = ("verify", plan, collected, "--out", out)

    async def proven() -> Result | None:
        result = await sento(sites, OFFICERS[0], *verify, codes=(0, 1, 5))
        return None if result.exit_code == 1 else result

    found = await until(proven, deadline_s=WAIT_S, what="the new epoch has no quorum's checkpoint")
    assert found.exit_code == 5, found.output
    missing = json.loads((out / "gap-list.json").read_text())["missing"]
    assert [(one["registry"], one["waits"]) for one in missing] == [("residency", True)] * LATE

    async with SentoClient.open(institution.config) as client:
        await write(client, EARLY + LATE, 1)

        async def closed() -> bool:
            result = await sento(sites, OFFICERS[0], *verify, codes=(0, 5))
            return result.exit_code == 0

        await until(closed, deadline_s=WAIT_S, what="the outbox does not bring the missing records back")
    sheet = (out / "result.txt").read_text()
    assert "0, of which 0 wait" in sheet
    assert "not known here" in sheet
