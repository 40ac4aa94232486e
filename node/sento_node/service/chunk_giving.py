"""Plan and FetchChunk: which chunks of this ledger there are, and one chunk's bytes from any byte on.

Whoever asks again with the id of the chunk that it has in part gets the rest, if this ledger still makes the same one, and else the whole new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sento_node import bounds
from sento_node.epochs.at_fork import kept_fork
from sento_node.ledger.store import LedgerDamaged
from sento_node.service.node_state import NodeState
from sento_node.sync.making import NotPlanned, payload_chunk, plan, spine_chunk
from sento_node.sync.shelf import MadeChunk, Shelf
from sento_proto.chunk import ChunkName, Kind
from sento_proto.errors import Code, SentoError
from sento_proto.limits import NAME_MAX_BYTES
from sento_proto.v1 import sync_pb2


async def plan_reply(node: NodeState, request: sync_pb2.PlanRequest) -> sync_pb2.PlanReply:
    """The chunks after a block. Raises SentoError OUT_OF_RANGE, DAMAGED."""
    tip, fork = node.store.tip, kept_fork(node.store, node.epoch.plan)
    newest = fork or node.store.checkpoint()
    reply = sync_pb2.PlanReply(epoch=tip.epoch)
    if newest is None:
        return reply
    reply.size, reply.block = newest.size, newest.block
    limit = bounds.PLAN_CHUNKS_PROVEN_MAX if request.anchor_size else bounds.PLAN_CHUNKS_MAX
    try:
        chunks = await asyncio.to_thread(
            plan, node.store, request.after_block, request.anchor_size, limit, fork
        )
    except IndexError:
        raise SentoError(
            Code.OUT_OF_RANGE, f"this ledger is flushed through block {node.store.tip.block}"
        ) from None
    except LedgerDamaged as error:
        raise SentoError(Code.DAMAGED, str(error)) from error
    for chunk in chunks:
        reply.chunks.add(
            after_block=chunk.after_block,
            through_block=chunk.through_block,
            from_position=chunk.from_position,
            to_position=chunk.to_position,
            consistency=chunk.consistency,
        )
    reply.more = bool(chunks) and chunks[-1].through_block < newest.block
    return reply


async def chunk_pieces(
    node: NodeState, shelf: Shelf, request: sync_pb2.FetchChunkRequest
) -> AsyncIterator[sync_pb2.ChunkPiece]:
    """A chunk from `offset` on. Raises SentoError: OUT_OF_RANGE for what this ledger does not hold or plan, DAMAGED, NOT_READY when an act came in between."""
    made = await _made(node, shelf, request)
    same = request.chunk_id == made.chunk_id
    if same and request.offset > len(made.data):
        raise SentoError(Code.BAD_REQUEST, f"the chunk has {len(made.data)} bytes")
    at = request.offset if same else 0
    first = made.data[at : at + bounds.CHUNK_PIECE_BYTES]
    yield sync_pb2.ChunkPiece(chunk_id=made.chunk_id, total_bytes=len(made.data), offset=at, data=first)
    for start in range(at + bounds.CHUNK_PIECE_BYTES, len(made.data), bounds.CHUNK_PIECE_BYTES):
        if request.kind == sync_pb2.PAYLOADS and node.governance.last_act != made.last_act:
            raise SentoError(
                Code.NOT_READY, "an officers' act came in between, and may forbid the rest; ask again"
            )
        yield sync_pb2.ChunkPiece(data=made.data[start : start + bounds.CHUNK_PIECE_BYTES])


async def _made(node: NodeState, shelf: Shelf, request: sync_pb2.FetchChunkRequest) -> MadeChunk:
    asked, governance, store = _asked(node, request), node.governance, node.store

    def make() -> bytes:
        if asked.kind is Kind.SPINE:
            fork = kept_fork(store, node.epoch.plan)
            return spine_chunk(store, governance, asked.after_block, asked.through_block, fork)
        return payload_chunk(store, governance, asked.registry, asked.from_position, asked.to_position)

    try:
        return await shelf.get(asked, governance.last_act, make)
    except (NotPlanned, IndexError) as error:
        raise SentoError(Code.OUT_OF_RANGE, f"{error}; ask for the plan again") from error
    except LedgerDamaged as error:
        raise SentoError(Code.DAMAGED, str(error)) from error


def _asked(node: NodeState, request: sync_pb2.FetchChunkRequest) -> ChunkName:
    """What is asked for, by the name that the longest such chunk would have. Raises SentoError BAD_REQUEST."""
    ledger_id, epoch = node.genesis.ledger_id, node.store.tip.epoch
    if request.kind == sync_pb2.SPINE:
        return ChunkName(Kind.SPINE, ledger_id, epoch, request.after_block, request.through_block, 0, 0)
    if request.kind == sync_pb2.PAYLOADS:
        registry = request.registry
        if not registry.isascii() or len(registry) > NAME_MAX_BYTES:
            raise SentoError(Code.BAD_REQUEST, "no registry has such a name")
        return ChunkName(
            Kind.PAYLOADS, ledger_id, epoch, 0, 0, request.from_position, request.to_position, registry
        )
    raise SentoError(Code.BAD_REQUEST, "kind must be SPINE or PAYLOADS")
