"""The ledger's directory: opening and locking it, what is in it, and what it is refused for.

    <directory>/database/data.mdb   LMDB: rows, tree, indexes, tip (rows.py, tiles.py)
    <directory>/payloads/*.segment  payloads (segments.py)

One process at a time has it open: a lock (flock) on the directory itself, which ends with the process. The database is created with format and ledger id in
its first transaction, before any segment exists; so segments without a database mean that somebody removed it, and nothing is created over them.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import lmdb

from sento_node.durable_files import sync_directory
from sento_node.ledger.rows import encode_tip
from sento_node.ledger.segments import segment_numbers
from sento_node.ledger.state import EMPTY_TIP
from sento_node.ledger.store import LedgerFailed

FORMAT = b"sento-ledger-1"
META_FORMAT = b"format"
META_LEDGER_ID = b"ledger id"
META_TIP = b"tip"
MAP_MIN_BYTES = 1 << 30
READERS_MAX = 510
_NAMES = (
    "meta", "rows", "tiles", "blocks", "ids", "hashes", "facts", "subjects", "checkpoints", "remembered", "segments",
)  # fmt: skip


class LedgerNotOpened(LedgerFailed):
    """The directory cannot be opened as this ledger, or is in use; nothing in it was changed."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The database's tables by what they answer."""

    meta: lmdb._Database
    rows: lmdb._Database
    tiles: lmdb._Database
    blocks: lmdb._Database
    ids: lmdb._Database
    hashes: lmdb._Database
    facts: lmdb._Database
    subjects: lmdb._Database
    checkpoints: lmdb._Database
    remembered: lmdb._Database
    segments: lmdb._Database


@dataclass(frozen=True, slots=True)
class LedgerFiles:
    """An open ledger directory: whoever holds it holds the lock."""

    directory: Path
    env: lmdb.Environment
    tables: Tables
    lock_fd: int

    @property
    def payloads(self) -> Path:
        """Where the segments are."""
        return payloads_directory(self.directory)

    def close(self) -> None:
        """Give database and lock back."""
        self.env.close()
        os.close(self.lock_fd)


def database_directory(directory: Path) -> Path:
    """Where LMDB keeps its files."""
    return directory / "database"


def payloads_directory(directory: Path) -> Path:
    """Where the segments are."""
    return directory / "payloads"


def lock_directory(directory: Path) -> int:
    """Take the lock; returns its file descriptor. Raises LedgerNotOpened."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise LedgerNotOpened(
            f"The ledger directory {directory} cannot be opened ({error.strerror}). Check the path and its owner."
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise LedgerNotOpened(
            f"Another process has the ledger in {directory} open. Stop it first: two writers would spoil it."
        ) from error
    return fd


def free_bytes(directory: Path) -> tuple[int, int]:
    """(free for this user, total) bytes of the file system."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def open_ledger(directory: Path, ledger_id: bytes, *, map_bytes: int | None = None) -> LedgerFiles:
    """Open the ledger in `directory` to write, or create an empty one. `map_bytes` bounds the database (None: what the disk has free).

    Raises LedgerNotOpened; OSError and lmdb.Error where the disk itself refuses."""
    _make_directories(directory)
    lock_fd = lock_directory(directory)
    try:
        env = _open_environment(directory, map_bytes)
        try:
            tables = _open_tables(env, directory, ledger_id)
        except BaseException:
            env.close()
            raise
    except BaseException:
        os.close(lock_fd)
        raise
    return LedgerFiles(directory, env, tables, lock_fd)


def _make_directories(directory: Path) -> None:
    for path in (directory, payloads_directory(directory), database_directory(directory)):
        if not path.exists():
            path.mkdir(parents=True, mode=0o750)
            sync_directory(path.parent)


def _open_environment(directory: Path, map_bytes: int | None) -> lmdb.Environment:
    data = database_directory(directory) / "data.mdb"
    present = data.stat().st_size if data.exists() else 0
    if not present and segment_numbers(payloads_directory(directory)):
        raise LedgerNotOpened(
            f"{directory} has payload segments and no database, so it is a damaged ledger and not a new one. "
            "Move it away and rebuild the ledger from another site."
        )
    return lmdb.open(
        str(data.parent),
        map_size=_map_bytes(directory, present, map_bytes),
        max_dbs=len(_NAMES),
        max_readers=READERS_MAX,
        max_spare_txns=1,
        sync=True,
        metasync=True,
        mode=0o640,
    )


def _map_bytes(directory: Path, present: int, wanted: int | None = None) -> int:
    """How much of the address space the file may come to fill: what it has and what the disk has free, in whole pages."""
    if wanted is None:
        wanted = max(MAP_MIN_BYTES, present + free_bytes(directory)[0])
    page = os.sysconf("SC_PAGE_SIZE")
    return max(wanted, present) // page * page


def _open_tables(env: lmdb.Environment, directory: Path, ledger_id: bytes) -> Tables:
    with env.begin(write=True) as txn:
        tables = Tables(**{name: env.open_db(name.encode(), txn=txn) for name in _NAMES})
        form = txn.get(META_FORMAT, db=tables.meta)
        if form is None:
            txn.put(META_FORMAT, FORMAT, db=tables.meta)
            txn.put(META_LEDGER_ID, ledger_id, db=tables.meta)
            txn.put(META_TIP, encode_tip(EMPTY_TIP), db=tables.meta)
        else:
            check_meta(directory, form, txn.get(META_LEDGER_ID, db=tables.meta) or b"", ledger_id)
    if form is None:
        sync_directory(database_directory(directory))
    return tables


def check_meta(directory: Path, form: bytes, found: bytes, ledger_id: bytes) -> None:
    """Raises LedgerNotOpened for a ledger of another format or of another genesis file."""
    if form != FORMAT:
        raise LedgerNotOpened(
            f"The ledger in {directory} has format {form.decode('ascii', 'replace')!a} and this release knows {FORMAT.decode()}. "
            "Start the release that wrote it, or a later one that names this format."
        )
    if found != ledger_id:
        raise LedgerNotOpened(
            f"The ledger in {directory} is {found.hex()[:16]}… and the genesis file's is {ledger_id.hex()[:16]}…. "
            "Check which genesis file and which directory belong together; nothing was changed."
        )


def open_to_verify(directory: Path) -> tuple[lmdb.Environment, Tables]:
    """The database as it is, read-only, for whoever holds the lock. Raises LedgerNotOpened when tables are missing, lmdb.Error when it is no database."""
    env = open_to_read(directory, beside_writer=False)
    try:
        return env, tables_of(env)
    except BaseException:
        env.close()
        raise


def open_to_read(directory: Path, *, beside_writer: bool) -> lmdb.Environment:
    """The database read-only, no table of it opened yet. `beside_writer`: somebody may write meanwhile, and keeps the pages of this reader's
    transactions. Raises lmdb.Error."""
    database = database_directory(directory)
    data = database / "data.mdb"
    # As large as the writer's: by default the map of a reader ends after 10 MiB or where the file does, and a file that grows past it looks damaged.
    return lmdb.open(
        str(database),
        map_size=_map_bytes(directory, data.stat().st_size if data.exists() else 0),
        readonly=True,
        create=False,
        max_dbs=len(_NAMES),
        lock=beside_writer,
    )


def tables_of(env: lmdb.Environment) -> Tables:
    """The tables of a database opened to read. Raises LedgerNotOpened when one is missing."""
    found: dict[str, lmdb._Database] = {}
    for name in _NAMES:
        with suppress(lmdb.NotFoundError):
            found[name] = env.open_db(name.encode(), create=False)
    if len(found) < len(_NAMES):
        missing = ", ".join(name for name in _NAMES if name not in found)
        raise LedgerNotOpened(
            f"The database lacks the tables {missing}. Rebuild the ledger from another site."
        )
    return Tables(**found)
