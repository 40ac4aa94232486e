"""A shelf: one file of kept submissions, written by one process at a time.

SQLite in WAL mode with a flush at each commit, because what must hold here is exactly what it is tested for: after `kill -9` or a power cut at any
byte the file holds a prefix of the commits (sqlite.org/atomiccommit.html, sqlite.org/wal.html). Each process writes a file of its own, so that programs
of one ministry do not wait for each other; `<name>.lock`, held by flock(2), tells a file in use from one whose process has died and whose submissions
anyone may take over.

    <name>.outbox (-wal, -shm)   table belongs: ledger_id, institution                         whose it is
                                 table kept: id, made_ms, records, submission, rounds, code, abroad, home_ms
                                             signed submissions, byte for byte; `abroad`: to be kept until a site abroad cosigned, too;
                                             `home_ms`: when a quorum at home had it, 0 before
                                 table refused: record_id, at_ms, code, header, payload        refused for good when nobody was there to be told
                                 table held: id, epoch, needs_size, left_out
                                             of `kept`: a quorum at home has it, and it is held for the sake of a site abroad (`holding.py`);
                                             `left_out`: places of its records that were refused, "2 5"
                                 table let_go: submissions                                     how many were let go with no site abroad that has them

A row of `held` goes to disk with the next commit that there is: nothing is lost without it, for what is not known as held is sent again and found standing.
Files of earlier formats get what they lack when a program takes them over: of format 1, of a release that knew no sites abroad, two columns; of 2 two tables.

Blocking calls; `outbox.py` runs them in a thread of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from sento_client.setup_errors import Setup, SetupError

FORMAT = 3
FORMAT_WITHOUT_HELD = 2
FORMAT_WITHOUT_ABROAD = 1
APPLICATION_ID = 0x53454E54
"""The four letters SENT, so that `file` and people know what it is."""
SUFFIX = ".outbox"
BUSY_TIMEOUT_S = 5.0
FREE_PAGES_MOST = 1024
LOG_MOST_BYTES = 4 * 1024 * 1024
"""What SQLite's log beside the file keeps of a large commit's room once the file has it."""
_HELD_SCHEMA = """
CREATE TABLE held (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, needs_size INTEGER NOT NULL, left_out TEXT NOT NULL);
CREATE TABLE let_go (submissions INTEGER NOT NULL)
"""
_SCHEMA = f"""
CREATE TABLE belongs (ledger_id BLOB NOT NULL, institution TEXT NOT NULL);
CREATE TABLE kept (
    id INTEGER PRIMARY KEY, made_ms INTEGER NOT NULL, records INTEGER NOT NULL, submission BLOB NOT NULL,
    rounds INTEGER NOT NULL DEFAULT 0, code INTEGER NOT NULL DEFAULT 0,
    abroad INTEGER NOT NULL DEFAULT 0, home_ms INTEGER NOT NULL DEFAULT 0);
CREATE TABLE refused (
    record_id BLOB PRIMARY KEY, at_ms INTEGER NOT NULL, code INTEGER NOT NULL, header BLOB NOT NULL, payload BLOB NOT NULL);
{_HELD_SCHEMA}"""


class NewKept(NamedTuple):
    """A submission to be kept under a row id that was never used in this file."""

    row: int
    made_ms: int
    records: int
    submission: bytes
    abroad: bool = False


class NewRefused(NamedTuple):
    """A record to be set aside."""

    record_id: bytes
    at_ms: int
    code: int
    header: bytes
    payload: bytes


class HeldAs(NamedTuple):
    """All of a submission but the records at the places `left_out` stands in `epoch` under `needs_size` records."""

    epoch: int
    needs_size: int
    left_out: tuple[int, ...] = ()


class Changes(NamedTuple):
    """What one commit does. `notes`: (row, rounds, code); `at_home`: (row, ms since 1970 at which a quorum had it); `let_go`: submissions that are among
    `forget` although no site abroad is known to have them."""

    keep: Sequence[NewKept] = ()
    forget: Sequence[int] = ()
    notes: Sequence[tuple[int, int, int]] = ()
    refuse: Sequence[NewRefused] = ()
    at_home: Sequence[tuple[int, int]] = ()
    held: Sequence[tuple[int, HeldAs]] = ()
    let_go: int = 0


class Row(NamedTuple):
    """A kept submission without its bytes."""

    row: int
    records: int
    size_bytes: int
    abroad: int = 0
    held: HeldAs | None = None


class Belongs(NamedTuple):
    """Whose outbox it is."""

    ledger_id: bytes
    institution: str


class InUse(Exception):
    """Another process holds the file."""


class Shelf:
    """One file, open and locked by this process until `close`."""

    def __init__(self, path: Path, lock: int, database: sqlite3.Connection) -> None:
        self.path = path
        self._lock = lock
        self._database = database

    @classmethod
    def open(cls, path: Path, belongs: Belongs) -> Self:
        """Open or make the file. Raises InUse; SetupError OUTBOX_FOREIGN or OUTBOX_UNUSABLE."""
        try:
            lock = take_lock(lock_of(path))
        except OSError as error:
            raise SetupError(Setup.OUTBOX_UNUSABLE, f"{path}: {error}") from None
        try:
            database = connect(path)
            try:
                _prepare(path, database, belongs)
            except BaseException:
                database.close()
                raise
        except SetupError:
            os.close(lock)
            raise
        except (sqlite3.Error, OSError) as error:
            os.close(lock)
            raise SetupError(Setup.OUTBOX_UNUSABLE, f"{path}: {error}") from None
        return cls(path, lock, database)

    def rows(self) -> list[Row]:
        """What is kept, oldest first. Raises sqlite3.Error."""
        found = self._database.execute(
            "SELECT k.id, records, length(submission), abroad, epoch, needs_size, left_out "
            "FROM kept k LEFT JOIN held h ON h.id = k.id ORDER BY k.id"
        )
        return [_row(*row) for row in found]

    def load(self, row: int) -> bytes | None:
        """The submission's bytes; None when it is not kept any more. Raises sqlite3.Error."""
        found = self._database.execute("SELECT submission FROM kept WHERE id = ?", (row,)).fetchone()
        if found is None:
            return None
        if not isinstance(found[0], bytes):
            raise sqlite3.DatabaseError("a row of it is damaged")
        return found[0]

    def commit(self, changes: Changes) -> None:
        """Carry out all of it and flush it, or nothing. Raises sqlite3.Error."""
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            if changes.keep:
                database.executemany(
                    "INSERT INTO kept (id, made_ms, records, submission, abroad) VALUES (?, ?, ?, ?, ?)",
                    changes.keep,
                )
            if changes.forget:
                rows = [(row,) for row in changes.forget]
                database.executemany("DELETE FROM kept WHERE id = ?", rows)
                database.executemany("DELETE FROM held WHERE id = ?", rows)
            if changes.notes:
                notes = [(rounds, code, row) for row, rounds, code in changes.notes]
                database.executemany("UPDATE kept SET rounds = ?, code = ? WHERE id = ?", notes)
            if changes.at_home:
                times = [(at_ms, row) for row, at_ms in changes.at_home]
                # Since when it waits for a site abroad alone; the first time counts, also when it was sent again since.
                database.executemany("UPDATE kept SET home_ms = ? WHERE id = ? AND home_ms = 0", times)
            if changes.held:
                # What was discarded meanwhile is not held.
                database.executemany(
                    "INSERT OR REPLACE INTO held SELECT id, ?, ?, ? FROM kept WHERE id = ?",
                    [(h.epoch, h.needs_size, " ".join(map(str, h.left_out)), row) for row, h in changes.held],
                )
            if changes.let_go:
                database.execute(
                    "INSERT OR REPLACE INTO let_go (rowid, submissions) "
                    "VALUES (1, ? + coalesce((SELECT submissions FROM let_go), 0))",
                    (changes.let_go,),
                )
            if changes.refuse:
                database.executemany("INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?, ?)", changes.refuse)
            database.execute("COMMIT")
        except BaseException:
            # After some failures SQLite has rolled back by itself already.
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise

    def give_back_space(self) -> None:
        """Return pages that a backlog has left, some at a time. Raises sqlite3.Error."""
        (free,) = self._database.execute("PRAGMA freelist_count").fetchone()
        if free > FREE_PAGES_MOST:
            # It frees a page for each row that it answers with, and `execute` takes only the first.
            self._database.executescript(f"PRAGMA incremental_vacuum({FREE_PAGES_MOST})")

    def close(self) -> None:
        """Let go of the file; it is removed when it holds nothing. A second call does nothing."""
        if self._lock < 0:
            return
        empty = False
        with contextlib.suppress(sqlite3.Error):
            (count,) = self._database.execute(
                "SELECT (SELECT count(*) FROM kept) + (SELECT count(*) FROM refused)"
            ).fetchone()
            empty = count == 0
        self._database.close()
        if empty:
            remove(self.path)
        os.close(self._lock)
        self._lock = -1


def connect(path: Path) -> sqlite3.Connection:
    """A connection with the settings that the promises rest on. Raises sqlite3.Error, OSError."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA journal_size_limit = {LOG_MOST_BYTES}")
    except BaseException:
        database.close()
        raise
    return database


def _prepare(path: Path, database: sqlite3.Connection, belongs: Belongs) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == 0:
        database.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";"):
            database.execute(statement)
        database.execute("INSERT INTO belongs VALUES (?, ?)", belongs)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {FORMAT}")
        database.execute("COMMIT")
    elif version in (FORMAT_WITHOUT_ABROAD, FORMAT_WITHOUT_HELD):
        database.execute("BEGIN IMMEDIATE")
        for column in ("abroad", "home_ms") if version == FORMAT_WITHOUT_ABROAD else ():
            database.execute(f"ALTER TABLE kept ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0")
        for statement in _HELD_SCHEMA.split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {FORMAT}")
        database.execute("COMMIT")
    elif version != FORMAT:
        raise SetupError(
            Setup.OUTBOX_UNUSABLE, f"{path} has format {version}; this release knows format {FORMAT}"
        )
    row = database.execute("SELECT ledger_id, institution FROM belongs").fetchone()
    if row is None or not isinstance(row[0], bytes) or not isinstance(row[1], str):
        raise sqlite3.DatabaseError("it does not say whose it is")
    found = Belongs(*row)
    if found != belongs:
        raise SetupError(
            Setup.OUTBOX_FOREIGN,
            f"{path} is {found.institution}'s, of ledger {found.ledger_id.hex()[:16]}",
        )


def _row(row: object, records: object, size_bytes: object, abroad: object, *held: object) -> Row:
    """Raises sqlite3.DatabaseError for what this release has not written."""
    match row, records, size_bytes, abroad, held:
        case int(), int(), int(), int(), (None, None, None):
            return Row(row, records, size_bytes, abroad)
        case int(), int(), int(), int(), (int() as epoch, int() as needs_size, str() as left_out):
            places = left_out.split()
            if all(place.isascii() and place.isdigit() for place in places):
                return Row(
                    row, records, size_bytes, abroad, HeldAs(epoch, needs_size, tuple(map(int, places)))
                )
    raise sqlite3.DatabaseError("a row of it is damaged")


def lock_of(path: Path) -> Path:
    """The lock beside a shelf."""
    return path.with_suffix(".lock")


def remove(path: Path) -> None:
    """Remove a shelf that is locked by this process: the lock goes last, so that nobody takes half of it for a whole one."""
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm"), lock_of(path)):
        name.unlink(missing_ok=True)


def in_use(path: Path) -> bool:
    """Whether a living process holds the shelf."""
    try:
        lock = os.open(lock_of(path), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def take_lock(path: Path) -> int:
    """A handle that holds the lock until it is closed. Raises InUse, OSError."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its last holder may have removed the file between our open and our lock; then the lock is of a file without a name.
            if os.fstat(lock).st_ino == path.stat().st_ino:
                return lock
        except BlockingIOError:
            os.close(lock)
            raise InUse from None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def shelves_in(directory: Path) -> Iterator[Path]:
    """Files of the outbox, in order of name, which is the order of making."""
    yield from sorted(directory.glob(f"*{SUFFIX}"))
