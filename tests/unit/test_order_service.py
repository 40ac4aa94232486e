"""Lending the ordering log: to whom, which lanes, how much at once, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import cast

import pytest

from sento_node.condition import Condition
from sento_node.epochs.here import EpochHere
from sento_node.ordering.in_process import InProcessLog
from sento_node.service.node_state import NodeState
from sento_node.service.order_service import CALLS_MAX, STREAMS_MAX, OrderService
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import sync_pb2

EMBASSY = "lu-betzdorf"
LANE = f"{EMBASSY}/1/0"


class Lender:
    """A voting site's service over a log in memory."""

    def __init__(self, *, alive_every_ms: int = 20) -> None:
        self.log = InProcessLog(("jp-fukuoka",)).access("jp-fukuoka")
        self.condition = Condition(state="serving")
        self.sites: dict[str, object] = {EMBASSY: object(), "tw-taipei": object()}
        self.node = SimpleNamespace(
            member_log=self.log,
            condition=self.condition,
            governance=SimpleNamespace(sites=self.sites),
            epoch=EpochHere(),
        )
        self.service = OrderService(cast("NodeState", self.node), alive_every_ms=alive_every_ms)

    async def append(self, lane: str, seq: int = 1, data: bytes = b"block") -> sync_pb2.AppendForReply:
        request = sync_pb2.AppendForRequest(lane=lane, seq=seq, data=data)
        return await self.service.append(EMBASSY, request, 2.0)

    async def code(self, lane: str, seq: int = 1, data: bytes = b"block") -> Code:
        with pytest.raises(SentoError) as refused:
            await self.append(lane, seq, data)
        return refused.value.code


async def test_a_site_appends_to_its_own_lanes() -> None:
    reply = await Lender().append(LANE)
    assert (reply.number, reply.repeated) == (1, False)


@pytest.mark.parametrize("lane", ["jp-fukuoka/1/0", f"{EMBASSY}x/1/0", EMBASSY, "", f"x/{LANE}"])
async def test_nobody_elses_lane_is_touched(lane: str) -> None:
    lender = Lender()
    assert await lender.code(lane) is Code.IDENTITY_REFUSED
    assert (await lender.log.head(timeout_ms=100)).number == 0


async def test_other_data_under_a_used_number_and_a_gap_are_told_apart_from_what_cannot_be_ordered() -> None:
    lender = Lender()
    await lender.append(LANE)
    assert await lender.code(LANE, data=b"other") is Code.RECORD_ID_REUSED
    assert await lender.code(LANE, seq=5) is Code.RECORD_ID_REUSED
    assert await lender.code(f"{LANE}//") is Code.BAD_REQUEST


@pytest.mark.parametrize("state", ["starting", "rebuilding", "stopped", "stopping", "diverged", "refused"])
async def test_a_site_that_takes_no_part_lends_nothing(state: str) -> None:
    lender = Lender()
    lender.condition.state = state
    assert await lender.code(LANE) is lender.condition.code


async def test_a_site_without_a_member_lends_nothing() -> None:
    lender = Lender()
    lender.node.member_log = None
    assert await lender.code(LANE) is Code.NOT_READY


async def test_a_silent_order_says_that_it_lives_and_where_it_stands() -> None:
    lender = Lender()
    await lender.append(LANE)
    async with contextlib.aclosing(
        lender.service.follow(EMBASSY, sync_pb2.FollowOrderRequest(), lambda: None)
    ) as events:
        begun = await anext(events)
        block = await anext(events)
        alive = await asyncio.wait_for(anext(events), 5)
    assert (begun.alive, begun.number) == (True, 0), (
        "so that whoever asked over a long line knows that it is heard"
    )
    assert (block.number, block.data, block.alive) == (1, b"block", False)
    assert (alive.alive, alive.number, alive.revision) == (True, block.number, block.revision)


async def test_one_site_holds_few_streams_and_another_is_not_kept_out_by_it() -> None:
    lender = Lender()
    request = sync_pb2.FollowOrderRequest()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(STREAMS_MAX):
            events = lender.service.follow(EMBASSY, request, lambda: None)
            await anext(await stack.enter_async_context(contextlib.aclosing(events)))
        with pytest.raises(SentoError) as refused:
            await anext(lender.service.follow(EMBASSY, request, lambda: None))
        assert refused.value.code is Code.RATE_LIMITED
        other = lender.service.follow("tw-taipei", request, lambda: None)
        assert (await anext(await stack.enter_async_context(contextlib.aclosing(other)))).alive
    after = lender.service.follow(EMBASSY, request, lambda: None)
    assert (await anext(after)).alive
    await after.aclose()


async def test_one_site_waits_with_few_calls_at_once() -> None:
    lender = Lender()
    answered = asyncio.Event()
    lender.node.member_log = SimpleNamespace(head=lambda *, timeout_ms: _head_after(answered))
    waiting = [asyncio.ensure_future(lender.service.head(EMBASSY, 5.0)) for _ in range(CALLS_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(SentoError) as refused:
        await lender.service.head(EMBASSY, 5.0)
    assert refused.value.code is Code.RATE_LIMITED
    answered.set()
    assert [reply.number for reply in await asyncio.gather(*waiting)] == [3] * CALLS_MAX


async def _head_after(answered: asyncio.Event) -> SimpleNamespace:
    await answered.wait()
    return SimpleNamespace(number=3, revision=4)


async def test_a_site_that_officers_retire_loses_its_stream_with_the_next_event() -> None:
    lender = Lender()
    events = lender.service.follow(EMBASSY, sync_pb2.FollowOrderRequest(), lambda: None)
    assert (await anext(events)).alive
    del lender.sites[EMBASSY]
    with pytest.raises(SentoError) as ended:
        await asyncio.wait_for(anext(events), 5)
    assert ended.value.code is Code.IDENTITY_REFUSED


async def test_a_certificate_that_ends_ends_the_stream() -> None:
    lender = Lender()

    def over() -> None:
        raise SentoError(Code.IDENTITY_EXPIRED)

    with pytest.raises(SentoError) as ended:
        await anext(lender.service.follow(EMBASSY, sync_pb2.FollowOrderRequest(), over))
    assert ended.value.code is Code.IDENTITY_EXPIRED


async def test_trimmed_history_is_told_as_where_following_can_begin() -> None:
    lender = Lender()
    for seq in (1, 2, 3):
        placed = await lender.append(LANE, seq)
    await lender.log.trim({LANE: 3}, placed.revision, timeout_ms=100)
    events = lender.service.follow(EMBASSY, sync_pb2.FollowOrderRequest(), lambda: None)
    assert (await anext(events)).alive
    assert (await anext(events)).compacted_to_revision == placed.revision
    with pytest.raises(StopAsyncIteration):
        await anext(events)


@pytest.mark.parametrize(("own", "asked", "code"), [(1, 0, Code.EPOCH_ENDED), (0, 1, Code.NOT_READY)])
async def test_the_order_of_another_epoch_is_not_lent(own: int, asked: int, code: Code) -> None:
    lender = Lender()
    lender.node.epoch = EpochHere(own)
    follow = sync_pb2.FollowOrderRequest(epoch=asked)
    append = sync_pb2.AppendForRequest(lane=LANE, seq=1, data=b"block", epoch=asked)
    for call in (
        anext(lender.service.follow(EMBASSY, follow, lambda: None)),
        lender.service.append(EMBASSY, append, 2.0),
        lender.service.head(EMBASSY, 2.0, asked),
    ):
        with pytest.raises(SentoError) as refused:
            await call
        assert refused.value.code is code
    assert (await lender.log.head(timeout_ms=100)).number == 0
