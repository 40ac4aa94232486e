"""A cap on what this site receives: a token bucket that may go into debt, because what has arrived cannot be sent back. Pure.

Whoever received something waits as long as he is told before he reads on; what he does not read, flow control keeps at the other side. Over any stretch of time
at most rate x time + one second's burst + the last piece is received.
"""

from __future__ import annotations

import math

_BURST_MS = 1_000


class RateCap:
    """`bytes_per_s`: 0 for no cap. One event loop owns it; all that a site receives for copies goes through one of them."""

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_ms = bytes_per_s / 1000
        self._burst_bytes = self._bytes_per_ms * _BURST_MS
        self._level_bytes = self._burst_bytes
        self._at_ms: int | None = None

    @property
    def bytes_per_s(self) -> float:
        """The cap; 0: none."""
        return self._bytes_per_ms * 1000

    def received(self, size_bytes: int, now_ms: int) -> int:
        """So much came. Returns for how many milliseconds nothing more is to be read."""
        if not self._bytes_per_ms:
            return 0
        if self._at_ms is not None:
            gained = (now_ms - self._at_ms) * self._bytes_per_ms
            self._level_bytes = min(self._burst_bytes, self._level_bytes + gained)
        self._at_ms = now_ms
        self._level_bytes -= size_bytes
        return 0 if self._level_bytes >= 0 else math.ceil(-self._level_bytes / self._bytes_per_ms)
