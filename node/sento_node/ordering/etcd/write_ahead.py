"""etcd's write-ahead files: which there are, and removing those that the member has given free.

etcd locks each write-ahead file that it may still need and lets go of it when a snapshot covers it; by itself it keeps the last five files all the same
and looks every 30 s. What is removed here follows etcd's own rule with fewer kept: from the oldest on, only what can be locked, never the newest. The
lock is etcd's kind (an open file description lock). It is held on for a moment after the removal: etcd's own purge, if it has just opened the same
file, finds it taken and lets it be, where it would otherwise fail to remove what is gone and end the member.

A file that a crash left torn is copied by etcd to `<name>.broken` before it mends it, and never looked at again: it holds blocks like the others, and goes too.

Source: etcd 3.4, wal/repair.go, pkg/fileutil/purge.go and lock_linux.go, wal/wal.go (ReleaseLockTo); tried with 3.4.23.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import threading
from pathlib import Path
from typing import Final

from sento_node.durable_files import sync_directory

HELD_ON_S: Final = 1.0
_SUFFIX: Final = ".wal"
_TORN: Final = ".broken"
_LOCK_WHOLE_FILE: Final = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def wal_directory(data_dir: Path) -> Path:
    """Where a member keeps its write-ahead files."""
    return data_dir / "member" / "wal"


def wal_files(data_dir: Path) -> list[str]:
    """Names of the write-ahead files, oldest first. Those that etcd prepares for later (`*.tmp`) hold nothing yet and are not listed."""
    return sorted(path.name for path in wal_directory(data_dir).glob(f"*{_SUFFIX}"))


def remove_released(data_dir: Path) -> list[str]:
    """Remove the files that no snapshot needs any more, and copies of torn ones; returns their names. Raises OSError."""
    directory = wal_directory(data_dir)
    removed: list[str] = []
    for copy in sorted(directory.glob(f"*{_SUFFIX}{_TORN}")):
        copy.unlink()
        removed.append(copy.name)
    for name in wal_files(data_dir)[:-1]:
        fd = _locked(directory / name)
        if fd is None:
            break
        (directory / name).unlink()
        removed.append(name)
        threading.Timer(HELD_ON_S, os.close, (fd,)).start()
    if removed:
        sync_directory(directory)
    return removed


def _locked(path: Path) -> int | None:
    """The file, locked; None while the member needs it, or where it is gone."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if sys.platform == "linux":
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _LOCK_WHOLE_FILE)
        else:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def remove_leftovers(data_dir: Path) -> list[str]:
    """Remove what a member that ended left half-written beside its database (a rewriting, a snapshot on its way). Only while no member runs.

    A snapshot that came whole (`*.snap.db`) stays: the member may still have to start from it. Raises OSError."""
    directory = data_dir / "member" / "snap"
    left = [path for pattern in ("db.tmp*", "tmp*") for path in directory.glob(pattern)]
    for path in left:
        path.unlink()
    if left:
        sync_directory(directory)
    return sorted(path.name for path in left)
