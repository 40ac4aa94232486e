"""Which refused attempts get a record of their own, and where the others are counted."""

from __future__ import annotations

from sento_node.releases.throttle import (
    PER_SECOND_MAX,
    READERS_MAX,
    REMEMBERED_MAX,
    SAME_EVERY_MS,
    Attempt,
    Throttle,
)
from sento_proto.errors import Code


def attempt(reader: str = "a", subject: int = 1, code: Code = Code.NOT_PERMITTED) -> Attempt:
    return Attempt(reader, "residency", subject.to_bytes(32, "big"), code)


def test_the_same_attempt_is_recorded_once_a_minute_and_the_others_are_counted() -> None:
    throttle = Throttle()
    assert throttle.admits(attempt(), 0)
    assert not any(throttle.admits(attempt(), at) for at in (1, 30_000, SAME_EVERY_MS - 1))
    assert throttle.admits(attempt(), SAME_EVERY_MS)
    assert (throttle.take("a"), throttle.take("a"), throttle.suppressed) == (3, 0, 3)


def test_another_reader_person_or_code_is_another_attempt() -> None:
    throttle = Throttle()
    others = (attempt(), attempt("b"), attempt(subject=2), attempt(code=Code.ERASED))
    assert all(throttle.admits(one, 0) for one in others)


def test_a_site_records_so_many_a_second_however_different_they_are() -> None:
    throttle = Throttle()
    admitted = [throttle.admits(attempt(subject=nth), nth) for nth in range(PER_SECOND_MAX + 5)]
    assert admitted == [True] * PER_SECOND_MAX + [False] * 5
    assert throttle.take("a") == 5
    assert throttle.admits(attempt(subject=99), 1_000)


def test_what_was_suppressed_by_the_rate_is_recorded_when_there_is_room_again() -> None:
    throttle = Throttle()
    for nth in range(PER_SECOND_MAX):
        throttle.admits(attempt(subject=nth), 0)
    assert not throttle.admits(attempt(subject=77), 0)
    assert throttle.admits(attempt(subject=77), 1_000)


def test_a_count_that_was_taken_for_a_record_that_failed_comes_back_once() -> None:
    throttle = Throttle()
    throttle.admits(attempt(), 0)
    throttle.admits(attempt(), 1)
    taken = throttle.take("a")
    throttle.give_back("a", taken)
    assert (throttle.take("a"), throttle.suppressed) == (1, 1)


def test_memory_is_bounded_whatever_is_tried() -> None:
    throttle = Throttle()
    for nth in range(REMEMBERED_MAX + 100):
        throttle.admits(attempt(f"r{nth}", nth), nth * 1_000)
    for nth in range(READERS_MAX + 100):
        throttle.count(f"s{nth}")
    assert len(throttle._recorded_at) == REMEMBERED_MAX
    assert len(throttle._uncounted) == READERS_MAX
