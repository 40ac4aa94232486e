"""Late cosignatures into the checkpoint that is kept: the same size, the same root, more lines; what was kept stays, and nothing is kept anew."""

from __future__ import annotations

from sento_node.ledger.store import KeptCheckpoint, LedgerStore
from sento_proto import limits
from sento_proto.checkpoint import Checkpoint, decode_checkpoint, encode_checkpoint, merge_signatures


def add_lines(store: LedgerStore, checkpoint: Checkpoint) -> None:
    """Add `checkpoint`'s lines, which must hold, to the kept one of that size. Nothing happens where it was thinned out or has them. Raises LedgerFailed."""
    kept = store.checkpoint(checkpoint.size)
    if kept is None or kept.size != checkpoint.size:
        return
    note = decode_checkpoint(kept.note)
    merged = merge_signatures(note, checkpoint.signatures)
    data = encode_checkpoint(merged)
    grown = len(merged.signatures) > len(note.signatures)
    small = (
        len(data) <= limits.CHECKPOINT_MAX_BYTES
        and len(merged.signatures) <= limits.CHECKPOINT_MAX_SIGNATURES
    )
    if note.root == checkpoint.root and grown and small:
        store.put_checkpoint(KeptCheckpoint(kept.size, kept.block, data))
