"""Looking into an outbox from outside, also while programs use it: what waits, since when, why, and what was refused when nobody was there to be told.

Reads and discards with connections of its own; SQLite keeps them apart from the program that holds the shelf. Nothing here shows content or persons: payloads
are sealed, and of headers only id, registry, kind and time are given.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from sento_client.delivery_values import code_of
from sento_client.outbox.shelf import (
    BUSY_TIMEOUT_S,
    FORMAT_WITHOUT_ABROAD,
    FORMAT_WITHOUT_HELD,
    Belongs,
    in_use,
    shelves_in,
)
from sento_proto import header as header_layout
from sento_proto.errors import Code
from sento_proto.header import Header
from sento_proto.submission import decode_submission
from sento_proto.wire import Malformed

ABROAD_COLUMNS = "abroad, home_ms"


class KeptRecord(NamedTuple):
    """A record that waits. `code`: why its submission still waits, None before anything was said; `rounds`: how often that was tried.

    `abroad`: it is kept until a site abroad has cosigned, too; `home_ms`: since when that alone is missing, 0 before."""

    record_id: bytes
    registry: str
    kind: str
    kept_at_ms: int
    rounds: int
    code: Code | None
    abroad: bool = False
    home_ms: int = 0


class RefusedRecord(NamedTuple):
    """A record that was refused for good when nobody was there to be told."""

    record_id: bytes
    registry: str
    kind: str
    refused_at_ms: int
    code: Code


class ShelfLook(NamedTuple):
    """One file. `trouble`: why it cannot be read, empty when it can."""

    path: Path
    in_use: bool
    submissions: int
    records: int
    size_bytes: int
    oldest_ms: int | None
    refused: int
    belongs: Belongs | None
    trouble: str
    pending_abroad: int = 0
    """Of the records those that a quorum at home holds, and no site abroad yet, although that was asked for."""
    held: int = 0
    """Records that a quorum at home has and that are held on until a site abroad has them; `submissions`, `records` and `size_bytes` do not count them."""
    held_bytes: int = 0
    let_go: int = 0
    """Submissions that were held and had to make room with no site abroad known to have them."""


def look(directory: Path) -> list[ShelfLook]:
    """Every file of the outbox, oldest first."""
    return [_look(path) for path in shelves_in(directory)]


def kept_records(directory: Path) -> Iterator[KeptRecord]:
    """Records that wait, file by file, oldest first, but what is held for a site abroad alone. Files that cannot be read are left out; `look` names them."""
    for path in shelves_in(directory):
        try:
            with closing(_connect(path)) as database:
                columns = ABROAD_COLUMNS if _knows_abroad(database) else "0, 0"
                rows = database.execute(
                    f"SELECT made_ms, rounds, code, submission, {columns} FROM kept {_waits(database)} ORDER BY id"  # noqa: S608
                )
                for made_ms, rounds, code, submission, abroad, home_ms in rows:
                    told = code_of(code) if code else None
                    for header in _headers(submission):
                        yield KeptRecord(*_named(header), made_ms, rounds, told, bool(abroad), home_ms)
        except sqlite3.Error:
            continue


def refused_records(directory: Path) -> Iterator[RefusedRecord]:
    """Records set aside, file by file, oldest first."""
    for path in shelves_in(directory):
        try:
            with closing(_connect(path)) as database:
                for at_ms, code, header in database.execute(
                    "SELECT at_ms, code, header FROM refused ORDER BY at_ms"
                ):
                    yield RefusedRecord(*_named(header_layout.decode(bytes(header))), at_ms, code_of(code))
        except (sqlite3.Error, Malformed):
            continue


def discard_refused(directory: Path, record_ids: Iterable[bytes]) -> list[bytes]:
    """Remove records that were set aside; returns the ids that were found. Raises sqlite3.Error."""
    wanted = list(record_ids)
    found: list[bytes] = []
    for path in shelves_in(directory):
        with closing(_connect(path, write=True)) as database:
            delete = "DELETE FROM refused WHERE record_id = ?"
            found += [record_id for record_id in wanted if database.execute(delete, (record_id,)).rowcount]
    return found


def discard_kept(directory: Path, record_id: bytes) -> list[bytes]:
    """Remove the submission that holds the record, if none of it is to be sent any more; returns the ids of all that went. Raises sqlite3.Error.

    A program that holds it notices before it sends it the next time; what is on its way at this moment may still stand."""
    for path in shelves_in(directory):
        with closing(_connect(path, write=True)) as database:
            for row, submission in database.execute("SELECT id, submission FROM kept").fetchall():
                record_ids = [header.record_id for header in _headers(submission)]
                if record_id in record_ids:
                    database.execute("DELETE FROM kept WHERE id = ?", (row,))
                    return record_ids
    return []


def _look(path: Path) -> ShelfLook:
    locked = in_use(path)
    try:
        with closing(_connect(path)) as database:
            sums = "SELECT count(*), coalesce(sum(records), 0), coalesce(sum(length(submission)), 0), min(made_ms) FROM kept"
            kept = database.execute(f"{sums} {_waits(database)}").fetchone()
            held, held_bytes, let_go = 0, 0, 0
            if _knows_held(database):
                held, held_bytes = database.execute(
                    "SELECT coalesce(sum(records), 0), coalesce(sum(length(submission)), 0) FROM kept WHERE id IN (SELECT id FROM held)"
                ).fetchone()
                (let_go,) = database.execute("SELECT coalesce(sum(submissions), 0) FROM let_go").fetchone()
            pending = 0
            if _knows_abroad(database):
                (pending,) = database.execute(
                    "SELECT coalesce(sum(records), 0) FROM kept WHERE abroad AND home_ms > 0"
                ).fetchone()
            (refused,) = database.execute("SELECT count(*) FROM refused").fetchone()
            belongs = Belongs(*database.execute("SELECT ledger_id, institution FROM belongs").fetchone())
    except (sqlite3.Error, TypeError) as error:
        return ShelfLook(path, locked, 0, 0, 0, None, 0, None, f"{type(error).__name__}: {error}")
    submissions, records, size_bytes, oldest_ms = kept
    return ShelfLook(
        path,
        locked,
        submissions,
        records,
        size_bytes,
        oldest_ms,
        refused,
        belongs,
        "",
        pending,
        held,
        held_bytes,
        let_go,
    )


def _knows_abroad(database: sqlite3.Connection) -> bool:
    """Whether the file's release knew sites abroad; one that did not is not changed by looking at it."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return bool(version > FORMAT_WITHOUT_ABROAD)


def _knows_held(database: sqlite3.Connection) -> bool:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return bool(version > FORMAT_WITHOUT_HELD)


def _waits(database: sqlite3.Connection) -> str:
    """Which rows are not merely held."""
    return "WHERE id NOT IN (SELECT id FROM held)" if _knows_held(database) else ""


def _headers(submission: bytes) -> list[Header]:
    """Of each record; none of what is not a submission, which the program that holds it leaves alone under the code MALFORMED."""
    try:
        return [record.header for record in decode_submission(bytes(submission)).records]
    except Malformed:
        return []


def _named(header: Header) -> tuple[bytes, str, str]:
    return header.record_id, header.registry, header.kind


def _connect(path: Path, *, write: bool = False) -> sqlite3.Connection:
    mode = "rw" if write else "ro"
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
    )
