"""An extract is got of a site whose two others are dead, opened twice with no site at all, and when all are back everything stands once in the read log."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from client_world import FactName
from live_sites import AUTHOR, LiveSites, running_sites
from raw_calls import PURPOSE
from sento_client import Freshness, SentoClient
from sento_client.cli.app import App
from sento_client.cli.main import main
from sento_client.extracts.use_log import opened_log
from sento_client.read_log.values import ReadLog
from sento_drill.plan import READ_LOG_DESK, WorldPlan
from sento_drill.waiting import until
from sento_proto.v1 import client_pb2

pytestmark = pytest.mark.asyncio
PERSON = "900000000115"
FACT = FactName(registry="residency", kind="residence/entry", subject=PERSON, fact="address")


def client(sites: LiveSites, who: str = AUTHOR) -> SentoClient:
    return SentoClient.open(sites.world.institution(who).config)


async def sento(sites: LiveSites, *arguments: str) -> tuple[int, Any]:
    """The command, with its JSON answer."""
    config = str(sites.world.institution(AUTHOR).config)
    app = App(open_client=SentoClient.open)
    result = await asyncio.to_thread(
        CliRunner().invoke, main, ["--config", config, "--json", *arguments], obj=app
    )
    assert result.stdout, (result.output, result.exception)
    return result.exit_code, json.loads(result.stdout)


async def covered_at(sites: LiveSites, site: str, size: int) -> None:
    """Until the site has a quorum checkpoint over so many records."""

    async def has() -> bool:
        async with sites.caller(AUTHOR, site) as caller:
            request = client_pb2.CheckpointRequest(at_least_size=size)
            try:
                await caller.registry.Checkpoint(request, timeout=5)
            except Exception:  # noqa: BLE001 - not yet
                return False
        return True

    await until(has, deadline_s=30, what=f"{site} has no checkpoint of size {size}")


async def log_of(sites: LiveSites) -> ReadLog:
    async with client(sites, READ_LOG_DESK.name) as desk:
        return await desk.reads_of(PERSON, registry="residency", purpose="own log", case_number="R-1")


async def test_what_was_opened_without_any_site_is_in_the_persons_list_once_when_all_are_back(
    tmp_path: Path,
) -> None:
    persons, person, extract = (tmp_path / name for name in ("persons.txt", "person.txt", "today.extract"))
    persons.write_text(f"{PERSON}\n900000000123\n")
    person.write_text(PERSON)
    why = ("--purpose", "shelter clinic", "--case", "S-1")
    opening = (
        "extract",
        "open",
        str(extract),
        "--of",
        str(person),
        "--purpose",
        "treatment",
        "--case",
        "T-1",
    )
    async with running_sites(WorldPlan(name="sento-island-extract")) as sites:
        island, *others = sites.names
        async with client(sites) as city:
            done = await city.write(**FACT, compartment="basic", content={"town": "Iizuka"})
            await city.receipt(done)
        await covered_at(sites, island, done.position + 1)
        for other in others:
            await asyncio.to_thread(sites.cluster.kill_site, other)
        await sites.wait_state(island, "no-majority")

        async with client(sites) as city:
            version = await city.read(
                done.position,
                purpose="on the island",
                case_number="I-1",
                freshness=Freshness.LOCAL,
                site=island,
            )
        assert version.content
        arguments = ("extract", "get", "--registry", "residency", "--of", str(persons), "--out", str(extract))
        code, got = await sento(sites, *arguments, *why, "--site", island)
        assert (code, got["site"], got["records"]) == (0, island, 1), got
        assert (await sites.status(island)).access_records_spooled == 2
        assert PERSON.encode() not in extract.read_bytes()

        await asyncio.to_thread(sites.cluster.kill_site, island)
        for _ in range(2):
            code, shown = await sento(sites, *opening)
            assert code == 0, shown
            assert [one["content"] for one in shown["versions"]] == [{"town": "Iizuka"}]
            assert shown["age_ms"] >= 0
        assert shown["uses_waiting"] == 2
        code, waiting = await sento(sites, "extract", "report", "--deadline", "3")
        assert (code, waiting["recorded"], waiting["waiting"]) == (6, 0, 2)

        for site in sites.names:
            sites.cluster.start(site)
        await sites.cluster.wait_serving(deadline_s=60)
        await sites.wait_status(
            island, lambda status: status.access_records_spooled == 0, "the spool is ordered"
        )

        async def reported() -> bool:
            _, answer = await sento(sites, "extract", "report")
            return bool(answer["waiting"] == 0)

        await until(reported, deadline_s=30, what="uses wait to be reported")
        async with client(sites) as city:
            # A computer that forgot that it has reported them does so again, at every site.
            with opened_log(city.extracts_directory) as log:
                uses = log.uses
            for site in sites.names:
                for use in uses:
                    request = client_pb2.ReportExtractUseRequest(registry="residency")
                    request.uses.add(
                        use_id=use.use_id, extract_id=use.extract_id, subject=use.subject, purpose=PURPOSE
                    )
                    async with sites.caller(AUTHOR, site) as caller:
                        reply: Any = await caller.registry.ReportExtractUse(request, timeout=20)
                    assert list(reply.recorded) == [use.use_id]

        async def listed() -> bool:
            return len((await log_of(sites)).entries) >= 4

        await until(listed, deadline_s=30, what="the read log lacks entries")
        entries = [entry.access for entry in (await log_of(sites)).entries if entry.access]
        found = sorted((access.method, access.purpose, access.case_number) for access in entries)
        assert found == [
            ("extract", "shelter clinic", "S-1"),
            ("extract-opened", "treatment", "T-1"),
            ("extract-opened", "treatment", "T-1"),
            ("read", "on the island", "I-1"),
        ]
        assert {access.site for access in entries if access.method != "extract-opened"} == {island}
