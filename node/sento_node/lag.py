"""How far behind: since when has somebody been known to hold more than this site has applied?

Under load another site is always a few milliseconds ahead, so the age of the newest difference says nothing. What counts is the oldest head seen that is
still not reached: `(when, head)` is kept for each higher head, those that are reached are forgotten, and the age of the oldest that is left is the lag.

Memory is bounded: the longer the lag, the longer the steps in which it is told. A head that comes within a step of the last one is added to it, and when
there are too many, neighbours become one; what is joined has the earlier time and the higher head. So a lag is told too long by at most a few hundredths of
the longest since this site was last level, and never too short.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

SAMPLES_MAX = 256


class _Sample(NamedTuple):
    since_ms: int
    head: int


class Lag:
    """What others are known to hold, in blocks of the one order; times are milliseconds of a clock that never goes back."""

    def __init__(self, samples_max: int = SAMPLES_MAX) -> None:
        self._samples_max = samples_max
        self._samples: deque[_Sample] = deque()  # both numbers rise

    def heard(self, head: int, applied: int, now_ms: int) -> None:
        """Block `head` is known to be ordered (by the log's head, or because another site has flushed it); this site has applied `applied`."""
        self._forget(applied)
        highest = self._samples[-1].head if self._samples else applied
        if head <= highest:
            return
        since_ms = now_ms
        if self._samples and now_ms - self._samples[-1].since_ms < self._step_ms(now_ms):
            since_ms = self._samples.pop().since_ms
        self._samples.append(_Sample(since_ms, head))
        if len(self._samples) > self._samples_max:
            self._samples = deque(_halved(self._samples))

    def behind_ms(self, applied: int, now_ms: int) -> int:
        """For how long a head above `applied` has been known; 0 while none is."""
        self._forget(applied)
        return max(0, now_ms - self._samples[0].since_ms) if self._samples else 0

    def behind_blocks(self, applied: int) -> int:
        """How many blocks the highest known head is above `applied`."""
        self._forget(applied)
        return self._samples[-1].head - applied if self._samples else 0

    def _step_ms(self, now_ms: int) -> float:
        return 2 * (now_ms - self._samples[0].since_ms) / self._samples_max

    def _forget(self, applied: int) -> None:
        while self._samples and self._samples[0].head <= applied:
            self._samples.popleft()


def _halved(samples: deque[_Sample]) -> Iterator[_Sample]:
    """Each two neighbours as one; a last odd one stays."""
    pairs = iter(samples)
    for earlier, later in zip_longest(pairs, pairs):
        yield _Sample(earlier.since_ms, (later or earlier).head)
