"""Admin.Standing: where records stand, by hash. It says nothing about persons, and so may be asked for everything that receipts and outboxes know."""

from __future__ import annotations

import asyncio

from sento_node.service.node_state import NodeState
from sento_proto.errors import Code, SentoError
from sento_proto.merkle import HASH_BYTES
from sento_proto.v1 import admin_pb2

HASHES_MAX = 1_000


async def standing(node: NodeState, request: admin_pb2.StandingRequest) -> admin_pb2.StandingReply:
    """The places in the order asked, by this site's flushed ledger. Raises SentoError BAD_REQUEST."""
    hashes = list(request.record_hashes)
    if len(hashes) > HASHES_MAX or any(len(one) != HASH_BYTES for one in hashes):
        raise SentoError(
            Code.BAD_REQUEST, f"record_hashes are at most {HASHES_MAX}, of {HASH_BYTES} bytes each"
        )
    # Asked before the look: nothing that is found missing below it stands.
    tip = node.store.tip
    return await asyncio.to_thread(_places, node, hashes, tip.epoch, tip.size)


def _places(node: NodeState, hashes: list[bytes], epoch: int, size: int) -> admin_pb2.StandingReply:
    reply = admin_pb2.StandingReply(epoch=epoch, size=size)
    for record_hash in hashes:
        position = node.store.position_of_hash(record_hash)
        if position is None:
            reply.places.add(stands=False)
        else:
            reply.places.add(stands=True, position=position)
    return reply
