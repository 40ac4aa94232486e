"""The promises of the ordering log's port, one by one, for every form that stands behind it.

The log of a form is shared by the tests of this module, as a real one is by its writers: each test uses lanes of its own and starts from the head
that it finds.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

from etcd_cluster import append_surely, running_cluster
from faulty_ordering import FaultyOrderingLog
from following import blocks_until, take_blocks, take_events
from ordering_forms import SITES, Form, etcd_form, in_process_form, relayed_form
from sento_node.ordering.limits import BLOCK_SIZE_BYTES_MAX
from sento_node.ordering.port import (
    BlockRemoved,
    Compacted,
    FollowBroken,
    Head,
    LaneConflict,
    OrderedBlock,
    OrderingFull,
    OrderingLog,
    OrderingRefused,
    OutcomeUnknown,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

T_MS = 5_000
_lane_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["in_process", "relayed", "etcd"])
async def form(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Form]:
    if request.param == "in_process":
        yield in_process_form()
        return
    if request.param == "relayed":
        yield relayed_form()
        return
    directory = tmp_path_factory.mktemp("etcd")
    async with running_cluster(directory / "three", *SITES) as cluster:
        yield etcd_form(cluster, directory / "small")


@pytest.fixture
def lane() -> str:
    return f"{SITES[0]}/1/{next(_lane_numbers)}"


@pytest.fixture
def lane2() -> str:
    return f"{SITES[1]}/1/{next(_lane_numbers)}"


async def fill(log: OrderingLog, lane: str, count: int, content: bytes = b"") -> list[OrderedBlock]:
    """Order `count` blocks on a fresh lane, by default small ones; returns them with their places."""
    blocks = []
    for seq in range(1, count + 1):
        data = content or f"{lane} {seq}".encode()
        appended = await log.append(lane, seq, data, timeout_ms=T_MS)
        blocks.append(OrderedBlock(appended.number, appended.revision, lane, seq, data))
    return blocks


def place(block: OrderedBlock) -> Head:
    return Head(block.number, block.revision)


# 1. One order.


async def test_three_sites_appending_at_once_see_the_same_blocks_in_the_same_dense_order(form: Form) -> None:
    start = await form.log.head(timeout_ms=T_MS)
    lanes = [f"{site}/2/{next(_lane_numbers)}" for site in SITES]
    await asyncio.gather(*(fill(log, lane, 20) for log, lane in zip(form.logs, lanes, strict=True)))
    seen = [await take_blocks(log, start, 60) for log in form.logs]
    assert seen[0] == seen[1] == seen[2]
    assert [block.number for block in seen[0]] == list(range(start.number + 1, start.number + 61))
    revisions = [block.revision for block in seen[0]]
    assert revisions == sorted(set(revisions))
    for lane in lanes:
        assert [block.seq for block in seen[0] if block.lane == lane] == list(range(1, 21))


async def test_two_lanes_of_one_site_run_at_once_and_each_keeps_its_order(
    form: Form, lane: str, lane2: str
) -> None:
    start = await form.log.head(timeout_ms=T_MS)
    first, second = await asyncio.gather(fill(form.log, lane, 15), fill(form.log, lane2, 15))
    blocks = await take_blocks(form.log, start, 30)
    assert [block for block in blocks if block.lane == lane] == first
    assert [block for block in blocks if block.lane == lane2] == second


@pytest.mark.parametrize("size_bytes", [0, 131_072, BLOCK_SIZE_BYTES_MAX])
async def test_a_block_arrives_byte_for_byte(form: Form, lane: str, size_bytes: int) -> None:
    start = await form.log.head(timeout_ms=T_MS)
    data = os.urandom(size_bytes)
    appended = await form.log.append(lane, 1, data, timeout_ms=T_MS)
    assert await take_blocks(form.logs[2], start, 1) == [
        OrderedBlock(appended.number, appended.revision, lane, 1, data)
    ]


# 2. Acknowledged means ordered, and ordered means seen everywhere.


async def test_the_place_that_append_answers_is_the_place_that_other_sites_see(form: Form, lane: str) -> None:
    start = await form.log.head(timeout_ms=T_MS)
    blocks = await fill(form.log, lane, 5)
    assert await take_blocks(form.logs[1], start, 5) == blocks


# 3. Exactly once per (lane, seq).


async def test_a_repeated_append_answers_the_standing_place_and_orders_nothing(form: Form, lane: str) -> None:
    blocks = await fill(form.log, lane, 3)
    head = await form.log.head(timeout_ms=T_MS)
    for block in reversed(blocks):
        again = await form.logs[1].append(lane, block.seq, block.data, timeout_ms=T_MS)
        assert (again.number, again.revision, again.repeated) == (block.number, block.revision, True)
    assert await form.log.head(timeout_ms=T_MS) == head


async def test_a_lost_answer_retried_finds_the_block_and_does_not_order_it_twice(
    form: Form, lane: str
) -> None:
    start = await form.log.head(timeout_ms=T_MS)
    log = FaultyOrderingLog(form.log)
    log.answers_to_lose = 1
    with pytest.raises(OutcomeUnknown):
        await log.append(lane, 1, b"answer lost", timeout_ms=T_MS)
    appended = await log.append(lane, 1, b"answer lost", timeout_ms=T_MS)
    assert appended.repeated
    assert place(*await blocks_until(log, start, await log.head(timeout_ms=T_MS))) == Head(
        appended.number, appended.revision
    )


async def test_a_lost_request_retried_orders_the_block_once(form: Form, lane: str) -> None:
    start = await form.log.head(timeout_ms=T_MS)
    log = FaultyOrderingLog(form.log)
    log.requests_to_lose = 1
    with pytest.raises(OutcomeUnknown):
        await log.append(lane, 1, b"request lost", timeout_ms=T_MS)
    assert not (await log.append(lane, 1, b"request lost", timeout_ms=T_MS)).repeated
    assert (await log.head(timeout_ms=T_MS)).number == start.number + 1


async def test_deadlines_too_short_for_an_answer_still_order_each_block_once(form: Form, lane: str) -> None:
    start = await form.log.head(timeout_ms=T_MS)
    sent = [os.urandom(65_536) for _ in range(10)]
    for seq, data in enumerate(sent, start=1):
        for timeout_ms in (1, 1, 2, 3, 5, T_MS):  # the first are shorter than two flushes
            with suppress(OutcomeUnknown):
                await form.log.append(lane, seq, data, timeout_ms=timeout_ms)
                break
    blocks = await blocks_until(form.log, start, await form.log.head(timeout_ms=T_MS))
    assert [block.data for block in blocks] == sent


async def test_the_same_append_sent_through_three_members_at_once_is_ordered_once(
    form: Form, lane: str
) -> None:
    start = await form.log.head(timeout_ms=T_MS)
    for seq in range(1, 11):
        answers = await asyncio.gather(
            *(log.append(lane, seq, b"%d" % seq, timeout_ms=T_MS) for log in form.logs)
        )
        assert sorted(answer.repeated for answer in answers) == [False, True, True]
        assert len({(answer.number, answer.revision) for answer in answers}) == 1
    assert (await form.log.head(timeout_ms=T_MS)).number == start.number + 10


async def test_a_trimmed_block_is_never_ordered_again_and_its_place_is_not_invented(
    form: Form, lane: str
) -> None:
    blocks = await fill(form.log, lane, 3)
    await form.members[0].trim({lane: 3}, blocks[-1].revision, timeout_ms=T_MS)
    head = await form.log.head(timeout_ms=T_MS)
    for block in blocks:
        again = await form.log.append(lane, block.seq, block.data, timeout_ms=T_MS)
        assert (again.number, again.revision, again.repeated) == (0, 0, True)
    assert await form.log.head(timeout_ms=T_MS) == head


async def test_a_lane_goes_on_counting_after_all_its_blocks_were_trimmed(form: Form, lane: str) -> None:
    blocks = await fill(form.log, lane, 2)
    await form.members[0].trim({lane: 2}, blocks[-1].revision, timeout_ms=T_MS)
    appended = await form.log.append(lane, 3, b"third", timeout_ms=T_MS)
    assert appended.number == blocks[-1].number + 1


async def test_a_sequence_number_that_leaves_a_gap_is_a_conflict_and_orders_nothing(
    form: Form, lane: str
) -> None:
    head = await form.log.head(timeout_ms=T_MS)
    with pytest.raises(LaneConflict, match="gap"):
        await form.log.append(lane, 2, b"second first", timeout_ms=T_MS)
    await form.log.append(lane, 1, b"first", timeout_ms=T_MS)
    with pytest.raises(LaneConflict, match="gap: the lane stands at 1"):
        await form.log.append(lane, 3, b"third second", timeout_ms=T_MS)
    assert (await form.log.head(timeout_ms=T_MS)).number == head.number + 1


@pytest.mark.parametrize("seq", [1, 2], ids=["an earlier block", "the latest block"])
async def test_other_data_under_a_used_sequence_number_is_a_conflict(form: Form, lane: str, seq: int) -> None:
    await fill(form.log, lane, 2)
    head = await form.log.head(timeout_ms=T_MS)
    with pytest.raises(LaneConflict, match="other data"):
        await form.logs[1].append(lane, seq, b"somebody else's", timeout_ms=T_MS)
    assert await form.log.head(timeout_ms=T_MS) == head


async def test_other_data_under_the_lanes_latest_number_is_a_conflict_even_after_trimming(
    form: Form, lane: str
) -> None:
    blocks = await fill(form.log, lane, 2)
    await form.members[0].trim({lane: 2}, blocks[-1].revision, timeout_ms=T_MS)
    with pytest.raises(LaneConflict, match="other data"):
        await form.log.append(lane, 2, b"somebody else's", timeout_ms=T_MS)


@pytest.mark.parametrize(
    ("lane_name", "seq", "size_bytes"),
    [
        ("", 1, 1),
        ("north/1/0 ", 1, 1),
        ("north//0", 1, 1),
        ("north/1:0/0", 1, 1),
        ("那覇/1/0", 1, 1),
        ("n" * 97, 1, 1),
        ("north/1/0", 0, 1),
        ("north/1/0", 2**63, 1),
        ("north/1/0", 1, BLOCK_SIZE_BYTES_MAX + 1),
    ],
)
async def test_what_no_form_can_order_is_refused_before_anything_happens(
    form: Form, lane_name: str, seq: int, size_bytes: int
) -> None:
    head = await form.log.head(timeout_ms=T_MS)
    with pytest.raises(OrderingRefused):
        await form.log.append(lane_name, seq, bytes(size_bytes), timeout_ms=T_MS)
    assert await form.log.head(timeout_ms=T_MS) == head


# 4. and 6. Unknown is said; silence is not currency.


async def test_without_a_majority_appends_and_head_are_unknown_followers_break_and_status_answers(
    form: Form, lane: str
) -> None:
    (before, first) = await fill(form.logs[1], lane, 2)
    start = place(first)
    events = form.log.follow(place(before))
    assert await anext(events) == first
    async with form.cut_off() as log:
        following = asyncio.ensure_future(anext(events))
        with pytest.raises(OutcomeUnknown):
            await log.append(lane, 3, b"in doubt", timeout_ms=300)
        with pytest.raises(OutcomeUnknown):
            await log.head(timeout_ms=300)
        with pytest.raises(FollowBroken):
            await asyncio.wait_for(following, 10)
        assert (await form.members[0].status(timeout_ms=T_MS)).members
    appended = await append_surely(form.log, lane, 3, b"in doubt")
    assert appended.number == start.number + 1
    assert (await form.log.head(timeout_ms=T_MS)).number == start.number + 1


async def test_following_from_a_site_without_a_majority_breaks_instead_of_waiting(form: Form) -> None:
    start = await form.log.head(timeout_ms=T_MS)
    async with form.cut_off() as log:
        with pytest.raises(FollowBroken):
            await take_events(log, start, 1)


async def test_closing_an_access_breaks_its_followers_and_refuses_further_calls(
    form: Form, lane: str
) -> None:
    log = form.another_access()
    before, last = await fill(form.log, lane, 2)
    events = log.follow(place(before))
    assert await anext(events) == last
    following = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)  # let it begin to wait
    await log.close()
    with pytest.raises(FollowBroken):
        await following
    with pytest.raises(OrderingRefused, match="closed"):
        await log.head(timeout_ms=T_MS)
    with pytest.raises(FollowBroken, match="closed"):
        await take_events(log, Head(0, 0), 1)
    await log.close()


# 5. Fresh head.


async def test_the_head_read_at_any_site_covers_every_append_that_returned_before(
    form: Form, lane: str
) -> None:
    for seq in range(1, 21):
        appended = await form.logs[seq % 3].append(lane, seq, b"x", timeout_ms=T_MS)
        for log in form.logs:
            assert await log.head(timeout_ms=T_MS) == Head(appended.number, appended.revision)


# Following.


async def test_a_follower_at_the_head_gets_a_block_that_is_ordered_later(form: Form, lane: str) -> None:
    start = await form.log.head(timeout_ms=T_MS)
    following = asyncio.create_task(take_blocks(form.logs[1], start, 3))
    blocks = await fill(form.log, lane, 3)
    assert await following == blocks


async def test_following_resumes_after_any_block_without_loss_or_repetition(form: Form, lane: str) -> None:
    start = await form.log.head(timeout_ms=T_MS)
    blocks = await fill(form.log, lane, 12)
    seen = await take_blocks(form.log, start, 4)
    seen += await take_blocks(form.logs[1], place(seen[-1]), 5)
    seen += await take_blocks(form.logs[2], place(seen[-1]), 3)
    assert seen == blocks


async def test_a_follower_that_stopped_reading_for_a_while_gets_everything(form: Form, lane: str) -> None:
    before, first = await fill(form.log, lane, 2)
    events = form.logs[1].follow(place(before))
    assert await anext(events) == first
    for seq in range(3, 43):
        await form.log.append(lane, seq, os.urandom(131_072), timeout_ms=T_MS)
    async with asyncio.timeout(15):
        later = [await anext(events) for _ in range(40)]
    await events.aclose()
    assert [event.number for event in later if isinstance(event, OrderedBlock)] == [
        first.number + n for n in range(1, 41)
    ]


async def test_a_place_beyond_the_end_of_the_log_is_refused_instead_of_followed_in_silence(
    form: Form,
) -> None:
    head = await form.log.head(timeout_ms=T_MS)
    with pytest.raises(OrderingRefused, match="beyond the end"):
        await take_events(form.log, Head(head.number + 1_000, head.revision + 1_000), 1)


# Trimming.


async def test_removed_blocks_are_told_to_followers_and_change_neither_head_nor_numbers(
    form: Form, lane: str
) -> None:
    blocks = await fill(form.log, lane, 4)
    start = await form.log.head(timeout_ms=T_MS)
    await form.members[0].trim({lane: 3}, blocks[2].revision, timeout_ms=T_MS)
    removed = await take_events(form.logs[1], start, 3)
    assert [(type(event), event.lane, event.seq) for event in removed] == [
        (BlockRemoved, lane, seq) for seq in (1, 2, 3)
    ]
    assert all(event.revision > start.revision for event in removed)
    assert await form.log.head(timeout_ms=T_MS) == start
    after = await form.log.append(lane, 5, b"after the trim", timeout_ms=T_MS)
    assert after.number == start.number + 1
    again = await form.log.append(lane, 4, blocks[3].data, timeout_ms=T_MS)
    assert (again.number, again.revision) == (blocks[3].number, blocks[3].revision)


async def test_following_from_trimmed_history_says_compacted_and_names_where_following_is_possible(
    form: Form, lane: str
) -> None:
    blocks = await fill(form.log, lane, 6)
    await form.members[0].trim({lane: 4}, blocks[3].revision, timeout_ms=T_MS)
    with pytest.raises(Compacted) as caught:
        await take_events(form.logs[1], place(blocks[0]), 1)
    assert caught.value.oldest_revision == blocks[3].revision
    assert (
        await take_blocks(form.logs[1], Head(blocks[3].number - 1, caught.value.oldest_revision - 1), 3)
        == blocks[3:]
    )
    assert await take_blocks(form.logs[1], place(blocks[3]), 2) == blocks[4:]


async def test_trimming_is_safe_to_repeat_and_touches_no_other_lane(
    form: Form, lane: str, lane2: str
) -> None:
    blocks, others = await fill(form.log, lane, 2), await fill(form.log, lane2, 2)
    for _ in range(2):
        await form.members[0].trim({lane: 2, "never/1/used": 9}, blocks[-1].revision, timeout_ms=T_MS)
    await form.members[0].trim({}, 0, timeout_ms=T_MS)
    again = await form.log.append(lane2, 1, others[0].data, timeout_ms=T_MS)
    assert (again.number, again.revision) == (others[0].number, others[0].revision)


async def test_one_trim_may_name_more_lanes_than_one_transaction_holds(form: Form) -> None:
    lanes = [f"many/{next(_lane_numbers)}/0" for _ in range(130)]
    start = await form.log.head(timeout_ms=T_MS)
    blocks = [(await fill(form.log, each, 1))[0] for each in lanes]
    await form.members[0].trim(dict.fromkeys(lanes, 1), blocks[0].revision, timeout_ms=T_MS)
    events = await take_events(form.log, place(blocks[-1]), 130)
    assert {event.lane for event in events if isinstance(event, BlockRemoved)} == set(lanes)
    assert (await form.log.head(timeout_ms=T_MS)).number == start.number + 130


async def test_history_beyond_the_end_cannot_be_forgotten(form: Form) -> None:
    head = await form.log.head(timeout_ms=T_MS)
    with pytest.raises(OrderingRefused):
        await form.members[0].trim({}, head.revision + 1_000, timeout_ms=T_MS)


async def test_a_full_log_refuses_further_blocks_and_still_reads_and_trims(form: Form, lane: str) -> None:
    async with form.small() as log:
        data = os.urandom(262_144)
        with pytest.raises(OrderingFull):
            await fill(log, lane, 400, data)
        head = await log.head(timeout_ms=T_MS)
        assert head.number >= 8
        assert len(await take_blocks(log, Head(0, 0), head.number)) == head.number
        await log.trim({lane: head.number}, head.revision, timeout_ms=T_MS)


# Status and lead.


async def test_status_names_members_lead_and_quota(form: Form) -> None:
    states = [await log.status(timeout_ms=T_MS) for log in form.members]
    assert len({state.cluster_id for state in states}) == 1
    assert len({state.member_id for state in states}) == 3
    assert [state.is_lead for state in states].count(True) == 1
    for state in states:
        assert {(member.site, member.votes) for member in state.members} == {(site, True) for site in SITES}
        assert state.lead_site in SITES
        assert state.alarms == ()
        assert 0 < state.in_use_bytes <= state.size_bytes < state.quota_bytes


async def test_the_lead_is_handed_over_by_the_site_that_has_it_and_by_no_other(form: Form) -> None:
    lead_site = (await form.members[0].status(timeout_ms=T_MS)).lead_site
    leading = form.members[SITES.index(lead_site)]
    heir = next(site for site in SITES if site != lead_site)
    with pytest.raises(OrderingRefused, match="nowhere"):
        await leading.hand_over_lead("nowhere", timeout_ms=T_MS)
    await form.members[SITES.index(heir)].hand_over_lead(heir, timeout_ms=T_MS)
    assert (await leading.status(timeout_ms=T_MS)).lead_site == lead_site
    await leading.hand_over_lead(heir, timeout_ms=T_MS)
    state = await leading.status(timeout_ms=T_MS)
    assert (state.lead_site, state.is_lead) == (heir, False)
