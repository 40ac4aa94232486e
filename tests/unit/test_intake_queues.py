"""Fair queues: each author has a line of its own, bounded, in order; a million records of one do not delay the one record of another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sento_node.intake.queues import (
    AUTHOR_QUEUE_MAX_BYTES,
    QUANTUM_BYTES,
    TOTAL_QUEUE_MAX_BYTES,
    FairQueues,
    Waiting,
)

ROOM_BYTES = 64 * 1024
FRAME_BYTES = 4
MINISTRY, CLINIC = "ministry", "clinic"
EVERYBODY = {MINISTRY, CLINIC, "a", "b", "c"}


def put(queues: FairQueues, author: str, size_bytes: int, ticket: int = 0) -> bool:
    return queues.offer(Waiting(ticket, author, bytes(size_bytes)))


def take(queues: FairQueues, room_bytes: int = ROOM_BYTES) -> list[Waiting]:
    return queues.take(room_bytes, FRAME_BYTES, EVERYBODY)


def test_a_record_of_a_small_author_goes_into_the_next_block_however_much_waits_before_it() -> None:
    queues = FairQueues()
    for ticket in range(100):
        put(queues, MINISTRY, 50_000, ticket)
    put(queues, CLINIC, 1_000)
    assert CLINIC in {waiting.author for block in (take(queues), take(queues)) for waiting in block}


def test_two_authors_who_both_wait_get_as_many_bytes_as_each_other() -> None:
    queues = FairQueues()
    for ticket in range(400):
        put(queues, MINISTRY, 8_000, ticket)
        put(queues, CLINIC, 1_000, ticket)
    served = dict.fromkeys((MINISTRY, CLINIC), 0)
    for _ in range(6):
        for waiting in take(queues):
            served[waiting.author] += len(waiting.data)
    assert abs(served[MINISTRY] - served[CLINIC]) <= 2 * QUANTUM_BYTES


def test_a_full_line_refuses_its_author_and_nobody_else() -> None:
    queues = FairQueues()
    assert put(queues, MINISTRY, AUTHOR_QUEUE_MAX_BYTES)
    assert not put(queues, MINISTRY, 1)
    assert put(queues, CLINIC, 1)
    assert queues.count == 2


def test_all_lines_together_are_bounded() -> None:
    queues = FairQueues()
    authors = [f"author-{k}" for k in range(TOTAL_QUEUE_MAX_BYTES // AUTHOR_QUEUE_MAX_BYTES)]
    assert all(put(queues, author, AUTHOR_QUEUE_MAX_BYTES) for author in authors)
    assert not put(queues, CLINIC, 1)


def test_what_is_taken_makes_room_for_more() -> None:
    queues = FairQueues()
    put(queues, MINISTRY, AUTHOR_QUEUE_MAX_BYTES - 1_000)
    assert not put(queues, MINISTRY, 2_000)
    take(queues, room_bytes=AUTHOR_QUEUE_MAX_BYTES)
    assert put(queues, MINISTRY, 2_000)


def test_an_author_who_may_not_use_the_lane_is_passed_over_and_keeps_its_place() -> None:
    queues = FairQueues()
    put(queues, MINISTRY, 100, 1)
    put(queues, CLINIC, 100, 2)
    assert [waiting.ticket for waiting in queues.take(ROOM_BYTES, FRAME_BYTES, {CLINIC})] == [2]
    assert [waiting.ticket for waiting in take(queues)] == [1]


def test_what_does_not_fit_waits_for_the_next_block_and_lets_smaller_ones_of_others_by() -> None:
    queues = FairQueues()
    put(queues, MINISTRY, 5_000, 1)
    put(queues, CLINIC, 500, 2)
    assert [waiting.ticket for waiting in take(queues, room_bytes=1_000)] == [2]
    assert [waiting.ticket for waiting in take(queues)] == [1]


def test_items_put_back_are_served_first_in_their_old_order_and_counted_once() -> None:
    queues = FairQueues()
    for ticket in range(3):
        put(queues, MINISTRY, 100, ticket)
    taken = take(queues, room_bytes=2 * (100 + FRAME_BYTES))
    queues.put_back(taken)
    assert (queues.count, queues.total_bytes, queues.bytes_of(MINISTRY)) == (3, 300, 300)
    assert [waiting.ticket for waiting in take(queues)] == [0, 1, 2]


SUBMISSIONS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(1, 60_000)), min_size=1, max_size=40
)


@given(SUBMISSIONS)
def test_everything_that_was_taken_in_comes_out_once_in_its_authors_order(
    submissions: list[tuple[str, int]],
) -> None:
    queues = FairQueues()
    for ticket, (author, size_bytes) in enumerate(submissions):
        assert put(queues, author, size_bytes, ticket)
    out: list[Waiting] = []
    while block := take(queues):
        assert sum(len(waiting.data) + FRAME_BYTES for waiting in block) <= ROOM_BYTES
        out += block
    assert sorted(waiting.ticket for waiting in out) == list(range(len(submissions)))
    for author in ("a", "b", "c"):
        tickets = [waiting.ticket for waiting in out if waiting.author == author]
        assert tickets == sorted(tickets)
    assert (queues.count, queues.total_bytes, queues.authors()) == (0, 0, [])
