"""Ledgers that were set aside (`damaged-<n>/`, and in `replaced-<n>/` where a disk was replaced): the only files of theirs that a node removes are segments that hold an erased payload.

They are kept to find out what happened to a disk, and the law does not wait for that. A segment that cannot be walked entry by entry may hold anything,
and goes too. A ledger is set aside also because its order was another one: there the payload may stand at another position, and is known by its hash.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sento_node.durable_files import sync_directory
from sento_node.ledger.segments import HASH_PREFIX_BYTES, entries_named, entries_of

ASIDE = ("damaged-*", "replaced-*")


def remove_from_aside(
    data_dir: Path, positions: Collection[int], payload_hashes: Collection[bytes] = ()
) -> list[Path]:
    """Remove segments of ledgers set aside that hold, or may hold, a payload of one of these positions or hashes; returns their paths. Raises OSError."""
    erased = set(positions)
    prefixes = {payload_hash[:HASH_PREFIX_BYTES] for payload_hash in payload_hashes}
    removed: list[Path] = []
    for path in sorted(path for pattern in ASIDE for path in data_dir.glob(f"{pattern}/**/*.segment")):
        whole = entries_of(path, path.stat().st_size) is not None
        if not whole or any(at in erased or prefix in prefixes for at, prefix in entries_named(path)):
            path.unlink()
            sync_directory(path.parent)
            removed.append(path)
    return removed
