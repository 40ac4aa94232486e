"""The soft limit on disk space: when a site stops taking new records, and when it takes them again. Pure.

Ingress closes long before the disk is full, because blocks that other sites took in must still be flushed here: below 5 % of the disk or 2 GiB, whichever is
smaller (5 % of a small disk is all it can spare; on a large one 2 GiB outlast the warning by far). It opens again by itself at one and a half times that mark,
so that a site at the edge does not open and close with every file that comes and goes.
"""

from __future__ import annotations

from typing import NamedTuple

from sento_node.ledger.store import DiskSpace

SOFT_LIMIT_MAX_BYTES = 2 << 30
SOFT_LIMIT_PER_CENT = 5
_MIB = 1 << 20


class DiskVerdict(NamedTuple):
    """Whether ingress is open, and words for operators: one sentence of cause and one of remedy."""

    open: bool
    words: str


def closes_below_bytes(total_bytes: int) -> int:
    """Free space under which ingress closes on a disk of this size."""
    return min(total_bytes * SOFT_LIMIT_PER_CENT // 100, SOFT_LIMIT_MAX_BYTES)


def opens_at_bytes(total_bytes: int) -> int:
    """Free space from which it opens again."""
    return closes_below_bytes(total_bytes) * 3 // 2


def judge(space: DiskSpace, *, was_open: bool) -> DiskVerdict:
    """What the space left means for a site whose ingress was open or closed until now."""
    closes, opens = closes_below_bytes(space.total_bytes), opens_at_bytes(space.total_bytes)
    free = f"{max(space.free_bytes, 0) // _MIB} MiB of {space.total_bytes // _MIB} MiB are free"
    if space.free_bytes >= (closes if was_open else opens):
        return DiskVerdict(True, f"{free}; new records are refused below {closes // _MIB} MiB.")
    return DiskVerdict(
        False,
        f"{free}, so new records are refused here and taken at other sites. "
        f"Free space or enlarge the disk: at {opens // _MIB} MiB the site opens again by itself.",
    )
