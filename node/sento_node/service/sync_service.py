"""The Sync service: what sites ask each other. Callers are sites of the genesis, by their certificates; chunks are given to operators too, who make copies.

Boot announcements are answered from the store's memory alone, before this node's own member runs. A chunk ends at a checkpoint that a
quorum cosigned, so that whoever copies can prove it whole.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

import grpc
import grpc.aio

from sento_node import bounds
from sento_node.boot_keeper import LIFE_BYTES
from sento_node.epochs.ended import check_announced, shown
from sento_node.ledger.store import KeptCheckpoint
from sento_node.service.access import require_role, require_unexpired
from sento_node.service.chunk_giving import chunk_pieces, plan_reply
from sento_node.service.epoch_service import EpochService, peer_state
from sento_node.service.errors import error_message
from sento_node.service.member_service import MemberService
from sento_node.service.node_state import NodeState
from sento_node.service.order_service import OrderService, one_more
from sento_node.sync.fetching import fetched_block, fetched_payload
from sento_node.sync.shelf import Shelf
from sento_node.tls import caller_of, certificate_end_s
from sento_proto.checkpoint import cosigners, decode_checkpoint
from sento_proto.checkpoint import encode_signature_line as line_bytes
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import sync_pb2, sync_pb2_grpc

Context = grpc.aio.ServicerContext[object, object]

CHUNKS_AT_ONCE = 40
"""Chunks of one caller that may be on their way at once, each of them in memory: more than the 32 streams that a site may be configured for."""
CHECKPOINTS_SEARCHED = 10_000
"""How far back another site's cosignature is looked for at its boot: days, or millions of records (`quorum/thinning.py`)."""


class SyncService(sync_pb2_grpc.SyncServicer):
    """Serves the other sites' nodes."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._shelf = Shelf()
        self._copying: Counter[str] = Counter()
        self._orders = OrderService(node)
        self._members = MemberService(node)
        self._epochs = EpochService(node)

    def _caller(self, context: Context) -> str:
        """The calling site's name. Raises SentoError."""
        name = require_role(caller_of(context), "site").name
        if name not in self._node.governance.site_keys:
            raise SentoError(Code.IDENTITY_REFUSED, "no site of that name is in this ledger's genesis")
        return name

    def _copier(self, context: Context) -> str:
        """The caller's name. Raises SentoError unless it may have a copy: a site of this ledger, or an operator."""
        caller = require_role(caller_of(context), "site", "operator")
        return self._caller(context) if caller.role == "site" else f"{caller.role}/{caller.name}"

    async def AnnounceBoot(
        self, request: sync_pb2.AnnounceBootRequest, context: Context
    ) -> sync_pb2.AnnounceBootReply:
        """Remember another site's boot number, flushed, and say what was remembered before."""
        caller = self._caller(context)
        if request.site != caller or request.ledger_id != self._node.genesis.ledger_id:
            raise SentoError(
                Code.WRONG_LEDGER, "the announcement is of another site or ledger than expected here"
            )
        check_announced(self._node, caller, request.epoch)
        if len(request.life) != LIFE_BYTES or request.boot_number == 0:
            raise SentoError(
                Code.BAD_REQUEST, f"life must have {LIFE_BYTES} bytes and boot numbers start at 1"
            )
        memories = self._node.memories
        if memories is None:
            raise SentoError(
                Code.NOT_READY, "this site does not know yet what it remembers of other sites' boots"
            )
        before = await asyncio.get_running_loop().run_in_executor(
            self._node.writer, memories.announced, caller, request.boot_number, request.life
        )
        if before is None:
            raise SentoError(
                Code.NOT_READY,
                "this site lost what it remembered of other sites' boots; another voting site must confirm this one",
            )
        kept = await asyncio.to_thread(self._cosigned_by, caller)
        return sync_pb2.AnnounceBootReply(
            remembered_boot_number=before,
            remembered_cosigned_size=0 if kept is None else kept.size,
            remembered_checkpoint=b"" if kept is None else kept.note,
            site=self._node.config.site,
        )

    def _cosigned_by(self, site: str) -> KeptCheckpoint | None:
        """The newest checkpoint that this site keeps with a cosignature by the other; a quorum may have done without it for long."""
        keys = {site: self._node.governance.site_keys[site]}
        for kept in self._node.store.newest_checkpoints(CHECKPOINTS_SEARCHED):
            if cosigners(decode_checkpoint(kept.note), keys):
                return kept
        return None

    async def Cosign(self, request: sync_pb2.CosignRequest, context: Context) -> sync_pb2.CosignReply:
        """Cosign another site's checkpoint, or say why not."""
        reply = sync_pb2.CosignReply()
        caller = self._caller(context)
        answer = await self._node.running().cosign(
            caller, decode_checkpoint(request.checkpoint), request.block
        )
        if answer.lines:
            reply.signature_lines.extend(
                line_bytes(line).decode().removesuffix("\n") for line in answer.lines
            )
        elif answer.code is not None:
            reply.error.CopyFrom(error_message(answer.code))
        tip, kept = self._node.store.tip, self._node.store.checkpoint()
        reply.flushed_block, reply.flushed_size = tip.block, tip.size
        reply.quorum_block = kept.block if kept else 0
        return reply

    async def PublishCheckpoint(
        self, request: sync_pb2.PublishCheckpointRequest, context: Context
    ) -> sync_pb2.PublishCheckpointReply:
        """Take over a quorum's checkpoint."""
        self._caller(context)
        checkpoint = decode_checkpoint(request.checkpoint)
        shown(self._node, checkpoint)
        self._node.running().published(checkpoint, request.block)
        return sync_pb2.PublishCheckpointReply()

    async def PeerState(
        self, request: sync_pb2.PeerStateRequest, context: Context
    ) -> sync_pb2.PeerStateReply:
        """How far this site is, and in which epoch."""
        return peer_state(self._node, self._caller(context), request)

    async def ShowEpoch(
        self, request: sync_pb2.ShowEpochRequest, context: Context
    ) -> sync_pb2.ShowEpochReply:
        """The plan by which the caller's epoch began."""
        return await self._epochs.shown(request, self._caller(context))

    async def Plan(self, request: sync_pb2.PlanRequest, context: Context) -> sync_pb2.PlanReply:
        """Which spines this site would give after a block."""
        self._copier(context)
        self._require_reads()
        return await plan_reply(self._node, request)

    async def FetchChunk(
        self, request: sync_pb2.FetchChunkRequest, context: Context
    ) -> AsyncIterator[sync_pb2.ChunkPiece]:
        """One chunk's bytes, from any byte on."""
        caller = self._copier(context)
        self._require_reads()
        with one_more(self._copying, caller, CHUNKS_AT_ONCE):
            async for piece in chunk_pieces(self._node, self._shelf, request):
                yield piece

    async def FetchPayloads(
        self, request: sync_pb2.FetchPayloadsRequest, context: Context
    ) -> AsyncIterator[sync_pb2.FetchedPayload]:
        """Payloads by record hash, each answered in turn: its bytes, or that this site has it not."""
        self._caller(context)
        self._require_reads()
        if len(request.record_hashes) > bounds.FETCH_PAYLOADS_MAX:
            raise SentoError(Code.BAD_REQUEST, f"at most {bounds.FETCH_PAYLOADS_MAX} payloads a call")
        for record_hash in request.record_hashes:
            yield fetched_payload(self._node.store, self._node.governance, record_hash)
            await asyncio.sleep(0)

    async def FetchBlocks(
        self, request: sync_pb2.FetchBlocksRequest, context: Context
    ) -> AsyncIterator[sync_pb2.FetchedBlock]:
        """Blocks by number, each with what proves its records; those that this site cannot prove itself are left out."""
        self._caller(context)
        self._require_reads()
        if len(request.numbers) > bounds.FETCH_BLOCKS_MAX:
            raise SentoError(Code.BAD_REQUEST, f"at most {bounds.FETCH_BLOCKS_MAX} blocks a call")
        for number in request.numbers:
            block = fetched_block(self._node.store, number)
            if block is not None:
                yield block
            await asyncio.sleep(0)

    async def FollowOrder(
        self, request: sync_pb2.FollowOrderRequest, context: Context
    ) -> AsyncIterator[sync_pb2.OrderEvent]:
        """The order behind a place, through this site's own member, for as long as the caller's certificate holds."""
        caller, end_s = self._caller(context), certificate_end_s(context)

        def still_allowed() -> None:
            require_unexpired(end_s, self._node.clock.wall_ms())

        async with contextlib.aclosing(self._orders.follow(caller, request, still_allowed)) as events:
            async for event in events:
                yield event

    async def AppendFor(
        self, request: sync_pb2.AppendForRequest, context: Context
    ) -> sync_pb2.AppendForReply:
        """Order a block on one of the caller's own lanes."""
        return await self._orders.append(self._caller(context), request, context.time_remaining())

    async def ChangeMember(
        self, request: sync_pb2.ChangeMemberRequest, context: Context
    ) -> sync_pb2.ChangeMemberReply:
        """Change the caller's own membership of the ordering log."""
        return await self._members.change(self._caller(context), request)

    async def OrderHead(
        self, request: sync_pb2.OrderHeadRequest, context: Context
    ) -> sync_pb2.OrderHeadReply:
        """The linearizable head."""
        return await self._orders.head(self._caller(context), context.time_remaining(), request.epoch)

    def _require_reads(self) -> None:
        if not self._node.condition.answers_reads:
            raise SentoError(self._node.condition.code, self._node.condition.shown_explanation)
