"""A bound on what the client holds at a time: bytes of records under way, given out in the order in which callers came.

Thousands of callers may write at once; beyond the bound they wait here, each within its own deadline, and memory does not grow.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Room:
    """`free` units to take and give back. Something larger than the whole room gets in when the room is empty."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def taken(self) -> int:
        """Units that are out."""
        return self._taken

    def take_now(self, units: int) -> bool:
        """Take `units` if they are free and nobody waits for them."""
        if self._waiting or not self._fits(units):
            return False
        self._taken += units
        return True

    async def take(self, units: int) -> None:
        """Take `units` when it is this caller's turn. A cancelled caller has taken nothing."""
        if self.take_now(units):
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((units, turn))
        try:
            await turn
        except asyncio.CancelledError:
            # The turn may have come in the same moment as the cancellation.
            if turn.done() and not turn.cancelled():
                self.give_back(units)
            else:
                self._waiting = deque(pair for pair in self._waiting if pair[1] is not turn)
                self._let_in()
            raise

    def give_back(self, units: int) -> None:
        """Return what was taken."""
        self._taken -= units
        self._let_in()

    def _fits(self, units: int) -> bool:
        return self._taken + units <= self._size or not self._taken

    def _let_in(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            units, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._taken += units
                turn.set_result(None)
