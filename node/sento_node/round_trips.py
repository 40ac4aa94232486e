"""How long a question takes to another site and back, and what of it is remembered for the next start of this site's ordering member.

data/ordering/round-trips.json    {"format":"sento-round-trips-1","sites":{"<site>": microseconds}}; of the sites that voted when it was written

The shortest of the last questions counts: a longer one was waiting somewhere. What cannot be read is as if it were not there, because it is measured again
within seconds and a member runs with the least values meanwhile.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import structlog

from sento_node.config import Ordering
from sento_node.durable_files import write_durably
from sento_node.ordering.timeouts import LEAST, Timeouts, timeouts_for
from sento_proto.strict_json import load
from sento_proto.wire import Malformed

FORMAT = "sento-round-trips-1"
NAME = "round-trips.json"
KEPT = 16
"""Round trips of each site that are looked at; half a minute's."""
LEAST_HEARD = 2
"""The first question pays for the connection."""
KEEP_EVERY_MS = 5_000
MICROSECONDS_MAX = 600_000_000


class RoundTrips:
    """The last round trips to each site."""

    def __init__(self) -> None:
        self._last: dict[str, deque[int]] = {}

    def heard(self, site: str, round_trip_us: int) -> None:
        """A question was answered."""
        self._last.setdefault(site, deque(maxlen=KEPT)).append(round_trip_us)

    def shortest_us(self, site: str) -> int:
        """The shortest of the last; 0 while none is known."""
        last = self._last.get(site, ())
        return min(last) if len(last) >= LEAST_HEARD else 0

    def of(self, sites: Collection[str]) -> dict[str, int]:
        """Of these sites, as far as known."""
        known = {site: self.shortest_us(site) for site in sites}
        return {site: us for site, us in known.items() if us}


def read_round_trips(directory: Path) -> dict[str, int]:
    """What is remembered; nothing where no file can be read."""
    path = directory / NAME
    try:
        fields = load(path.read_bytes(), "round trips")
        fields.choice("format", (FORMAT,))
        sites = fields.raw("sites")
    except (OSError, Malformed):
        return {}
    if not isinstance(sites, dict):
        return {}
    return {str(site): us for site, us in sites.items() if isinstance(us, int) and 0 < us <= MICROSECONDS_MAX}


def write_round_trips(directory: Path, sites: Mapping[str, int]) -> None:
    """Remember them, flushed. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_durably(directory / NAME, json.dumps({"format": FORMAT, "sites": dict(sites)}).encode())


def timeouts_at_start(ordering: Ordering, directory: Path) -> Timeouts:
    """With which timeouts the member starts: those of node.toml where it names any, else what the remembered round trips call for."""
    if ordering.heartbeat_ms is None and ordering.election_ms is None:
        return timeouts_for(read_round_trips(directory).values())
    heartbeat_ms = ordering.heartbeat_ms or LEAST.heartbeat_ms
    return Timeouts(heartbeat_ms, ordering.election_ms or max(LEAST.election_ms, 10 * heartbeat_ms))


class RoundTripKeeper:
    """Remembers the round trips to the sites that vote whenever they call for other timeouts than those remembered."""

    def __init__(self, directory: Path, round_trips: RoundTrips) -> None:
        self._directory = directory
        self._round_trips = round_trips
        self._kept: dict[str, int] | None = None

    def keep(self, voting_others: Collection[str]) -> bool:
        """Whether something was written: only once every other voting site is known, or was. Raises OSError."""
        if self._kept is None:
            self._kept = read_round_trips(self._directory)
        now = self._round_trips.of(voting_others)
        whole = {site: now.get(site) or self._kept.get(site, 0) for site in voting_others}
        if not now or not all(whole.values()):
            return False
        same_sites = whole.keys() == self._kept.keys()
        if same_sites and timeouts_for(whole.values()) == timeouts_for(self._kept.values()):
            return False
        write_round_trips(self._directory, whole)
        self._kept = whole
        return True

    async def run(self, voting_others: Callable[[], Collection[str]]) -> None:
        """For ever. `voting_others`: who votes now but this site. Raises OSError."""
        while True:
            if self.keep(voting_others()):
                structlog.get_logger("sento.node").info("round trips remembered")
            await asyncio.sleep(KEEP_EVERY_MS / 1000)
