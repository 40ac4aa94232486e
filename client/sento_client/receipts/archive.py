"""The archive: one client's way to its receipts and proofs of fraud, with a thread of its own, so that no flush holds up the event loop.

The file is opened when it is first needed. A full disk refuses and is tried again; after any other failure of the disk nothing more is written by this process,
because what a failed flush left behind is not known: the outbox goes on keeping, and the next program opens the file anew.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sento_client.outbox.shelf import Belongs
from sento_client.receipts.fraud_files import read_frauds, write_fraud
from sento_client.receipts.store import ProvenRun, ReceiptStore, store_path
from sento_client.setup_errors import Setup, SetupError
from sento_proto.checkpoint import Checkpoint
from sento_proto.fraud import Fraud
from sento_proto.receipt import Receipt
from sento_proto.wire import Malformed

T = TypeVar("T")
RESERVE_BYTES = 4 * 1024 * 1024
"""What storing leaves free on the disk: the outbox, which forgets what is stored here, needs room for that, too."""
CHECKPOINTS_SEEDED = 64
_LOG = logging.getLogger(__name__)


class NotStored(Exception):
    """Receipts are not on disk; the text says why, in words."""


class Archive:
    """Receipts in `directory`. Used on one event loop; end with `close`."""

    def __init__(self, directory: Path, belongs: Belongs) -> None:
        self._directory = directory
        self._belongs = belongs
        self._store: ReceiptStore | None = None
        self._failed = ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sento-receipts")

    async def put(self, checkpoint: Checkpoint, runs: Sequence[ProvenRun], *, renew: bool = False) -> None:
        """Store receipts, flushed when this returns; with `renew` in place of those that are there of the same runs. Raises NotStored."""
        await self._run(self._put, checkpoint, runs, renew)

    async def at(self, position: int, record_hash: bytes | None = None) -> Receipt | None:
        """The receipt of the record at a position. Raises SetupError RECEIPTS_UNUSABLE where the file is damaged."""
        return await self._read(lambda store: store.at(position, record_hash))

    async def of_hash(self, record_hash: bytes) -> Receipt | None:
        """The receipt of the record with this hash. Raises as `at`."""
        return await self._read(lambda store: store.of_hash(record_hash))

    async def of_id(self, record_id: bytes) -> Receipt | None:
        """The receipt of the record with this id. Raises as `at`."""
        return await self._read(lambda store: store.of_id(record_id))

    async def newest(self, epoch: int, below: int, count: int) -> list[Receipt]:
        """Receipts of the newest runs that begin below a position. Raises as `at`."""
        return await self._read(lambda store: store.newest_receipts(epoch, below, count)) or []

    def seen(self) -> list[Checkpoint]:
        """The checkpoints of the newest receipts; none where there is no file yet. Blocks for a moment. Raises SetupError."""
        if not store_path(self._directory, self._belongs.institution).exists():
            return []
        store = self._opened()
        try:
            return store.newest_checkpoints(CHECKPOINTS_SEEDED)
        except (sqlite3.Error, Malformed) as error:
            raise SetupError(Setup.RECEIPTS_UNUSABLE, f"{store.path}: {error}") from None

    def frauds(self) -> list[tuple[str, bytes]]:
        """Proofs of fraud that lie there. Raises SetupError RECEIPTS_UNUSABLE."""
        return read_frauds(self._directory)

    def keep_fraud(self, fraud: Fraud, data: bytes) -> str:
        """Put a proof of fraud there; where it lies, in words."""
        try:
            return str(write_fraud(self._directory, data))
        except OSError as error:
            # The site is not trusted any more either way; the next program finds it out again.
            _LOG.error("the proof against %s could not be written: %s", fraud.site, error)
            return f"not written to {self._directory} ({error.strerror})"

    async def close(self) -> None:
        """Finish what is being written and let go of the file."""
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    # On the thread.

    async def _run(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    async def _read(self, look: Callable[[ReceiptStore], T | None]) -> T | None:
        def work() -> T | None:
            if not store_path(self._directory, self._belongs.institution).exists():
                return None
            store = self._opened()
            try:
                return look(store)
            except (sqlite3.Error, Malformed) as error:
                raise SetupError(Setup.RECEIPTS_UNUSABLE, f"{store.path}: {error}") from None

        return await self._run(work)

    def _put(self, checkpoint: Checkpoint, runs: Sequence[ProvenRun], renew: bool) -> None:
        if self._failed:
            raise NotStored(self._failed)
        try:
            store = self._opened()
        except SetupError as error:
            raise NotStored(str(error)) from None
        disk = os.statvfs(self._directory)
        if disk.f_bavail * disk.f_frsize < RESERVE_BYTES:
            raise NotStored(f"the disk under {self._directory} is full")
        try:
            store.put(checkpoint, runs, renew=renew)
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_FULL:
                raise NotStored(f"the disk under {self._directory} is full") from None
            if code == sqlite3.SQLITE_BUSY:
                raise NotStored(f"another program holds {store.path}") from None
            self._failed = f"{store.path}: {error}"
            raise NotStored(self._failed) from None

    def _opened(self) -> ReceiptStore:
        if self._store is None:
            self._store = ReceiptStore.open(self._directory, self._belongs)
        return self._store

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
