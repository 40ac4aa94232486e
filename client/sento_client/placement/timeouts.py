"""The ordering log's two timeouts: what runs, what the measured round trips call for, and where the two differ. Pure.

The figures called for are the sites' own, which measure all the time; for voters that a plan would make nobody has measured yet what they would say, so the
same rule is applied here: a heartbeat of one and a half of the longest round trip, an election of ten heartbeats, both within limits (etcd's documentation,
Tuning: time parameters).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sento_client.site_status.wording import span
from sento_proto.v1 import admin_pb2

HEARTBEAT_MIN_MS, HEARTBEAT_MAX_MS = 100, 2_000
ELECTION_MIN_MS, ELECTION_MAX_MS = 1_000, 30_000
STEP_MS = 10
ELECTION_HEARTBEATS = 10


class Timeouts(NamedTuple):
    """In milliseconds."""

    heartbeat_ms: int
    election_ms: int


class InUse(NamedTuple):
    """One site's timeouts: with which it runs, and which it says that round trips call for (None: it does not say)."""

    site: str
    runs: Timeouts
    wanted: Timeouts | None

    @property
    def fits(self) -> bool:
        """Whether what runs is enough."""
        return self.wanted is None or self.runs.election_ms >= self.wanted.election_ms

    @property
    def words(self) -> str:
        """For people."""
        runs = f"{self.site} runs with heartbeat {self.runs.heartbeat_ms} ms and election {self.runs.election_ms} ms"
        if self.wanted is None:
            return f"{runs}; what round trips call for is not measured yet"
        called = f"round trips call for {self.wanted.heartbeat_ms} ms and {self.wanted.election_ms} ms"
        if self.fits:
            return f"{runs}; {called}"
        return f"{runs}; {called}: restart the site's node, which takes them over, or elections will come for nothing"


def timeouts_for(round_trip_us: int) -> Timeouts:
    """For voters of which the farthest two are so far apart."""
    steps = -(-round_trip_us * 3 // (2_000 * STEP_MS))
    heartbeat_ms = min(HEARTBEAT_MAX_MS, max(HEARTBEAT_MIN_MS, steps * STEP_MS))
    election_ms = min(ELECTION_MAX_MS, max(ELECTION_MIN_MS, ELECTION_HEARTBEATS * heartbeat_ms))
    return Timeouts(heartbeat_ms, election_ms)


def timeouts_in_use(answers: Mapping[str, admin_pb2.StatusReply]) -> tuple[InUse, ...]:
    """Of each site that has a member of the ordering log and says so."""
    return tuple(
        InUse(
            site,
            Timeouts(status.heartbeat_ms, status.election_ms),
            Timeouts(status.heartbeat_wanted_ms, status.election_wanted_ms)
            if status.election_wanted_ms
            else None,
        )
        for site, status in answers.items()
        if status.election_ms
    )


def pause_words(round_trip_us: int | None, election_ms: int | None) -> str:
    """How long writes are expected to pause while the lead moves: a few round trips where it is handed over, at worst an election."""
    if election_ms is None:
        return "The pause of writes cannot be told: no site says its election timeout."
    worst = f"at worst an election, {span(2 * election_ms)}"
    if round_trip_us is None:
        return f"Expected pause of writes: {worst}."
    return f"Expected pause of writes: {span(max(1, 6 * round_trip_us // 1000))} while the lead is handed over; {worst}."
