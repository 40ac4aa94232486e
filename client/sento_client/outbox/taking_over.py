"""Files of an outbox's directory: making one's own, taking over those whose process has died, and clearing away what a death in the middle left.

Blocking calls, like those of a shelf.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from pathlib import Path

from sento_client.outbox.shelf import SUFFIX, Belongs, InUse, Row, Shelf, shelves_in, take_lock
from sento_client.setup_errors import Setup, SetupError

_LOG = logging.getLogger(__name__)
Taken = tuple[list[tuple[Shelf, list[Row]]], int]
"""Shelves that were taken over, open now, with what they hold; and the bytes of those that others have in use."""


def new_shelf(directory: Path, belongs: Belongs, now_ms: int) -> Shelf:
    """A file of this process's own. Raises SetupError OUTBOX_UNUSABLE."""
    while True:
        # The time first, so that names sort by age; chance after it, so that no two programs meet.
        path = directory / f"{now_ms:013d}-{os.urandom(4).hex()}{SUFFIX}"
        try:
            return Shelf.open(path, belongs)
        except InUse:
            # Another program, which looks for locks without a shelf, had this one in its hand.
            continue


def take_over(directory: Path, belongs: Belongs, known: set[Path], spare_bytes: int = 0) -> Taken:
    """Shelves whose process has died, open now, with what they hold; and the bytes of those that others have in use, each less `spare_bytes`, which it may
    hold for the sake of sites abroad."""
    taken: list[tuple[Shelf, list[Row]]] = []
    others_bytes = 0
    for path in shelves_in(directory):
        if path in known:
            continue
        try:
            shelf, rows = _open_left_behind(path, belongs)
        except InUse:
            with contextlib.suppress(FileNotFoundError):
                others_bytes += max(0, path.stat().st_size - spare_bytes)
            continue
        except SetupError as error:
            if error.code is Setup.OUTBOX_FOREIGN:
                let_go_of(taken)
                raise
            # One damaged file must not keep a ministry from writing; `sento outbox` shows it until somebody has looked.
            _LOG.error("%s", error)
            continue
        if rows:
            taken.append((shelf, rows))
        else:
            # What was set aside stays for people to see; an empty file goes.
            shelf.close()
    _remove_lone_locks(directory)
    return taken, others_bytes


def _open_left_behind(path: Path, belongs: Belongs) -> tuple[Shelf, list[Row]]:
    shelf = Shelf.open(path, belongs)
    try:
        return shelf, shelf.rows()
    except sqlite3.Error as error:
        shelf.close()
        raise SetupError(Setup.OUTBOX_UNUSABLE, f"{path}: {error}") from None


def let_go_of(taken: list[tuple[Shelf, list[Row]]]) -> None:
    """Give shelves back that nobody will use."""
    for shelf, _ in taken:
        shelf.close()


def _remove_lone_locks(directory: Path) -> None:
    """A process that died while it removed its shelf, or before it made it, leaves a lock without a shelf."""
    for lock in directory.glob("*.lock"):
        if lock.with_suffix(SUFFIX).exists():
            continue
        try:
            handle = take_lock(lock)
        except (InUse, OSError):
            continue
        if not lock.with_suffix(SUFFIX).exists():
            lock.unlink(missing_ok=True)
        os.close(handle)


def flush_directory(directory: Path) -> None:
    """Make names in the directory durable. Raises OSError."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
