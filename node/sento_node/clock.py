"""Time as a port: a monotonic clock for decisions and the wall clock for what people and signatures see."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Milliseconds that never go back, and wall-clock time."""

    def now_ms(self) -> int:
        """Monotonic milliseconds."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC by this machine."""
        ...


class SystemClock:
    """This machine's clocks."""

    def now_ms(self) -> int:
        """Monotonic milliseconds."""
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC by this machine."""
        return time.time_ns() // 1_000_000
