"""Whom to ask: which of the other sites gives chunks now, which rests after silence, which is refused because what it gave was false. Pure.

One site gives at a time, over several streams. Silence is forgiven after a pause that doubles; a site that drips is left when there is another to try; one
whose chunk did not prove itself, or whose stream did not end where it said, is refused for ten minutes: long enough for the honest ones, and not for ever,
because the fault may have been in this machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

REST_FIRST_MS = 500
REST_MAX_MS = 30_000
PATIENCE = 3
"""So many tries in a row that bring nothing, and another site is asked."""
REFUSED_MS = 600_000
SLOW_REST_MS = 600_000
OLD_REST_MS = 30_000
SLOW_BYTES_PER_S = 512
SLOW_LOOK_MS = 60_000


@dataclass(slots=True)
class _Source:
    name: str
    failures: int = 0
    rests_until_ms: int = 0
    refused: bool = False
    was_slow: bool = False
    at_end: bool = False
    """All that it has was copied, or there was nothing."""
    tried: bool = False


class Sources:
    """The other sites in the order of preference. `slow_bytes_per_s`: who gives less, is slow; a cap of our own is nobody's fault."""

    def __init__(self, names: Iterable[str], slow_bytes_per_s: float = SLOW_BYTES_PER_S) -> None:
        self._sources = {name: _Source(name) for name in names}
        self._slow_bytes_per_s = slow_bytes_per_s
        self.current: str | None = None
        self._looked_at_ms = 0
        self._came_bytes = 0

    def choose(self, now_ms: int) -> str | None:
        """The site to ask now; None while all rest or have nothing more."""
        if self.current is None:
            able = [
                source
                for source in self._sources.values()
                if source.rests_until_ms <= now_ms and not source.at_end
            ]
            best = min(
                able, key=lambda source: (source.refused, source.was_slow, source.failures), default=None
            )
            if best is not None:
                self.current = best.name
                best.refused = False
                self._looked_at_ms, self._came_bytes = now_ms, 0
        return self.current

    @property
    def wakes_ms(self) -> int:
        """When the first of those that rest may be asked again; 0: nobody rests."""
        return min(
            (source.rests_until_ms for source in self._sources.values() if not source.at_end), default=0
        )

    @property
    def read_to_the_end(self) -> bool:
        """Whether at least one site gave all it has, and every other one did too, or was asked and gives nothing now."""
        sources = self._sources.values()
        return any(source.at_end for source in sources) and all(
            source.at_end or source.tried for source in sources
        )

    def came(self, size_bytes: int) -> None:
        """Bytes of a chunk arrived from the current site."""
        self._came_bytes += size_bytes

    def progressed(self, name: str) -> None:
        """The site gave something that it had not given before."""
        self._sources[name].failures = 0

    def failed(self, name: str, now_ms: int) -> int:
        """A try at the site brought nothing. Returns for how long it is left alone; when patience ends, another one is asked meanwhile."""
        source = self._sources[name]
        source.failures += 1
        rest_ms = min(REST_FIRST_MS << min(source.failures - 1, 10), REST_MAX_MS)
        if source.failures % PATIENCE == 0:
            self._leave(source, now_ms + rest_ms)
        return rest_ms

    def silent(self, name: str, now_ms: int) -> None:
        """The site did not even say what it has: another one is asked at once."""
        source = self._sources[name]
        source.failures += 1
        self._leave(source, now_ms + min(REST_FIRST_MS << min(source.failures - 1, 10), REST_MAX_MS))

    def refuse(self, name: str, now_ms: int) -> None:
        """What the site gave is false."""
        self._sources[name].refused = True
        self._leave(self._sources[name], now_ms + REFUSED_MS)

    def old(self, name: str, now_ms: int) -> None:
        """The site's state is valid and ends before what is known to stand."""
        self._leave(self._sources[name], now_ms + OLD_REST_MS)

    def ended(self, name: str) -> None:
        """All that the site has was copied."""
        source = self._sources[name]
        source.failures, source.at_end, source.tried = 0, True, True
        self.current = None

    def _leave(self, source: _Source, rests_until_ms: int) -> None:
        source.tried, source.rests_until_ms = True, rests_until_ms
        if self.current == source.name:
            self.current = None

    def left_for_slowness(self, now_ms: int, *, waiting: bool) -> str | None:
        """The current site, if it dripped for a minute and there is another to try: it is left. `waiting`: something was asked of it all the time."""
        name = self.current
        if name is None or not waiting:
            self._looked_at_ms, self._came_bytes = now_ms, 0
            return None
        took_ms = now_ms - self._looked_at_ms
        if took_ms < SLOW_LOOK_MS:
            return None
        slow = self._came_bytes * 1000 < self._slow_bytes_per_s * took_ms
        self._looked_at_ms, self._came_bytes = now_ms, 0
        others = (one for one in self._sources.values() if one.name != name)
        able = any(
            not (one.at_end or one.refused or one.was_slow) and one.rests_until_ms <= now_ms for one in others
        )
        if not slow or not able:
            return None
        self._sources[name].was_slow = True
        self._leave(self._sources[name], now_ms + SLOW_REST_MS)
        return name
