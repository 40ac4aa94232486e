"""Writing through an outbox: a record that `write` has taken stands once, whatever becomes of sites, disk, clock, caller and program."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from functools import partial
from pathlib import Path

import pytest
from google.protobuf.message import Message

from client_world import AUTHOR, ClientWorld, build_client_world
from genesis_builder import make_record
from outbox_at_work import Commits, until
from sento_client import Acknowledgement, Code, Draft, Ports, SentoClient, WriteError, writing
from sento_client import session as session_module
from sento_client.config import OutboxPlace
from sento_client.outbox import inspecting, keeper
from sento_client.outbox.keeping import Counts, Settings
from sento_client.testing import Registry, Site
from sento_client.testing.ledger import EPOCH
from sento_proto.submission import decode_submission
from sento_proto.v1 import client_pb2

DAY_MS = 86_400_000
QUICK = Settings(cover_ms=20, check_ms=2, again_ms=2, not_yet_first_ms=2, not_yet_most_ms=10)
PATIENT = Settings(cover_ms=3_600_000, check_ms=2, again_ms=2)
NOTHING = Counts(0, 0)
SOON_MS = 400
"""A deadline for callers whose records are to be kept and not to be sent: a flush on a loaded machine comes well before it."""


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, QUICK)


def use(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(session_module, "Keeper", partial(keeper.Keeper, settings=settings))


def draft(fact: str = "address", previous: bytes | None = None) -> Draft:
    return Draft("residency", "residence/entry", "123456789018", fact, {"town": "穂波町"}, previous)


async def write(sento: SentoClient, fact: str = "address", deadline_ms: int | None = None) -> Acknowledgement:
    (result,) = await sento.send([sento.compose(draft(fact))], deadline_ms=deadline_ms)
    if isinstance(result, WriteError):
        raise result
    return result


def kept_ids(outbox: Path) -> list[bytes]:
    return [record.record_id for record in inspecting.kept_records(outbox)]


def ids_at(registry: Registry) -> list[bytes]:
    """Record ids in the order of the ledger."""
    return [record.header.record_id for record in registry.records()]


def copy_of(outbox: Path, to: Path) -> Path:
    """What a program that is killed at this moment leaves."""
    to.mkdir()
    for path in outbox.iterdir():
        if path.suffix != ".lock":
            shutil.copy(path, to)
    return to


def drop_silently(site: Site, monkeypatch: pytest.MonkeyPatch, position: Callable[[int], int]) -> None:
    """The site acknowledges what it never orders; `position`: where it says that its n-th record stands."""
    count = 0

    def take(data: bytes, caller: str | None = None) -> client_pb2.WriteReply:
        nonlocal count
        site.receive(data)
        reply = client_pb2.WriteReply(epoch=EPOCH)
        for record in decode_submission(data).records:
            reply.outcomes.add(code=Code.ACCEPTED, position=position(count), record_hash=record.record_hash)
            count += 1
        return reply

    monkeypatch.setattr(site, "take", take)


# Kept until it is proven.


async def test_record_is_kept_until_a_quorum_checkpoint_covers_it(registry: Registry, outbox: Path) -> None:
    registry.cosigned_size = 0
    async with registry.client(outbox=outbox) as sento:
        done = await write(sento)
        assert kept_ids(outbox) == [done.record_id]
        registry.cosigned_size = None
        await until(lambda: sento.outbox == NOTHING)
        await until(lambda: not kept_ids(outbox))
    assert list(outbox.iterdir()) == []


@pytest.mark.parametrize("what", ["checkpoint of one site", "proof of another record"])
async def test_record_is_not_forgotten_for_what_proves_nothing(
    registry: Registry, outbox: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    use(monkeypatch, PATIENT)
    lies = 0

    def alter(message: Message) -> None:
        nonlocal lies
        if isinstance(message, client_pb2.CheckpointReply) and what == "checkpoint of one site":
            lies += 1
            message.checkpoint = registry.sites[0].ledger.checkpoint(["site-1"])
        if isinstance(message, client_pb2.ProofReply) and what == "proof of another record":
            lies += 1
            for proof in message.inclusions:
                proof.path[0] = bytes(32)

    registry.put(draft("another"))
    registry.everywhere.alter = alter
    async with registry.client(outbox=outbox) as sento:
        done = await write(sento)
        await until(lambda: lies > 12)
        assert sento.outbox.uncovered == 1
        assert kept_ids(outbox) == [done.record_id]
        registry.everywhere.alter = None
        await until(lambda: sento.outbox == NOTHING)


async def test_site_that_acknowledges_and_never_orders_is_caught_and_the_record_goes_to_another(
    registry: Registry, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.put(draft("another"))
    drop_silently(registry.sites[0], monkeypatch, lambda count: 100 + count)
    async with registry.client(outbox=outbox) as sento:
        done = await write(sento)
        assert (done.site, registry.size) == ("site-1", 1)
        await until(lambda: sento.outbox == NOTHING)
    assert ids_at(registry)[1:] == [done.record_id]
    assert registry.sites[1].submissions[0] == registry.sites[0].submissions[0]


@pytest.mark.parametrize(
    "position", [lambda _: 0, lambda count: count], ids=["one position", "old positions"]
)
async def test_site_that_names_positions_of_other_records_is_caught_at_once(
    registry: Registry,
    outbox: Path,
    monkeypatch: pytest.MonkeyPatch,
    position: Callable[[int], int],
) -> None:
    use(monkeypatch, PATIENT)
    async with registry.client(outbox=outbox) as sento:
        await asyncio.gather(*(write(sento, f"before {n}") for n in range(3)))
        drop_silently(registry.sites[0], monkeypatch, position)
        done = await asyncio.gather(*(write(sento, f"fact {n}") for n in range(3)))
        await until(lambda: sento.outbox == NOTHING)
    assert sorted(ids_at(registry)[3:]) == sorted(ack.record_id for ack in done)


async def test_site_that_speaks_the_truth_of_one_record_does_not_hide_that_it_dropped_its_neighbour(
    registry: Registry, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, PATIENT)
    async with registry.client(outbox=outbox) as sento:
        first = sento.compose(draft("first"))
        await sento.send([first])
        await until(lambda: sento.outbox == NOTHING)
        # Both at the place where the first stands: its proof must not do for the second.
        drop_silently(registry.sites[0], monkeypatch, lambda _: 0)
        second = sento.compose(draft("second"))
        await sento.send([second, first])
        await until(lambda: sento.outbox == NOTHING)
    assert ids_at(registry) == [first.header.record_id, second.header.record_id]


async def test_records_scattered_over_more_places_than_one_question_takes_are_proven(
    registry: Registry, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, PATIENT)
    monkeypatch.setattr(keeper, "RUNS_AT_ONCE", 2)
    async with registry.client(outbox=outbox) as sento:
        records = [sento.compose(draft(f"fact {n}")) for n in range(9)]
        await sento.send(records)
        await sento.send(records[::2])
        await until(lambda: sento.outbox == NOTHING)
    assert registry.size == 9


# The program ends.


async def test_program_that_dies_without_an_answer_leaves_the_record_to_the_next_one(
    registry: Registry, outbox: Path, tmp_path: Path
) -> None:
    registry.everywhere.mute = True
    async with registry.client(outbox=outbox) as dying:
        writing_now = asyncio.create_task(write(dying))
        await until(lambda: registry.sites[0].submissions)
        left = copy_of(outbox, tmp_path / "left")
        registry.everywhere.mute = False
        async with registry.client(outbox=left) as sento:
            assert sento.empty_outbox().sending == 1
            await until(lambda: sento.outbox == NOTHING)
        writing_now.cancel()
    assert len(ids_at(registry)) == 1
    sent = {data for site in registry.sites for data in site.submissions}
    assert len(sent) == 1


async def test_program_that_dies_after_the_answer_is_followed_by_one_that_sends_the_same_record(
    registry: Registry, outbox: Path, tmp_path: Path
) -> None:
    registry.cosigned_size = 0
    async with registry.client(outbox=outbox) as dying:
        done = await asyncio.gather(*(write(dying, f"fact {n}") for n in range(5)))
        left = copy_of(outbox, tmp_path / "left")
        registry.cosigned_size = None
    assert sorted(kept_ids(left)) == sorted(ack.record_id for ack in done)
    async with registry.client(outbox=left) as sento:
        sento.empty_outbox()
        await until(lambda: sento.outbox == NOTHING)
        assert (await write(sento, "more")).position == 5
    assert list(left.iterdir()) == []


async def test_leaving_while_things_are_under_way_leaves_them_on_disk_and_says_so(
    registry: Registry, outbox: Path
) -> None:
    registry.everywhere.mute = True
    sento = registry.client(outbox=outbox)
    await sento.__aenter__()
    waiting = [asyncio.create_task(write(sento, f"fact {n}")) for n in range(20)]
    await until(lambda: registry.sites[0].submissions)
    await sento.__aexit__(ValueError, ValueError(), None)
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [(e.code, e.kept) for e in ended if isinstance(e, WriteError)] == [(Code.DEADLINE, True)] * 20
    assert all("do not write it anew" in str(error) for error in ended)
    (look,) = inspecting.look(outbox)
    assert (look.in_use, look.records) == (False, 20)
    registry.everywhere.mute = False
    async with registry.client(outbox=outbox) as later:
        later.empty_outbox()
        await until(lambda: later.outbox == NOTHING)
    assert registry.size == 20


async def test_two_programs_with_one_outbox_do_not_disturb_each_other(
    registry: Registry, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "ADOPT_EVERY_S", 0.01)
    registry.cosigned_size = 0
    async with registry.client(outbox=outbox) as one:
        async with registry.client(outbox=outbox) as two:
            await asyncio.gather(*(write(each, f"{n}") for n, each in enumerate((one, two) * 10)))
            assert len(inspecting.look(outbox)) == 2
            monkeypatch.setattr(writing, "COVER_DRAIN_MS", 0)
            own = sum(astuple(one.outbox))
        # The second has ended and left records without a proof; the first takes them over.
        await until(lambda: sum(astuple(one.outbox)) > own)
        registry.cosigned_size = None
        await until(lambda: one.outbox == NOTHING)
    assert registry.size == 20
    assert list(outbox.iterdir()) == []


# Sites.


async def test_record_of_a_caller_who_was_sent_away_stands_when_the_sites_come_back(
    registry: Registry, outbox: Path
) -> None:
    registry.everywhere.down = True
    async with registry.client(outbox=outbox) as sento:
        with pytest.raises(WriteError) as refused:
            await write(sento, deadline_ms=SOON_MS)
        assert refused.value.kept
        assert "it stays in the outbox" in str(refused.value)
        assert kept_ids(outbox) == [refused.value.record.header.record_id]
        registry.everywhere.down = False
        await until(lambda: sento.outbox == NOTHING)
        assert ids_at(registry) == [refused.value.record.header.record_id]


async def test_why_a_record_waits_is_written_beside_it(registry: Registry, outbox: Path) -> None:
    registry.everywhere.refuse(Code.DISK_LOW)
    async with registry.client(outbox=outbox) as sento:
        with pytest.raises(WriteError) as refused:
            await write(sento, deadline_ms=SOON_MS)
        assert (refused.value.code, refused.value.kept) == (Code.DISK_LOW, True)
        await until(lambda: [record.code for record in inspecting.kept_records(outbox)] == [Code.DISK_LOW])
        registry.everywhere.refuse(Code.DISK_LOW, 1)
        await until(lambda: registry.size == 1)


# Callers.


async def test_record_of_a_cancelled_caller_stands(registry: Registry, outbox: Path) -> None:
    registry.everywhere.delay_ms = 5
    async with registry.client(outbox=outbox) as sento:
        caller = asyncio.create_task(write(sento))
        await until(lambda: kept_ids(outbox))
        caller.cancel()
        await until(lambda: caller.done() and registry.size == 1 and sento.outbox == NOTHING)
        assert caller.cancelled()


async def test_record_refused_for_good_when_nobody_waits_is_set_aside_and_shown(
    registry: Registry, outbox: Path
) -> None:
    registry.everywhere.down = True
    async with registry.client(outbox=outbox) as sento:
        with pytest.raises(WriteError) as gone:
            await write(sento, deadline_ms=SOON_MS)
        registry.everywhere.down = False
        registry.put(draft())
        await until(lambda: sento.outbox == NOTHING)
        await until(lambda: list(inspecting.refused_records(outbox)))
        (refused,) = inspecting.refused_records(outbox)
        assert (refused.record_id, refused.code) == (gone.value.record.header.record_id, Code.STALE)
    # It stays after the end of the program, until somebody has looked.
    assert inspecting.discard_refused(outbox, [refused.record_id]) == [refused.record_id]
    assert list(inspecting.refused_records(outbox)) == []


async def test_record_refused_for_good_to_its_callers_face_is_not_set_aside(
    registry: Registry, outbox: Path
) -> None:
    async with registry.client(outbox=outbox) as sento:
        await write(sento)
        with pytest.raises(WriteError) as refused:
            await write(sento)
        assert (refused.value.code, refused.value.kept, refused.value.final) == (Code.STALE, False, True)
        await until(lambda: sento.outbox == NOTHING)
        assert list(inspecting.refused_records(outbox)) == []
    assert list(outbox.iterdir()) == []


async def test_record_that_its_ministry_discards_is_not_sent_again(registry: Registry, outbox: Path) -> None:
    registry.everywhere.down = True
    async with registry.client(outbox=outbox) as sento:
        with pytest.raises(WriteError) as refused:
            await write(sento, deadline_ms=SOON_MS)
        record_id = refused.value.record.header.record_id
        await until(lambda: [record.code for record in inspecting.kept_records(outbox)] != [None])
    assert inspecting.discard_kept(outbox, record_id) == [record_id]
    registry.everywhere.down = False
    async with registry.client(outbox=outbox) as sento:
        assert sento.empty_outbox() == NOTHING
    assert registry.size == 0


@pytest.fixture
def crowd(tmp_path: Path) -> ClientWorld:
    return build_client_world(tmp_path)


async def test_five_thousand_callers_at_once_are_each_answered_in_bounded_memory(
    crowd: ClientWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_bytes = 256 * 1024
    monkeypatch.setattr(writing, "UNDER_WAY_MAX_BYTES", room_bytes)
    records = [
        make_record(
            crowd.world,
            AUTHOR,
            "residency",
            "residence/entry",
            bytes(32),
            n.to_bytes(16, "big"),
            content=None,
        )
        for n in range(5_000)
    ]
    most = 0

    def watch(_: bytes) -> None:
        nonlocal most
        assert sento._writer is not None
        most = max(most, sento._writer._room.taken)

    crowd.sites[0].before_submission.append(watch)
    async with crowd.client() as sento:
        results = await asyncio.gather(*(sento.send([record]) for record in records))
    assert sorted(ack.position for (ack,) in results if isinstance(ack, Acknowledgement)) == list(
        range(5_000)
    )
    assert room_bytes / 2 < most <= room_bytes


# The disk.


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Iterator[Commits]:
    commits = Commits(monkeypatch)
    yield commits
    commits.may_go_on.set()


async def test_disk_that_hangs_holds_no_caller_beyond_its_deadline_and_loses_nothing(
    registry: Registry, outbox: Path, commits: Commits
) -> None:
    async with registry.client(outbox=outbox) as sento:
        commits.may_go_on.clear()
        patient = asyncio.create_task(write(sento, "one"))
        await until(commits.begun.is_set)
        for fact in ("two", "three"):
            # The patient caller came first, and its deadline is later.
            with pytest.raises(WriteError) as refused:
                await asyncio.wait_for(write(sento, fact, deadline_ms=30), 5)
            assert (refused.value.code, refused.value.may_stand) == (Code.DEADLINE, True)
            assert "disk under the outbox" in str(refused.value)
        assert registry.size == 0
        commits.may_go_on.set()
        assert (await patient).position == 0
        await until(lambda: registry.size == 3 and sento.outbox == NOTHING)


async def test_full_outbox_refuses_the_record_and_sends_nothing(registry: Registry, outbox: Path) -> None:
    installation = registry.installation(outbox=outbox)
    two_fit = replace(installation.config, outbox=OutboxPlace(outbox, 1_600))
    registry.everywhere.down = True
    async with SentoClient(replace(installation, config=two_fit), transport=registry.transport) as sento:
        refusals = []
        for n in range(4):
            with pytest.raises(WriteError) as refused:
                await write(sento, f"{n}", deadline_ms=SOON_MS)
            refusals.append((refused.value.code, refused.value.kept))
        assert refusals == [(Code.UNREACHABLE, True)] * 2 + [(Code.OUTBOX_FULL, False)] * 2
        registry.everywhere.down = False
        await until(lambda: sento.outbox == NOTHING)
        assert registry.size == 2
        assert (await write(sento, "3")).position == 2


# The clock.


@pytest.mark.parametrize("off_ms", [-DAY_MS, DAY_MS])
async def test_clock_a_day_off_changes_nothing(outbox: Path, tmp_path: Path, off_ms: int) -> None:
    off = 0
    registry = Registry(ports=Ports(wall_ms=lambda: time.time_ns() // 1_000_000 + off))
    registry.everywhere.mute = True
    async with registry.client(outbox=outbox) as dying:
        before = asyncio.create_task(write(dying))
        await until(lambda: registry.sites[0].submissions)
        left = copy_of(outbox, tmp_path / "left")
        before.cancel()
        off = off_ms
        registry.everywhere.mute = False
        async with registry.client(outbox=left) as sento:
            assert (await write(sento, "phone")).position in (0, 1)
            await until(lambda: sento.outbox == NOTHING)
    assert registry.size == 2
    assert list(left.iterdir()) == []
