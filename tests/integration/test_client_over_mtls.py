"""The client's transport over real gRPC and mutual TLS, against fake sites: identity, errors, lost streams, silence, sites that come back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client_world import AUTHOR, NUMBER, WHY, address, write_client_files
from genesis_builder import SITES, build_genesis
from mtls_sites import LONG, OVER, ServedSite, write_client_tls
from sento_client import (
    Acknowledgement,
    Code,
    RecordName,
    SentoClient,
    SentoError,
    Setup,
    SetupError,
    WriteError,
)
from sento_client.testing.served import ServedLedger
from sento_client.testing.sites import Site
from sento_drill.pki import Authority


class Place:
    """Three sites that listen, and the files of one client."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.world = build_genesis()
        self.ledger = ServedLedger(self.world)
        self.authority = Authority("test authority", LONG)
        self.sites = [ServedSite(Site(name, self.ledger), self.authority) for name in SITES]

    async def start(self) -> None:
        for served in self.sites:
            await served.start()

    def config(self, sites: list[ServedSite] | None = None, limits: str = "") -> Path:
        addresses = {served.site.name: served.address for served in sites or self.sites}
        path = write_client_files(self.directory, self.world, AUTHOR, addresses, limits)
        if not (self.directory / "client.pem").exists():
            write_client_tls(self.directory, self.authority, AUTHOR)
        return path

    def client(self, sites: list[ServedSite] | None = None) -> SentoClient:
        return SentoClient.open(self.config(sites))


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path)
    await place.start()
    yield place
    for served in place.sites:
        await served.stop()


async def test_write_read_verify_and_status_over_the_wire(place: Place) -> None:
    async with place.client() as sento:
        done = await sento.write(**address(), content={"town": "穂波町"})
        await sento.write(**address(), content={"town": "飯塚"}, previous=done.record_hash)
        assert (await sento.read(RecordName(AUTHOR, done.record_id), **WHY)).content is not None
        assert [v.position async for v in sento.history(**address(), **WHY)] == [1, 0]
        assert [v.position async for v in sento.changes(registry="residency", from_position=0, **WHY)] == [
            0,
            1,
        ]
        assert [
            v.position async for v in sento.subject_history(registry="residency", subject=NUMBER, **WHY)
        ] == [1, 0]
        assert (await sento.verify_record(0, **WHY)).findings.ok
        assert (await sento.outcomes([RecordName(AUTHOR, done.record_id)]))[0].position == 0
        assert all(report.serves for report in await sento.status())


async def test_many_callers_share_one_stream(place: Place) -> None:
    async with place.client() as sento:
        done = await asyncio.gather(
            *(sento.write(**address(f"fact {n}"), content=bytes(900)) for n in range(300))
        )
        assert {ack.site for ack in done} == {SITES[0]}
    assert place.sites[0].streams == 1
    assert len(place.ledger.records) == 300


async def test_stable_code_and_detail_arrive_in_the_trailing_metadata(place: Place) -> None:
    async with place.client() as sento:
        with pytest.raises(SentoError) as refused:
            await sento.read(17, **WHY)
        assert refused.value.code is Code.NOT_FOUND


async def test_site_that_turns_the_stream_away_tells_its_code(place: Place) -> None:
    for served in place.sites:
        served.site.turn_away = Code.IDENTITY_REFUSED
    async with place.client() as sento:
        with pytest.raises(WriteError) as refused:
            await sento.write(**address(), content=b"x")
        assert refused.value.code is Code.IDENTITY_REFUSED


async def test_stream_cut_before_the_answer_leads_to_the_same_position_elsewhere(place: Place) -> None:
    place.sites[0].site.answers_to_lose = 1
    async with place.client() as sento:
        done = await sento.write(**address(), content=b"x")
    assert (done.position, done.site, done.repeated) == (0, SITES[1], True)
    assert len(place.ledger.records) == 1


async def test_site_killed_under_load_loses_and_doubles_nothing(place: Place) -> None:
    async with place.client() as sento:
        writes = [
            asyncio.create_task(sento.write(**address(f"fact {n}"), content=bytes(200))) for n in range(200)
        ]
        await place.sites[0].site.received.wait()
        await place.sites[0].stop()
        more = [
            asyncio.create_task(sento.write(**address(f"more {n}"), content=bytes(200))) for n in range(50)
        ]
        done = await asyncio.gather(*writes, *more)
    assert len({ack.position for ack in done}) == 250
    assert len(place.ledger.records) == 250


async def test_all_sites_gone_and_back_goes_on_by_itself(place: Place) -> None:
    async with place.client() as sento:
        await sento.write(**address(), content=b"x")
        for served in place.sites:
            await served.stop()
        waiting = asyncio.create_task(sento.write(**address("phone"), content=b"y"))
        with pytest.raises(SentoError) as refused:
            await sento.read(0, **WHY, deadline_ms=200)
        assert refused.value.code is Code.UNREACHABLE
        await place.sites[1].start()
        assert (await waiting).site == SITES[1]


async def test_site_that_accepts_and_never_answers_costs_a_read_only_its_share(place: Place) -> None:
    async with place.client() as sento:
        await sento.write(**address(), content=b"x")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = ServedSite(place.sites[0].site, place.authority, port=silent.getsockname()[1])
        async with place.client([mute, *place.sites[1:]]) as sento:
            assert (await sento.read(0, **WHY)).as_of.site == SITES[1]
            assert (await sento.write(**address("phone"), content=b"x")).site == SITES[1]


async def test_site_with_the_certificate_of_another_site_is_not_talked_to(place: Place) -> None:
    impostor = ServedSite(Site(SITES[0], place.ledger), place.authority, certificate_site="jp-atlantis")
    await impostor.start()
    try:
        async with place.client([impostor]) as sento:
            with pytest.raises(WriteError) as refused:
                await sento.write(**address(), content=b"x", deadline_ms=300)
            assert (refused.value.code, refused.value.may_stand) == (Code.UNREACHABLE, False)
            with pytest.raises(SentoError) as unread:
                await sento.read(0, **WHY, deadline_ms=300)
            assert unread.value.code is Code.UNREACHABLE
        assert impostor.site.submissions == []
    finally:
        await impostor.stop()


async def test_foreign_and_expired_client_certificates_are_refused_with_a_hint(place: Place) -> None:
    place.config()
    write_client_tls(place.directory, place.authority, AUTHOR, OVER)
    async with place.client() as sento:
        with pytest.raises(SentoError) as refused:
            await sento.read(0, **WHY, deadline_ms=300)
        assert refused.value.code is Code.UNREACHABLE
        assert "certificate ended on 2026-01-02" in str(refused.value)
    write_client_tls(place.directory, Authority("another", LONG), AUTHOR)
    (place.directory / "node-ca.pem").write_bytes(place.authority.certificate_pem)
    async with place.client() as sento:
        with pytest.raises(SentoError) as refused:
            await sento.read(0, **WHY, deadline_ms=300)
        assert refused.value.code is Code.UNREACHABLE


async def test_new_certificate_files_are_used_without_a_restart(place: Place) -> None:
    place.config()
    write_client_tls(place.directory, place.authority, AUTHOR, OVER)
    async with place.client() as sento:
        writing = asyncio.create_task(sento.write(**address(), content=b"x"))
        await asyncio.sleep(0)
        write_client_tls(place.directory, place.authority, AUTHOR)
        assert isinstance(await writing, Acknowledgement)


@pytest.mark.parametrize("name", ["node-ca.pem", "client.pem"])
async def test_unusable_tls_file_is_named(place: Place, name: str) -> None:
    client = place.client()
    (place.directory / name).write_bytes(b"not a certificate")
    with pytest.raises(SetupError) as refused:
        async with client:
            pass
    assert refused.value.code is Setup.TLS_INVALID


async def test_tls_key_that_others_can_read_is_refused(place: Place) -> None:
    client = place.client()
    (place.directory / "client.key").chmod(0o644)
    with pytest.raises(SetupError) as refused:
        async with client:
            pass
    assert refused.value.code is Setup.KEY_FILE_OPEN
