"""How current an answer is: whether this node answers reads, how long one waits for what was acknowledged before, and as of when it is."""

from __future__ import annotations

import grpc
import grpc.aio

from sento_node import bounds
from sento_node.service.node_state import NodeState
from sento_proto.errors import SentoError
from sento_proto.v1 import common_pb2


def require_reads(node: NodeState) -> None:
    """Raises the SentoError of a node that does not answer reads now."""
    if not node.condition.answers_reads:
        raise SentoError(node.condition.code, node.condition.shown_explanation)


async def wait_fresh(
    node: NodeState, context: grpc.aio.ServicerContext[object, object], freshness: int
) -> None:
    """Wait as the freshness asks, within the caller's deadline. Raises SentoError."""
    require_reads(node)
    if freshness == common_pb2.LINEARIZABLE:
        remaining_s = context.time_remaining()
        limit_ms = bounds.LINEARIZABLE_TIMEOUT_MS
        timeout_ms = limit_ms if remaining_s is None else min(limit_ms, int(remaining_s * 1000))
        await node.running().fresh(timeout_ms)


def as_of(node: NodeState) -> common_pb2.AsOf:
    """Which ledger an answer was given from: what is flushed here, and when a majority confirmed it."""
    tip = node.store.tip
    return common_pb2.AsOf(
        epoch=tip.epoch,
        size=tip.size,
        confirmed_at_ms=node.condition.confirmed_at_ms,
        site=node.config.site,
    )
