"""Making chunks: a stretch of the flushed ledger as the bytes that travel (`sento_proto/chunk.py`), and the plan of which stretches there are.

The same ledger gives the same bytes, so that a transfer that broke off goes on where it was, at this site even over a restart; only another note (cosignatures
came later) or another set of payloads (some were erased since) makes another chunk. Everything is read in short transactions, a few hundred rows each: a long
export never pins old pages, and the ledger's file does not grow under its writers. Any thread; no clock, no network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from sento_node.ledger import reading
from sento_node.ledger.store import KeptCheckpoint, KeptRecord, LedgerDamaged, LedgerStore
from sento_node.sync.entries import encode_spine_entry
from sento_node.sync.fetching import is_destroyed
from sento_proto import header as header_layout
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.chunk import (
    CHUNK_MAX_BYTES,
    PAYLOAD_CHUNK_BYTES,
    Chunk,
    ChunkName,
    Kind,
    Payload,
    encode_chunk,
    encode_entries,
    encode_payloads,
)
from sento_proto.governance.state import Governance
from sento_proto.record import PAYLOAD_HASH_OF_NOTHING
from sento_proto.wire import Malformed

SPINE_RECORDS = 2_000
"""Checkpoints are joined to chunks of about so many records: large enough for compression and few round trips, small enough to be adopted in 0.1 s."""
SPINE_BLOCKS = 2_000
"""The same for blocks: those of a quiet ledger hold a record or none."""
CHECKPOINTS_LOOKED_AT = 20_000
"""A plan ends early rather than read more checkpoints at once than these."""
PAYLOAD_RECORDS_LOOKED_AT = 20_000
"""A chunk of payloads ends after so many positions though few of them are of its registry: nobody waits long for a chunk."""
_RECORDS_AT_ONCE = 64


class NotPlanned(LookupError):
    """This ledger has no chunk of that stretch (any more). The text says why; a new plan says which there are."""


@dataclass(frozen=True, slots=True)
class PlannedChunk:
    """A spine that can be had. `consistency`: RFC 6962 proof between the smaller and the larger of `to_position` and the anchor's size; empty without one."""

    after_block: int
    through_block: int
    from_position: int
    to_position: int
    consistency: tuple[bytes, ...] = ()


def plan(
    store: LedgerStore,
    after_block: int,
    anchor_size: int,
    limit: int,
    fork: KeptCheckpoint | None = None,
) -> list[PlannedChunk]:
    """The spines after a block, rising, at most `limit`; each ends at a kept checkpoint, the last one at the newest when nothing cut the plan short.

    `anchor_size`: prove each end consistent with the tree of that size, where the ledger has it (0: no proofs). `fork`: one more end, behind all kept ones,
    that officers signed (`epochs/at_fork.py`).

    Raises LedgerDamaged, IndexError beyond the tip."""
    chunks: list[PlannedChunk] = []
    start = (after_block, _size_after(store, after_block))
    end: KeptCheckpoint | None = None
    for kept in _with_fork(_checkpoints_after(store, after_block), after_block, fork):
        if end is not None and (kept.size - start[1] > SPINE_RECORDS or kept.block - start[0] > SPINE_BLOCKS):
            chunks.append(_planned(store, start, end, anchor_size))
            if len(chunks) == limit:
                return chunks
            start = (end.block, end.size)
        end = kept
    if end is not None:
        chunks.append(_planned(store, start, end, anchor_size))
    return chunks


def _size_after(store: LedgerStore, block: int) -> int:
    return store.block(block).size_after if block else 0


def _checkpoints_after(store: LedgerStore, block: int) -> Iterator[KeptCheckpoint]:
    kept = store.checkpoint_by_block(block + 1)
    for _ in range(CHECKPOINTS_LOOKED_AT):
        if kept is None or kept.size > store.tip.size:
            return
        yield kept
        kept = store.checkpoint(kept.size + 1)


def _with_fork(
    checkpoints: Iterator[KeptCheckpoint], after_block: int, fork: KeptCheckpoint | None
) -> Iterator[KeptCheckpoint]:
    yield from checkpoints
    if fork is not None and fork.block > after_block:
        yield fork


def _planned(
    store: LedgerStore, start: tuple[int, int], end: KeptCheckpoint, anchor_size: int
) -> PlannedChunk:
    proof: list[bytes] = []
    if 0 < anchor_size <= store.tip.size:
        proof = reading.consistency(store, min(anchor_size, end.size), max(anchor_size, end.size))
    return PlannedChunk(start[0], end.block, start[1], end.size, tuple(proof))


def spine_chunk(
    store: LedgerStore,
    governance: Governance,
    after_block: int,
    through_block: int,
    fork: KeptCheckpoint | None = None,
) -> bytes:
    """The bytes of the spine (after_block, through_block]. `fork`: see `plan`.

    Raises NotPlanned when no kept checkpoint ends it or it has more than a chunk may have: whoever asks for a whole ledger at once does not get this site to
    hold it in memory. Raises LedgerDamaged."""
    kept = store.checkpoint_by_block(through_block)
    if kept is None and fork is not None and fork.block == through_block:
        kept = fork
    if kept is None or kept.block != through_block or not 0 <= after_block < through_block:
        raise NotPlanned(f"no checkpoint is kept that ends at block {through_block}")
    if kept.size > store.tip.size:
        raise NotPlanned(f"the ledger is not flushed through block {through_block}")
    start = _size_after(store, after_block)
    name = ChunkName(
        Kind.SPINE,
        governance.ledger_id,
        decode_checkpoint(kept.note).epoch,
        after_block,
        through_block,
        start,
        kept.size,
    )
    body = encode_entries(_entries(store, after_block, through_block))
    return encode_chunk(Chunk(name, body, kept.note))


def _entries(store: LedgerStore, after_block: int, through_block: int) -> Iterator[bytes]:
    left_bytes = CHUNK_MAX_BYTES
    for number in range(after_block + 1, through_block + 1):
        block = store.block(number)
        records = store.records(block.size_before, block.size_after, with_payload=False)
        entry = encode_spine_entry(block, {record.position: record for record in records})
        left_bytes -= len(entry)
        if left_bytes < 0:
            raise NotPlanned(f"the blocks {after_block + 1} to {through_block} are more than a chunk holds")
        yield entry


def payload_chunk(
    store: LedgerStore, governance: Governance, registry: str, from_position: int, to_position: int
) -> bytes:
    """The bytes of the payloads of [from_position, to_position), of one registry or (empty) of all; it may end earlier, and its name says where.

    Left out: what orders had destroyed, whatever the disk still holds, what this ledger awaits itself, what does not verify here. Raises NotPlanned."""
    end = min(to_position, store.tip.size)
    if not 0 <= from_position < end:
        raise NotPlanned(f"positions {from_position} to {to_position} are not within the flushed ledger")
    chosen: list[Payload] = []
    size_bytes, at = 0, from_position
    stop = min(end, from_position + PAYLOAD_RECORDS_LOOKED_AT)
    while at < stop and size_bytes < PAYLOAD_CHUNK_BYTES:
        span = range(at, min(at + _RECORDS_AT_ONCE, stop))
        for payload in _payloads(store, governance, registry, span):
            if size_bytes >= PAYLOAD_CHUNK_BYTES:
                break
            chosen.append(payload)
            size_bytes += len(payload.data)
            at = payload.position + 1
        else:
            at = span.stop
    name = ChunkName(Kind.PAYLOADS, governance.ledger_id, store.tip.epoch, 0, 0, from_position, at, registry)
    return encode_chunk(Chunk(name, encode_payloads(chosen), b""))


def _payloads(store: LedgerStore, governance: Governance, registry: str, span: range) -> Iterator[Payload]:
    try:
        kept = list(_with_bytes(store, registry, span))
    except LedgerDamaged:
        kept = [one for at in span for one in _readable(store, registry, at)]
    for record in kept:
        if record.payload and not is_destroyed(governance, record):
            with contextlib.suppress(LedgerDamaged):
                store.check_given_out(record.position)
                yield Payload(record.position, record.payload)


def _readable(store: LedgerStore, registry: str, position: int) -> list[KeptRecord]:
    try:
        return list(_with_bytes(store, registry, range(position, position + 1)))
    except LedgerDamaged:
        return []


def _with_bytes(store: LedgerStore, registry: str, span: range) -> Iterator[KeptRecord]:
    """The span's records; those of other registries are not read beyond their rows."""
    if not registry:
        yield from store.records(span.start, span.stop)
        return
    for record in store.records(span.start, span.stop, with_payload=False):
        if record.payload_hash != PAYLOAD_HASH_OF_NOTHING and _registry_of(record) == registry:
            yield store.record(record.position)


def _registry_of(record: KeptRecord) -> str:
    try:
        return header_layout.decode(record.header_bytes).registry
    except Malformed as error:
        raise LedgerDamaged(f"The record at position {record.position} is not in form ({error}).") from None
