"""A drill's world whose institutions hold no pseudonym key: a real site, a real pseudonym service, and offices that write and read by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from client_world import WHY, FactName
from live_sites import AUTHOR, ONE_SITE, READER
from sento_client import SentoClient, Setup, SetupError
from sento_client.cli.findings import State
from sento_client.cli.key_checks import check_installation
from sento_client.pseudonym_service.key_file import read_keys
from sento_client.pseudonym_service.macs import KeyName
from sento_drill import pki
from sento_drill.cluster import LocalCluster
from sento_drill.config_files import ServicePlace
from sento_drill.ports import free_ports
from sento_drill.service_process import ServiceProcess
from sento_drill.world import make_world
from sento_proto.pseudonyms import KeyKind, subject_of

NUMBER = "900000000115"


async def test_offices_write_and_read_with_a_service_and_without_a_key(tmp_path: Path) -> None:
    address = free_ports(1)[0].address
    world = make_world(tmp_path / "world", ONE_SITE, service=ServicePlace("ministry", address))
    assert not list(world.directory.rglob("pseudonyms.json"))
    findings = check_installation(world.institution(AUTHOR).config, pki.now_utc())
    assert [finding for finding in findings if finding.state is State.WRONG] == []
    key = read_keys(world.pseudonym_service.parent / "pseudonym-keys.json")[
        KeyName("health", KeyKind.PSEUDONYM)
    ]
    service = ServiceProcess(world.pseudonym_service)
    async with LocalCluster(world) as cluster:
        try:
            cluster.start_all()
            service.start()
            await cluster.wait_serving()
            fact = FactName(registry="health", kind="health/coverage", subject=NUMBER, fact="coverage")
            async with SentoClient.open(world.institution(AUTHOR).config) as city:
                with pytest.raises(SetupError) as refused:
                    city.compose_group([])
                assert refused.value.code is Setup.NAMES_ARE_ASKED
                done = await city.write(**fact, content=b"insured", compartment="coverage")
            async with SentoClient.open(world.institution(READER).config) as team:
                version = await team.fact(**fact, **WHY)
            assert (version.position, version.content) == (done.position, b"insured")
            assert version.header.subject == subject_of(key, NUMBER)
        finally:
            service.end()
            await cluster.end_all()
