"""A shelf of the outbox: after a kill or a power cut at any byte it holds a prefix of the commits; one process has it; nobody else's is touched."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from killed_shelf import BELONGS, changes, committed, committers, submission
from sento_client.outbox import inspecting
from sento_client.outbox.outbox import Outbox
from sento_client.outbox.shelf import (
    FORMAT,
    FREE_PAGES_MOST,
    LOG_MOST_BYTES,
    Belongs,
    Changes,
    InUse,
    NewKept,
    Row,
    Shelf,
    in_use,
    lock_of,
    take_lock,
)
from sento_client.setup_errors import Setup, SetupError

COMMITS = 9
PAGE_BYTES = 4096
LOG_HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24
KILLS = 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "one.outbox"


@pytest.fixture
def shelf(path: Path) -> Iterator[Shelf]:
    shelf = Shelf.open(path, BELONGS)
    yield shelf
    shelf.close()


def log_of(path: Path) -> Path:
    return Path(f"{path}-wal")


# Commits.


def test_commit_does_all_of_it_and_a_shelf_opened_again_has_it(shelf: Shelf, path: Path) -> None:
    for number in range(1, COMMITS + 1):
        shelf.commit(changes(number))
        assert committed(shelf) == number
    assert shelf.rows()[0] == Row(5, 1, len(submission(5)))
    assert shelf.load(4) is None
    shelf.close()
    again = Shelf.open(path, BELONGS)
    assert committed(again) == COMMITS
    again.close()


def test_commit_that_fails_in_its_last_part_leaves_nothing_of_itself(shelf: Shelf) -> None:
    shelf.commit(changes(1))
    good = changes(2)
    bad = good.refuse[0]._replace(header=None)  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        shelf.commit(good._replace(refuse=[bad]))
    with pytest.raises(sqlite3.IntegrityError):
        shelf.commit(good._replace(keep=[*good.keep, NewKept(1, 0, 1, b"a row id that is taken")]))
    assert committed(shelf) == 1
    shelf.commit(good)
    assert committed(shelf) == 2


def test_commit_to_a_full_disk_leaves_nothing_of_itself_and_the_next_one_goes(shelf: Shelf) -> None:
    shelf.commit(changes(1))
    (pages,) = shelf._database.execute("PRAGMA page_count").fetchone()
    shelf._database.execute(f"PRAGMA max_page_count = {pages + 1}")
    large = NewKept(2, 0, 1, bytes(10 * PAGE_BYTES))
    with pytest.raises(sqlite3.OperationalError) as full:
        shelf.commit(changes(2)._replace(keep=[large]))
    assert full.value.sqlite_errorcode == sqlite3.SQLITE_FULL
    assert committed(shelf) == 1
    shelf._database.execute("PRAGMA max_page_count = 1000000")
    shelf.commit(changes(2))
    assert committed(shelf) == 2


def test_every_commit_is_flushed_before_it_returns(shelf: Shelf) -> None:
    pragmas = {
        name: shelf._database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous")
    }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}


def test_space_of_a_backlog_is_given_back(shelf: Shelf, path: Path) -> None:
    rows = range(1, 41)
    shelf.commit(Changes(keep=[NewKept(row, 0, 1, bytes(60 * PAGE_BYTES)) for row in rows]))
    (pages_before,) = shelf._database.execute("PRAGMA page_count").fetchone()
    shelf.commit(Changes(forget=list(rows)))
    for _ in range(3):
        shelf.give_back_space()
    (pages,) = shelf._database.execute("PRAGMA page_count").fetchone()
    assert pages_before > 2_400
    assert pages < 2 * FREE_PAGES_MOST
    shelf._database.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    shelf.commit(changes(1))
    assert path.stat().st_size <= 2 * FREE_PAGES_MOST * PAGE_BYTES
    assert log_of(path).stat().st_size <= LOG_MOST_BYTES


# Every byte.


@dataclass(frozen=True)
class Remains:
    """What a process that was killed after `COMMITS` commits has left."""

    file: bytes
    log: bytes

    @property
    def frame_edges(self) -> list[int]:
        frame_bytes = FRAME_HEADER_BYTES + PAGE_BYTES
        return list(range(LOG_HEADER_BYTES, len(self.log) + 1, frame_bytes))


@pytest.fixture
def remains(shelf: Shelf, path: Path) -> Remains:
    for number in range(1, COMMITS + 1):
        shelf.commit(changes(number))
    return Remains(path.read_bytes(), log_of(path).read_bytes())


def commits_in(directory: Path, file: bytes, log: bytes) -> int:
    """How many commits a program finds that opens these files."""
    directory.mkdir()
    path = directory / "left.outbox"
    path.write_bytes(file)
    log_of(path).write_bytes(log)
    shelf = Shelf.open(path, BELONGS)
    found = committed(shelf)
    shelf.close()
    shutil.rmtree(directory)
    return found


def test_log_cut_at_any_length_holds_a_prefix_of_the_commits(remains: Remains, tmp_path: Path) -> None:
    near = {edge + step for edge in remains.frame_edges for step in (-1, 0, 1, 8, FRAME_HEADER_BYTES)}
    chance = random.Random(7).sample(range(len(remains.log)), 100)
    lengths = sorted({*range(LOG_HEADER_BYTES + 1), *near, *chance} & {*range(len(remains.log) + 1)})
    found = [commits_in(tmp_path / "cut", remains.file, remains.log[:length]) for length in lengths]
    assert found == sorted(found)
    assert set(found) == set(range(COMMITS + 1))


def test_log_with_any_byte_changed_holds_a_prefix_of_the_commits(remains: Remains, tmp_path: Path) -> None:
    rng = random.Random(8)
    headers = {edge + rng.randrange(FRAME_HEADER_BYTES) for edge in remains.frame_edges[:-1]}
    chance = rng.sample(range(len(remains.log)), 80)
    found = set()
    for place in sorted({*range(0, LOG_HEADER_BYTES, 3), *headers, *chance}):
        log = bytearray(remains.log)
        log[place] ^= 1 << rng.randrange(8)
        found.add(commits_in(tmp_path / "flipped", remains.file, bytes(log)))
    # The last commit never survives, because every byte is covered by a sum of all before it.
    assert found == set(range(COMMITS))


def test_power_cut_while_the_log_is_copied_into_the_file_loses_nothing(
    remains: Remains, shelf: Shelf, path: Path, tmp_path: Path
) -> None:
    shelf._database.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
    after = path.read_bytes()
    assert after != remains.file
    rng = random.Random(9)
    for _ in range(60):
        file = bytearray(remains.file.ljust(rng.randrange(len(remains.file), len(after) + 1), b"\0"))
        for start in range(0, len(file), 512):
            if rng.random() < 0.5:
                file[start : start + 512] = after[start : start + 512][: len(file) - start]
        assert commits_in(tmp_path / "torn", bytes(file), remains.log) == COMMITS


def test_killed_twenty_times_it_has_every_commit_that_had_returned(tmp_path: Path) -> None:
    rng = random.Random(10)
    counts = []
    with committers() as program:
        for kill in range(KILLS):
            directory = tmp_path / str(kill)
            directory.mkdir()
            said = program.kill_one(directory, rng.randrange(1, 60), rng.random() * 0.003)
            path = directory / "killed.outbox"
            assert not in_use(path)
            shelf = Shelf.open(path, BELONGS)
            found = committed(shelf)
            assert said <= found <= said + 1
            counts.append(found)
            shelf.commit(changes(found + 1))
            shelf.close()
    assert len(set(counts)) > KILLS // 4


# Whose it is.


def test_second_program_is_told_that_it_is_in_use(shelf: Shelf, path: Path) -> None:
    assert in_use(path)
    with pytest.raises(InUse):
        Shelf.open(path, BELONGS)
    shelf.commit(changes(1))
    shelf.close()
    assert not in_use(path)
    Shelf.open(path, BELONGS).close()


def test_asking_whether_it_is_in_use_takes_no_lock_away(shelf: Shelf, path: Path) -> None:
    for _ in range(3):
        assert in_use(path)
        (look,) = inspecting.look(path.parent)
        assert (look.in_use, look.trouble) == (True, "")
    with pytest.raises(InUse):
        Shelf.open(path, BELONGS)


def test_lock_whose_file_was_removed_meanwhile_is_not_taken_for_the_real_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "one.lock"
    open_file = os.open
    swaps = iter([True])

    def open_then_swap(name: Path, *more: int) -> int:
        handle = open_file(name, *more)
        if next(swaps, False):
            lock.unlink()
            lock.touch()
        return handle

    monkeypatch.setattr(os, "open", open_then_swap)
    handle = take_lock(lock)
    monkeypatch.undo()
    assert os.fstat(handle).st_ino == lock.stat().st_ino
    with pytest.raises(InUse):
        take_lock(lock)
    os.close(handle)


def test_shelf_that_is_empty_goes_with_all_its_files(path: Path) -> None:
    shelf = Shelf.open(path, BELONGS)
    shelf.commit(Changes(keep=[NewKept(1, 0, 1, b"x")]))
    shelf.commit(Changes(forget=[1]))
    shelf.close()
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("what", ["kept", "refused"])
def test_shelf_that_holds_something_stays(path: Path, what: str) -> None:
    shelf = Shelf.open(path, BELONGS)
    both = changes(1)
    shelf.commit(both._replace(refuse=()) if what == "kept" else both._replace(keep=()))
    shelf.close()
    assert path.exists()
    Shelf.open(path, BELONGS).close()
    assert path.exists()


@pytest.mark.parametrize(
    "other", [Belongs(bytes(32), "kaga-city"), Belongs(bytes(31) + b"\1", "iizuka-city")]
)
def test_foreign_shelf_is_refused_by_name_and_left_as_it_is(shelf: Shelf, path: Path, other: Belongs) -> None:
    shelf.commit(changes(1))
    shelf.close()
    with pytest.raises(SetupError) as refused:
        Shelf.open(path, other)
    assert refused.value.code is Setup.OUTBOX_FOREIGN
    assert path.name in str(refused.value)
    again = Shelf.open(path, BELONGS)
    assert committed(again) == 1
    again.close()


# Files that are no shelves.


def _newer(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version = {FORMAT + 1}")
    database.close()


def _nobodys(path: Path) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("DELETE FROM belongs")
    database.close()


def _of_another_program(path: Path) -> None:
    path.unlink()
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("CREATE TABLE kept (something TEXT)")
    database.close()


def _odd_row(path: Path) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA ignore_check_constraints = ON")
    database.execute("UPDATE kept SET records = 'many'")
    database.close()


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda path: path.write_bytes(b"no database at all" * 300), "not a database"),
        (_newer, f"format {FORMAT + 1}"),
        (_nobodys, "whose"),
        (_of_another_program, "kept"),
    ],
    ids=["garbage", "newer", "nobody's", "another program's"],
)
def test_file_that_is_no_shelf_of_this_release_is_refused_by_name_and_its_lock_let_go(
    shelf: Shelf, path: Path, damage: Callable[[Path], object], word: str
) -> None:
    shelf.commit(changes(1))
    shelf.close()
    damage(path)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(SetupError) as refused:
            Shelf.open(path, BELONGS)
        assert refused.value.code is Setup.OUTBOX_UNUSABLE
        assert str(path) in str(refused.value)
        assert word in str(refused.value)
    assert path.read_bytes()[100:] == before[100:]


def test_row_that_is_not_of_its_form_is_an_error_and_not_a_number(shelf: Shelf, path: Path) -> None:
    shelf.commit(changes(1))
    shelf.close()
    _odd_row(path)
    again = Shelf.open(path, BELONGS)
    with pytest.raises(sqlite3.DatabaseError):
        again.rows()
    again.close()


def test_file_with_any_byte_changed_opens_or_is_refused_and_never_breaks_a_new_program(
    shelf: Shelf, path: Path, tmp_path: Path
) -> None:
    for number in range(1, 4):
        shelf.commit(changes(number))
    shelf.close()
    whole = path.read_bytes()
    rng = random.Random(11)
    marks = set()
    for place in sorted({*range(0, 100, 3), *rng.sample(range(len(whole)), 80)}):
        directory = tmp_path / "damaged"
        directory.mkdir()
        data = bytearray(whole)
        data[place] ^= 1 << rng.randrange(8)
        (directory / "0.outbox").write_bytes(data)
        marks.add(_left_behind_in(directory))
        shutil.rmtree(directory)
    # That somebody else's name stands in it is all that may stop a program.
    assert {0, 3} <= marks <= {0, 1, 2, 3, Setup.OUTBOX_FOREIGN}


def _left_behind_in(directory: Path) -> int | Setup:
    try:
        outbox = Outbox.open(directory, BELONGS, 1 << 20, lambda: 1)
    except SetupError as refused:
        return refused.code
    for held in outbox._shelves:
        held.close()
    return len(outbox.left_behind)


# Where it lies.


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    os.umask(os.umask(0o022))
    directory = tmp_path / "outbox"
    outbox = Outbox.open(directory, BELONGS, 1 << 20, lambda: 1)
    (shelf,) = outbox._shelves
    shelf.commit(changes(1))
    modes = {name.suffix: stat.S_IMODE(name.stat().st_mode) for name in (*directory.iterdir(), directory)}
    assert modes == {"": 0o700, ".outbox": 0o600, ".outbox-wal": 0o600, ".outbox-shm": 0o600, ".lock": 0o600}
    shelf.close()


def test_directory_that_is_a_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_bytes(b"")
    for place in (tmp_path / "outbox", tmp_path / "outbox" / "deeper"):
        with pytest.raises(SetupError) as refused:
            Outbox.open(place, BELONGS, 1 << 20, lambda: 1)
        assert refused.value.code is Setup.OUTBOX_UNUSABLE
        assert str(place) in str(refused.value)


def test_directory_that_may_not_be_written_is_refused_by_name(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(SetupError) as refused:
        Outbox.open(tmp_path, BELONGS, 1 << 20, lambda: 1)
    assert refused.value.code is Setup.OUTBOX_UNUSABLE
    assert str(tmp_path) in str(refused.value)
    tmp_path.chmod(0o700)


def test_locks_without_a_shelf_are_removed_but_one_that_is_held_stays(tmp_path: Path) -> None:
    held, lone = lock_of(tmp_path / "held.outbox"), lock_of(tmp_path / "lone.outbox")
    lone.touch()
    handle = take_lock(held)
    outbox = Outbox.open(tmp_path, BELONGS, 1 << 20, lambda: 1)
    assert not lone.exists()
    assert held.exists()
    os.close(handle)
    outbox._shelves[0].close()
