"""A person's read log at real sites, over mutual TLS with the client: who was given what, each entry proven; and who may not look."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from click.testing import CliRunner

from client_world import FactName
from live_sites import AUTHOR, ONE_SITE, OTHER_AUTHOR, LiveSites, running_sites
from sento_client import SentoClient
from sento_client.cli.app import App
from sento_client.cli.main import main
from sento_client.read_log.values import ReadLog
from sento_drill.plan import READ_LOG_DESK
from sento_proto.errors import Code, SentoError

pytestmark = pytest.mark.asyncio(loop_scope="module")
PERSON, ANOTHER = "900000000115", "900000000123"
ADDRESS = FactName(registry="residency", kind="residence/entry", subject=PERSON, fact="address")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(ONE_SITE) as running:
        yield running


def client(sites: LiveSites, who: str) -> SentoClient:
    return SentoClient.open(sites.world.institution(who).config)


async def log_of(sites: LiveSites, person: str, *, confirmed: bool = False) -> ReadLog:
    async with client(sites, READ_LOG_DESK.name) as desk:
        return await desk.reads_of(
            person, registry="residency", purpose="own log", case_number="R-1", confirmed=confirmed
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def read_once(sites: LiveSites) -> tuple[LiveSites, int]:
    """A city wrote about a person and read it back for a case; the record's position."""
    async with client(sites, AUTHOR) as city:
        done = await city.write(**ADDRESS, compartment="basic", content={"town": "Iizuka"})
        await city.fact(**ADDRESS, purpose="address proof", case_number="2026-118")
    return sites, done.position


async def test_the_person_sees_who_read_when_and_why_with_a_proof(read_once: tuple[LiveSites, int]) -> None:
    sites, position = read_once
    log = await log_of(sites, PERSON)
    (entry,) = [one for one in log.entries if one.access and one.access.case_number == "2026-118"]
    assert entry.access is not None
    assert (entry.access.reader, entry.access.purpose) == (AUTHOR, "address proof")
    assert (entry.site, entry.access.method, entry.released) == (sites.names[0], "fact", True)
    assert entry.findings.ok
    assert log.checkpoint is not None
    assert log.checkpoint.size > entry.position > position
    assert log.hidden == 1, "the person's own record is not shown to the desk"


async def test_the_list_can_be_confirmed_by_a_quorum(read_once: tuple[LiveSites, int]) -> None:
    sites, _ = read_once
    log = await log_of(sites, PERSON, confirmed=True)
    assert (log.confirmed is not None, bool(log.entries)) == (True, True)


async def test_asking_for_the_log_is_itself_no_release(read_once: tuple[LiveSites, int]) -> None:
    sites, _ = read_once
    before = len((await log_of(sites, PERSON)).entries)
    assert len((await log_of(sites, PERSON)).entries) == before


async def test_another_office_is_refused_and_the_person_sees_the_attempt(
    read_once: tuple[LiveSites, int],
) -> None:
    sites, position = read_once
    async with client(sites, OTHER_AUTHOR) as hospital:
        with pytest.raises(SentoError) as refused:
            await hospital.read(position, purpose="curiosity", case_number="none")
        assert refused.value.code is Code.NOT_PERMITTED
    log = await log_of(sites, PERSON)
    (entry,) = [one for one in log.entries if one.access and one.access.reader == OTHER_AUTHOR]
    assert entry.access is not None
    assert (entry.access.outcome, entry.access.purpose, entry.released) == (
        "NOT_PERMITTED",
        "curiosity",
        False,
    )


async def test_who_may_not_read_access_records_sees_none(read_once: tuple[LiveSites, int]) -> None:
    sites, _ = read_once
    async with client(sites, AUTHOR) as city:
        log = await city.reads_of(PERSON, registry="residency", purpose="own log", case_number="R-2")
    assert (log.entries, log.hidden) == ((), 2)


async def test_the_command_says_who_read_and_what_the_list_does_not_hold(
    read_once: tuple[LiveSites, int],
) -> None:
    sites, _ = read_once
    config = str(sites.world.institution(READ_LOG_DESK.name).config)
    words = ["reads", "--registry", "residency", "--purpose", "own log", "--case", "R-3"]

    def run(*options: str) -> str:
        result = CliRunner(env={"SENTO_SUBJECT": PERSON}).invoke(
            main, ["--config", config, *options, *words], obj=App(open_client=SentoClient.open)
        )
        assert result.exit_code == 0, result.output
        return result.output

    shown = await asyncio.to_thread(run)
    for part in (AUTHOR, "address proof", "2026-118", "It does not hold"):
        assert part in " ".join(shown.split())
    value = json.loads(await asyncio.to_thread(run, "--json"))
    assert any(one["access"]["reader"] == AUTHOR for one in value["reads"])
    assert all(found["verdict"] == "holds" for one in value["reads"] for found in one["findings"])
    assert PERSON not in shown
    assert os.environ.get("SENTO_SUBJECT") is None
