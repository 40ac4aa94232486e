"""What a store makes sure of before it writes a batch: that it goes on exactly where the flushed ledger ends.

A batch that does not is a defect of the caller, not of the disk: it raises ValueError and nothing is written. Both stores ask the same questions.
"""

from __future__ import annotations

from collections.abc import Sequence

from sento_node.ledger.results import StandingRecord
from sento_node.ledger.state import Batch, Tip


def standing_of(batch: Batch) -> list[StandingRecord]:
    """All records of the batch in order of position."""
    return [item for block in batch.blocks for item in block.standing]


def check_follows(tip: Tip, batch: Batch) -> None:
    """Raises ValueError unless blocks, sizes, positions and the batch's tip follow from `tip` without a gap."""
    if batch.tip.epoch < tip.epoch:
        raise ValueError(f"a batch of epoch {batch.tip.epoch} after epoch {tip.epoch}")
    block, revision, size = tip.block, tip.revision, tip.size
    logs_begun = batch.tip.epoch - tip.epoch
    for result in batch.blocks:
        if logs_begun and result.revision <= revision:
            logs_begun, revision = logs_begun - 1, 0
        if result.number != block + 1 or result.revision <= revision or result.size_before != size:
            raise ValueError(
                f"block {result.number} at size {result.size_before} does not follow block {block} at {size}"
            )
        for at, item in enumerate(result.standing, size):
            if item.position != at:
                raise ValueError(f"block {result.number} has position {item.position} where {at} is next")
        block, revision, size = result.number, result.revision, result.size_after
    if (batch.tip.block, batch.tip.revision, batch.tip.size) != (block, revision, size):
        raise ValueError(
            f"the batch ends at block {block}, size {size}, and its tip says {batch.tip.block}, {batch.tip.size}"
        )


def check_tree(batch: Batch, frontier: Sequence[bytes]) -> None:
    """Raises ValueError unless the tree that the store is about to write is the one that apply computed."""
    if tuple(frontier) != batch.tip.frontier:
        raise ValueError(
            f"the tree after block {batch.tip.block} is not the one that was computed when it was applied"
        )
