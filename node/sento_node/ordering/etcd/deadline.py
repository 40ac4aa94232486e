"""One deadline shared by the several calls of one operation."""

from __future__ import annotations

import asyncio


class Deadline:
    """Counts down `timeout_ms` from its making, on the running loop's clock."""

    def __init__(self, timeout_ms: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._ends_at_s = self._loop.time() + timeout_ms / 1000

    @property
    def left_ms(self) -> int:
        """What remains, at least 1 ms, so that a call made too late fails by its own deadline."""
        return max(1, int((self._ends_at_s - self._loop.time()) * 1000))

    @property
    def reached(self) -> bool:
        """True once nothing remains."""
        return self._loop.time() >= self._ends_at_s
