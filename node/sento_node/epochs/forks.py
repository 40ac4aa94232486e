"""The state of a ledger at a moment: the largest tree that a quorum had cosigned by then.

A checkpoint's time is the one at which the last cosignature that makes the quorum was given, by the sites' own clocks. Times below the second do not exist
in cosignatures. Newer checkpoints lie closer together than old ones, which were thinned: the state found may be older than the moment asked for, and never
newer.
"""

from __future__ import annotations

from collections.abc import Iterable

from sento_node.ledger.store import KeptCheckpoint
from sento_proto.checkpoint import cosigners, decode_checkpoint
from sento_proto.governance.state import Governance


def agreed_at_s(note: bytes, governance: Governance) -> int | None:
    """When a quorum had cosigned the checkpoint, in s since 1970; None when none did."""
    checkpoint = decode_checkpoint(note)
    wanted = governance.receipt_quorum_at(checkpoint.size)
    times = sorted(cosigners(checkpoint, wanted.keys).values())
    return times[wanted.quorum - 1] if len(times) >= wanted.quorum else None


def newest_by(
    newest_first: Iterable[KeptCheckpoint], governance: Governance, as_of_s: int
) -> KeptCheckpoint | None:
    """The largest kept checkpoint that a quorum had cosigned at or before the moment."""
    for kept in newest_first:
        agreed = agreed_at_s(kept.note, governance)
        if agreed is not None and agreed <= as_of_s:
            return kept
    return None
