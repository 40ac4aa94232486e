"""Writing to survive the country: two facts in one answer, pending is no failure, nothing forgets a record before a site abroad has cosigned, and an embassy
that is lost holds nothing else up."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from google.protobuf.message import Message

from outbox_at_work import until
from sento_client import Acknowledgement, Code, Draft, Durability, SentoClient, SentoError
from sento_client.outbox import inspecting
from sento_client.outbox.abroad import AskAbroad, ProveAbroad, SendAgain, WaitingAbroad
from sento_client.outbox.keeping import Run
from sento_client.testing import Registry
from sento_proto.checkpoint import cosigners, decode_checkpoint, encode_checkpoint
from sento_proto.governance.placing import keys_abroad
from sento_proto.receipt import Receipt
from sento_proto.v1 import client_pb2

EMBASSY = "lu-betzdorf"
SHORT_MS = 300


@pytest.fixture
def registry() -> Registry:
    return Registry(abroad=[EMBASSY])


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


async def write(
    sento: SentoClient,
    fact: str = "address",
    durability: Durability = Durability.ABROAD,
    deadline_ms: int | None = None,
) -> Acknowledgement:
    return await sento.write(
        registry="residency",
        kind="residence/entry",
        subject="900000000115",
        fact=fact,
        content={"town": "Honamimachi"},
        durability=durability,
        deadline_ms=deadline_ms,
    )


def kept_facts(outbox: Path) -> list[tuple[bytes, bool, bool]]:
    """Record id, whether it is kept for abroad, whether that alone is missing."""
    return [(one.record_id, one.abroad, one.home_ms > 0) for one in inspecting.kept_records(outbox)]


def cosigned_abroad(registry: Registry, receipt: Receipt) -> bool:
    return set(cosigners(receipt.checkpoint, keys_abroad(registry.governance))) == {EMBASSY}


# The answer.


async def test_record_that_an_embassy_cosigned_stands_abroad(registry: Registry, outbox: Path) -> None:
    async with registry.client(outbox=outbox) as sento:
        done = await write(sento)
        assert done.abroad is not None
        assert (done.abroad.word, done.abroad.site, done.abroad.size) == ("stands", EMBASSY, registry.size)
        assert cosigned_abroad(registry, await sento.receipt(done))


async def test_the_same_without_an_outbox(registry: Registry) -> None:
    async with registry.client() as sento:
        done = await write(sento)
    assert done.abroad is not None
    assert done.abroad.stands


async def test_a_write_that_did_not_ask_says_nothing_of_abroad(registry: Registry) -> None:
    async with registry.client() as sento:
        assert (await write(sento, durability=Durability.HOME)).abroad is None


@pytest.mark.parametrize("kept", [True, False])
async def test_pending_at_the_deadline_is_a_success(registry: Registry, outbox: Path, kept: bool) -> None:
    registry.site(EMBASSY).down = True
    async with registry.client(outbox=outbox if kept else None) as sento:
        done = await write(sento, deadline_ms=SHORT_MS)
    assert registry.size == 1
    assert done.abroad is not None
    assert done.abroad.word == "pending"


async def test_updates_lists_and_groups_say_it_of_each_record(registry: Registry, outbox: Path) -> None:
    drafts = [Draft("residency", "residence/entry", "900000000115", f"f{n}", b"1") for n in range(3)]
    group = [draft._replace(fact=f"g{n}") for n, draft in enumerate(drafts)]
    async with registry.client(outbox=outbox) as sento:
        many = await sento.write_many(drafts, durability=Durability.ABROAD)
        together = await sento.write_group(group, durability=Durability.ABROAD)
        changed = await sento.update(
            registry="residency", kind="residence/entry", subject="900000000115", fact="f0",
            change=lambda standing: b"2", purpose="test", case_number="1", durability=Durability.ABROAD,
        )  # fmt: skip
    assert changed is not None
    for one in [*many, *together, changed]:
        assert isinstance(one, Acknowledgement)
        assert one.abroad is not None
        assert one.abroad.stands


async def test_ledger_without_a_site_abroad_refuses_before_anything_is_written() -> None:
    registry = Registry()
    async with registry.client() as sento:
        with pytest.raises(SentoError) as refused:
            await write(sento)
    assert refused.value.code is Code.BAD_REQUEST
    assert registry.size == 0


# What is believed.


def altered_note(change: Callable[[bytes], bytes]) -> Callable[[Message], None]:
    def alter(message: Message) -> None:
        if isinstance(message, client_pb2.CheckpointReply):
            message.checkpoint = change(message.checkpoint)

    return alter


def without_embassy(note: bytes) -> bytes:
    checkpoint = decode_checkpoint(note)
    lines = tuple(line for line in checkpoint.signatures if line.name != EMBASSY)
    return encode_checkpoint(checkpoint._replace(signatures=lines))


def with_a_false_line(note: bytes) -> bytes:
    checkpoint = decode_checkpoint(note)
    lines = tuple(
        line._replace(data=line.data[:-1] + bytes([line.data[-1] ^ 1])) if line.name == EMBASSY else line
        for line in checkpoint.signatures
    )
    return encode_checkpoint(checkpoint._replace(signatures=lines))


@pytest.mark.parametrize("change", [without_embassy, with_a_false_line])
async def test_cosignature_that_is_not_there_or_not_the_embassys_is_not_believed(
    registry: Registry, outbox: Path, change: Callable[[bytes], bytes]
) -> None:
    registry.everywhere.alter = altered_note(change)
    async with registry.client(outbox=outbox) as sento:
        done = await write(sento, deadline_ms=SHORT_MS)
        assert done.abroad is not None
        assert done.abroad.word == "pending"
        registry.everywhere.alter = None
        await until(lambda: not sento.outbox.abroad and not sento.outbox.uncovered)


async def test_embassy_without_the_quorum_is_not_enough(registry: Registry, outbox: Path) -> None:
    def embassy_alone(note: bytes) -> bytes:
        checkpoint = decode_checkpoint(note)
        lines = tuple(line for line in checkpoint.signatures if line.name == EMBASSY)
        return encode_checkpoint(checkpoint._replace(signatures=lines))

    registry.everywhere.alter = altered_note(embassy_alone)
    async with registry.client(outbox=outbox) as sento:
        done = await write(sento, deadline_ms=SHORT_MS)
    assert done.abroad is not None
    assert done.abroad.word == "pending"


# What is kept.


async def test_record_stays_in_the_outbox_until_the_embassy_is_back(registry: Registry, outbox: Path) -> None:
    registry.site(EMBASSY).down = True
    async with registry.client(outbox=outbox) as sento:
        done = await write(sento, deadline_ms=SHORT_MS)
        await until(lambda: kept_facts(outbox) == [(done.record_id, True, True)])
        assert sento.outbox.abroad == 1
        assert not cosigned_abroad(registry, await sento.receipt(done))
        registry.site(EMBASSY).down = False
        await until(lambda: not sento.outbox.abroad)
        assert cosigned_abroad(registry, await sento.receipt(done))
    assert list(inspecting.kept_records(outbox)) == []


async def test_the_next_program_goes_on_waiting_and_writes_nothing_twice(
    registry: Registry, outbox: Path
) -> None:
    registry.site(EMBASSY).down = True
    async with registry.client(outbox=outbox) as sento:
        done = await write(sento, deadline_ms=SHORT_MS)
        await until(lambda: kept_facts(outbox) == [(done.record_id, True, True)])
    async with registry.client(outbox=outbox) as sento:
        sento.empty_outbox()
        await until(lambda: sento.outbox.abroad == 1)
        assert kept_facts(outbox) == [(done.record_id, True, True)]
    registry.site(EMBASSY).down = False
    async with registry.client(outbox=outbox) as sento:
        sento.empty_outbox()
        await until(lambda: list(inspecting.kept_records(outbox)) == [])
        assert cosigned_abroad(registry, await sento.receipt(done))
    assert registry.size == 1


async def test_lost_embassy_holds_up_no_record_that_is_for_home_alone(
    registry: Registry, outbox: Path
) -> None:
    registry.site(EMBASSY).down = True
    async with registry.client(outbox=outbox) as sento:
        waiting = await write(sento, "one", deadline_ms=SHORT_MS)
        results = [await write(sento, f"home {n}", Durability.HOME) for n in range(5)]
        assert all(one.abroad is None for one in results)
        await until(lambda: kept_facts(outbox) == [(waiting.record_id, True, True)])


async def test_records_of_both_kinds_written_at_once_do_not_share_a_submission(
    registry: Registry, outbox: Path
) -> None:
    registry.site(EMBASSY).down = True
    drafts = [Draft("residency", "residence/entry", "900000000115", f"f{n}", b"1") for n in range(4)]
    async with registry.client(outbox=outbox) as sento:
        records = [sento.compose(draft) for draft in drafts]
        sending = [
            sento.send([one], durability=durability, deadline_ms=SHORT_MS)
            for one, durability in zip(records, [*Durability] * 2, strict=True)
        ]
        for work in sending:
            await work
        abroad = {records[1].header.record_id, records[3].header.record_id}
        await until(lambda: {one.record_id for one in inspecting.kept_records(outbox)} == abroad)


def test_outbox_of_an_older_release_is_looked_at_unchanged_and_taken_over(outbox: Path) -> None:
    outbox.mkdir()
    path = outbox / "1767225600000-00000000.outbox"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript("""
            CREATE TABLE belongs (ledger_id BLOB NOT NULL, institution TEXT NOT NULL);
            CREATE TABLE kept (
                id INTEGER PRIMARY KEY, made_ms INTEGER NOT NULL, records INTEGER NOT NULL, submission BLOB NOT NULL,
                rounds INTEGER NOT NULL DEFAULT 0, code INTEGER NOT NULL DEFAULT 0);
            CREATE TABLE refused (
                record_id BLOB PRIMARY KEY, at_ms INTEGER NOT NULL, code INTEGER NOT NULL, header BLOB NOT NULL, payload BLOB NOT NULL);
            PRAGMA user_version = 1;
        """)
        database.execute("INSERT INTO belongs VALUES (?, ?)", (bytes(32), "iizuka"))
        database.execute("INSERT INTO kept (id, made_ms, records, submission) VALUES (7, 1, 2, ?)", (b"x",))
    (before,) = inspecting.look(outbox)
    assert (before.records, before.pending_abroad, before.trouble) == (2, 0, "")
    from sento_client.outbox.shelf import Belongs, Changes, NewKept, Shelf

    shelf = Shelf.open(path, Belongs(bytes(32), "iizuka"))
    assert [(row.row, row.records, row.abroad) for row in shelf.rows()] == [(7, 2, 0)]
    shelf.commit(Changes(keep=[NewKept(8, 1, 3, b"y", True)], at_home=[(8, 5)]))
    assert [(row.row, bool(row.abroad)) for row in shelf.rows()] == [(7, False), (8, True)]
    (after,) = inspecting.look(outbox)
    assert after.pending_abroad == 3
    shelf.close()


# The core by itself.


def run_at(position: int, kept: int) -> Run:
    return Run(kept, position, (bytes(32),))


def test_one_question_at_a_time_for_the_record_that_needs_the_least() -> None:
    core = WaitingAbroad()
    core.stands(1, 1, [run_at(9, 1)], 0)
    core.stands(2, 1, [run_at(4, 2)], 0)
    assert core.tick(0) == [AskAbroad(5)]
    assert core.tick(10_000) == []
    assert core.checkpoint(1, 7, 0) == [ProveAbroad((run_at(4, 2),))]
    core.covered([2], 0)
    assert core.tick(0) == [AskAbroad(10)]


def test_pauses_double_while_nobody_answers_and_end_when_somebody_does() -> None:
    core = WaitingAbroad()
    core.stands(1, 1, [run_at(0, 1)], 0)
    now_ms, pauses = 0, []
    for _ in range(8):
        assert core.tick(now_ms) == [AskAbroad(1)]
        core.failed(now_ms)
        wake_ms = core.wake_ms
        assert wake_ms is not None
        pauses.append(wake_ms - now_ms)
        now_ms = wake_ms
    assert pauses == [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]


def test_record_of_an_epoch_that_ended_is_sent_again() -> None:
    core = WaitingAbroad()
    core.stands(1, 1, [run_at(0, 1)], 0)
    core.tick(0)
    assert core.checkpoint(2, 100, 0) == [SendAgain(1)]
    assert core.count == 0
