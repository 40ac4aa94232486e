"""Asking a question at the sites until one answers it: whom to ask next, for how long, and when to give up.

A question changes nothing, so it may be asked anywhere and again. A site gets a share of the time and not all of it; after a round of all sites
comes a pause that doubles; what no other site would answer differently ends it at once. At the deadline the caller gets the reason that says
most: a site's own word before "unreachable".

Pure: the shell asks `next` what to do, does it, and reports `failed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sento_client.delivery_values import standing_of
from sento_proto.errors import Code, SentoError, Standing

_ASK_ELSEWHERE = (Standing.TRY_AGAIN, Standing.UNKNOWN)


class Try(NamedTuple):
    """Ask this site, for so long."""

    site: str
    timeout_ms: int


class Pause(NamedTuple):
    """Wait, then come back."""

    pause_ms: int


class GiveUp(NamedTuple):
    """Raise this."""

    error: SentoError


@dataclass(frozen=True, slots=True)
class AskSettings:
    """`try_timeout_ms`: a site's share. The pause after a round doubles from `pause_first_ms` to `pause_most_ms`."""

    try_timeout_ms: int = 3_000
    pause_first_ms: int = 50
    pause_most_ms: int = 1_000


class AskPlan:
    """One question. `ask_again`: codes that a site may answer differently later, or another site now, although they are not errors of a site."""

    def __init__(
        self,
        sites: Sequence[str],
        deadline_ms: int,
        settings: AskSettings,
        jitter: Callable[[], float],
        ask_again: frozenset[Code] = frozenset(),
    ) -> None:
        self._sites = tuple(sites)
        self._deadline_ms = deadline_ms
        self._settings = settings
        self._jitter = jitter
        self._ask_again = ask_again
        self._asked = 0
        self._paused_after = 0
        self._reason: SentoError | None = None
        self._final = False

    def next(self, now_ms: int) -> Try | Pause | GiveUp:
        """What to do now."""
        left_ms = self._deadline_ms - now_ms
        if self._reason is not None and (self._final or left_ms <= 0):
            return GiveUp(self._reason)
        if left_ms <= 0:
            return GiveUp(SentoError(Code.DEADLINE, "no site answered in time"))
        rounds, place = divmod(self._asked, len(self._sites))
        if place == 0 and rounds > self._paused_after:
            self._paused_after = rounds
            settings = self._settings
            full_ms = min(settings.pause_most_ms, settings.pause_first_ms << min(rounds - 1, 20))
            return Pause(min(left_ms, max(1, int(full_ms * (0.5 + 0.5 * self._jitter())))))
        self._asked += 1
        return Try(self._sites[place], min(left_ms, self._settings.try_timeout_ms))

    def failed(self, error: SentoError) -> None:
        """The last try ended so."""
        elsewhere = standing_of(error.code) in _ASK_ELSEWHERE or error.code in self._ask_again
        self._final = not elsewhere
        says_more = error.code not in (Code.UNREACHABLE, Code.DEADLINE)
        if self._reason is None or self._final or says_more:
            self._reason = error
