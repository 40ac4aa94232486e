"""The pseudonym service's limit under a clock of the test's own: what a minute allows, how long to wait, when an hour is unusual."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import PROPERTY
from sento_client.pseudonym_service.admitting import AtLimit, admit, require_identity
from sento_client.pseudonym_service.bounds import NAMES_AT_ONCE_MAX
from sento_client.pseudonym_service.limiting import Allowance, Limiter, TurnedAway
from sento_proto.errors import Code, SentoError
from sento_proto.identity import Identity

CITY, HOSPITAL = Identity("author", "iizuka-city"), Identity("author", "iizuka-hospital")
MINUTE_MS, HOUR_MS = 60_000, 3_600_000


def limiter(names_per_minute: int = 600, alarm: int = 0) -> Limiter:
    allowance = Allowance(names_per_minute, alarm)
    return Limiter({(CITY.name, "tax"): allowance, (CITY.name, "health"): allowance})


def test_full_minute_is_granted_and_the_next_name_waits_as_long_as_it_takes_to_come_back() -> None:
    one = limiter()
    assert one.take(CITY.name, "tax", 500, 0).wait_ms == 0
    assert one.take(CITY.name, "tax", 100, 0).wait_ms == 0
    assert one.take(CITY.name, "tax", 1, 0).wait_ms == 100
    assert one.take(CITY.name, "tax", 500, 0).wait_ms == 50_000
    assert one.take(CITY.name, "tax", 1, 99).wait_ms == 1
    assert one.take(CITY.name, "tax", 1, 100).wait_ms == 0


def test_refused_call_takes_nothing() -> None:
    one = limiter()
    one.take(CITY.name, "tax", 500, 0)
    for _ in range(10):
        assert one.take(CITY.name, "tax", 500, 0).wait_ms == 40_000
    assert one.take(CITY.name, "tax", 100, 0).wait_ms == 0


def test_registries_and_institutions_have_buckets_of_their_own() -> None:
    one = limiter()
    one.take(CITY.name, "tax", 500, 0)
    one.take(CITY.name, "tax", 100, 0)
    assert one.take(CITY.name, "health", 500, 0).wait_ms == 0
    with pytest.raises(KeyError):
        one.take(HOSPITAL.name, "tax", 1, 0)


def test_small_allowance_still_lets_one_whole_call_pass() -> None:
    one = limiter(names_per_minute=1)
    assert one.take(CITY.name, "tax", NAMES_AT_ONCE_MAX, 0).wait_ms == 0
    assert one.take(CITY.name, "tax", NAMES_AT_ONCE_MAX, 0).wait_ms == NAMES_AT_ONCE_MAX * MINUTE_MS


def test_clock_that_goes_back_gives_nothing_twice() -> None:
    one = limiter()
    one.take(CITY.name, "tax", 500, MINUTE_MS)
    one.take(CITY.name, "tax", 100, MINUTE_MS)
    assert one.take(CITY.name, "tax", 1, 0).wait_ms == 100
    assert one.take(CITY.name, "tax", 1, MINUTE_MS).wait_ms == 100


def test_unusual_hour_is_said_once_and_the_next_hour_begins_anew() -> None:
    one = limiter(names_per_minute=100_000, alarm=1_000)
    told = [one.take(CITY.name, "tax", 400, now_ms).unusual for now_ms in (0, 1, 2, 3, 4)]
    assert told == [False, False, True, False, False]
    assert not one.take(CITY.name, "tax", 400, HOUR_MS).unusual
    assert [one.take(CITY.name, "tax", 400, HOUR_MS + n).unusual for n in (1, 2)] == [False, True]


def test_refusals_of_one_second_share_a_line_and_are_counted_into_the_next() -> None:
    turned_away = TurnedAway()
    assert [turned_away.needs_line("a", "tax", now_ms) for now_ms in (0, 1, 999, 1_000)] == [
        True,
        False,
        False,
        True,
    ]
    assert turned_away.needs_line("b", "tax", 2)
    assert [turned_away.take("a", "tax"), turned_away.take("a", "tax"), turned_away.take("b", "tax")] == [
        2,
        0,
        0,
    ]


@PROPERTY
@given(st.integers(1, 5_000), st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 500)), max_size=80))
def test_never_more_than_a_bucket_and_what_the_time_gave(
    names_per_minute: int, calls: list[tuple[int, int]]
) -> None:
    one, now_ms, granted = limiter(names_per_minute), 0, 0
    for pause_ms, names in calls:
        now_ms += pause_ms
        wait_ms = one.take(CITY.name, "tax", names, now_ms).wait_ms
        if wait_ms:
            # A promise: after the wait, and not a millisecond before, the same call passes.
            assert one.take(CITY.name, "tax", names, now_ms + wait_ms - 1).wait_ms == 1
            now_ms += wait_ms
            assert one.take(CITY.name, "tax", names, now_ms).wait_ms == 0
        granted += names
    most = max(names_per_minute, NAMES_AT_ONCE_MAX) + now_ms * names_per_minute / MINUTE_MS
    assert granted <= most


def test_refusals_say_what_to_do_and_what_is_allowed() -> None:
    one = limiter()
    admit(one, CITY, "tax", 500, 0)
    with pytest.raises(AtLimit) as at_limit:
        admit(one, CITY, "tax", 500, 0)
    assert (at_limit.value.code, at_limit.value.wait_ms) == (Code.RATE_LIMITED, 40_000)
    assert "may ask for 600 names of registry tax a minute; these 500 may pass in 40.0 s" in str(
        at_limit.value
    )
    with pytest.raises(SentoError) as refused:
        admit(one, HOSPITAL, "tax", 1, 0)
    assert refused.value.code is Code.IDENTITY_REFUSED
    for nobody in (None, Identity("site", "jp-fukuoka")):
        with pytest.raises(SentoError) as refused:
            require_identity(nobody, ("author", "reader"))
        assert refused.value.code is Code.IDENTITY_REFUSED
