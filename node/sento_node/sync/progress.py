"""How far copying is: position, bytes, rate, time to go. Pure: who reads it says what time it is.

The rate is that of the last half minute, so that a link that came back is believed soon and one that went silent is seen to be so. Bytes still to come are
reckoned from what the records so far cost: nobody says beforehand how large chunks are.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

RATE_OVER_MS = 30_000
_SAMPLE_MS = 500
SPINE, PAYLOADS, RECORDS = "spine", "payloads", "records"
"""What is copied: records without their payloads, payloads alone, or both together."""


@dataclass(slots=True)
class Progress:
    """One copying. `done` and `wanted` are records (in the stage of payloads: payloads); `began_done` of them were there when it began."""

    source: str = ""
    stage: str = SPINE
    registry: str = ""
    done: int = 0
    wanted: int = 0
    began_done: int = 0
    bytes_done: int = 0
    _began_ms: int | None = None
    _samples: deque[tuple[int, int]] = field(default_factory=deque)

    def came(self, size_bytes: int, now_ms: int) -> None:
        """So many bytes of a chunk arrived."""
        if self._began_ms is None:
            self._began_ms = now_ms
        self.bytes_done += size_bytes
        if self._samples and now_ms - self._samples[-1][0] < _SAMPLE_MS:
            at_ms, before = self._samples[-1]
            self._samples[-1] = (at_ms, before + size_bytes)
        else:
            self._samples.append((now_ms, size_bytes))
        self._forget(now_ms)

    def _forget(self, now_ms: int) -> None:
        while self._samples and now_ms - self._samples[0][0] > RATE_OVER_MS:
            self._samples.popleft()

    def rate_bytes_per_s(self, now_ms: int) -> int:
        """Over the last half minute, or since the first byte if that is shorter."""
        if self._began_ms is None:
            return 0
        came = sum(size for at_ms, size in self._samples if now_ms - at_ms <= RATE_OVER_MS)
        over_ms = max(_SAMPLE_MS, min(RATE_OVER_MS, now_ms - self._began_ms))
        return came * 1000 // over_ms

    @property
    def bytes_wanted(self) -> int:
        """What the whole will have cost, as far as the part so far can tell; 0 while nothing can."""
        copied = self.done - self.began_done
        if copied <= 0 or self.wanted <= self.began_done:
            return 0
        return max(self.bytes_done, self.bytes_done * (self.wanted - self.began_done) // copied)

    def time_to_go_s(self, now_ms: int) -> int:
        """Seconds until the stage's end at the present rate; 0 while it is not known."""
        rate, wanted = self.rate_bytes_per_s(now_ms), self.bytes_wanted
        return math.ceil((wanted - self.bytes_done) / rate) if rate and wanted else 0
