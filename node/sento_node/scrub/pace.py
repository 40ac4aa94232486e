"""How fast the background reading may go: so many bytes a second on average, with pauses that are neither too short to matter nor too long to end.

Pure but for the two functions it is made with: a clock that never goes back, and a sleep.
"""

from __future__ import annotations

from collections.abc import Callable

PAUSE_MIN_S = 0.02
PAUSE_MAX_S = 1.0
BEHIND_MAX_S = 1.0
"""What was not used for so long is not made up for."""


class Pace:
    """Counts bytes against time."""

    def __init__(
        self, bytes_per_s: float, now_s: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        """`bytes_per_s` 0: without bound."""
        self._bytes_per_s = bytes_per_s
        self._now_s = now_s
        self._sleep = sleep
        self._due_s = now_s()
        self.total_bytes = 0

    def spent(self, count: int) -> float:
        """So many bytes were read; for how many seconds a pause is due now (0: none)."""
        self.total_bytes += count
        if not self._bytes_per_s:
            return 0.0
        now_s = self._now_s()
        self._due_s = max(self._due_s, now_s - BEHIND_MAX_S) + count / self._bytes_per_s
        ahead_s = self._due_s - now_s
        return min(ahead_s, PAUSE_MAX_S) if ahead_s >= PAUSE_MIN_S else 0.0

    def pause(self, pause_s: float) -> None:
        """Wait so long."""
        if pause_s > 0:
            self._sleep(pause_s)
