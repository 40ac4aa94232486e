"""Trimming: which blocks may leave the ordering log.

A block may leave when a checkpoint at or after it is cosigned by a receipt-set quorum, at least two sites where there are two, of ledgers that stand now.
Live sites that are less than 256 MiB behind are waited for as well, so that a short absence ends by reading the log; a site further behind, or
silent, catches up by sync and holds nobody up.

Catching up by sync needs somebody with a checkpoint to prove the ledger with. If the only disk with it died after the trim, the sites left
could neither prove what is gone nor agree on more; so a quorum of the receipt set must hold a checkpoint at or after the block, on disk,
before it leaves (`held_block`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

WAIT_FOR_BYTES = 256 * 1024 * 1024
LIVE_WITHIN_MS = 10_000


class RetainedBlock(NamedTuple):
    """A block that the ordering log still holds, as this site saw it go by."""

    number: int
    revision: int
    lane: str
    seq: int
    size_bytes: int


class SiteProgress(NamedTuple):
    """How far a site's ledger is flushed, when it last said so by our clock, and the block of the newest quorum checkpoint on its disk
    (0: none)."""

    flushed_block: int
    heard_at_ms: int
    quorum_block: int


class Trim(NamedTuple):
    """Remove each lane's blocks up to its seq and the history up to a revision; `through_block` is the last that leaves."""

    through_block: int
    through_revision: int
    through_seq: Mapping[str, int]


def held_block(quorum_blocks: Iterable[int], quorum: int) -> int:
    """The block through which `quorum` sites can prove the ledger, given the block of each receipt-set site's newest checkpoint (0: none)."""
    return sorted(quorum_blocks, reverse=True)[quorum - 1]


def decide_trim(
    retained: Iterable[RetainedBlock], covered_block: int, others: Mapping[str, SiteProgress], now_ms: int
) -> Trim | None:
    """What may leave now: everything through `covered_block`, less what live sites close behind still need. None when that is nothing."""
    blocks = list(retained)
    through = covered_block
    for progress in others.values():
        if progress.flushed_block >= through or now_ms - progress.heard_at_ms > LIVE_WITHIN_MS:
            continue
        behind = sum(block.size_bytes for block in blocks if progress.flushed_block < block.number <= through)
        if behind < WAIT_FOR_BYTES:
            through = progress.flushed_block
    leaving = [block for block in blocks if block.number <= through]
    if not leaving:
        return None
    through_seq: dict[str, int] = {}
    for block in leaving:
        through_seq[block.lane] = max(block.seq, through_seq.get(block.lane, 0))
    return Trim(leaving[-1].number, leaving[-1].revision, through_seq)
