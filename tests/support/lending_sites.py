"""A site that lends its ordering log, without connections: what its node answers about the order, as the messages that would be on the wire.

Faults are set from outside: a site can be unreachable, far, or fall silent with its streams open.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from types import SimpleNamespace
from typing import cast

from sento_node.condition import Condition
from sento_node.epochs.here import EpochHere
from sento_node.ordering.port import Head, OrderingLog, OrderingStatus
from sento_node.ordering.relayed import RelaySilent
from sento_node.service.node_state import NodeState
from sento_node.service.order_service import OrderService
from sento_proto.v1 import sync_pb2


class _Everybody(dict[str, object]):
    def __contains__(self, name: object) -> bool:
        return True


class LendingSite:
    """`Relay` over one site's log. Its caller is whoever the lane names: that a site keeps to its own lanes is not the log's promise but the service's."""

    def __init__(self, name: str, log: OrderingLog, *, alive_every_ms: int = 50) -> None:
        self._name = name
        self.log = log
        self.condition = Condition(state="serving")
        self.unreachable = False
        self.way_s = 0.0
        """How long a question and its answer are under way together."""
        self.calls: list[str] = []
        self._speaks = asyncio.Event()
        self._speaks.set()
        governance = SimpleNamespace(sites=_Everybody())
        node = SimpleNamespace(
            member_log=log, condition=self.condition, governance=governance, epoch=EpochHere()
        )
        self._service = OrderService(cast("NodeState", node), alive_every_ms=alive_every_ms)

    @property
    def name(self) -> str:
        return self._name

    def fall_silent(self) -> None:
        """Nothing is answered any more, and connections stay open."""
        self._speaks.clear()

    def speak(self) -> None:
        """It answers again, first what it was asked meanwhile."""
        self._speaks.set()

    async def follow_order(self, after: Head) -> AsyncGenerator[sync_pb2.OrderEvent, None]:
        self._reach("follow")
        request = sync_pb2.FollowOrderRequest(after_number=after.number, after_revision=after.revision)
        async with contextlib.aclosing(self._service.follow("embassy", request, lambda: None)) as events:
            async for event in events:
                await self._speaks.wait()
                yield sync_pb2.OrderEvent.FromString(event.SerializeToString())

    async def append_for(self, lane: str, seq: int, data: bytes, timeout_ms: int) -> sync_pb2.AppendForReply:
        self._reach("append")
        request = sync_pb2.AppendForRequest(lane=lane, seq=seq, data=data)
        with _in_time():
            async with asyncio.timeout(timeout_ms / 1000):
                await self._on_the_way()
                return await self._service.append(lane.partition("/")[0], request, timeout_ms / 1000)

    async def order_head(self, timeout_ms: int) -> Head:
        self._reach("head")
        with _in_time():
            async with asyncio.timeout(timeout_ms / 1000):
                await self._on_the_way()
                reply = await self._service.head("embassy", timeout_ms / 1000)
        return Head(reply.number, reply.revision)

    async def order_status(self, timeout_ms: int) -> OrderingStatus:
        self._reach("status")
        return await self.log.status(timeout_ms=timeout_ms)

    async def _on_the_way(self) -> None:
        await self._speaks.wait()
        await asyncio.sleep(self.way_s)

    def _reach(self, what: str) -> None:
        self.calls.append(what)
        if self.unreachable:
            raise RelaySilent("connection refused")


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise RelaySilent("deadline exceeded", in_time=True) from None
