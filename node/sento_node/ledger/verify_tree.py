"""Verification of the tree: tiles over tiles, and each kept checkpoint against the root that the records make."""

from __future__ import annotations

from collections.abc import Iterator

from sento_node.ledger import rows
from sento_node.ledger.findings import CHECKPOINT, TILE, Finding, Kind
from sento_node.ledger.store import KeptCheckpoint
from sento_node.ledger.tiles import TILE_BITS, TILE_BYTES, fold, tiles_of
from sento_node.ledger.verify_image import Image
from sento_proto.checkpoint import cosigners, decode_checkpoint
from sento_proto.governance.state import Governance
from sento_proto.merkle import HASH_BYTES
from sento_proto.wire import Malformed


def verify_tiles(image: Image, size: int) -> Iterator[Finding]:
    """Every tile there, as long as the size says, and each hash above the leaves the root over the tile below it."""
    for level, index, count in tiles_of(size):
        tile = image.tile(level, index)
        first = index << TILE_BITS * (level + 1)
        name = f"tile {index} of level {level}"
        if len(tile) != count * HASH_BYTES:
            state = (
                (Kind.WRONG, f"The tree's {name} is too short or too long.")
                if tile
                else (Kind.MISSING, f"The tree's {name} is missing.")
            )
            yield Finding(first, None, *state, TILE, rows.tile_key(level, index))
        if level == 0:
            continue
        for at in range(min(count, len(tile) // HASH_BYTES)):
            below = image.tile(level - 1, (index << TILE_BITS) + at)
            if len(below) == TILE_BYTES and fold(below) != tile[at * HASH_BYTES : (at + 1) * HASH_BYTES]:
                covered = first + (at << TILE_BITS * level)
                yield Finding(
                    covered,
                    None,
                    Kind.WRONG,
                    f"Hash {at} of the tree's {name} is not the root over the tile below.",
                    TILE,
                    rows.tile_key(level, index),
                )


class CheckpointVerifier:
    """Verifies kept checkpoints while the blocks go by, in order."""

    def __init__(self, image: Image, governance: Governance) -> None:
        self._governance = governance
        self._kept = (_decoded(*row) for row in image.scan(image.tables.checkpoints))
        self._next = next(self._kept, None)
        self.verified = 0

    def block_ended(self, number: int, size: int, root: bytes | None) -> Iterator[Finding]:
        """Everything kept up to this block. `root` is the tree's after it, or None when that cannot be told."""
        while self._next is not None and (not self._next.block or self._next.block <= number):
            kept, self._next = self._next, next(self._kept, None)
            if not kept.block:
                yield Finding(
                    None,
                    None,
                    Kind.WRONG,
                    f"The row of the checkpoint of size {kept.size} cannot be read.",
                    CHECKPOINT,
                    number=kept.size,
                )
            elif kept.block < number:
                words = f"The checkpoint of size {kept.size} names a block that is not in the order of sizes."
                yield Finding(None, kept.block, Kind.WRONG, words, CHECKPOINT, number=kept.size)
            else:
                yield from self._verify(kept, size, root)

    def beyond(self) -> Iterator[Finding]:
        """Checkpoints of blocks that are not flushed here yet: only their cosignatures can be verified."""
        while self._next is not None:
            kept, self._next = self._next, next(self._kept, None)
            yield from self._verify(kept, kept.size, None)

    def _verify(self, kept: KeptCheckpoint, size: int, root: bytes | None) -> Iterator[Finding]:
        def report(words: str) -> Finding:
            words = f"The checkpoint of size {kept.size} {words}."
            return Finding(None, kept.block, Kind.WRONG, words, CHECKPOINT, number=kept.size)

        self.verified += 1
        try:
            note = decode_checkpoint(kept.note)
        except Malformed as error:
            yield report(f"cannot be read ({error})")
            return
        if note.ledger_id != self._governance.ledger_id:
            yield report("is another ledger's")
        if (note.size, kept.size) != (size, size):
            yield report(f"speaks of size {note.size} and its block ends at {size}")
        elif root is not None and note.root != root:
            yield report("has another root than the records make")
        receipt = self._governance.receipt_quorum_at(note.size)
        if len(cosigners(note, receipt.keys)) < receipt.quorum:
            yield report("does not have a quorum's cosignatures")


def _decoded(key: bytes, row: bytes) -> KeptCheckpoint:
    """The checkpoint in a row; one of block 0 when it cannot be read."""
    try:
        return rows.decode_checkpoint_row(key, row)
    except Malformed:
        return KeptCheckpoint(int.from_bytes(key[:8], "big"), 0, b"")
