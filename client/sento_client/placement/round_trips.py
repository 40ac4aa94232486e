"""How long a word takes from site to site and back, by what the sites themselves measured. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sento_proto.v1 import admin_pb2


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """Pairs of sites -> the shortest round trip that either of the two measured, in microseconds."""

    shortest_us: Mapping[frozenset[str], int] = field(default_factory=dict)

    def between(self, one: str, other: str) -> int | None:
        """Of two sites; None while neither has measured it."""
        return self.shortest_us.get(frozenset((one, other)))

    def from_site(self, site: str, others: Iterable[str]) -> dict[str, int | None]:
        """From one site to each of the others."""
        return {other: self.between(site, other) for other in others if other != site}

    def longest(self, sites: Iterable[str]) -> int | None:
        """Of all pairs among `sites`; None while one of them is not measured, or where there is no pair."""
        names = sorted(sites)
        pairs = [self.between(one, other) for one in names for other in names if one < other]
        known = [pair for pair in pairs if pair is not None]
        return max(known) if known and len(known) == len(pairs) else None

    def value(self) -> list[dict[str, object]]:
        """For programs."""
        return [
            {"sites": sorted(pair), "round_trip_us": trip_us}
            for pair, trip_us in sorted(self.shortest_us.items(), key=lambda item: sorted(item[0]))
        ]


def round_trips_of(answers: Mapping[str, admin_pb2.StatusReply]) -> RoundTrips:
    """From what sites answered; a peer without a figure has not been measured yet."""
    found: dict[frozenset[str], int] = {}
    for site, status in answers.items():
        for peer in status.peers:
            if peer.round_trip_us and peer.site != site:
                pair = frozenset((site, peer.site))
                found[pair] = min(found.get(pair, peer.round_trip_us), peer.round_trip_us)
    return RoundTrips(found)
