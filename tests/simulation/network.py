"""The network between sites: latency, loss, doubled messages, and cuts that may hold in one direction only.

A message is a call at a later time. It is lost when the link is cut as it leaves or as it arrives, or by chance. Members of the ordering log and nodes of
one site share that site's links.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations

from tests.simulation.heap import EventHeap


class Network:
    """Directed links between `names`. `loss` and `doubling` are probabilities of a message, in the fault phase alone."""

    def __init__(self, heap: EventHeap, names: Sequence[str], loss: float, doubling: float) -> None:
        self._heap = heap
        self._names = list(names)
        self.loss = loss
        self.doubling = doubling
        self._base_ms = {pair: heap.between(1, 25) for pair in permutations(self._names, 2)}
        self._cut: dict[tuple[str, str], int] = {}

    def linked(self, sender: str, receiver: str) -> bool:
        """Whether messages pass in this direction."""
        return not self._cut.get((sender, receiver))

    def both_ways(self, one: str, other: str) -> bool:
        """Whether question and answer pass."""
        return self.linked(one, other) and self.linked(other, one)

    def cut(self, sender: str, receiver: str) -> None:
        """Let nothing pass in this direction; cuts add up and each is mended for itself."""
        self._cut[sender, receiver] = self._cut.get((sender, receiver), 0) + 1

    def mend(self, sender: str, receiver: str) -> None:
        """Take back one cut."""
        if self._cut.get((sender, receiver)):
            self._cut[sender, receiver] -= 1

    def isolate(self, name: str, for_ms: int, directions: str = "both") -> None:
        """Cut a site off from all others for a while: `both`, `out` (it is not heard) or `in` (it does not hear)."""
        for other in self._names:
            if other == name:
                continue
            pairs = {"both": [(name, other), (other, name)], "out": [(name, other)], "in": [(other, name)]}
            for sender, receiver in pairs[directions]:
                self.cut(sender, receiver)
                self._heap.after(for_ms, self.mend, sender, receiver)

    def heal(self) -> None:
        """Faults are over: every link works and nothing is lost any more."""
        self._cut.clear()
        self.loss = self.doubling = 0.0

    def delay_ms(self, sender: str, receiver: str) -> int:
        """How long a message takes now: the link's base, rarely much longer."""
        if sender == receiver:
            return 1
        extra = self._heap.between(0, 4) if self._heap.chance(0.97) else self._heap.between(20, 400)
        return self._base_ms[sender, receiver] + extra

    def send(
        self, sender: str, receiver: str, act: Callable[..., None], *args: object, may_double: bool = False
    ) -> None:
        """Deliver `act(*args)` at the receiver, or lose it."""
        if not self.linked(sender, receiver):
            return
        if sender != receiver and self._heap.chance(self.loss):
            self._heap.faults["message lost"] += 1
            return
        self._heap.after(self.delay_ms(sender, receiver), self._arrive, sender, receiver, act, args)
        if may_double and self._heap.chance(self.doubling):
            self._heap.faults["message doubled"] += 1
            late_ms = self._heap.between(1, 3_000)
            self._heap.after(late_ms, self._arrive, sender, receiver, act, args)

    def _arrive(self, sender: str, receiver: str, act: Callable[..., None], args: tuple[object, ...]) -> None:
        if self.linked(sender, receiver):
            act(*args)
