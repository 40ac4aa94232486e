"""Fair queues: each author waits in a line of its own, and lines are served in turn by bytes.

A ministry that loads a million records does not delay a clinic that writes one: every round gives each waiting author the same number of bytes
(deficit round robin). Lines are bounded; a full line refuses its author and nobody else.

Source: M. Shreedhar and G. Varghese, "Efficient fair queueing using deficit round robin", 1996.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import NamedTuple

QUANTUM_BYTES = 16 * 1024
"""What one author gets in one round."""
AUTHOR_QUEUE_MAX_BYTES = 8 * 1024 * 1024
"""An author's line; over it ingress answers QUEUE_FULL."""
TOTAL_QUEUE_MAX_BYTES = 64 * 1024 * 1024


class Waiting(NamedTuple):
    """A submission in line: whom to answer (`ticket`), whose line, and its bytes."""

    ticket: int
    author: str
    data: bytes


class FairQueues:
    """Submissions by author. `offer` puts one in line; `take` gives the next ones that fit, fair over authors and in order within each."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Waiting]] = OrderedDict()
        self._author_bytes: dict[str, int] = {}
        self._credit: dict[str, int] = {}
        self.total_bytes = 0
        self.count = 0

    def offer(self, waiting: Waiting) -> bool:
        """Put in line; False when the author's line, or all of them together, are full."""
        size = len(waiting.data)
        held = self._author_bytes.get(waiting.author, 0)
        if held + size > AUTHOR_QUEUE_MAX_BYTES or self.total_bytes + size > TOTAL_QUEUE_MAX_BYTES:
            return False
        self._lines.setdefault(waiting.author, deque()).append(waiting)
        self._author_bytes[waiting.author] = held + size
        self.total_bytes += size
        self.count += 1
        return True

    def put_back(self, items: list[Waiting]) -> None:
        """Return items to the front of their lines in their old order; never refused, for they were counted once."""
        for waiting in reversed(items):
            self._lines.setdefault(waiting.author, deque()).appendleft(waiting)
            self._author_bytes[waiting.author] = self._author_bytes.get(waiting.author, 0) + len(waiting.data)
            self.total_bytes += len(waiting.data)
            self.count += 1

    def bytes_of(self, author: str) -> int:
        """Bytes that the author has in line."""
        return self._author_bytes.get(author, 0)

    def authors(self) -> list[str]:
        """Authors with something in line, the next to be served first."""
        return list(self._lines)

    def take(self, room_bytes: int, frame_bytes: int, allowed: set[str]) -> list[Waiting]:
        """The next submissions of `allowed` authors that fit `room_bytes`, each costing its length plus `frame_bytes`."""
        taken: list[Waiting] = []
        blocked: set[str] = set()
        while True:
            author = next((name for name in self._lines if name in allowed and name not in blocked), None)
            if author is None:
                return taken
            credit = self._credit.get(author, 0) + QUANTUM_BYTES
            line = self._lines[author]
            while line:
                cost = len(line[0].data) + frame_bytes
                if cost > room_bytes:
                    blocked.add(author)
                    break
                if cost > credit:
                    break
                taken.append(self._pop(author, line))
                room_bytes -= cost
                credit -= cost
            if not line:
                del self._lines[author], self._author_bytes[author]
                self._credit.pop(author, None)
            elif author not in blocked:
                self._credit[author] = credit
                self._lines.move_to_end(author)

    def _pop(self, author: str, line: deque[Waiting]) -> Waiting:
        waiting = line.popleft()
        self._author_bytes[author] -= len(waiting.data)
        self.total_bytes -= len(waiting.data)
        self.count -= 1
        return waiting
