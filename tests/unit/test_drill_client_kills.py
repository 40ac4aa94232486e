"""The sums of the drill that kills writing programs: each broken promise shows in the count that names it, and a whole run shows none."""

from __future__ import annotations

import pytest

from sento_drill.client_kills import Noted, Sums, compare


@pytest.fixture
def noted() -> Noted:
    notes = Noted()
    notes.take("ready\ntry a1 killed_1\ntry a2 killed_2\ntold a1 7\nkept a2\ntry a3 killed_3\ntry a4 kil")
    return notes


def sums(noted: Noted, *standing: tuple[str, str, int]) -> Sums:
    return compare(noted, list(standing), kills=1, took_s=1.0)


def test_what_was_told_and_kept_stands_and_what_nobody_was_told_of_may_stand(noted: Noted) -> None:
    assert sums(noted, ("a1", "f1", 7), ("a2", "f2", 8)).holds
    assert sums(noted, ("a1", "f1", 7), ("a2", "f2", 8), ("a3", "f3", 9)).holds


def test_a_line_that_the_kill_cut_says_nothing(noted: Noted) -> None:
    assert set(noted.tried) == {"a1", "a2", "a3"}


@pytest.mark.parametrize(
    "standing",
    [
        [("a2", "f2", 8)],
        [("a1", "f1", 6), ("a2", "f2", 8)],
        [("a1", "f1", 7)],
    ],
    ids=["told and gone", "told at another position", "kept and gone"],
)
def test_a_record_that_somebody_relied_on_and_that_does_not_stand_is_lost(
    noted: Noted, standing: list[tuple[str, str, int]]
) -> None:
    result = sums(noted, *standing)
    assert (result.lost, result.holds) == (1, False)


def test_a_fact_that_stands_under_two_ids_is_doubled(noted: Noted) -> None:
    result = sums(noted, ("a1", "f1", 7), ("a2", "f2", 8), ("a3", "f2", 9))
    assert (result.doubled, result.holds) == (1, False)


def test_a_record_that_nobody_tried_is_foreign(noted: Noted) -> None:
    result = sums(noted, ("a1", "f1", 7), ("a2", "f2", 8), ("b9", "f9", 9))
    assert (result.foreign, result.holds) == (1, False)
