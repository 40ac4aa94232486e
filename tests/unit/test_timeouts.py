"""The ordering log's timeouts: from measured round trips within their limits, remembered for the next start, and never against what node.toml says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sento_node.config import Ordering
from sento_node.ordering.timeouts import ELECTION_MAX_MS, HEARTBEAT_MAX_MS, LEAST, Timeouts, timeouts_for
from sento_node.round_trips import (
    KEPT,
    NAME,
    RoundTripKeeper,
    RoundTrips,
    read_round_trips,
    timeouts_at_start,
    write_round_trips,
)


@pytest.mark.parametrize(
    ("round_trips_us", "wanted"),
    [
        ([], LEAST),
        ([300, 900], LEAST),
        ([66_000], LEAST),
        ([5_000, 100_000], Timeouts(150, 1_500)),
        ([100_001], Timeouts(160, 1_600)),
        ([270_000, 240_000], Timeouts(410, 4_100)),
        ([600_000_000], Timeouts(2_000, 20_000)),
    ],
)
def test_the_slowest_round_trip_sets_the_heartbeat_and_ten_of_those_an_election(
    round_trips_us: list[int], wanted: Timeouts
) -> None:
    assert timeouts_for(round_trips_us) == wanted


@given(st.lists(st.integers(0, 10**10), max_size=7))
def test_whatever_is_measured_the_timeouts_are_ones_that_a_member_starts_with(
    round_trips_us: list[int],
) -> None:
    heartbeat_ms, election_ms = timeouts_for(round_trips_us)
    assert LEAST.heartbeat_ms <= heartbeat_ms <= HEARTBEAT_MAX_MS
    assert LEAST.election_ms <= election_ms <= ELECTION_MAX_MS
    assert election_ms >= 5 * heartbeat_ms
    assert heartbeat_ms == HEARTBEAT_MAX_MS or 1_000 * heartbeat_ms >= 1.5 * max(round_trips_us, default=0)


def heard(**round_trips_us: int) -> RoundTrips:
    trips = RoundTrips()
    for site, us in round_trips_us.items():
        trips.heard(site, 10 * us)
        trips.heard(site, us)
    return trips


def test_the_shortest_of_the_last_counts_and_the_first_alone_does_not() -> None:
    trips = RoundTrips()
    trips.heard("a", 500_000)
    assert trips.shortest_us("a") == 0
    trips.heard("a", 20_000)
    assert trips.shortest_us("a") == 20_000
    for _ in range(KEPT):
        trips.heard("a", 90_000)
    assert trips.shortest_us("a") == 90_000, "a link that became longer is believed"
    assert trips.of(("a", "b")) == {"a": 90_000}


def test_round_trips_are_remembered_when_they_call_for_other_timeouts_and_every_voter_is_known(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "ordering"
    assert not RoundTripKeeper(directory, heard(a=200_000)).keep(("a", "b")), "b is not known"
    assert RoundTripKeeper(directory, heard(a=200_000, b=900)).keep(("a", "b"))
    assert read_round_trips(directory) == {"a": 200_000, "b": 900}
    assert not RoundTripKeeper(directory, heard(a=199_000, b=4_000)).keep(("a", "b")), "as before"
    assert RoundTripKeeper(directory, heard(a=20_000)).keep(("a", "b")), "b is known from before"
    assert read_round_trips(directory) == {"a": 20_000, "b": 900}
    assert RoundTripKeeper(directory, heard(a=20_000)).keep(("a",)), "b votes no more"
    assert not RoundTripKeeper(directory, RoundTrips()).keep(())


@pytest.mark.parametrize("data", [b"", b"[]", b'{"format":"sento-round-trips-2","sites":{}}', b"\xff"])
def test_what_cannot_be_read_is_as_if_nothing_were_remembered(tmp_path: Path, data: bytes) -> None:
    (tmp_path / NAME).write_bytes(data)
    assert read_round_trips(tmp_path) == {}


def table(**fields: int) -> Ordering:
    paths = {"ca": "ca.pem", "certificate": "member.pem", "key": "member.key"}
    return Ordering.model_validate({"peer_url": "https://127.0.0.1:7102", **paths, **fields})


def test_a_member_starts_with_what_was_measured_unless_node_toml_says_otherwise(tmp_path: Path) -> None:
    assert timeouts_at_start(table(), tmp_path) == LEAST
    write_round_trips(tmp_path, {"a": 200_000})
    assert timeouts_at_start(table(), tmp_path) == Timeouts(300, 3_000)
    assert timeouts_at_start(table(heartbeat_ms=50, election_ms=500), tmp_path) == Timeouts(50, 500)
    assert timeouts_at_start(table(heartbeat_ms=200), tmp_path) == Timeouts(200, 2_000)
    assert timeouts_at_start(table(election_ms=5_000), tmp_path) == Timeouts(100, 5_000)
