"""What was set aside (`damaged-<n>/`, `replaced-<n>/`, `epoch-<m>-orphans/`) loses what an order has destroyed: segments that hold an erased payload.

It is kept to find out what happened to a disk, and the law does not wait for that. A segment that cannot be walked entry by entry may hold anything, and goes
too. A ledger is set aside also because its order was another one: there the payload may stand at another position, and is known by its hash. Chunks of payloads
that were on their way when a disk was replaced go whole: they are in no ledger, and any site gives them again. So do ordering logs of former epochs, the own
member's and those that were brought here: they hold every payload of their time, nothing can be taken out of them, and what only they held was added to a
ledger when the epoch began. Nothing else that was set aside is removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from sento_node.durable_files import sync_directory
from sento_node.ledger.segments import HASH_PREFIX_BYTES, entries_named, entries_of

ASIDE = ("damaged-*", "replaced-*")
ORPHANS = ("epoch-*-orphans*", "epoch-draft")
"""A former epoch's ledger, and a draft of which a kill left the beginning: their segments may be hard links to those that were emptied in the ledger in use.
What stands behind the fork stands at positions that mean something else by now, so there a payload is known by its hash alone."""
LOGS = ("etcd", "etcd-left", "etcd-brought-*")
_CHUNKS = "payloads-*.part"


def remove_from_aside(
    data_dir: Path, positions: Collection[int], payload_hashes: Collection[bytes] = ()
) -> list[Path]:
    """Remove segments of ledgers set aside that hold, or may hold, a payload of one of these positions or hashes; returns their paths. Raises OSError."""
    erased = frozenset(positions)
    prefixes = {payload_hash[:HASH_PREFIX_BYTES] for payload_hash in payload_hashes}
    found = [path for path in _under(data_dir, ASIDE, "*.segment") if _holds(path, erased, prefixes)]
    orphans = _under(data_dir, ORPHANS, "*.segment")
    found += [path for path in orphans if _holds(path, frozenset(), prefixes)]
    for path in [*found, *_under(data_dir, ASIDE, _CHUNKS)]:
        path.unlink()
        sync_directory(path.parent)
    return found


def remove_former_logs(data_dir: Path, epoch: int) -> list[Path]:
    """Remove the ordering logs of epochs before this one, in which the flushed ledger stands; returns their paths. Raises OSError."""
    ordering = data_dir / "ordering"
    former = [path for path in sorted(ordering.glob("epoch-*")) if path.name < f"epoch-{epoch:04d}"]
    found = [log for path in former for name in LOGS for log in sorted(path.glob(name))]
    for log in found:
        shutil.rmtree(log)
        sync_directory(log.parent)
    return found


def _under(data_dir: Path, patterns: Iterable[str], name: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in data_dir.glob(f"{pattern}/**/{name}"))


def _holds(path: Path, erased: Collection[int], prefixes: Collection[bytes]) -> bool:
    whole = entries_of(path, path.stat().st_size) is not None
    return not whole or any(at in erased or prefix in prefixes for at, prefix in entries_named(path))
