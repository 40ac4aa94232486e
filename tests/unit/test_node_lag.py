"""Lag is the age of the oldest head that is known and not reached: small under steady load, growing when a site stands still, never told too short."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sento_node.lag import Lag


def test_nothing_known_is_no_lag() -> None:
    lag = Lag()
    assert (lag.behind_ms(applied=0, now_ms=99), lag.behind_blocks(applied=0)) == (0, 0)


def test_a_head_that_is_reached_already_is_no_lag() -> None:
    lag = Lag()
    lag.heard(5, applied=5, now_ms=10)
    assert (lag.behind_ms(5, 1_000), lag.behind_blocks(5)) == (0, 0)


def test_a_site_that_stands_still_lags_since_the_first_head_that_it_did_not_reach() -> None:
    lag = Lag()
    for now_ms, head in ((100, 6), (200, 9), (300, 12)):
        lag.heard(head, applied=5, now_ms=now_ms)
    assert (lag.behind_ms(5, 1_000), lag.behind_blocks(5)) == (900, 7)


def test_a_site_that_reaches_some_of_the_heads_lags_since_the_next_one() -> None:
    lag = Lag()
    for now_ms, head in ((100, 6), (200, 9), (300, 12)):
        lag.heard(head, applied=5, now_ms=now_ms)
    assert lag.behind_ms(9, 1_000) == 700
    assert lag.behind_ms(12, 1_000) == 0


def test_under_steady_load_the_lag_is_the_delay_and_not_the_time_for_which_somebody_was_ahead() -> None:
    """A peer is always one block ahead, for an hour; each block is reached 10 ms after it was heard of."""
    lag = Lag()
    for block in range(1, 3_601):
        lag.heard(block, applied=block - 1, now_ms=1_000 * block)
        assert lag.behind_ms(block - 1, 1_000 * block + 10) == 10
        assert lag.behind_ms(block, 1_000 * block + 10) == 0


def test_what_a_slower_source_says_later_changes_nothing() -> None:
    lag = Lag()
    lag.heard(9, applied=5, now_ms=100)
    lag.heard(7, applied=5, now_ms=400)
    assert (lag.behind_ms(5, 500), lag.behind_blocks(5)) == (400, 4)


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 4)), min_size=1, max_size=300),
    st.integers(0, 1_200),
)
def test_bounded_memory_tells_a_lag_a_little_too_long_and_never_too_short(
    steps: list[tuple[int, int]], applied: int
) -> None:
    bounded, exact = Lag(samples_max=16), Lag(samples_max=10_000)
    now_ms = head = 0
    for pause_ms, blocks in steps:
        now_ms, head = now_ms + pause_ms, head + blocks
        for lag in (bounded, exact):
            lag.heard(head, applied=0, now_ms=now_ms)
    now_ms += 1
    true_ms, told_ms = exact.behind_ms(applied, now_ms), bounded.behind_ms(applied, now_ms)
    assert true_ms <= told_ms
    assert (told_ms == 0) == (applied >= head)
    assert bounded.behind_blocks(applied) == max(0, head - applied)


def test_a_site_that_stood_still_for_hours_is_told_its_lag_to_a_few_hundredths_while_it_catches_up() -> None:
    """Heads come twice a second for six hours, one block each, and while the site then catches up at ten blocks a head."""
    lag, heads, applied = Lag(), 43_200, 0
    for block in range(1, heads + 1):
        lag.heard(block, applied=0, now_ms=500 * block)
    worst = 0.0
    while applied < heads:
        applied, heads = applied + 10, heads + 1
        now_ms = 500 * heads
        lag.heard(heads, applied, now_ms)
        true_ms = now_ms - 500 * (applied + 1) if applied < heads else 0
        told_ms = lag.behind_ms(applied, now_ms)
        assert told_ms >= true_ms
        worst = max(worst, told_ms - true_ms)
    assert worst < 0.03 * 500 * 43_200
    assert lag.behind_ms(heads, 500 * heads) == 0


@pytest.mark.parametrize("blocks", [17, 1_000, 5_000])
def test_however_long_a_site_stands_still_few_heads_are_kept(blocks: int) -> None:
    lag = Lag(samples_max=16)
    for block in range(1, blocks + 1):
        lag.heard(block, applied=0, now_ms=block)
    assert len(lag._samples) <= 16
    assert (lag.behind_ms(0, blocks), lag.behind_blocks(0)) == (blocks - 1, blocks)
