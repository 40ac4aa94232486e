"""The tally: what was acknowledged, when, and how long nothing was. Pure; times are seconds of one monotonic clock.

`unavailable_s` is what a ministry feels: the longest time between two acknowledgements in a row while the fault was on, measured at the writer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple


class Acknowledged(NamedTuple):
    """One acknowledged record: its name (author, record id), its place and hash, and when the answer arrived."""

    author: str
    record_id: bytes
    position: int
    record_hash: bytes
    at_s: float


class Tally:
    """Collects acknowledgements of one run, each (author, record id) once."""

    def __init__(self) -> None:
        self._by_name: dict[tuple[str, bytes], Acknowledged] = {}
        self._times_s: list[float] = []
        self.contradictions: list[str] = []
        """Records that were acknowledged twice with different places or hashes; must stay empty."""

    def __len__(self) -> int:
        return len(self._by_name)

    def note(self, acknowledged: Acknowledged) -> None:
        """Take one acknowledgement."""
        name = (acknowledged.author, acknowledged.record_id)
        before = self._by_name.setdefault(name, acknowledged)
        if before[2:4] != acknowledged[2:4]:
            self.contradictions.append(
                f"acknowledged at {before.position} and at {acknowledged.position} under one record id"
            )
        self._times_s.append(acknowledged.at_s)

    @property
    def size(self) -> int:
        """How large a ledger must be to hold everything acknowledged."""
        return max((acknowledged.position + 1 for acknowledged in self._by_name.values()), default=0)

    def all(self) -> list[Acknowledged]:
        """Every acknowledgement, in the order of the ledger."""
        return sorted(self._by_name.values(), key=lambda acknowledged: acknowledged.position)

    def count_since(self, time_s: float) -> int:
        """How many answers arrived after that time."""
        return sum(1 for at_s in self._times_s if at_s > time_s)

    def first_since_s(self, time_s: float) -> float:
        """When the first answer after that time arrived; infinite when none did."""
        return min((at_s for at_s in self._times_s if at_s > time_s), default=math.inf)

    def longest_gap_s(self, start_s: float, end_s: float) -> float:
        """The longest time without an acknowledgement that touches [start_s, end_s].

        From the last answer before the start to the first one after the end, or to the end; infinite when no answer follows the start."""
        times_s = sorted(self._times_s)
        before = [at_s for at_s in times_s if at_s < start_s][-1:] or [start_s]
        during = [at_s for at_s in times_s if start_s <= at_s <= end_s]
        after = [at_s for at_s in times_s if at_s > end_s][:1]
        if not during and not after:
            return math.inf
        return max(later - earlier for earlier, later in pairwise([*before, *during, *(after or [end_s])]))


def present_everywhere(
    tally: Tally, held: Mapping[str, Sequence[bytes]], fork: int | None = None
) -> tuple[int, list[str]]:
    """How many acknowledged records each site holds, once, under the acknowledged hash and at the acknowledged position; and which are missing where.

    `fork`: an epoch has begun from the first so many records. What was acknowledged at or behind it may stand at another position behind it, because it was
    sent or taken in again. `held`: site -> record hashes by position."""
    places = {site: _places(hashes) for site, hashes in held.items()}
    present, missing = 0, _doubles(held, places)
    for acknowledged in tally.all():
        lacking = [site for site, known in places.items() if not _stands(acknowledged, known, fork)]
        if lacking or not held:
            missing.append(f"position {acknowledged.position} is not held at {', '.join(lacking)}")
        else:
            present += 1
    return present, missing


def _places(hashes: Sequence[bytes]) -> dict[bytes, int]:
    return {record_hash: position for position, record_hash in enumerate(hashes)}


def _stands(acknowledged: Acknowledged, places: Mapping[bytes, int], fork: int | None) -> bool:
    position = places.get(acknowledged.record_hash)
    moved = fork is not None and acknowledged.position >= fork
    return position == acknowledged.position or (position is not None and moved and position >= (fork or 0))


def _doubles(held: Mapping[str, Sequence[bytes]], places: Mapping[str, Mapping[bytes, int]]) -> list[str]:
    return [
        f"{len(hashes) - len(places[site])} records stand twice at {site}"
        for site, hashes in held.items()
        if len(hashes) != len(places[site])
    ]
