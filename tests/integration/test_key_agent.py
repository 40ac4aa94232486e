"""A key agent as a process beside a real site: readers of its compartment hold no key, and each opening leaves a release that the person can see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner

from live_sites import ONE_SITE, OTHER_AUTHOR, LiveSites, running_sites
from mtls_sites import LONG
from sento_client import SentoClient
from sento_client.asker import Terms
from sento_client.cli.main import main
from sento_client.keyfiles import write_secret
from sento_client.recovery.standing import KekScope
from sento_client.results import Version
from sento_drill.pki import Authority, issue_key_agent
from sento_drill.plan import READERS, ReaderPlan
from sento_drill.ports import free_ports
from sento_drill.service_process import KEY_AGENT, ServiceProcess
from sento_drill.world import World
from sento_proto.genesis import Scope
from sento_proto.seal import recipient_key_id, seal_suite_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
AGENT, DESK = "agent-1", "psychiatry-desk"
PLACE = Scope("health", "psychiatry")
PLAN = replace(
    ONE_SITE,
    readers=(*READERS, *(ReaderPlan(name, may_read=(PLACE,), opens=(PLACE,)) for name in (AGENT, DESK))),
)
OFFICERS = ("digital-minister", "ciso", "deputy-health-minister")
PATIENT = "900000000131"
FACT: dict[str, Any] = {"registry": "health", "kind": "health/prescription", "fact": "prescription 17"}


@dataclass
class Place:
    """A running site, the agent's process and its log."""

    sites: LiveSites
    agent: ServiceProcess

    @property
    def lines(self) -> list[dict[str, str]]:
        paths = sorted((self.agent.config.parent / "log").glob("calls-*.jsonl"))
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]

    def outcomes(self) -> list[str]:
        return [line["outcome"] for line in self.lines if line["event"] == "unwrapped"]

    async def read(self, position: int, deadline_ms: int | None = None) -> Version:
        async with SentoClient.open(self.sites.world.institution(DESK).config) as desk:
            return await desk.read(
                position, purpose="treatment", case_number="2026-17", deadline_ms=deadline_ms
            )


async def require_agent(world: World, act: Path) -> None:
    """Officers leave the compartment to the agent."""

    async def govern(who: str, *arguments: str) -> None:
        config = str(world.officer(who).config)
        result = await asyncio.to_thread(CliRunner().invoke, main, ["--config", config, "govern", *arguments])
        assert result.exit_code == 0, result.output

    change = ("require-key-agent", f"{PLACE.registry}:{PLACE.compartment}", AGENT)
    await govern("ciso", "propose", "--reason", "a drill", "--out", str(act), *change)
    for officer in OFFICERS:
        await govern(officer, "sign", str(act), "--yes")
    await govern("ciso", "submit", str(act))


def agent_process(world: World) -> ServiceProcess:
    """The agent beside its client; the desk learns of its address and its authority."""
    authority = Authority("key agents", LONG)
    home = world.institution(AGENT).directory
    pair, address = issue_key_agent(authority, AGENT, LONG), free_ports(1)[0].address
    (home / "agent.pem").write_bytes(pair.certificate_pem)
    write_secret(home / "agent.key", pair.key_pem)
    config = home / "key-agent.toml"
    config.write_text(
        f'name = "{AGENT}"\nclient = "sento.toml"\n[listen]\naddress = "{address}"\n'
        '[tls]\nca = "node-ca.pem"\ncertificate = "agent.pem"\nkey = "agent.key"\n'
    )
    desk = world.institution(DESK)
    desk.ca.write_bytes(desk.ca.read_bytes() + authority.certificate_pem)
    desk.config.write_text(
        desk.config.read_text() + f'\n[[key_agents]]\nname = "{AGENT}"\naddress = "{address}"\n'
    )
    return ServiceProcess(config, command=KEY_AGENT)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with running_sites(PLAN) as sites:
        await require_agent(sites.world, tmp_path_factory.mktemp("acts") / "act.json")
        agent = agent_process(sites.world)
        await asyncio.to_thread(agent.start)
        try:
            yield Place(sites, agent)
        finally:
            await asyncio.to_thread(agent.end)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def position(place: Place) -> AsyncIterator[int]:
    """A hospital wrote about a patient, under a key that it made after the act."""
    async with SentoClient.open(place.sites.world.institution(OTHER_AUTHOR).config) as hospital:
        done = await hospital.write(
            **FACT, subject=PATIENT, compartment=PLACE.compartment, content={"drug": "L"}
        )
    yield done.position


def _key_id(public_key: bytes) -> bytes:
    return recipient_key_id(seal_suite_of(public_key), public_key)


@pytest.fixture
def _agent_back(place: Place) -> Iterator[None]:
    yield
    place.agent.end()
    place.agent.start()


async def test_a_reader_opens_a_record_through_the_agent_and_holds_no_key(
    place: Place, position: int
) -> None:
    before = place.outcomes().count("OK")
    version = await place.read(position)
    assert version.content is not None, version.closed_because
    assert json.loads(version.content) == {"drug": "L"}
    assert place.outcomes().count("OK") == before + 1
    async with SentoClient.open(place.sites.world.institution(DESK).config) as desk:
        governance = await desk.governance()
        assert governance.key_agent_of(PLACE.registry, PLACE.compartment) == AGENT
        scope = KekScope(OTHER_AUTHOR, PLACE.registry, PLACE.compartment, version.header.key_epoch)
        kek = await desk.keks.look(scope, Terms("treatment", "2026-17", header_only=True))
    assert kek is not None
    sealed_to = {name for name in (AGENT, DESK) if _key_id(governance.readers[name].seal_key) in kek.seals}
    assert sealed_to == {AGENT}


async def test_each_opening_is_a_release_of_its_own(place: Place, position: int) -> None:
    before = {(line["access"], line["record"]) for line in place.lines if line["event"] == "unwrapped"}
    for _ in range(2):
        assert (await place.read(position)).content is not None
    after = {(line["access"], line["record"]) for line in place.lines if line["event"] == "unwrapped"}
    assert len(after - before) == 2


@pytest.mark.usefixtures("_agent_back")
async def test_without_the_agent_the_record_stays_closed_and_says_so(place: Place, position: int) -> None:
    await asyncio.to_thread(place.agent.end)
    version = await place.read(position, deadline_ms=3_000)
    assert version.content is None
    assert "UNREACHABLE" in version.closed_because or "gave no key in time" in version.closed_because


async def test_a_release_that_was_used_before_a_restart_is_used_after_it(place: Place, position: int) -> None:
    assert (await place.read(position)).content is not None
    used = {line["access"] for line in place.lines if line.get("outcome") == "OK" and "access" in line}
    await asyncio.to_thread(place.agent.kill)
    await asyncio.to_thread(place.agent.start)
    start = [line for line in place.lines if line["event"] == "start"][-1]
    assert int(start["used"]) == len(used)
    assert (await place.read(position)).content is not None
