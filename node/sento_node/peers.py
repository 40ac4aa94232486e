"""The other sites' nodes as this one reaches them: one channel each, deadlines on every call, the answers as plain data.

A peer that does not answer raises `PeerSilent`; nothing here retries, because what silence means is decided elsewhere (no confirmation, no
cosignature, ask another). When the certificate files change, channels are made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple

import grpc
import grpc.aio

from sento_node import bounds
from sento_node.call_refusals import refusal_in
from sento_node.config import Peer, Tls
from sento_node.config_mistake import ConfigMistake
from sento_node.epochs.showing import FIRST, Standing
from sento_node.ledger.adopt import OfferedBlock
from sento_node.ordering.boot import PeerMemory
from sento_node.sync.connections import Connections
from sento_node.sync.downloading import NotHeld, Silence
from sento_node.sync.entries import decode_block_entry
from sento_node.tls import channel_credentials, read_files, stamp
from sento_proto.checkpoint import (
    Checkpoint,
    NoteSignature,
    decode_checkpoint,
    decode_signature_line,
    encode_checkpoint,
)
from sento_proto.errors import Code
from sento_proto.identity import server_name
from sento_proto.v1 import sync_pb2, sync_pb2_grpc
from sento_proto.wire import Malformed

_SILENCE = (grpc.aio.AioRpcError, OSError, ConfigMistake)


class PeerSilent(Silence):
    """The site did not answer in time, or not with what was asked."""


class CosignAnswer(NamedTuple):
    """A peer's answer to a proposal: its cosignature's lines, or the code why not; and how far its ledger and its quorum checkpoints on disk go."""

    lines: tuple[NoteSignature, ...]
    code: Code | None
    flushed_block: int
    quorum_block: int


class PeerProgress(NamedTuple):
    """How far a peer is, its wall clock (0: it does not say), where it stands among epochs, and its life's boot number (0: not raised yet)."""

    flushed_block: int
    flushed_size: int
    quorum_size: int
    quorum_block: int
    now_ms: int
    standing: Standing = FIRST
    boot_number: int = 0


class FetchedPayload(NamedTuple):
    """A peer's answer about one payload: its bytes as the peer has them, not proven yet; or None, with `erased` where an order had it destroyed."""

    record_hash: bytes
    payload: bytes | None
    erased: bool


class OfferedProof(NamedTuple):
    """A block as a peer offers it alone, without payloads: what its records' bodies are (header, payload hash), a quorum's checkpoint, and the inclusion
    path of each record under it, all by position. Not proven yet."""

    block: OfferedBlock
    bodies: Mapping[int, tuple[bytes, bytes]]
    checkpoint: Checkpoint
    paths: Mapping[int, tuple[bytes, ...]]


def offered_proof(item: sync_pb2.FetchedBlock) -> OfferedProof:
    """What a peer's message offers. Raises Malformed."""
    bodies = {
        record.position: (record.header, record.payload_hash)
        for submission in item.block.submissions
        for record in submission.records
        if record.code == Code.ACCEPTED
    }
    paths = {one.position: tuple(one.path) for one in item.paths}
    return OfferedProof(decode_block_entry(item.block), bodies, decode_checkpoint(item.checkpoint), paths)


class PeerNode:
    """One other site's node."""

    def __init__(self, peer: Peer, tls: Tls) -> None:
        self.name = peer.name
        self._address = peer.address
        self._tls = tls
        self._chunk_lines = Connections(peer, tls)
        self._stamp: tuple[int, ...] = ()
        self._channel: grpc.aio.Channel | None = None

    async def channel(self) -> grpc.aio.Channel:
        """The channel of now, under the certificate of now. Raises ConfigMistake, OSError when its files cannot be read."""
        now = stamp(self._tls)
        if self._channel is None or now != self._stamp:
            options = (*bounds.CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", server_name(self.name)))
            credentials = channel_credentials(read_files(self._tls))
            former, self._stamp = self._channel, now
            self._channel = grpc.aio.secure_channel(self._address, credentials, options)
            if former is not None:
                await former.close(grace=bounds.PEER_CALL_TIMEOUT_MS / 1000)
        return self._channel

    async def _stub(self) -> sync_pb2_grpc.SyncAsyncStub:
        return sync_pb2_grpc.SyncStub(await self.channel())

    async def announce_boot(self, request: sync_pb2.AnnounceBootRequest, timeout_ms: int) -> PeerMemory:
        """Tell the peer this site's boot number. Raises PeerSilent."""
        try:
            reply = await (await self._stub()).AnnounceBoot(request, timeout=timeout_ms / 1000)
        except _SILENCE as error:
            raise PeerSilent(_why(error)) from error
        return PeerMemory(
            reply.remembered_boot_number, reply.remembered_cosigned_size, reply.remembered_checkpoint
        )

    async def cosign(self, checkpoint: Checkpoint, block: int, timeout_ms: int) -> CosignAnswer:
        """Ask for a cosignature. Raises PeerSilent."""
        request = sync_pb2.CosignRequest(checkpoint=encode_checkpoint(checkpoint), block=block)
        try:
            reply = await (await self._stub()).Cosign(request, timeout=timeout_ms / 1000)
            lines = tuple(map(decode_signature_line, reply.signature_lines))
            code = Code(reply.error.code) if reply.HasField("error") else None
        except (*_SILENCE, ValueError) as error:
            raise PeerSilent(_why(error)) from error
        return CosignAnswer(lines, code, reply.flushed_block, reply.quorum_block)

    async def publish(self, checkpoint: Checkpoint, block: int, timeout_ms: int) -> None:
        """Hand over a quorum's checkpoint. Raises PeerSilent."""
        request = sync_pb2.PublishCheckpointRequest(checkpoint=encode_checkpoint(checkpoint), block=block)
        try:
            await (await self._stub()).PublishCheckpoint(request, timeout=timeout_ms / 1000)
        except _SILENCE as error:
            raise PeerSilent(_why(error)) from error

    async def progress(self, timeout_ms: int, own: Standing = FIRST) -> PeerProgress:
        """How far the peer is; it is told where this site stands. Raises PeerSilent."""
        request = sync_pb2.PeerStateRequest(epoch=own.epoch, plan_hash=own.plan_hash)
        try:
            reply = await (await self._stub()).PeerState(request, timeout=timeout_ms / 1000)
        except _SILENCE as error:
            raise PeerSilent(_why(error)) from error
        return PeerProgress(
            reply.flushed_block,
            reply.flushed_size,
            reply.quorum_size,
            reply.quorum_block,
            reply.now_ms,
            Standing(reply.epoch, reply.plan_hash),
            reply.boot_number,
        )

    async def show_epoch(self, plan: bytes, timeout_ms: int) -> bool:
        """Show the peer the plan by which this site's epoch began; False where it refuses to look at it, or does not take it for the officers' word. Raises
        PeerSilent."""
        try:
            await (await self._stub()).ShowEpoch(
                sync_pb2.ShowEpochRequest(plan=plan), timeout=timeout_ms / 1000
            )
        except _SILENCE as error:
            if isinstance(error, grpc.aio.AioRpcError) and refusal_in(error) is not None:
                return False
            raise PeerSilent(_why(error)) from error
        return True

    async def plan(self, after_block: int, anchor_size: int) -> sync_pb2.PlanReply:
        """Which spines the peer would give after a block. Raises PeerSilent."""
        request = sync_pb2.PlanRequest(after_block=after_block, anchor_size=anchor_size)
        try:
            return await (await self._chunk_lines.stub(0)).Plan(
                request, timeout=bounds.PLAN_TIMEOUT_MS / 1000
            )
        except _SILENCE as error:
            if _is_out_of_range(error):
                return sync_pb2.PlanReply()  # its ledger ends before this block: it has nothing to give
            await self._chunk_lines.close(0)
            raise PeerSilent(_why(error)) from error

    async def fetch_chunk(
        self, stream: int, request: sync_pb2.FetchChunkRequest
    ) -> AsyncGenerator[sync_pb2.ChunkPiece, None]:
        """A chunk's pieces over one of several connections, for as long as it takes: whoever asks watches that it goes on. Raises PeerSilent."""
        try:
            call = (await self._chunk_lines.stub(stream)).FetchChunk(request)
            try:
                async for piece in call:
                    yield piece
            finally:
                call.cancel()
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise PeerSilent("its connection was closed here, for another address or certificate") from None
        except _SILENCE as error:
            if _is_out_of_range(error):
                raise NotHeld(_why(error)) from error
            await self._chunk_lines.close(stream)
            raise PeerSilent(_why(error)) from error

    async def fetch_payloads(self, record_hashes: Sequence[bytes]) -> AsyncGenerator[FetchedPayload, None]:
        """The peer's answer for each record hash, in this order. Whoever asks has the header, by which the payload is to be proven. Raises PeerSilent."""
        for start in range(0, len(record_hashes), bounds.FETCH_PAYLOADS_MAX):
            wanted = record_hashes[start : start + bounds.FETCH_PAYLOADS_MAX]
            answered = 0
            try:
                call = (await self._stub()).FetchPayloads(
                    sync_pb2.FetchPayloadsRequest(record_hashes=wanted),
                    timeout=bounds.FETCH_TIMEOUT_MS / 1000,
                )
                async for item in call:
                    if answered == len(wanted) or item.record_hash != wanted[answered]:
                        raise PeerSilent("it answered about another record than the one asked for")
                    answered += 1
                    absent = item.erased or item.missing
                    yield FetchedPayload(item.record_hash, None if absent else item.payload, item.erased)
            except _SILENCE as error:
                raise PeerSilent(_why(error)) from error

    async def fetch_blocks(self, numbers: Sequence[int]) -> AsyncGenerator[OfferedProof, None]:
        """Blocks by number with what is to prove them, as many of them as the peer has. Raises PeerSilent; what is not well formed is silence too."""
        for start in range(0, len(numbers), bounds.FETCH_BLOCKS_MAX):
            wanted = numbers[start : start + bounds.FETCH_BLOCKS_MAX]
            try:
                call = (await self._stub()).FetchBlocks(
                    sync_pb2.FetchBlocksRequest(numbers=wanted), timeout=bounds.FETCH_TIMEOUT_MS / 1000
                )
                async for item in call:
                    yield offered_proof(item)
            except (*_SILENCE, Malformed) as error:
                raise PeerSilent(_why(error)) from error

    async def move_to(self, peer: Peer) -> None:
        """The site is reached elsewhere from now on; what is under way over the former channels ends."""
        former, self._chunk_lines = self._chunk_lines, Connections(peer, self._tls)
        self._address = peer.address
        channel, self._channel = self._channel, None
        await former.close()
        if channel is not None:
            await channel.close()

    async def close(self) -> None:
        """Give the channels back."""
        await self._chunk_lines.close()
        if self._channel is not None:
            await self._channel.close()
            self._channel = None


def _is_out_of_range(error: BaseException) -> bool:
    refusal = refusal_in(error) if isinstance(error, grpc.aio.AioRpcError) else None
    return refusal is not None and refusal.code is Code.OUT_OF_RANGE


def _why(error: BaseException) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details() or 'no details'}"
    return f"{type(error).__name__}: {error}"


Peers = Mapping[str, PeerNode]
