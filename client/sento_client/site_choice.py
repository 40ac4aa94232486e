"""Which site gets the next submission: the first in order that is open, in good standing, and has room.

A client stays with one site while it is well there, because an author's records then keep their order; trouble moves it to the next one in the
configured order, and it does not move back by itself. A stream is kept open to every site, so that moving costs no handshake. A site in trouble
is left alone for a pause that doubles with each trouble and is forgotten with the first good answer.

Pure: part of the delivery core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from sento_client.delivery_values import Settings, standing_of
from sento_proto.errors import Code, Standing


class _State(Enum):
    CLOSED = "closed"
    OPENING = "opening"
    OPEN = "open"


@dataclass(slots=True)
class _Site:
    name: str
    state: _State = _State.CLOSED
    in_flight: int = 0
    troubles: int = 0
    usable_at_ms: int = 0
    open_by_ms: int = 0
    heard_ms: int = -1
    refusal: Code | None = None


class SiteChoice:
    """What is known of each site, and the choice. `jitter` gives numbers in [0, 1)."""

    def __init__(
        self, sites: Sequence[str], settings: Settings, jitter: Callable[[], float], now_ms: int
    ) -> None:
        if not sites:
            raise ValueError("a client needs at least one site")
        self._sites = {name: _Site(name) for name in sites}
        self._order = list(self._sites.values())
        self._first = 0
        self._settings = settings
        self._jitter = jitter
        self._grace_until_ms = now_ms + settings.first_choice_grace_ms

    def choose(self, now_ms: int, avoid: str | None) -> str | None:
        """The site to send to now; None while there is none or the one to take has no room. `avoid` is taken only if no other is open."""
        if self._waits_for_first_choice(now_ms):
            return None
        turned = self._order[self._first :] + self._order[: self._first]
        able = [site for site in turned if site.state is _State.OPEN and site.usable_at_ms <= now_ms]
        if not able:
            return None
        pick = next((site for site in able if site.name != avoid), able[0])
        if turned[0] not in able:
            self._first = self._order.index(pick)
        return pick.name if pick.in_flight < self._settings.in_flight else None

    def _waits_for_first_choice(self, now_ms: int) -> bool:
        first = self._order[0]
        return first.state is _State.OPENING and not first.troubles and now_ms < self._grace_until_ms

    def take_due_to_open(self, now_ms: int) -> list[str]:
        """Closed sites whose pause is over; they count as opening from now on."""
        due = [site for site in self._order if site.state is _State.CLOSED and site.usable_at_ms <= now_ms]
        for site in due:
            site.state = _State.OPENING
            site.open_by_ms = now_ms + self._settings.open_timeout_ms
        return [site.name for site in due]

    def overdue(self, now_ms: int) -> list[str]:
        """Sites that did not open in time."""
        return [
            site.name for site in self._order if site.state is _State.OPENING and site.open_by_ms <= now_ms
        ]

    def opened(self, name: str) -> None:
        """The stream is open. What troubled the site before is not forgotten by that alone."""
        site = self._sites[name]
        if site.state is _State.OPENING:
            site.state = _State.OPEN

    def closed(self, name: str, code: Code, now_ms: int) -> bool:
        """The stream is gone, by `code`; False when it was closed already."""
        site = self._sites[name]
        if site.state is _State.CLOSED:
            return False
        site.state = _State.CLOSED
        site.refusal = code if standing_of(code) is Standing.FIX_CALL else None
        self.troubled(name, now_ms)
        return True

    def troubled(self, name: str, now_ms: int) -> None:
        """Leave the site alone for a while, and turn to the next one."""
        site = self._sites[name]
        if self._order[self._first] is site:
            self._first = (self._first + 1) % len(self._order)
        site.troubles += 1
        site.usable_at_ms = now_ms + self._settings.backoff_ms(site.troubles, self._jitter())

    def heard(self, name: str, now_ms: int) -> None:
        """The site answered something."""
        site = self._sites[name]
        site.heard_ms = now_ms
        site.refusal = None

    def well(self, name: str) -> None:
        """The site did what was asked."""
        self._sites[name].troubles = 0

    def silent_since(self, name: str, since_ms: int) -> bool:
        """Whether nothing at all was heard of the site since then."""
        return self._sites[name].heard_ms < since_ms

    def sent(self, name: str) -> None:
        """One more submission is in flight there."""
        self._sites[name].in_flight += 1

    def returned(self, name: str) -> None:
        """One submission fewer is in flight there."""
        self._sites[name].in_flight -= 1

    @property
    def any_open(self) -> bool:
        """Whether any stream is open."""
        return any(site.state is _State.OPEN for site in self._order)

    @property
    def not_closed(self) -> list[str]:
        """Sites with a stream that is open or opening."""
        return [site.name for site in self._order if site.state is not _State.CLOSED]

    def refused_by_all(self) -> Code | None:
        """The code by which every site turned this client away, if every one did: waiting longer would change nothing."""
        refusals = [site.refusal for site in self._order]
        return None if None in refusals else refusals[0]

    def next_event_ms(self, now_ms: int) -> int | None:
        """When something here changes by time alone."""
        times = [site.open_by_ms for site in self._order if site.state is _State.OPENING]
        times += [site.usable_at_ms for site in self._order if site.usable_at_ms > now_ms]
        if self._waits_for_first_choice(now_ms):
            times.append(self._grace_until_ms)
        return min(times, default=None)
