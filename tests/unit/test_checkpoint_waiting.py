"""Waiting for a kept checkpoint that a site of one's choice has cosigned: what is found, what is waited for, and what is refused."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from genesis_builder import build_genesis
from lone_runner import ManualClock
from sento_node.condition import Condition
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.store import KeptCheckpoint
from sento_node.service.checkpoint_waiting import WAIT_MAX_MS, CheckpointWaiting
from sento_node.service.node_state import NodeState
from sento_proto.checkpoint import Checkpoint, cosign, encode_checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import from_genesis
from sento_proto.v1 import client_pb2

SITE, OTHER = "jp-fukuoka", "jp-ishikawa"


class Waiting:
    """A node without a runner whose checkpoints the test puts."""

    def __init__(self) -> None:
        self.world = build_genesis()
        self.store = MemoryStore(MemoryDisk(self.world.ledger_id))
        node = SimpleNamespace(
            governance=from_genesis(self.world.genesis),
            store=self.store,
            clock=ManualClock(),
            condition=Condition(state="serving"),
        )
        self.service = CheckpointWaiting(cast("NodeState", node))

    def keep(self, size: int, *sites: str) -> None:
        note = Checkpoint(self.world.ledger_id, 0, size, bytes([size]) * 32)
        lines = tuple(cosign(note, site, self.world.site_signers[site], 1) for site in sites)
        data = encode_checkpoint(note._replace(signatures=lines))
        self.store.put_checkpoint(KeptCheckpoint(size, size, data))

    async def size(self, at_least: int, *sites: str, wait_ms: int = 0) -> int:
        request = client_pb2.CheckpointRequest(at_least_size=at_least, cosigned_by=sites, wait_ms=wait_ms)
        return (await self.service.find(request)).size

    async def code(self, at_least: int, *sites: str, wait_ms: int = 0) -> Code:
        with pytest.raises(SentoError) as refused:
            await self.size(at_least, *sites, wait_ms=wait_ms)
        return refused.value.code


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


async def test_without_a_named_site_any_quorums_checkpoint_will_do(waiting: Waiting) -> None:
    waiting.keep(3, SITE)
    waiting.keep(7, SITE)
    assert [await waiting.size(0), await waiting.size(2), await waiting.size(4)] == [7, 3, 7]
    assert await waiting.code(8) is Code.NOT_FOUND


async def test_the_first_checkpoint_is_given_that_one_of_the_named_sites_cosigned(waiting: Waiting) -> None:
    waiting.keep(3, SITE)
    waiting.keep(7, SITE, OTHER)
    waiting.keep(9, SITE)
    assert [await waiting.size(2, OTHER), await waiting.size(0, OTHER)] == [7, 7]
    assert await waiting.size(2, OTHER, SITE) == 3
    assert await waiting.code(8, OTHER) is Code.NOT_FOUND


async def test_a_cosignature_that_comes_later_is_waited_for(waiting: Waiting) -> None:
    waiting.keep(3, SITE)
    asked = asyncio.ensure_future(waiting.size(2, OTHER, wait_ms=WAIT_MAX_MS))
    await asyncio.sleep(0)
    assert not asked.done()
    waiting.keep(3, SITE, OTHER)
    assert await asyncio.wait_for(asked, 10) == 3


async def test_a_line_that_does_not_hold_is_no_cosignature(waiting: Waiting) -> None:
    note = Checkpoint(waiting.world.ledger_id, 0, 3, bytes(32))
    false = cosign(note, OTHER, waiting.world.site_signers[SITE], 1)
    data = encode_checkpoint(note._replace(signatures=(false,)))
    waiting.store.put_checkpoint(KeptCheckpoint(3, 3, data))
    assert await waiting.code(2, OTHER) is Code.NOT_FOUND


async def test_a_site_that_is_none_and_a_wait_without_end_are_refused(waiting: Waiting) -> None:
    assert await waiting.code(0, "nowhere") is Code.BAD_REQUEST
    assert await waiting.code(0, wait_ms=WAIT_MAX_MS + 1) is Code.BAD_REQUEST
