"""How long the ordering log's members wait for each other: from the round trips between the sites that vote. Pure.

A heartbeat has to come back before the next is due, and a follower that hears ten too few asks for an election. Too short, and a far site unseats the lead for
nothing; too long, and writes wait for a lead that is gone. On one machine or in one country the least values hold.

Source: the tuning guide of etcd (heartbeat around the largest round trip between members, election ten times the heartbeat or more, at most 50 s); the
fail-over times behind the least values were measured with 0, 30 and 80 ms between members.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

HEARTBEAT_MIN_MS, HEARTBEAT_MAX_MS = 100, 2_000
ELECTION_MIN_MS, ELECTION_MAX_MS = 1_000, 30_000
HEARTBEATS_MISSED = 10
STEP_MS = 10
"""Rounded up to whole steps, so that the next round trip does not call for other values."""


class Timeouts(NamedTuple):
    """How often the lead says that it lives, and after how long without that a follower asks for an election."""

    heartbeat_ms: int
    election_ms: int


LEAST = Timeouts(HEARTBEAT_MIN_MS, ELECTION_MIN_MS)


def timeouts_for(round_trips_us: Iterable[int]) -> Timeouts:
    """What these round trips call for: a heartbeat of one and a half times the slowest, an election after ten of them, within the limits."""
    slowest_us = max(round_trips_us, default=0)
    steps = -(-slowest_us * 3 // (2_000 * STEP_MS))
    heartbeat_ms = min(HEARTBEAT_MAX_MS, max(HEARTBEAT_MIN_MS, steps * STEP_MS))
    election_ms = min(ELECTION_MAX_MS, max(ELECTION_MIN_MS, HEARTBEATS_MISSED * heartbeat_ms))
    return Timeouts(heartbeat_ms, election_ms)
