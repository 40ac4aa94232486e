"""One commit on each shelf that has something to do, on the outbox's thread: whether the disk has room for what is new, and what failed where."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sento_client.outbox.shelf import Changes, NewKept, Shelf


def commit(
    directory: Path, work: Sequence[tuple[Shelf, Changes]], reserve_bytes: int
) -> tuple[bool, dict[Shelf, sqlite3.Error]]:
    """Whether there was room for what is new, and what failed, by shelf; nothing is done to the others when the first fails."""
    errors: dict[Shelf, sqlite3.Error] = {}
    room = _has_room(directory, work[0][1].keep, reserve_bytes)
    for place, (shelf, wanted) in enumerate(work):
        changes = wanted if room else wanted._replace(keep=())
        if not any(changes):
            continue
        try:
            shelf.commit(changes)
        except sqlite3.Error as error:
            if place == 0:
                return room, {each: error for each, _ in work}
            errors[shelf] = error
        else:
            # The commit stands already; a disk that is in trouble will say so at the next one.
            with contextlib.suppress(sqlite3.Error):
                shelf.give_back_space()
    return room, errors


def _has_room(directory: Path, keep: Sequence[NewKept], reserve_bytes: int) -> bool:
    """Whether the disk takes them twice, in SQLite's log and in the file, and has the reserve left."""
    if not keep:
        return True
    try:
        disk = os.statvfs(directory)
    except OSError:
        # The commit will say what is wrong.
        return True
    return disk.f_bavail * disk.f_frsize >= reserve_bytes + 2 * sum([len(new.submission) for new in keep])


def is_full(error: sqlite3.Error) -> bool:
    """Whether it was for want of room."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
