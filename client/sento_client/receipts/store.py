"""The receipts of one institution in one file, shared by all of its programs.

    <institution>.receipts (-wal, -shm)   belongs: ledger_id, institution                                        whose it is
                                          checkpoints: id, epoch, size, root, note                               each once
                                          runs: epoch, position, records, checkpoint, hashes, ids, first, last   neighbours that were proven together

Records that stand side by side share one row: their hashes and record ids one behind the other, and the inclusion paths of the first and the last. Each one's
own path follows from these (`merkle.run_paths`), so that a receipt costs some 50 bytes where forty stand together, and its share of two paths.

SQLite in WAL mode with a flush at each commit, as the outbox's shelves: `put` returns when the receipts are on disk, and only then does the outbox forget.
Nothing is ever removed. What is read is verified again, path by path, so a changed byte is found where it is used. Blocking calls.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from sento_client.outbox.shelf import BUSY_TIMEOUT_S, Belongs, connect
from sento_client.setup_errors import Setup, SetupError
from sento_proto.checkpoint import Checkpoint, decode_checkpoint, encode_checkpoint, merge_signatures
from sento_proto.limits import SUBMISSION_MAX_RECORDS
from sento_proto.merkle import HASH_BYTES, run_paths
from sento_proto.receipt import Receipt
from sento_proto.wire import Malformed

FORMAT = 1
APPLICATION_ID = 0x53454E52
"""The four letters SENR."""
SUFFIX = ".receipts"
ID_BYTES = 16
NO_ID = bytes(ID_BYTES)
_SCHEMA = """
CREATE TABLE belongs (ledger_id BLOB NOT NULL, institution TEXT NOT NULL);
CREATE TABLE checkpoints (
    id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL,
    UNIQUE (epoch, size, root));
CREATE TABLE runs (
    epoch INTEGER NOT NULL, position INTEGER NOT NULL, records INTEGER NOT NULL, checkpoint INTEGER NOT NULL,
    hashes BLOB NOT NULL, ids BLOB NOT NULL, first BLOB NOT NULL, last BLOB NOT NULL);
CREATE INDEX runs_at ON runs (position, epoch, records);
"""
_PUT = """
INSERT INTO runs SELECT :epoch, :position, :records, :checkpoint, :hashes, :ids, :first, :last WHERE NOT EXISTS (
    SELECT 1 FROM runs WHERE position = :position AND epoch = :epoch AND records = :records AND hashes = :hashes)
"""
"""Two histories may have other records at one place: both receipts are kept, for they are evidence."""
_RENEW = """
UPDATE runs SET checkpoint = :checkpoint, first = :first, last = :last
WHERE position = :position AND epoch = :epoch AND records = :records AND hashes = :hashes
"""
_COLUMNS = "position, records, checkpoint, hashes, ids, first, last"
_Row = tuple[int, int, int, bytes, bytes, bytes, bytes]


class ProvenRun(NamedTuple):
    """Records that stand one after the other from `position` on, with the inclusion paths of the first and the last. `ids`: record ids, zeros where unknown."""

    position: int
    hashes: Sequence[bytes]
    ids: Sequence[bytes]
    first: Sequence[bytes]
    last: Sequence[bytes]


class Held(NamedTuple):
    """A receipt in the file, in a list. `size`: of its checkpoint."""

    epoch: int
    position: int
    record_hash: bytes
    record_id: bytes
    size: int


class StoreLook(NamedTuple):
    """How the file stands. `trouble`: why it cannot be read, empty when it can."""

    path: Path
    receipts: int
    checkpoints: int
    size_bytes: int
    trouble: str = ""


class ReceiptStore:
    """One institution's file, open. Several processes may have it open; each instance is used by one thread at a time."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._database = database
        self._notes: dict[int, Checkpoint] = {}

    @classmethod
    def open(cls, directory: Path, belongs: Belongs) -> Self:
        """Open or make it. Raises SetupError RECEIPTS_UNUSABLE, RECEIPTS_FOREIGN."""
        path = store_path(directory, belongs.institution)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            database = connect(path)
        except (OSError, sqlite3.Error) as error:
            raise SetupError(Setup.RECEIPTS_UNUSABLE, f"{path}: {error}") from None
        try:
            _prepare(path, database, belongs)
        except BaseException as error:
            database.close()
            if isinstance(error, sqlite3.Error | TypeError):
                raise SetupError(Setup.RECEIPTS_UNUSABLE, f"{path}: {error}") from None
            raise
        return cls(path, database)

    def put(self, checkpoint: Checkpoint, runs: Iterable[ProvenRun], *, renew: bool = False) -> None:
        """Store receipts, flushed when this returns; what is there already stays. Raises sqlite3.Error.

        `renew`: receipts that are there of the same runs stand under this checkpoint from now on: it carries a cosignature that theirs lacks."""
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            number = self._put_checkpoint(checkpoint, renew=renew)
            rows = [
                {
                    "epoch": checkpoint.epoch,
                    "position": run.position,
                    "records": len(run.hashes),
                    "checkpoint": number,
                    "hashes": b"".join(run.hashes),
                    "ids": b"".join(run.ids),
                    "first": b"".join(run.first),
                    # Of one record both are the same.
                    "last": b"".join(run.last) if len(run.hashes) > 1 else b"",
                }
                for run in runs
            ]
            if renew:
                database.executemany(_RENEW, rows)
            database.executemany(_PUT, rows)
            database.execute("COMMIT")
        except BaseException:
            # After some failures SQLite has rolled back by itself already.
            if database.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    database.execute("ROLLBACK")
            raise

    def _put_checkpoint(self, checkpoint: Checkpoint, *, renew: bool) -> int:
        key = (checkpoint.epoch, checkpoint.size, checkpoint.root)
        found = self._database.execute(
            "SELECT id, note FROM checkpoints WHERE epoch = ? AND size = ? AND root = ?", key
        ).fetchone()
        if found is not None:
            number, note = int(found[0]), bytes(found[1])
            if renew:
                # One tree has one row. The lines at hand were verified, so they go before those that lie there.
                merged = merge_signatures(checkpoint, decode_checkpoint(note).signatures)
                note = encode_checkpoint(merged)
                self._database.execute("UPDATE checkpoints SET note = ? WHERE id = ?", (note, number))
                self._notes.pop(number, None)
            return number
        note = encode_checkpoint(checkpoint)
        done = self._database.execute(
            "INSERT INTO checkpoints (epoch, size, root, note) VALUES (?, ?, ?, ?)", (*key, note)
        )
        assert done.lastrowid is not None
        return done.lastrowid

    # Reading. All raise sqlite3.Error, and Malformed where what lies there is not what was stored.

    def at(self, position: int, record_hash: bytes | None = None) -> Receipt | None:
        """The receipt of the record at this position: with the hash that is meant where one is named, else of the highest epoch."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM runs WHERE position <= ? AND position > ? AND position + records > ? ORDER BY epoch DESC",  # noqa: S608
            (position, position - SUBMISSION_MAX_RECORDS, position),
        )
        for row in rows:
            receipt = self._receipt(row, position - row[0])
            if record_hash is None or receipt.record_hash == record_hash:
                return receipt
        return None

    def of_hash(self, record_hash: bytes) -> Receipt | None:
        """The receipt of the record with this hash. Reads the file through: hashes have no index, because that would cost each write more than a look costs."""
        return self._scan("hashes", record_hash, HASH_BYTES)

    def of_id(self, record_id: bytes) -> Receipt | None:
        """The receipt of the record with this id."""
        return self._scan("ids", record_id, ID_BYTES)

    def _scan(self, column: str, wanted: bytes, width: int) -> Receipt | None:
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM runs WHERE instr({column}, ?) > 0 ORDER BY epoch DESC",  # noqa: S608
            (wanted,),
        )
        for row in rows:
            pieces = _pieces(row[3] if column == "hashes" else row[4], width)
            if wanted in pieces:
                return self._receipt(row, pieces.index(wanted))
        return None

    def held(self, first: int = 0) -> Iterator[Held]:
        """Receipts from this position on, in order of position; one that is stored twice comes twice."""
        rows = self._database.execute(
            "SELECT runs.epoch, position, hashes, ids, size FROM runs JOIN checkpoints ON checkpoints.id = checkpoint "
            "WHERE position + records > ? AND position > ? ORDER BY position, runs.epoch",
            (first, first - SUBMISSION_MAX_RECORDS),
        )
        for epoch, position, hashes, ids, size in rows:
            for place, (record_hash, record_id) in enumerate(
                zip(_pieces(hashes, HASH_BYTES), _pieces(ids, ID_BYTES), strict=True)
            ):
                if position + place >= first:
                    yield Held(epoch, position + place, record_hash, record_id, size)

    def newest_checkpoints(self, count: int) -> list[Checkpoint]:
        """The checkpoints of the newest receipts, newest first."""
        rows = self._database.execute(
            "SELECT note FROM checkpoints ORDER BY epoch DESC, size DESC LIMIT ?", (count,)
        )
        return [decode_checkpoint(note) for (note,) in rows]

    def newest_receipts(self, epoch: int, below: int, count: int) -> list[Receipt]:
        """One receipt of each of the newest runs of this epoch that begin below a position."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM runs WHERE epoch = ? AND position < ? ORDER BY position DESC LIMIT ?",  # noqa: S608
            (epoch, below, count),
        ).fetchall()
        return [self._receipt(row, 0) for row in rows]

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _receipt(self, row: _Row, place: int) -> Receipt:
        position, records, number, hashes, _, first, last = row
        checkpoint = self._checkpoint(number)
        leaves, first_path = _pieces(hashes, HASH_BYTES), _pieces(first, HASH_BYTES)
        last_path = _pieces(last, HASH_BYTES) if records > 1 else first_path
        paths = run_paths(leaves, position, checkpoint.size, first_path, last_path, checkpoint.root)
        if len(leaves) != records or paths is None:
            raise Malformed(f"receipts: those from position {position} on do not verify any more")
        return Receipt(checkpoint.ledger_id, position + place, leaves[place], paths[place], checkpoint)

    def _checkpoint(self, number: int) -> Checkpoint:
        if number not in self._notes:
            found = self._database.execute("SELECT note FROM checkpoints WHERE id = ?", (number,)).fetchone()
            if found is None:
                raise Malformed("receipts: a checkpoint is missing")
            self._notes = {number: decode_checkpoint(found[0])}
        return self._notes[number]


def store_path(directory: Path, institution: str) -> Path:
    """The file of an institution's receipts."""
    return directory / f"{institution}{SUFFIX}"


def look(path: Path) -> StoreLook | None:
    """How a file stands, also while programs use it; None where there is none yet. Changes nothing."""
    sizes = [part.stat().st_size for part in (path, Path(f"{path}-wal")) if part.exists()]
    if not path.exists():
        return None
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
        ) as database:
            (receipts,) = database.execute("SELECT coalesce(sum(records), 0) FROM runs").fetchone()
            (checkpoints,) = database.execute("SELECT count(*) FROM checkpoints").fetchone()
    except sqlite3.Error as error:
        return StoreLook(path, 0, 0, sum(sizes), f"{type(error).__name__}: {error}")
    return StoreLook(path, receipts, checkpoints, sum(sizes))


def _pieces(data: bytes, width: int) -> list[bytes]:
    if len(data) % width:
        raise Malformed("receipts: a row was cut")
    return [data[at : at + width] for at in range(0, len(data), width)]


def _prepare(path: Path, database: sqlite3.Connection, belongs: Belongs) -> None:
    """Make the tables, or see whose they are. Programs that begin at one moment wait for each other."""
    database.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    database.execute("BEGIN IMMEDIATE")
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _SCHEMA.split(";"):
                database.execute(statement)
            database.execute("INSERT INTO belongs VALUES (?, ?)", belongs)
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {FORMAT}")
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    if version not in (0, FORMAT):
        words = f"{path} has format {version}; this release knows format {FORMAT}"
        raise SetupError(Setup.RECEIPTS_UNUSABLE, words)
    found = Belongs(*database.execute("SELECT ledger_id, institution FROM belongs").fetchone())
    if found != belongs:
        words = f"{path} is {found.institution}'s, of ledger {found.ledger_id.hex()[:16]}"
        raise SetupError(Setup.RECEIPTS_FOREIGN, words)
