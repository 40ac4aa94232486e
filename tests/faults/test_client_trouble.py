"""The client with its outbox over real mutual TLS when lines, certificates, sites or the disk are in trouble: nothing waits for ever, is lost or doubled."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

import mtls_sites
from client_world import AUTHOR, WHY, address, write_client_files
from genesis_builder import SITES, build_genesis
from mtls_sites import LONG, OVER, ServedSite, write_client_tls
from outbox_at_work import until
from sento_client import Acknowledgement, Code, Draft, SentoClient, SentoError, WriteError
from sento_client import session as session_module
from sento_client.config import Limits
from sento_client.delivery_values import Settings as DeliverySettings
from sento_client.outbox import inspecting
from sento_client.outbox import outbox as outbox_module
from sento_client.outbox.keeper import Keeper
from sento_client.outbox.keeping import Counts, Settings
from sento_client.outbox.outbox import RESERVE_BYTES
from sento_client.testing.served import ServedLedger
from sento_client.testing.sites import Site
from sento_client.writing import Writer
from sento_drill.pki import Authority
from trouble_lines import Line, lines

QUICK = Settings(cover_ms=1_000, check_ms=20, again_ms=50)
NOTHING = Counts(0, 0)
DEADLINE_MS = 1_000
SLACK_S = 4.0
"""What a loaded machine may take beyond a deadline; a call that does not heed it takes until the default, 30 s."""
KIB = 1024
SMALL_DISK_BYTES = 16 * 1024 * KIB


class Place:
    """Three sites that listen, the way to each, and the files of one client."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.world = build_genesis()
        self.ledger = ServedLedger(self.world)
        self.authority = Authority("test authority", LONG)
        self.sites = [ServedSite(Site(name, self.ledger), self.authority) for name in SITES]
        self.outbox = directory / "outbox"

    def client(self, **ways: int) -> SentoClient:
        """A client; `ways`: ports to dial instead of the sites' own, as site0, site1, site2."""
        ports = [ways.get(f"site{n}", served.port) for n, served in enumerate(self.sites)]
        addresses = {name: f"127.0.0.1:{port}" for name, port in zip(SITES, ports, strict=True)}
        path = write_client_files(self.directory, self.world, AUTHOR, addresses)
        write_client_tls(self.directory, self.authority, AUTHOR)
        return SentoClient.open(path)

    def ids(self) -> list[bytes]:
        return [placed.record.header.record_id for placed in self.ledger.records]


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    monkeypatch.setattr(session_module, "Keeper", partial(Keeper, settings=QUICK))
    place = Place(tmp_path)
    for served in place.sites:
        await served.start()
    yield place
    for served in place.sites:
        await served.stop()


async def write(
    sento: SentoClient, fact: str = "address", *, size: int = 200, deadline_ms: int | None = None
) -> Acknowledgement:
    return await sento.write(**address(fact), content=bytes(size), deadline_ms=deadline_ms)


@contextmanager
def within_deadline() -> Iterator[None]:
    begun_s = time.monotonic()
    yield
    assert time.monotonic() - begun_s < DEADLINE_MS / 1000 + SLACK_S


def kept_ids(outbox: Path) -> list[bytes]:
    return [record.record_id for record in inspecting.kept_records(outbox)]


def test_deadline_that_nobody_gave_is_thirty_seconds() -> None:
    assert Limits().deadline_ms == 30_000


# Lines.


async def test_first_site_accepts_and_never_answers_and_another_takes_the_record(place: Place) -> None:
    silent = Line()
    async with lines(silent), place.client(site0=silent.port) as sento:
        done = await write(sento)
        assert done.site == SITES[1]
        assert (await sento.read(done.position, **WHY)).record_hash == done.record_hash
        await until(lambda: sento.outbox == NOTHING)
        assert silent.connections
    assert place.ids() == [done.record_id]


async def test_all_sites_accept_and_never_answer_and_every_call_ends_at_its_deadline(place: Place) -> None:
    silent = [Line() for _ in SITES]
    async with lines(*silent):
        async with place.client(**{f"site{n}": line.port for n, line in enumerate(silent)}) as sento:
            with within_deadline(), pytest.raises(WriteError) as unwritten:
                await write(sento, deadline_ms=DEADLINE_MS)
            with within_deadline(), pytest.raises(SentoError) as unread:
                await sento.read(0, **WHY, deadline_ms=DEADLINE_MS)
            with within_deadline():
                reports = await sento.status(timeout_ms=DEADLINE_MS)
        assert unread.value.code in (Code.DEADLINE, Code.UNREACHABLE)
        assert [report.serves for report in reports] == [False] * 3
        assert unwritten.value.code in (Code.DEADLINE, Code.UNREACHABLE)
        assert unwritten.value.kept
        assert "do not write it anew" in str(unwritten.value)
    # The next program, with lines that work, sends the same record.
    async with place.client() as sento:
        sento.empty_outbox()
        await until(lambda: sento.outbox == NOTHING)
    assert place.ids() == [unwritten.value.record.header.record_id]


async def test_site_that_takes_records_and_goes_silent_is_given_up_and_nothing_is_doubled(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.sites[0].site.mute = True
    impatient = partial(Writer, settings=DeliverySettings(answer_timeout_ms=300))
    monkeypatch.setattr(session_module, "Writer", impatient)
    async with place.client() as sento:
        done = await asyncio.gather(*(write(sento, f"fact {n}") for n in range(20)))
        await until(lambda: sento.outbox == NOTHING)
    assert {ack.site for ack in done} == {SITES[1]}
    assert sorted(place.ids()) == sorted(ack.record_id for ack in done)


async def test_slow_lines_slow_the_answers_and_change_nothing_else(place: Place) -> None:
    slow = [Line(served.port, delay_s=0.03) for served in place.sites]
    async with (
        lines(*slow),
        place.client(**{f"site{n}": line.port for n, line in enumerate(slow)}) as sento,
    ):
        done = await asyncio.gather(*(write(sento, f"fact {n}", size=2 * KIB) for n in range(30)))
        await until(lambda: sento.outbox == NOTHING)
    assert sorted(place.ids()) == sorted(ack.record_id for ack in done)


async def test_connections_cut_within_a_submission_lose_and_double_nothing(place: Place) -> None:
    # A handshake takes some 3 KiB from the client, a submission of one such record 25 KiB.
    first, second = place.sites[:2]
    cut = [Line(first.port, cuts=[8 * KIB, 20 * KIB]), Line(second.port, cuts=[27 * KIB])]
    async with lines(*cut), place.client(site0=cut[0].port, site1=cut[1].port) as sento:
        done = [await write(sento, f"fact {n}", size=24 * KIB) for n in range(3)]
        place.sites[2].site.down = True
        await place.sites[2].stop()
        done += [await write(sento, f"more {n}", size=24 * KIB) for n in range(3)]
        await until(lambda: sento.outbox == NOTHING)
    assert place.ids() == [ack.record_id for ack in done]
    assert [line.cuts for line in cut] == [[], []]


# Certificates.


@pytest.mark.parametrize("what", ["another site's", "another authority's", "expired"])
async def test_site_with_a_wrong_certificate_gets_nothing_and_another_takes_the_record(
    place: Place, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    wrong = place.sites[0]
    await wrong.stop()
    with monkeypatch.context() as patch:
        if what == "another site's":
            wrong.certificate_site = "jp-atlantis"
        elif what == "another authority's":
            wrong.authority = Authority("another", LONG)
        else:
            patch.setattr(mtls_sites, "LONG", OVER)
        await wrong.start()
    async with place.client() as sento:
        done = await write(sento)
        await until(lambda: sento.outbox == NOTHING)
        reports = await sento.status(timeout_ms=DEADLINE_MS)
    assert done.site in SITES[1:], "either of the others, whichever answered first"
    assert wrong.site.submissions == []
    assert [report.serves for report in reports] == [False, True, True]


async def test_wrong_certificates_everywhere_end_at_the_deadline_and_the_record_is_kept(place: Place) -> None:
    for served in place.sites:
        await served.stop()
        served.authority = Authority("another", LONG)
        await served.start()
    async with place.client() as sento:
        with within_deadline(), pytest.raises(WriteError) as refused:
            await write(sento, deadline_ms=DEADLINE_MS)
        assert (refused.value.code, refused.value.kept) == (Code.UNREACHABLE, True)
        assert "certificate" in str(refused.value).lower()
    assert kept_ids(place.outbox) == [refused.value.record.header.record_id]
    assert place.ids() == []


# Sites.


async def test_all_sites_gone_and_back_take_what_was_written_meanwhile(place: Place) -> None:
    async with place.client() as sento:
        before = await write(sento, "before")
        for served in place.sites:
            await served.stop()
        with within_deadline():
            gone = await asyncio.gather(
                *(write(sento, f"fact {n}", deadline_ms=DEADLINE_MS) for n in range(20)),
                return_exceptions=True,
            )
        errors = [error for error in gone if isinstance(error, WriteError)]
        assert [error.kept for error in errors] == [True] * 20
        patient = asyncio.create_task(write(sento, "patient"))
        for served in place.sites:
            await served.start()
        assert isinstance(await patient, Acknowledgement)
        await until(lambda: sento.outbox == NOTHING)
    wanted = [before.record_id, patient.result().record_id]
    wanted += [error.record.header.record_id for error in errors]
    assert sorted(place.ids()) == sorted(wanted)
    assert list(place.outbox.iterdir()) == []


async def test_sites_that_come_and_go_under_load_lose_and_double_nothing(place: Place) -> None:
    over = asyncio.Event()

    async def write_on(sento: SentoClient, writer: int) -> list[bytes]:
        done: list[bytes] = []
        while not over.is_set():
            done.append((await write(sento, f"{writer} {len(done)}")).record_id)
        return done

    async with place.client() as sento:
        writers = [asyncio.create_task(write_on(sento, writer)) for writer in range(6)]
        for served in (*place.sites, *place.sites):
            size = place.ledger.size + 20
            await until(lambda size=size: place.ledger.size >= size)  # type: ignore[misc]
            await served.stop()
            await served.start()
        over.set()
        done = [record_id for written in await asyncio.gather(*writers) for record_id in written]
        await until(lambda: sento.outbox == NOTHING)
    assert sorted(place.ids()) == sorted(done)


# The disk under the outbox.


@pytest.fixture
def small_disk(place: Place) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    place.outbox.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs", str(place.outbox)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield place.outbox
    subprocess.run(["umount", "-l", place.outbox], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free."""
    ballast = disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4 * KIB)):
            pass
    return ballast


@pytest.mark.parametrize("reserve_bytes", [0, RESERVE_BYTES], ids=["to the last byte", "to the reserve"])
async def test_full_disk_refuses_new_records_at_once_and_goes_on_when_there_is_room(
    place: Place, small_disk: Path, monkeypatch: pytest.MonkeyPatch, reserve_bytes: int
) -> None:
    monkeypatch.setattr(outbox_module, "RESERVE_BYTES", reserve_bytes)
    monkeypatch.setattr(outbox_module, "FULL_AGAIN_S", 0.01)
    async with place.client() as sento:
        first = await write(sento, "first")
        ballast = fill(small_disk)
        refused: list[WriteError] = []
        for n in range(6):
            with within_deadline(), pytest.raises(WriteError) as full:
                await write(sento, f"fact {n}", size=28 * KIB, deadline_ms=DEADLINE_MS)
            refused.append(full.value)
        ballast.unlink()
        done = await write(sento, "later", size=28 * KIB)
        await until(lambda: sento.outbox == NOTHING)
    assert {(error.code, error.kept, error.may_stand) for error in refused} == {
        (Code.OUTBOX_FULL, False, False)
    }
    assert "its disk" in str(refused[0])
    assert "sento outbox" in str(refused[0])
    assert place.ids() == [first.record_id, done.record_id]
    assert list(small_disk.iterdir()) == []


async def test_outbox_that_fills_its_own_disk_keeps_what_it_took_and_empties_when_sites_come_back(
    place: Place, small_disk: Path
) -> None:
    for served in place.sites:
        await served.stop()
    async with place.client() as sento:
        kept, refused = [], 0
        for batch in range(SMALL_DISK_BYTES // (100 * 20 * KIB) + 1):
            records = [sento.compose(draft(f"{batch} {n}", bytes(20 * KIB))) for n in range(100)]
            results = await sento.send(records, deadline_ms=600)
            errors = [result for result in results if isinstance(result, WriteError)]
            assert len(errors) == 100
            kept += [error.record.header.record_id for error in errors if error.kept]
            refused += [error.code for error in errors].count(Code.OUTBOX_FULL)
        assert refused + len(kept) == 100 * (batch + 1)
        assert min(refused, len(kept)) >= 100
        assert sorted(kept_ids(small_disk)) == sorted(kept)
        for served in place.sites:
            await served.start()
        await until(lambda: sento.outbox == NOTHING)
        assert sorted(place.ids()) == sorted(kept)
        await until(lambda: kept_ids(small_disk) == [])
        assert (await write(sento, "later")).position == len(kept)
    assert list(small_disk.iterdir()) == []


def draft(fact: str, content: bytes) -> Draft:
    return Draft(**address(fact), content=content)
