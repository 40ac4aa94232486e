"""The outbox of a process: one flush for many, a bound, and disks that are full, broken or silent."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from outbox_at_work import (
    Commits,
    Outboxes,
    committed,
    kept,
    leave_behind,
    on_disk,
    outcome,
    sqlite_error,
    until,
)
from sento_client.outbox import inspecting
from sento_client.outbox import outbox as outbox_module
from sento_client.outbox.outbox import Outbox
from sento_client.outbox.shelf import (
    FREE_PAGES_MOST,
    NewRefused,
    Shelf,
)
from sento_proto.errors import Code, SentoError


@pytest.fixture
async def open_outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Outboxes]:
    monkeypatch.setattr(outbox_module, "FULL_AGAIN_S", 0.001)
    outboxes = Outboxes(tmp_path)
    yield outboxes
    await outboxes.close()


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Commits:
    return Commits(monkeypatch)


# Groups.


async def test_submissions_that_come_while_a_commit_runs_share_the_next_one(
    open_outbox: Outboxes, commits: Commits
) -> None:
    outbox = open_outbox()
    commits.may_go_on.clear()
    first = asyncio.create_task(kept(outbox))
    await commits.wait_begun()
    others = [asyncio.create_task(kept(outbox, bytes(n))) for n in range(500)]
    await until(lambda: len(outbox._new) == 500)
    assert not first.done()
    commits.may_go_on.set()
    numbers = await asyncio.gather(first, *others)
    assert len(set(numbers)) == 501
    assert [len(changes.keep) for _, changes in commits.done] == [1, 500]
    assert [await outbox.load(number) for number in numbers[1:4]] == [b"", b"\0", b"\0\0"]


async def test_nothing_is_told_as_kept_before_its_commit_has_returned(
    open_outbox: Outboxes, commits: Commits, tmp_path: Path
) -> None:
    outbox = open_outbox()
    commits.may_go_on.clear()
    told: list[int] = []
    outbox.keep(b"x", 1, lambda number, _: told.append(number))
    await commits.wait_begun()
    assert (told, on_disk(tmp_path)) == ([], [0])
    commits.may_go_on.set()
    await committed(outbox)
    assert (told, on_disk(tmp_path)) == ([1], [1])


async def test_clean_end_with_nothing_kept_leaves_no_file(open_outbox: Outboxes, tmp_path: Path) -> None:
    outbox = open_outbox()
    outbox.forget(await kept(outbox))
    await outbox.close()
    assert list(tmp_path.iterdir()) == []


async def test_space_is_given_back_after_a_backlog(open_outbox: Outboxes, tmp_path: Path) -> None:
    outbox = open_outbox()
    numbers = await asyncio.gather(*(kept(outbox, bytes(60_000)) for _ in range(200)))
    for number in numbers:
        outbox.forget(number)
        if number % 20 == 0:
            await committed(outbox)
    await committed(outbox)
    assert outbox.held_bytes == 0
    outbox._shelves[0]._database.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    assert outbox._shelves[0].path.stat().st_size <= (FREE_PAGES_MOST + 100) * 4096


# Bounds.


async def test_outbox_at_its_bound_refuses_and_keeps_nothing_until_there_is_room(
    open_outbox: Outboxes, commits: Commits, tmp_path: Path
) -> None:
    outbox = open_outbox(max_bytes=1_000)
    first = await kept(outbox, bytes(600))
    with pytest.raises(SentoError) as refused:
        outbox.keep(bytes(401), 1, lambda *_: None)
    assert refused.value.code is Code.OUTBOX_FULL
    assert "1000 bytes" in str(refused.value)
    assert (len(commits.done), on_disk(tmp_path), outbox.held_bytes) == (1, [1], 600)
    assert await outcome(outbox, bytes(400)) is None
    outbox.forget(first)
    assert await outcome(outbox, bytes(600)) is None


async def test_what_other_programs_hold_counts_towards_the_bound(open_outbox: Outboxes) -> None:
    other = open_outbox()
    await kept(other, bytes(200_000))
    other._shelves[0]._database.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
    assert await outcome(open_outbox(max_bytes=200_000)) is Code.OUTBOX_FULL


async def test_number_of_submissions_is_bounded_too(
    open_outbox: Outboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "KEPT_MOST", 3)
    outbox = open_outbox()
    assert [await outcome(outbox) for _ in range(4)] == [None, None, None, Code.OUTBOX_FULL]


# A full disk.


def fill_disk(outbox: Outbox) -> None:
    database = outbox._shelves[0]._database
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")


def empty_disk(outbox: Outbox) -> None:
    outbox._shelves[0]._database.execute("PRAGMA max_page_count = 1000000")


async def test_full_disk_refuses_what_does_not_fit_and_loses_nothing(
    open_outbox: Outboxes, tmp_path: Path
) -> None:
    outbox = open_outbox()
    before = await kept(outbox, b"before")
    fill_disk(outbox)
    assert await outcome(outbox, bytes(100_000)) is Code.OUTBOX_FULL
    assert outbox.held_bytes == len(b"before")
    assert await outbox.load(before) == b"before"
    empty_disk(outbox)
    assert await outcome(outbox, bytes(100_000)) is None
    await outbox.close()
    assert on_disk(tmp_path) == [2]


async def test_what_was_to_be_forgotten_or_set_aside_waits_while_the_disk_is_full(
    open_outbox: Outboxes, commits: Commits, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outbox = open_outbox()
    first, second = await kept(outbox), await kept(outbox)
    full = asyncio.Event()
    loop = asyncio.get_running_loop()

    def refuse(_: Shelf) -> Exception:
        loop.call_soon_threadsafe(full.set)
        return sqlite_error(sqlite3.SQLITE_FULL, "database or disk is full")

    commits.error = refuse
    outbox.forget(first)
    outbox.note(second, 3, Code.HELD)
    outbox.set_aside(NewRefused(bytes(16), 1, 20, b"header", b"payload"))
    await full.wait()
    assert await outcome(outbox) is Code.OUTBOX_FULL
    assert on_disk(tmp_path) == [2]
    commits.error = lambda _: None
    await committed(outbox)
    (look,) = inspecting.look(tmp_path)
    assert (look.submissions, look.refused) == (1, 1)
    assert outbox._shelves[0]._database.execute("SELECT rounds, code FROM kept").fetchall() == [
        (3, Code.HELD)
    ]


async def test_disk_with_no_more_than_the_reserve_takes_nothing_new_and_goes_on_removing(
    open_outbox: Outboxes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outbox = open_outbox()
    number = await kept(outbox)
    monkeypatch.setattr(outbox_module, "RESERVE_BYTES", 1 << 60)
    outbox.forget(number)
    assert await outcome(outbox) is Code.OUTBOX_FULL
    await committed(outbox)
    assert (on_disk(tmp_path), outbox.held_bytes) == ([0], 0)
    monkeypatch.undo()
    assert await outcome(outbox) is None


async def test_who_comes_while_the_disk_is_full_is_told_at_once(
    open_outbox: Outboxes, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = open_outbox()
    number = await kept(outbox)
    monkeypatch.setattr(outbox_module, "FULL_AGAIN_S", 3_600)
    commits.error = lambda _: sqlite_error(sqlite3.SQLITE_FULL, "database or disk is full")
    outbox.forget(number)
    for _ in range(3):
        async with asyncio.timeout(10):
            assert await outcome(outbox) is Code.OUTBOX_FULL
    commits.error = lambda _: None
    async with asyncio.timeout(10):
        assert await outcome(outbox) is None
        await outbox.close()


async def test_commit_that_stands_is_kept_although_giving_back_space_finds_the_disk_full(
    open_outbox: Outboxes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_room(_: Shelf) -> None:
        raise sqlite_error(sqlite3.SQLITE_FULL, "database or disk is full")

    monkeypatch.setattr(Shelf, "give_back_space", no_room)
    outbox = open_outbox()
    assert await outcome(outbox) is None
    assert on_disk(tmp_path) == [1]


async def test_full_disk_under_a_file_taken_over_refuses_nothing_that_is_kept_in_the_own_one(
    open_outbox: Outboxes, commits: Commits, tmp_path: Path
) -> None:
    leave_behind(tmp_path, b"old")
    outbox = open_outbox()
    own = outbox._shelves[0]
    commits.error = lambda shelf: None if shelf is own else sqlite_error(sqlite3.SQLITE_FULL, "full")
    outbox.forget(outbox.left_behind[0].kept)
    assert await outcome(outbox) is None
    commits.error = lambda _: None
    await committed(outbox)
    assert on_disk(tmp_path) == [0, 1]


async def test_full_disk_does_not_hold_up_the_end(open_outbox: Outboxes, tmp_path: Path) -> None:
    outbox = open_outbox()
    number = await kept(outbox)
    await kept(outbox)
    fill_disk(outbox)
    outbox.forget(number)
    outbox.set_aside(NewRefused(bytes(16), 1, 20, bytes(100_000), b""))
    async with asyncio.timeout(4):
        await outbox.close()
    assert not inspecting.look(tmp_path)[0].in_use
    assert on_disk(tmp_path) in ([1], [2])


# Other trouble with the disk.


async def test_disk_that_fails_ends_writing_for_those_who_wait_and_those_who_come(
    open_outbox: Outboxes, commits: Commits, tmp_path: Path
) -> None:
    outbox = open_outbox()
    before = await kept(outbox, b"before")
    commits.begun.clear()
    commits.may_go_on.clear()
    commits.error = lambda _: sqlite_error(sqlite3.SQLITE_IOERR_FSYNC, "disk I/O error")
    in_commit = asyncio.create_task(outcome(outbox))
    await commits.wait_begun()
    waiting = asyncio.create_task(outcome(outbox))
    await until(lambda: outbox._new)
    commits.may_go_on.set()
    assert await in_commit is await waiting is Code.OUTBOX_FAILED
    # What a failed flush has left is not known, so it does not go on even though the disk seems well again.
    commits.error = lambda _: None
    with pytest.raises(SentoError, match="disk I/O error") as refused:
        outbox.keep(b"x", 1, lambda *_: None)
    assert refused.value.code is Code.OUTBOX_FAILED
    outbox.forget(before)
    await outbox.close()
    (look,) = inspecting.look(tmp_path)
    # It is sent once more by the next program: that is safe, and writing on after a failed flush is not.
    assert (look.in_use, look.submissions) == (False, 1)


async def test_disk_that_does_not_answer_does_not_hold_up_the_end_for_ever(
    open_outbox: Outboxes, commits: Commits, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outbox_module, "CLOSE_TIMEOUT_S", 0.01)
    outbox = open_outbox()
    commits.may_go_on.clear()
    waiting = asyncio.create_task(outcome(outbox))
    await commits.wait_begun()
    async with asyncio.timeout(4):
        await outbox.close()
    assert "does not answer" in caplog.text
    assert not waiting.done()
    commits.may_go_on.set()
    assert await waiting is None


def test_outbox_refused_reads_like_the_other_errors() -> None:
    errors: Sequence[SentoError] = (SentoError(Code.OUTBOX_FULL, "x"), SentoError(Code.OUTBOX_FAILED, "y"))
    for error in errors:
        assert str(error).startswith(error.code.name)
        assert "sento outbox" in str(error) or "start the program again" in str(error)
