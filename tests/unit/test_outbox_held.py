"""What a quorum at home has is held until a site abroad has it: nobody waits for that, a new program knows it, and a later epoch gets what it lacks once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from killed_shelf import BELONGS
from outbox_at_work import kept, leave_behind, until
from sento_client import Acknowledgement, Draft, SentoClient, WriteError
from sento_client.outbox import inspecting
from sento_client.outbox import outbox as outbox_module
from sento_client.outbox.holding import HeldCounts
from sento_client.outbox.keeping import Counts
from sento_client.outbox.outbox import Outbox
from sento_client.outbox.shelf import Changes, HeldAs, Shelf
from sento_client.testing import Registry
from sento_client.testing.ledger import EPOCH
from sento_proto.governance.epoch_parts import Epoch
from sento_proto.submission import decode_submission

EMBASSY = "lu-betzdorf"
NOTHING = Counts(0, 0)


@pytest.fixture
def registry() -> Registry:
    made = Registry(abroad=[EMBASSY])
    made.site(EMBASSY).down = True
    return made


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


@pytest.fixture
def arrived(registry: Registry) -> Iterator[list[bytes]]:
    """Submissions that sites were offered."""
    found: list[bytes] = []
    registry.everywhere.before_submission.append(found.append)
    yield found
    registry.everywhere.before_submission.remove(found.append)


def draft(fact: str = "address", previous: bytes | None = None) -> Draft:
    return Draft("residency", "residence/entry", "123456789018", fact, {"town": "穂波町"}, previous)


async def write(sento: SentoClient, fact: str = "address") -> Acknowledgement:
    (result,) = await sento.send([sento.compose(draft(fact))])
    assert not isinstance(result, WriteError)
    return result


def held(sento: SentoClient) -> HeldCounts:
    assert sento._keeper is not None
    return sento._keeper.held


def shown(outbox: Path) -> tuple[int, int, int]:
    """Records that wait, that are held, and submissions let go for room, as `sento outbox` counts them."""
    looks = inspecting.look(outbox)
    return sum(one.records for one in looks), sum(one.held for one in looks), sum(one.let_go for one in looks)


def later_epoch(sento: SentoClient, fork_size: int) -> None:
    """Governance is followed into an epoch that forked off there."""
    assert sento._keeper is not None
    holding = sento._keeper._holding
    assert holding is not None
    before = holding._governance()
    begun = Epoch(EPOCH + 1, EPOCH, fork_size, bytes(32), fork_size, 1, bytes(32), "recover", fork_size)
    holding._governance = lambda: before.changed(epochs=(begun,))
    sento._keeper._look_at_epochs()


async def test_what_stands_at_home_is_held_while_the_embassy_is_lost_and_nobody_waits(
    registry: Registry, outbox: Path
) -> None:
    async with registry.client(outbox=outbox) as sento:
        await write(sento)
        await until(lambda: held(sento).records == 1)
        assert sento.outbox == NOTHING
    assert shown(outbox) == (0, 1, 0)


async def test_it_is_let_go_when_the_embassy_has_it(registry: Registry, outbox: Path) -> None:
    async with registry.client(outbox=outbox) as sento:
        await write(sento)
        await until(lambda: held(sento).records == 1)
        registry.site(EMBASSY).down = False
        await write(sento, "another")  # the sites cosign a new checkpoint
        await until(lambda: held(sento).records == 0)
    assert list(outbox.iterdir()) == []


async def test_without_a_site_abroad_nothing_is_held(outbox: Path) -> None:
    async with Registry().client(outbox=outbox) as sento:
        await write(sento)
        await until(lambda: sento.outbox == NOTHING)
        assert held(sento) == HeldCounts()
    assert list(outbox.iterdir()) == []


async def test_a_new_program_holds_on_without_sending_it_again(
    registry: Registry, outbox: Path, arrived: list[bytes]
) -> None:
    async with registry.client(outbox=outbox) as sento:
        await write(sento)
        await until(lambda: held(sento).records == 1)
    assert len(arrived) == 1
    async with registry.client(outbox=outbox) as sento:
        assert sento.empty_outbox() == NOTHING
        assert held(sento).records == 1
        await write(sento, "another")
        await until(lambda: held(sento).records == 2)
    assert len(arrived) == 2
    assert shown(outbox) == (0, 2, 0)


async def test_a_later_epoch_is_sent_what_it_may_lack_and_what_it_has_stands_once(
    registry: Registry, outbox: Path, arrived: list[bytes]
) -> None:
    """The survivor's log had given the record already: it is known, under the same hash, one entry."""
    async with registry.client(outbox=outbox) as sento:
        first = await write(sento, "below")
        second = await write(sento, "above")
        await until(lambda: held(sento).records == 2)
        assert second.position == first.position + 1
        later_epoch(sento, second.position)
        await until(lambda: len(arrived) >= 3)
        again = decode_submission(arrived[2]).records
        assert [one.record_hash for one in again] == [second.record_hash], (
            "what lies below the fork is not sent"
        )
        assert held(sento).records == 1
    assert [one.record_hash for one in registry.records()].count(second.record_hash) == 1


async def test_a_new_program_that_knows_a_later_epoch_sends_it_at_once(
    registry: Registry, outbox: Path, arrived: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with registry.client(outbox=outbox) as sento:
        await write(sento)
        await until(lambda: held(sento).records == 1)
    begun = Epoch(EPOCH + 1, EPOCH, 0, bytes(32), 0, 1, bytes(32), "recover", 0)
    async with registry.client(outbox=outbox) as sento:
        after = sento._followed().governance.changed(epochs=(begun,))
        followed = replace(sento._followed(), governance=after)
        monkeypatch.setattr(sento, "_followed", lambda: followed)
        sento.empty_outbox()
        await until(lambda: len(arrived) == 2)


async def test_records_refused_beside_it_are_left_out_when_it_is_sent_again(
    registry: Registry, outbox: Path, arrived: list[bytes]
) -> None:
    """Their caller was told that they do not stand; a later epoch, in which they might, must not be offered them."""
    async with registry.client(outbox=outbox) as sento:
        await write(sento)
        good, stale = sento.compose(draft("another")), sento.compose(draft())
        results = await sento.send([good, stale])
        assert [isinstance(one, WriteError) for one in results] == [False, True]
        assert len(arrived) == 2
        assert len(decode_submission(arrived[1]).records) == 2
        await until(lambda: held(sento).submissions == 2)
        later_epoch(sento, 1)
        await until(lambda: len(arrived) >= 3)
        again = decode_submission(arrived[2]).records
        assert [one.record_hash for one in again] == [good.record_hash]


async def test_a_verified_checkpoint_of_a_later_epoch_asks_for_the_acts_that_began_it(
    registry: Registry, outbox: Path
) -> None:
    """The same sites cosign on, so nothing about it fails to verify: its epoch alone says that there is something to follow."""
    async with registry.client(outbox=outbox) as sento:
        await write(sento)
        await until(lambda: held(sento).records == 1)
        assert sento._keeper is not None
        holding = sento._keeper._holding
        assert holding is not None
        asked: list[int] = []

        async def follow() -> None:
            asked.append(EPOCH)

        holding._follow = follow
        checkpoint = await sento.checkpoint()
        await holding.heard(checkpoint._replace(epoch=sento.followed.governance.epoch))
        assert not asked
        await holding.heard(checkpoint)
        assert asked == [EPOCH]


# On disk.


def test_a_file_of_the_format_before_gets_its_tables_and_keeps_what_it_holds(tmp_path: Path) -> None:
    path = leave_behind(tmp_path, b"one", b"two")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript("DROP TABLE held; DROP TABLE let_go; PRAGMA user_version = 2")
    assert inspecting.look(tmp_path)[0].submissions == 2, "it is read as it is"
    with closing(Shelf.open(path, BELONGS)) as shelf:
        assert [(row.row, row.held) for row in shelf.rows()] == [(1, None), (2, None)]
        shelf.commit(Changes(held=[(2, HeldAs(3, 70, (0, 5))), (9, HeldAs(3, 70))]))
        assert [row.held for row in shelf.rows()] == [None, HeldAs(3, 70, (0, 5))]
        shelf.commit(Changes(forget=[2], let_go=1))
    look = inspecting.look(tmp_path)[0]
    assert (look.submissions, look.held, look.let_go) == (1, 0, 1)


async def test_of_too_many_files_with_nothing_but_held_ones_the_oldest_are_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "HELD_FILES_MOST", 2)
    for number in range(4):
        path = leave_behind(tmp_path, b"held", name=f"{number}-dead.outbox")
        with closing(Shelf.open(path, BELONGS)) as shelf:
            shelf.commit(Changes(held=[(1, HeldAs(0, 7))]))
    leave_behind(tmp_path, b"to be sent", name="0-waits.outbox")
    opened = Outbox.open(tmp_path, BELONGS, 1 << 20, lambda: 1)
    held_as = [opened.held_as(found.kept) for found in opened.left_behind]
    assert held_as.count(HeldAs(0, 7)) == 2
    assert held_as.count(None) == 1, "what waits is never let go"
    await kept(opened)  # the next commit takes it along
    await opened.close()
    assert sum(one.let_go for one in inspecting.look(tmp_path)) == 2
    assert sum(one.held for one in inspecting.look(tmp_path)) == 2
