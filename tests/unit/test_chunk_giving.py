"""A chunk is given from any byte on, made once for whoever resumes, anew when it is another one by now, and never across an act that may forbid it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import cast

import pytest

from genesis_builder import TestWorld, build_genesis
from ledger_driver import LedgerDriver
from sento_node import bounds
from sento_node.epochs.here import EpochHere
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.service import chunk_giving
from sento_node.service.chunk_giving import chunk_pieces, plan_reply
from sento_node.service.node_state import NodeState
from sento_node.sync import shelf as shelves
from sento_node.sync.making import payload_chunk, spine_chunk
from sento_node.sync.shelf import Shelf
from sento_proto.chunk import ChunkName, Kind, chunk_id, decode_chunk
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import sync_pb2


class Given:
    """A node's ledger with two checkpoints, and what it gives."""

    def __init__(self, world: TestWorld) -> None:
        self.driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
        for prefix in "ab":
            self.driver.fill(20, prefix=prefix, content=b"x" * 900)
            self.driver.flush()
            self.driver.store.put_checkpoint(self.driver.checkpoint())
        self.governance = self.driver.governance
        node = SimpleNamespace(
            store=self.driver.store,
            genesis=world.genesis,
            governance=self.governance,
            epoch=EpochHere(),
        )
        self.node = cast("NodeState", node)
        self.shelf = Shelf()

    def set_last_act(self, last_act: bytes) -> None:
        cast("SimpleNamespace", self.node).governance = dataclasses.replace(
            self.governance, last_act=last_act
        )

    def pieces(self, request: sync_pb2.FetchChunkRequest) -> AsyncIterator[sync_pb2.ChunkPiece]:
        return chunk_pieces(self.node, self.shelf, request)

    async def all(self, request: sync_pb2.FetchChunkRequest) -> tuple[sync_pb2.ChunkPiece, bytes]:
        """The first piece, and all bytes."""
        pieces = [piece async for piece in self.pieces(request)]
        return pieces[0], b"".join(piece.data for piece in pieces)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    monkeypatch.setattr(bounds, "CHUNK_PIECE_BYTES", 1_000)
    return Given(build_genesis())


def spine(given: Given, **fields: object) -> sync_pb2.FetchChunkRequest:
    block = given.driver.store.tip.block
    return sync_pb2.FetchChunkRequest(kind=sync_pb2.SPINE, through_block=block, **fields)  # type: ignore[arg-type]


def payloads(given: Given, **fields: object) -> sync_pb2.FetchChunkRequest:
    size = given.driver.store.tip.size
    return sync_pb2.FetchChunkRequest(kind=sync_pb2.PAYLOADS, to_position=size, **fields)  # type: ignore[arg-type]


async def test_pieces_put_together_are_the_chunk(given: Given) -> None:
    first, data = await given.all(spine(given))
    assert data == spine_chunk(given.driver.store, given.governance, 0, given.driver.store.tip.block)
    assert (first.chunk_id, first.total_bytes, first.offset) == (chunk_id(data), len(data), 0)
    assert len(first.data) == 1_000
    first, data = await given.all(payloads(given))
    assert data == payload_chunk(given.driver.store, given.governance, "", 0, 40)


async def test_a_chunk_goes_on_at_any_byte_and_is_not_made_twice(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, data = await given.all(spine(given))
    monkeypatch.setattr(chunk_giving, "spine_chunk", None)
    for offset in (1, 999, 1_000, len(data) - 1, len(data)):
        resumed, rest = await given.all(spine(given, offset=offset, chunk_id=first.chunk_id))
        assert (resumed.offset, rest) == (offset, data[offset:])
    with pytest.raises(SentoError) as beyond:
        await given.all(spine(given, offset=len(data) + 1, chunk_id=first.chunk_id))
    assert beyond.value.code is Code.BAD_REQUEST


async def test_a_chunk_that_is_another_one_by_now_comes_from_its_beginning(given: Given) -> None:
    first, data = await given.all(payloads(given))
    while not given.driver.store.erase([3]).done:
        pass
    given.set_last_act(b"the act that had it erased")
    anew, other = await given.all(payloads(given, offset=500, chunk_id=first.chunk_id))
    assert (anew.offset, anew.chunk_id) == (0, chunk_id(other))
    assert other != data
    decode_chunk(other)


async def test_payloads_stop_in_the_middle_when_an_act_comes_in_between_and_spines_go_on(
    given: Given,
) -> None:
    stream = given.pieces(payloads(given))
    await anext(stream)
    given.set_last_act(b"an act")
    with pytest.raises(SentoError) as stopped:
        await anext(stream)
    assert stopped.value.code is Code.NOT_READY
    stream = given.pieces(spine(given))
    await anext(stream)
    given.set_last_act(b"another act")
    assert (await anext(stream)).data


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": 0}, Code.BAD_REQUEST),
        ({"kind": 2, "to_position": 9, "registry": "ü"}, Code.BAD_REQUEST),
        ({"kind": 1, "after_block": 1, "through_block": 1}, Code.OUT_OF_RANGE),
        ({"kind": 1, "through_block": 99}, Code.OUT_OF_RANGE),
        ({"kind": 2, "from_position": 40, "to_position": 50}, Code.OUT_OF_RANGE),
    ],
)
async def test_what_cannot_be_given_is_refused_in_words(
    given: Given, fields: dict[str, int], code: Code
) -> None:
    with pytest.raises(SentoError) as refused:
        await given.all(sync_pb2.FetchChunkRequest(**fields))  # type: ignore[arg-type]
    assert refused.value.code is code


async def test_a_plan_goes_on_where_one_answer_ended(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sento_node.sync.making.SPINE_RECORDS", 1)
    monkeypatch.setattr(bounds, "PLAN_CHUNKS_MAX", 1)
    first = await plan_reply(given.node, sync_pb2.PlanRequest())
    assert (len(first.chunks), first.more, first.size) == (1, True, 40)
    second = await plan_reply(given.node, sync_pb2.PlanRequest(after_block=first.chunks[0].through_block))
    assert (second.chunks[0].to_position, second.more) == (40, False)
    assert not (await plan_reply(given.node, sync_pb2.PlanRequest(after_block=second.block))).chunks
    with pytest.raises(SentoError) as beyond:
        await plan_reply(given.node, sync_pb2.PlanRequest(after_block=second.block + 1))
    assert beyond.value.code is Code.OUT_OF_RANGE


def asked(through: int) -> ChunkName:
    return ChunkName(Kind.SPINE, bytes(32), 0, 0, through, 0, 0)


async def test_many_who_ask_at_once_wait_for_one_making(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def make(number: int) -> Callable[[], bytes]:
        def it() -> bytes:
            made.append(number)
            return bytes([number]) * 40

        return it

    shelf = Shelf()
    chunks = await asyncio.gather(*(shelf.get(asked(n % 2), b"", make(n % 2)) for n in range(10)))
    assert sorted(made) == [0, 1]
    assert {chunk.data for chunk in chunks} == {bytes(40), b"\x01" * 40}
    monkeypatch.setattr(shelves, "KEPT_MAX_BYTES", 100)
    await shelf.get(asked(2), b"", make(2))
    await shelf.get(asked(2), b"", make(2))
    await shelf.get(asked(0), b"", make(0))
    assert sorted(made) == [0, 0, 1, 2], "the one not asked for longest was let go"
    await shelf.get(asked(0), b"newer act", make(0))
    assert made.count(0) == 3


async def test_a_making_that_failed_is_tried_again() -> None:
    def fail() -> bytes:
        raise LookupError("not here")

    shelf = Shelf()
    with pytest.raises(LookupError):
        await shelf.get(asked(1), b"", fail)
    assert (await shelf.get(asked(1), b"", lambda: b"there")).data == b"there"
