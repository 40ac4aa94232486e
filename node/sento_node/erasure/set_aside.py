"""Ledgers that were set aside (`damaged-<n>/`): the only files of theirs that a node removes are segments that hold an erased payload.

They are kept to find out what happened to a disk, and the law does not wait for that. A segment that cannot be walked entry by entry may hold anything,
and goes too.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sento_node.ledger.segments import entries_of, sync_directory

ASIDE = "damaged-*"


def remove_from_aside(data_dir: Path, positions: Collection[int]) -> list[Path]:
    """Remove segments of ledgers set aside that hold, or may hold, a payload of one of these positions; returns their paths. Raises OSError."""
    erased = set(positions)
    removed: list[Path] = []
    for path in sorted(data_dir.glob(f"{ASIDE}/**/*.segment")):
        entries = entries_of(path, path.stat().st_size)
        if entries is None or erased.intersection(entries):
            path.unlink()
            sync_directory(path.parent)
            removed.append(path)
    return removed
