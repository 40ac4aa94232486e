"""How many refused attempts get a record of their own: enough that every kind of attempt shows, few enough that nobody can fill the ledger with them.

At most one for each (reader, person, code) a minute, and so many a second at the site. What has no record of its own is counted, and the count goes into
the next access record of the same reader at this site, whatever that one is. Counts are in memory: a site that is started anew has lost those of its last
minutes. Pure: the time is given.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import NamedTuple

from sento_proto.errors import Code

SAME_EVERY_MS = 60_000
PER_SECOND_MAX = 10
REMEMBERED_MAX = 8_192
"""Attempts that are remembered; the oldest is forgotten first, so that one by the same reader at the same person gets a record sooner."""
READERS_MAX = 4_096


class Attempt(NamedTuple):
    """What makes two refused attempts the same."""

    reader: str
    registry: str
    subject: bytes
    code: Code


class Throttle:
    """The site's memory of refused attempts."""

    def __init__(self) -> None:
        self._recorded_at: OrderedDict[Attempt, int] = OrderedDict()
        self._last_second: deque[int] = deque()
        self._uncounted: OrderedDict[str, int] = OrderedDict()
        self.suppressed = 0
        """All that got no record of their own, in this life."""

    def admits(self, attempt: Attempt, now_ms: int) -> bool:
        """Whether this attempt gets a record of its own; if not, it is counted."""
        last = self._recorded_at.get(attempt)
        while self._last_second and now_ms - self._last_second[0] >= 1_000:
            self._last_second.popleft()
        same = last is not None and now_ms - last < SAME_EVERY_MS
        if same or len(self._last_second) >= PER_SECOND_MAX:
            self.count(attempt.reader)
            return False
        self._last_second.append(now_ms)
        self._recorded_at[attempt] = now_ms
        self._recorded_at.move_to_end(attempt)
        if len(self._recorded_at) > REMEMBERED_MAX:
            self._recorded_at.popitem(last=False)
        return True

    def count(self, reader: str, attempts: int = 1) -> None:
        """Attempts of this reader have no record of their own: suppressed, or their record could not be written."""
        self.suppressed += attempts
        self._uncounted[reader] = self._uncounted.get(reader, 0) + attempts
        self._uncounted.move_to_end(reader)
        if len(self._uncounted) > READERS_MAX:
            self._uncounted.popitem(last=False)

    def take(self, reader: str) -> int:
        """How many attempts of this reader the record that is being made now speaks for."""
        return self._uncounted.pop(reader, 0)

    def give_back(self, reader: str, attempts: int) -> None:
        """The record that spoke for them was not written."""
        if attempts:
            self.count(reader, attempts)
            self.suppressed -= attempts
