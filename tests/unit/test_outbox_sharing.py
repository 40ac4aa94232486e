"""Several programs and one outbox: they leave each other alone, take over what the dead have left, and pass over what is damaged."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from killed_shelf import BELONGS
from outbox_at_work import (
    MAX_BYTES,
    Commits,
    Outboxes,
    committed,
    kept,
    leave_behind,
    on_disk,
    outcome,
    sqlite_error,
)
from sento_client.outbox import inspecting, taking_over
from sento_client.outbox import outbox as outbox_module
from sento_client.outbox.outbox import Outbox
from sento_client.outbox.shelf import (
    Belongs,
    Changes,
    NewKept,
    NewRefused,
    Shelf,
    in_use,
    lock_of,
    take_lock,
)
from sento_client.setup_errors import Setup, SetupError


@pytest.fixture
async def open_outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Outboxes]:
    monkeypatch.setattr(outbox_module, "FULL_AGAIN_S", 0.001)
    outboxes = Outboxes(tmp_path)
    yield outboxes
    await outboxes.close()


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Commits:
    return Commits(monkeypatch)


# Files of others.


async def test_files_of_processes_that_have_ended_are_taken_over_at_the_start_and_later(
    open_outbox: Outboxes, tmp_path: Path
) -> None:
    leave_behind(tmp_path, b"one", b"two", name="0-a.outbox")
    outbox = open_outbox()
    assert [await outbox.load(found.kept) for found in outbox.left_behind] == [b"one", b"two"]
    late = leave_behind(tmp_path, b"three", name="0-b.outbox")
    (found,) = await outbox.adopt()
    assert await outbox.load(found.kept) == b"three"
    assert in_use(late)
    assert outbox.held_bytes == len(b"onetwothree")
    assert await outbox.adopt() == []
    outbox.forget(found.kept)
    await committed(outbox)
    await outbox.adopt()
    assert not late.exists()
    assert not lock_of(late).exists()


async def test_several_programs_in_one_directory_leave_each_others_files_alone(
    open_outbox: Outboxes, tmp_path: Path
) -> None:
    outboxes = [open_outbox() for _ in range(4)]
    numbers = await asyncio.gather(*(kept(outbox, b"%d" % n) for n, outbox in enumerate(outboxes)))
    assert [await outbox.adopt() for outbox in outboxes] == [[]] * 4
    assert on_disk(tmp_path) == [1] * 4
    loaded = [await outbox.load(number) for outbox, number in zip(outboxes, numbers, strict=True)]
    assert loaded == [b"0", b"1", b"2", b"3"]
    await outboxes[0].close()
    found = [await outbox.adopt() for outbox in outboxes[1:]]
    assert [len(each) for each in found] == [1, 0, 0]


async def test_new_program_takes_another_name_when_the_lock_of_its_first_is_held(
    open_outbox: Outboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = iter([bytes(4), b"\0\0\0\1"])
    monkeypatch.setattr(os, "urandom", lambda _: next(names))
    handle = take_lock(tmp_path / "0000000001000-00000000.lock")
    outbox = open_outbox()
    os.close(handle)
    assert outbox._shelves[0].path.name == "0000000001000-00000001.outbox"


async def test_foreign_outbox_refuses_a_program_and_keeps_no_trace_of_it(
    open_outbox: Outboxes, tmp_path: Path
) -> None:
    good = leave_behind(tmp_path, b"x")
    for _ in range(2):
        with pytest.raises(SetupError) as refused:
            open_outbox(belongs=Belongs(bytes(32), "kaga-city"))
        assert refused.value.code is Setup.OUTBOX_FOREIGN
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0-dead.lock", "0-dead.outbox"]
    assert not in_use(good)


async def test_foreign_file_met_later_leaves_what_lies_beside_it_free(
    open_outbox: Outboxes, tmp_path: Path
) -> None:
    outbox = open_outbox()
    good = leave_behind(tmp_path, b"x", name="0-good.outbox")
    foreign = Shelf.open(tmp_path / "1-foreign.outbox", Belongs(bytes(32), "kaga-city"))
    foreign.commit(Changes(keep=[NewKept(1, 0, 1, b"x")]))
    foreign.close()
    with pytest.raises(SetupError):
        await outbox.adopt()
    assert not in_use(good)
    foreign.path.unlink()
    assert len(await outbox.adopt()) == 1


async def test_taking_over_that_is_cancelled_holds_nothing_back(
    open_outbox: Outboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = open_outbox()
    path = leave_behind(tmp_path, b"x")
    may_go_on, begun = threading.Event(), threading.Event()
    take_over = taking_over.take_over

    def slow(*args: object) -> object:
        begun.set()
        may_go_on.wait()
        return take_over(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(outbox_module, "take_over", slow)
    adopting = asyncio.create_task(outbox.adopt())
    await asyncio.to_thread(begun.wait)
    adopting.cancel()
    closing = asyncio.create_task(outbox.close())
    may_go_on.set()
    await closing
    assert adopting.cancelled()
    assert path.exists()
    assert not in_use(path)


async def test_file_is_not_let_go_of_while_a_commit_to_it_is_under_way(
    open_outbox: Outboxes, commits: Commits, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = leave_behind(tmp_path, b"old")
    outbox = open_outbox()
    commits.may_go_on.clear()
    refusals = iter([sqlite_error(sqlite3.SQLITE_FULL, "full")])
    commits.error = lambda shelf: next(refusals, None) if shelf.path == path else None
    outbox.forget(outbox.left_behind[0].kept)
    await commits.wait_begun()
    adopting = asyncio.create_task(outbox.adopt())
    await asyncio.sleep(0)
    commits.may_go_on.set()
    await adopting
    await committed(outbox)
    assert await outcome(outbox) is None
    assert on_disk(tmp_path)[0] == 0


async def test_record_is_set_aside_before_its_submission_is_forgotten_in_another_file(
    open_outbox: Outboxes, commits: Commits, tmp_path: Path
) -> None:
    path = leave_behind(tmp_path, b"old")
    outbox = open_outbox()
    commits.done.clear()
    outbox.forget(outbox.left_behind[0].kept)
    outbox.set_aside(NewRefused(bytes(16), 1, 20, b"header", b"payload"))
    await committed(outbox)
    own = outbox._shelves[0].path
    assert [(file, len(changes.refuse), len(changes.forget)) for file, changes in commits.done] == [
        (own, 1, 0),
        (path, 0, 1),
    ]


# Damaged files.


def test_garbage_beside_it_does_not_stop_a_new_program(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "0-bad.outbox").write_bytes(b"garbage" * 1000)
    leave_behind(tmp_path, b"good", name="1-good.outbox")
    with caplog.at_level(logging.ERROR):
        outbox = Outbox.open(tmp_path, BELONGS, MAX_BYTES, lambda: 1)
    assert len(outbox.left_behind) == 1
    assert "0-bad.outbox" in caplog.text
    assert [(look.path.name, bool(look.trouble)) for look in inspecting.look(tmp_path)][0:2] == [
        ("0-bad.outbox", True),
        ("0000000000001-" + outbox._shelves[0].path.name[14:], False),
    ]
    for shelf in outbox._shelves:
        shelf.close()


@pytest.mark.parametrize("what", ["load", "forget"])
async def test_damage_found_later_in_a_file_taken_over_does_not_end_writing(
    open_outbox: Outboxes,
    commits: Commits,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    what: str,
) -> None:
    path = leave_behind(tmp_path, b"old")
    outbox = open_outbox()
    number = outbox.left_behind[0].kept
    damage = sqlite_error(sqlite3.SQLITE_CORRUPT, "database disk image is malformed")
    if what == "load":

        def load(_shelf: Shelf, _row: int) -> bytes:
            raise damage

        monkeypatch.setattr(Shelf, "load", load)
        assert await outbox.load(number) == b""
    else:
        commits.error = lambda shelf: damage if shelf.path == path else None
        outbox.forget(number)
    assert await outcome(outbox) is None
    await committed(outbox)
    assert path.name in caplog.text
    await outbox.adopt()
    assert await outbox.adopt() == []
    assert path.exists()
