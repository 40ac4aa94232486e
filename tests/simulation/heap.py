"""Virtual time: one heap of events, one source of chance, one trace. Everything that happens in a simulated world happens here, in one order.

Two runs with one seed make the same trace, byte for byte; its hash is what the determinism test compares. Nothing here waits: a minute of the world takes
as long as its events take to compute. Sets of strings are never iterated in this package, because their order differs from process to process.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
EVENTS_MAX = 3_000_000
"""A world that needs more than this has a loop in it."""


class EventHeap:
    """The clock of one world. `show` prints the trace as it grows, for a person who looks at one seed."""

    def __init__(self, seed: int, *, show: bool = False) -> None:
        self.now_ms = 0
        self.random = random.Random(seed)
        self.faults: Counter[str] = Counter()
        self.events = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[object, ...]]] = []
        self._trace = hashlib.sha256()
        self._show = show

    def after(self, delay_ms: int, act: Callable[..., None], *args: object) -> None:
        """Do `act(*args)` after so many virtual milliseconds; what is due at one time happens in the order it was asked for."""
        self.events += 1
        heapq.heappush(self._heap, (self.now_ms + max(0, delay_ms), self.events, act, args))

    def run_until(self, end_ms: int) -> None:
        """Let time pass to `end_ms`."""
        while self._heap and self._heap[0][0] <= end_ms:
            self.now_ms, _, act, args = heapq.heappop(self._heap)
            act(*args)
            if self.events > EVENTS_MAX:
                raise RuntimeError(
                    f"{EVENTS_MAX} events and no end: something calls itself without time passing"
                )
        self.now_ms = end_ms

    def note(self, words: str) -> None:
        """Write a line of the trace."""
        line = f"{self.now_ms:>7} {words}"
        self._trace.update(line.encode() + b"\n")
        if self._show:
            print(line)

    def fault(self, kind: str, words: str = "") -> None:
        """Count a fault that was injected, and trace it."""
        self.faults[kind] += 1
        self.note(f"fault {kind} {words}")

    @property
    def trace_hash(self) -> str:
        """Hash of the trace so far."""
        return self._trace.hexdigest()

    # -- chance -------------------------------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.random.random() < probability

    def between(self, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        return self.random.randint(low, high)

    def one_of(self, items: list[T]) -> T:
        """One of the items."""
        return items[self.random.randrange(len(items))]
