"""The borrowed ordering log: when another relay is taken, what each refusal becomes, and what a relay may not say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from lending_sites import LendingSite
from sento_node.bounds import WRITE_ANSWER_TIMEOUT_MS
from sento_node.ordering.in_process import InProcessLog
from sento_node.ordering.limits import BLOCK_SIZE_BYTES_MAX
from sento_node.ordering.port import (
    Compacted,
    FollowBroken,
    Head,
    OrderedBlock,
    OrderingError,
    OrderingFull,
    OrderingRefused,
    OutcomeUnknown,
)
from sento_node.ordering.relayed import PATIENCE_MS, RelayedLog
from sento_proto.v1 import sync_pb2

SITES = ("jp-fukuoka", "jp-ishikawa")
LANE = "lu-betzdorf/1/0"
T_MS = 2_000


class Borrowed:
    """A log borrowed from two sites. Its silence is short, so that a test sees it end."""

    def __init__(self, silence_ms: int = 300, patience_ms: int = 0) -> None:
        shared = InProcessLog(SITES)
        self.sites = [LendingSite(site, shared.access(site)) for site in SITES]
        self.first, self.second = self.sites
        self.log = RelayedLog(lambda: self.sites, silence_ms=silence_ms, patience_ms=patience_ms)

    async def append(self, seq: int) -> OrderedBlock:
        data = b"block %d" % seq
        placed = await self.log.append(LANE, seq, data, timeout_ms=T_MS)
        return OrderedBlock(placed.number, placed.revision, LANE, seq, data)


async def test_blocks_go_on_through_the_next_site_when_the_stream_falls_silent() -> None:
    borrowed = Borrowed()
    first = await borrowed.append(1)
    events = borrowed.log.follow(Head(0, 0))
    assert await anext(events) == first
    borrowed.first.fall_silent()
    with pytest.raises(FollowBroken, match="jp-fukuoka has said nothing"):
        await asyncio.wait_for(anext(events), 5)
    assert borrowed.log.through == "jp-ishikawa"
    second = await borrowed.append(2)
    again = borrowed.log.follow(Head(first.number, first.revision))
    assert await anext(again) == second
    await again.aclose()


async def test_a_quiet_order_is_no_silence() -> None:
    borrowed = Borrowed()
    first = await borrowed.append(1)
    events = borrowed.log.follow(Head(first.number, first.revision))
    waiting = asyncio.ensure_future(anext(events))
    done, _ = await asyncio.wait({waiting}, timeout=1.0)  # more than three silences
    assert not done
    assert borrowed.log.through == "jp-fukuoka"
    second = await borrowed.append(2)
    assert await asyncio.wait_for(waiting, 5) == second
    await events.aclose()


async def test_a_site_that_cannot_be_reached_is_left_at_once_and_the_block_is_ordered_once() -> None:
    borrowed = Borrowed()
    borrowed.first.unreachable = True
    with pytest.raises(OutcomeUnknown):
        await borrowed.append(1)
    assert (await borrowed.append(1)).number == 1
    assert (await borrowed.second.log.head(timeout_ms=T_MS)).number == 1


async def test_the_head_is_asked_of_the_next_site_within_the_same_question() -> None:
    borrowed = Borrowed()
    await borrowed.append(1)
    borrowed.first.unreachable = True
    assert (await borrowed.log.head(timeout_ms=T_MS)).number == 1
    assert borrowed.second.calls == ["head"]


async def test_a_site_that_is_only_slow_is_left_after_two_questions() -> None:
    borrowed = Borrowed()
    borrowed.first.fall_silent()
    with pytest.raises(OutcomeUnknown):
        await borrowed.log.append(LANE, 1, b"slow", timeout_ms=20)
    assert borrowed.log.through == "jp-fukuoka"
    with pytest.raises(OutcomeUnknown):
        await borrowed.log.append(LANE, 1, b"slow", timeout_ms=20)
    assert borrowed.log.through == "jp-ishikawa"


async def test_a_far_site_that_answers_later_than_the_caller_is_used_to_orders_the_block_at_the_first_try() -> (
    None
):
    borrowed = Borrowed(patience_ms=10_000)
    borrowed.first.way_s = 0.2
    placed = await borrowed.log.append(LANE, 1, b"over a satellite", timeout_ms=20)
    head = await borrowed.log.head(timeout_ms=20)
    assert (placed.number, placed.repeated, head.number) == (1, False, 1)
    assert borrowed.log.through == "jp-fukuoka"
    assert borrowed.first.calls == ["append", "head"]


def test_a_question_over_two_satellite_round_trips_and_a_queue_has_the_time() -> None:
    assert 2 * 650 + 1_000 <= PATIENCE_MS < WRITE_ANSWER_TIMEOUT_MS


async def test_an_append_under_way_ends_with_the_silence_of_a_dead_sites_stream() -> None:
    borrowed = Borrowed(silence_ms=200, patience_ms=3_600_000)
    first = await borrowed.append(1)
    events = borrowed.log.follow(Head(0, 0))
    assert await anext(events) == first
    borrowed.first.fall_silent()
    appending = asyncio.ensure_future(borrowed.append(2))
    with pytest.raises(FollowBroken, match="jp-fukuoka has said nothing"):
        await asyncio.wait_for(anext(events), 5)
    with pytest.raises(OutcomeUnknown, match="given up"):
        await asyncio.wait_for(appending, 5)
    assert (await borrowed.append(2)).number == 2
    assert borrowed.second.calls == ["append"]


async def test_the_only_site_there_is_keeps_what_is_under_way_when_its_stream_is_opened_again() -> None:
    borrowed = Borrowed(silence_ms=100, patience_ms=10_000)
    del borrowed.sites[1]
    events = borrowed.log.follow(Head(0, 0))
    borrowed.first.fall_silent()
    appending = asyncio.ensure_future(borrowed.append(1))
    with pytest.raises(FollowBroken):
        await asyncio.wait_for(anext(events), 5)
    borrowed.first.speak()
    assert (await asyncio.wait_for(appending, 5)).number == 1


async def test_a_stream_that_is_long_in_beginning_is_not_left_for_it() -> None:
    borrowed = Borrowed(silence_ms=300)
    first = await borrowed.append(1)
    borrowed.first.fall_silent()
    events = borrowed.log.follow(Head(0, 0))
    reading = asyncio.ensure_future(anext(events))
    await asyncio.wait({reading}, timeout=0.4)  # longer than a silence, shorter than two
    borrowed.first.speak()
    assert await asyncio.wait_for(reading, 5) == first
    await events.aclose()


async def test_a_site_that_makes_its_ledger_anew_lends_nothing() -> None:
    borrowed = Borrowed()
    borrowed.first.condition.state = "rebuilding"
    assert (await borrowed.log.head(timeout_ms=T_MS)) == Head(0, 0)
    assert borrowed.log.through == "jp-ishikawa"


async def test_without_any_site_to_ask_appends_are_unknown_and_following_breaks() -> None:
    log = RelayedLog(list)
    with pytest.raises(OutcomeUnknown):
        await log.append(LANE, 1, b"x", timeout_ms=T_MS)
    with pytest.raises(OutcomeUnknown):
        await log.head(timeout_ms=T_MS)
    with pytest.raises(FollowBroken):
        await anext(log.follow(Head(0, 0)))
    assert log.through == ""


async def test_a_site_that_officers_took_the_vote_from_is_asked_no_more() -> None:
    borrowed = Borrowed()
    await borrowed.append(1)
    del borrowed.sites[0]
    await borrowed.append(2)
    assert borrowed.first.calls == ["append"]
    assert borrowed.log.through == "jp-ishikawa"


async def test_a_full_log_is_told_as_such_and_the_site_is_kept() -> None:
    small = LendingSite("jp-fukuoka", InProcessLog(("jp-fukuoka",), quota_bytes=10).access("jp-fukuoka"))
    log = RelayedLog(lambda: [small])
    with pytest.raises(OrderingFull, match="holds 0 of 10 bytes"):
        await log.append(LANE, 1, bytes(11), timeout_ms=T_MS)


async def test_a_block_over_the_limit_is_refused_before_anybody_is_asked() -> None:
    borrowed = Borrowed()
    with pytest.raises(OrderingRefused):
        await borrowed.log.append(LANE, 1, bytes(BLOCK_SIZE_BYTES_MAX + 1), timeout_ms=T_MS)
    assert borrowed.first.calls == []


async def test_the_status_is_the_lending_sites_without_a_member_or_a_lead_of_ones_own() -> None:
    borrowed = Borrowed()
    status = await borrowed.log.status(timeout_ms=T_MS)
    assert (status.lead_site, status.is_lead, status.members) == ("jp-fukuoka", False, ())
    assert status.quota_bytes > 0
    await borrowed.log.status(timeout_ms=T_MS)
    assert borrowed.first.calls == ["status"]  # asked no more often than a thin link bears


async def test_handing_the_lead_over_and_trimming_do_nothing_to_others() -> None:
    borrowed = Borrowed()
    first = await borrowed.append(1)
    await borrowed.log.hand_over_lead("jp-ishikawa", timeout_ms=T_MS)
    await borrowed.log.trim({LANE: 1}, first.revision, timeout_ms=T_MS)
    assert (await borrowed.first.log.status(timeout_ms=T_MS)).lead_site == "jp-fukuoka"
    again = await borrowed.log.append(LANE, 1, first.data, timeout_ms=T_MS)
    assert (again.number, again.repeated) == (first.number, True)


class Lying(LendingSite):
    """A site whose stream says what the test wishes."""

    def __init__(self, *events: sync_pb2.OrderEvent) -> None:
        super().__init__("jp-fukuoka", InProcessLog(SITES).access("jp-fukuoka"))
        self._events = events

    async def follow_order(self, after: Head) -> AsyncGenerator[sync_pb2.OrderEvent, None]:
        for event in self._events:
            yield event


def event(number: int, revision: int, *, alive: bool = False) -> sync_pb2.OrderEvent:
    return sync_pb2.OrderEvent(number=number, revision=revision, lane=LANE, seq=number, alive=alive)


@pytest.mark.parametrize(
    "said",
    [
        event(7, 12),
        event(5, 12),
        event(6, 10),
        event(6, 9),
        event(9, 20, alive=True),
    ],
    ids=["a gap", "a repetition", "no progress", "back in time", "alive beyond what it sent"],
)
async def test_a_stream_that_does_not_keep_the_order_is_left(said: sync_pb2.OrderEvent) -> None:
    honest = LendingSite("jp-ishikawa", InProcessLog(SITES).access("jp-ishikawa"))
    sites = [Lying(said), honest]
    log = RelayedLog(lambda: sites)
    with pytest.raises(FollowBroken, match="does not keep it"):
        await anext(log.follow(Head(5, 10)))
    assert log.through == "jp-ishikawa"


async def test_a_stream_that_ends_is_broken_and_not_the_end_of_the_order() -> None:
    log = RelayedLog(lambda: [Lying()])
    with pytest.raises(FollowBroken, match="ended the stream"):
        await anext(log.follow(Head(0, 0)))


async def test_a_stream_ended_from_outside_while_blocks_are_known_is_not_opened_there_again() -> None:
    borrowed = Borrowed(silence_ms=10_000)
    await borrowed.append(1)
    events = borrowed.log.follow(Head(1, (await borrowed.log.head(timeout_ms=T_MS)).revision))
    following = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    borrowed.first.fall_silent()
    placed = await borrowed.second.append_for(LANE, 2, b"behind its back", T_MS)
    borrowed.first.unreachable = True
    assert (await borrowed.log.head(timeout_ms=T_MS)).number == placed.number
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await events.aclose()
    assert borrowed.log.through == "jp-ishikawa"


async def test_closing_ends_what_follows_and_refuses_what_comes() -> None:
    borrowed = Borrowed()
    following = asyncio.ensure_future(anext(borrowed.log.follow(Head(0, 0))))
    await asyncio.sleep(0)
    await borrowed.log.close()
    with pytest.raises(FollowBroken, match="closed"):
        await asyncio.wait_for(following, 5)
    with pytest.raises(OrderingError, match="closed"):
        await borrowed.log.append(LANE, 1, b"late", timeout_ms=T_MS)


class Forgetful(LendingSite):
    """It says that its log begins where no log has come to."""

    async def follow_order(self, after: Head) -> AsyncGenerator[sync_pb2.OrderEvent, None]:
        yield sync_pb2.OrderEvent(compacted_to_revision=2**62)


async def test_a_site_that_says_its_log_begins_elsewhere_is_not_asked_again_before_another() -> None:
    borrowed = Borrowed()
    placed = await borrowed.append(1)
    borrowed.sites[0] = Forgetful(SITES[0], borrowed.first.log)
    with pytest.raises(Compacted):
        await anext(borrowed.log.follow(Head(0, 0)))
    assert borrowed.log.through == SITES[1]
    events = borrowed.log.follow(Head(0, 0))
    assert await anext(events) == placed
    await events.aclose()
