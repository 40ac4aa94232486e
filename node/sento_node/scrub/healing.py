"""Carrying remedies out: what is fetched from other sites is proven, then written by the ledger's one writer.

Each site is asked in turn until one gives what can be proven. A remedy that nobody's answer carries is tried again in the next round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog

from sento_node.ledger.lmdb_repair import CannotMend, ProvenBlock
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.store import KeptCheckpoint, LedgerDamaged
from sento_node.peers import OfferedProof, Peers, PeerSilent
from sento_node.scrub.deciding import (
    ForgetNote,
    MendBlock,
    MendEntry,
    MendMeta,
    MendTile,
    Remedy,
    ReplaceCheckpoint,
    VacateSegment,
)
from sento_node.scrub.proving import NotProven, prove_block
from sento_proto.checkpoint import encode_checkpoint
from sento_proto.governance.state import Governance

_T = TypeVar("_T")


class Healer:
    """Applies remedies to one running site's ledger."""

    def __init__(
        self,
        store: LmdbStore,
        writer: ThreadPoolExecutor,
        peers: Peers,
        governance: Callable[[], Governance],
    ) -> None:
        self._store = store
        self._writer = writer
        self._peers = peers
        self._governance = governance
        self._log = structlog.get_logger("sento.node")

    async def apply(self, remedies: Iterable[Remedy]) -> None:
        """All of them, the small tables and rows before what is derived from them. Raises LedgerFailed."""
        for remedy in sorted(remedies, key=_order):
            try:
                await self._apply(remedy)
            except (CannotMend, LedgerDamaged) as error:
                self._log.warning("not mended yet", remedy=type(remedy).__name__, why=str(error)[:200])

    async def _apply(self, remedy: Remedy) -> None:
        store = self._store
        match remedy:
            case MendMeta():
                await self._write(store.mend_meta)
            case MendBlock(number, position):
                await self._mend_block(number, position)
            case MendTile(level, index):
                await self._write(lambda: store.mend_tile(level, index))
            case MendEntry(table, key):
                await self._write(lambda: store.mend_entry(table, key))
            case ReplaceCheckpoint(size):
                await self._replace_checkpoint(size)
            case VacateSegment(number, named_end):
                emptied = False
                while not emptied:
                    emptied = await self._write(lambda: store.vacate(number, named_end))
            case ForgetNote(key):
                await self._write(lambda: store.forget_note(key))

    async def _write(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    async def _mend_block(self, number: int | None, position: int | None) -> None:
        if number is None:
            number = await asyncio.to_thread(self._store.block_of, position or 0)
        proven, _ = await self._fetch(number)
        await self._write(lambda: self._store.mend_block(proven))

    async def _fetch(self, number: int) -> tuple[ProvenBlock, OfferedProof]:
        """The block from the first site that can prove it. Raises CannotMend."""
        why = "there is no other site"
        for name, peer in self._peers.items():
            try:
                async for offered in peer.fetch_blocks([number]):
                    if offered.block.number == number:
                        return prove_block(offered, self._governance(), self._hash_at), offered
                why = f"{name} does not have the block"
            except (PeerSilent, NotProven) as error:
                why = f"{name}: {error}"
        raise CannotMend(why)

    def _hash_at(self, position: int) -> bytes | None:
        try:
            return self._store.record_hash_at(position)
        except (LedgerDamaged, IndexError):
            return None

    async def _replace_checkpoint(self, size: int) -> None:
        """Another site's quorum checkpoint over the same records, in place of the one under `size`, which must be no more than its ledger here."""
        store = self._store
        number = await asyncio.to_thread(store.block_of, min(size, store.tip.size) - 1)
        _, offered = await self._fetch(number)
        note = offered.checkpoint
        if note.size > store.tip.size or await asyncio.to_thread(store._root, note.size) != note.root:
            raise CannotMend("the other site's checkpoint is not of this ledger's tree")
        block = await asyncio.to_thread(store.block_of, note.size - 1)
        kept = KeptCheckpoint(note.size, block, encode_checkpoint(note))
        await self._write(lambda: store.put_checkpoint(kept, [size]))


_ORDER = (MendMeta, MendBlock, MendTile, MendEntry, ReplaceCheckpoint, ForgetNote, VacateSegment)


def _order(remedy: Remedy) -> tuple[int, int]:
    """Blocks by number: what is derived for a record rests on all before it."""
    first = (remedy.number or 0) if isinstance(remedy, MendBlock) else 0
    return (next((at for at, kind in enumerate(_ORDER) if isinstance(remedy, kind)), 0), first)
