"""Another site's node as a relay of the order: its calls, with the answer's stable code told apart from silence.

A refusal that names its code is raised as that; everything else, a deadline included, is silence. The stream has no deadline of its own: it says each second
that it lives, and whoever follows it judges its silence.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import NoReturn

import grpc
import grpc.aio

from sento_node.call_refusals import refusal_in
from sento_node.config_mistake import ConfigMistake
from sento_node.ordering.port import Head, OrderingStatus
from sento_node.ordering.relayed import RelaySilent
from sento_node.peers import PeerNode
from sento_proto.errors import Code
from sento_proto.v1 import admin_pb2, admin_pb2_grpc, sync_pb2, sync_pb2_grpc


class NodeRelay:
    """`Relay` through a peer's channel."""

    def __init__(self, peer: PeerNode, epoch: int = 0) -> None:
        """`epoch`: whose order is meant; a site in another one refuses."""
        self._peer = peer
        self._epoch = epoch

    @property
    def name(self) -> str:
        """See `Relay.name`."""
        return self._peer.name

    async def follow_order(self, after: Head) -> AsyncGenerator[sync_pb2.OrderEvent, None]:
        """See `Relay.follow_order`."""
        request = sync_pb2.FollowOrderRequest(
            after_number=after.number, after_revision=after.revision, epoch=self._epoch
        )
        call: grpc.aio.UnaryStreamCall[sync_pb2.FollowOrderRequest, sync_pb2.OrderEvent] | None = None
        try:
            with _silence():
                call = sync_pb2_grpc.SyncStub(await self._peer.channel()).FollowOrder(request)
                async for event in call:
                    yield event
        finally:
            if call is not None:
                call.cancel()

    async def append_for(self, lane: str, seq: int, data: bytes, timeout_ms: int) -> sync_pb2.AppendForReply:
        """See `Relay.append_for`."""
        request = sync_pb2.AppendForRequest(lane=lane, seq=seq, data=data, epoch=self._epoch)
        with _silence():
            stub = sync_pb2_grpc.SyncStub(await self._peer.channel())
            reply: sync_pb2.AppendForReply = await stub.AppendFor(request, timeout=timeout_ms / 1000)
        return reply

    async def order_head(self, timeout_ms: int) -> Head:
        """See `Relay.order_head`."""
        with _silence():
            stub = sync_pb2_grpc.SyncStub(await self._peer.channel())
            request = sync_pb2.OrderHeadRequest(epoch=self._epoch)
            reply = await stub.OrderHead(request, timeout=timeout_ms / 1000)
        return Head(reply.number, reply.revision)

    async def order_status(self, timeout_ms: int) -> OrderingStatus:
        """See `Relay.order_status`. What a status does not tell is 0 or empty here."""
        with _silence():
            stub = admin_pb2_grpc.AdminStub(await self._peer.channel())
            reply = await stub.Status(admin_pb2.StatusRequest(), timeout=timeout_ms / 1000)
        engine, _, version = reply.ordering_version.partition(" ")
        return OrderingStatus(
            engine=engine,
            version=version,
            cluster_id=0,
            member_id=0,
            lead_site=reply.lead_site,
            is_lead=reply.is_lead,
            term=0,
            size_bytes=reply.ordering_size_bytes,
            in_use_bytes=reply.ordering_in_use_bytes,
            quota_bytes=reply.ordering_quota_bytes,
            resident_bytes=reply.ordering_resident_bytes,
            alarms=tuple(reply.ordering_alarms),
            members=(),
        )


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Raises SentoError for a refusal with its code, RelaySilent for everything else that a call ends with."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        _raise(error)
    except (OSError, ConfigMistake, grpc.aio.UsageError) as error:
        raise RelaySilent(f"{type(error).__name__}: {error}") from error


def _raise(error: grpc.aio.AioRpcError) -> NoReturn:
    refusal = refusal_in(error)
    if refusal is not None and refusal.code is not Code.DEADLINE:
        raise refusal from error
    in_time = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    raise RelaySilent(f"{error.code().name}: {error.details() or 'no details'}", in_time=in_time) from error
