"""What becomes of a chunk that was brought: does it go on from here, is it known, does it wait for others, is it refused. Pure.

    spine      ends at or before the tip: known. Begins at the tip or before it: goes on, from the tip. Begins behind the tip: waits for what is between
    payloads   of records that the ledger has: taken, each by its hash. Beyond the tip: waits for the spine
    refused    of another ledger; of an older epoch and not known: it holds what that epoch ended without; of a later epoch that forked off below the tip

A site that follows the order adopts no spine: the order itself brings every block, and what was adopted besides would be counted as gone from the log.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from sento_proto.chunk import ChunkName, Kind


class Fate(Enum):
    """What becomes of a chunk."""

    GOES_ON = "goes on"
    KNOWN = "known"
    WAITS = "waiting"
    REFUSED = "refused"


class Where(NamedTuple):
    """How far the ledger is, and whether the order brings it what comes next."""

    ledger_id: bytes
    epoch: int
    block: int
    size: int
    follows_order: bool


class Decided(NamedTuple):
    """A chunk's fate, and why in words where it is refused or waits."""

    fate: Fate
    words: str = ""


def decide(name: ChunkName, where: Where) -> Decided:
    """The fate of a chunk with this name. That it goes on says nothing about its truth: that is proven when it is adopted."""
    if name.ledger_id != where.ledger_id:
        return Decided(Fate.REFUSED, "It is of another ledger.")
    return _decide_spine(name, where) if name.kind is Kind.SPINE else _decide_payloads(name, where)


def _decide_spine(name: ChunkName, where: Where) -> Decided:
    if name.through_block <= where.block:
        forked = name.epoch > where.epoch
        return Decided(Fate.REFUSED, forked_words(name, where)) if forked else Decided(Fate.KNOWN)
    if name.epoch < where.epoch:
        return Decided(
            Fate.REFUSED, f"It is of epoch {name.epoch}, which ended; this ledger is in epoch {where.epoch}."
        )
    if where.follows_order:
        return Decided(Fate.WAITS, "This site follows the order, which brings these blocks by itself.")
    if name.after_block > where.block:
        return Decided(Fate.WAITS, f"The blocks {where.block + 1} to {name.after_block} are not here yet.")
    return Decided(Fate.GOES_ON)


def forked_words(name: ChunkName, where: Where) -> str:
    """What is said where a later epoch forked off below what this ledger holds."""
    return (
        f"It goes on from block {name.after_block} in epoch {name.epoch}, and this ledger holds later blocks of epoch {where.epoch}, which ended there. "
        "Begin the epoch here by the signed plan (sento-node begin-epoch), and bring the volumes again."
    )


def _decide_payloads(name: ChunkName, where: Where) -> Decided:
    if name.from_position >= where.size and name.epoch < where.epoch:
        return Decided(Fate.REFUSED, f"Its records stood in epoch {name.epoch}, which ended before them.")
    if name.from_position >= where.size:
        return Decided(Fate.WAITS, f"This ledger has {where.size} records yet.")
    return Decided(Fate.GOES_ON)
