"""The ledger that a restore makes, chunk by chunk: proven, committed, its checkpoint kept, so that a kill at any moment loses one chunk and nothing else.

A later epoch goes on from a fork below the end of the one before it. What a backup holds above that fork is taken back again when the later epoch's chunk
comes: blocks of an epoch that ended stand nowhere, and the volumes still have them.
"""

from __future__ import annotations

from pathlib import Path

from sento_node.epochs.copies import cut_to
from sento_node.importing.taking import fill_awaited
from sento_node.ledger.adopt import NotProven, adopt_chunk
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.state import LedgerState
from sento_node.ledger.store import KeptCheckpoint
from sento_node.sync.entries import offered_blocks
from sento_node.sync.fetching import is_destroyed
from sento_proto.checkpoint import decode_checkpoint, encode_checkpoint
from sento_proto.chunk import Chunk, decode_payloads
from sento_proto.genesis import Genesis
from sento_proto.governance.doubts import sure_size
from sento_proto.governance.state import Governance

AWAITED_AT_ONCE = 10_000
ROOM_TIMES = 3
"""A chunk needs this many times its own bytes: unpacked, with its indexes."""
ROOM_BYTES = 16 * 1024 * 1024


class NoRoom(Exception):
    """The disk is nearly full. The text says how much is needed, and that the same command goes on."""


class Draft:
    """One ledger being made in `directory`. Raises LedgerFailed, LedgerNotOpened everywhere."""

    def __init__(self, directory: Path, genesis: Genesis) -> None:
        self._directory = directory
        self._genesis = genesis
        self._open()

    def _open(self) -> None:
        self.store = LmdbStore.open(self._directory, self._genesis.ledger_id)
        try:
            governance = governance_of(self._genesis, self.store)
            self._state = LedgerState(governance, self.store, self.store.tip, self.store.window())
        except BaseException:
            self.store.close()
            raise

    @property
    def governance(self) -> Governance:
        """Behind everything in it."""
        return self._state.governance

    def close(self) -> None:
        """Give the files back."""
        self.store.close()

    def adopt(self, chunk: Chunk) -> None:
        """Take a spine in, from the tip on. Raises NotProven, Malformed and UnknownRules with nothing changed, NoRoom."""
        state, store = self._state, self.store
        blocks = [block for block in offered_blocks(chunk) if block.number > store.tip.block]
        if not blocks:
            raise NotProven("It has no block behind the ledger's end.")
        self.require_room(len(chunk.body))
        checkpoint = decode_checkpoint(chunk.note)
        adopt_chunk(state, blocks, checkpoint)
        batch = state.seal_batch()
        assert batch is not None, "blocks were adopted"
        store.commit(batch)
        state.batch_flushed()
        store.put_checkpoint(KeptCheckpoint(checkpoint.size, batch.tip.block, encode_checkpoint(checkpoint)))

    def fill(self, chunk: Chunk, below: int) -> int:
        """Store the payloads of records under `below` that are still awaited, and not of an epoch that ended; how many were false.

        Where a recovery went on from another copy than the chunk's, its payloads may be of other records, which is no falsehood.

        Raises Malformed, NoRoom."""
        lost = self.governance.lost_with(chunk.name.epoch, chunk.name.to_position)
        end = below if lost is None else min(below, lost.fork_size)
        payloads = [one for one in decode_payloads(chunk) if one.position < end]
        if not payloads:
            return 0
        self.require_room(len(chunk.body))
        sure = sure_size(self.governance, chunk.name.epoch, end)
        doubted = [one for one in payloads if one.position >= sure]
        fill_awaited(self.store, self.governance, doubted)
        return fill_awaited(
            self.store, self.governance, [one for one in payloads if one.position < sure]
        ).false

    def erase_destroyed(self) -> int:
        """Mark what orders in the ledger had destroyed as erased; how many payloads that are."""
        count, after = 0, 0
        while awaited := self.store.awaited(AWAITED_AT_ONCE, after):
            after = awaited[-1] + 1
            gone = [
                at
                for at in awaited
                if is_destroyed(self.governance, self.store.record(at, with_payload=False))
            ]
            while gone and not self.store.erase(gone).done:
                pass
            count += len(gone)
        return count

    def cut(self, size: int, block: int, epoch: int) -> None:
        """Take everything behind the block away again. Raises LedgerDamaged, lmdb.Error, OSError."""
        self.store.close()
        cut_to(self._directory, size, block, epoch)
        self._open()

    def cut_to_block(self, block: int) -> None:
        """The same, to the end of a block of this epoch."""
        self.cut(self.store.block(block).size_after if block else 0, block, self.store.tip.epoch)

    def require_room(self, chunk_bytes: int) -> None:
        """Raises NoRoom before the ledger meets the end of its disk."""
        free, needed = self.store.space().free_bytes, ROOM_BYTES + ROOM_TIMES * chunk_bytes
        if free < needed:
            raise NoRoom(
                f"{free >> 20} MiB are free where the ledger is made, and the next piece needs {needed >> 20} MiB. "
                "Make room and run the same command again: it goes on where it was."
            )
