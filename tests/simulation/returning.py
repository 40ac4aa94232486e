"""What comes back to a simulated world after a recovery: orphans of ledgers set aside are offered again, once, and what cannot stand goes to a person.

The submissions are made again by product code (`submissions_again`), offered through a site's ordinary ingress until they have an answer, and again after a
crash of whoever offers them: that they stand once follows from their record ids.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from tests.simulation.heap import EventHeap
from tests.simulation.hooks import Hooks
from tests.simulation.moving_site import MovingSite

from sento_node.epochs.orphans import Readmitted, submissions_again
from sento_node.ledger.memory_store import MemoryStore
from sento_proto.errors import STANDING_CODES, TABLE, Code, Standing

ANSWER_WITHIN_MS = 900
PAUSE_MS = (5, 40)
NOT_YET_TRIES = 5


class Returning:
    """Orphans of one world. `listed`: record hashes on a person's list, with the reason; `done`: whether everything that was found has its end."""

    def __init__(self, heap: EventHeap, hooks: Hooks, newest: Callable[[], list[MovingSite]]) -> None:
        self._heap = heap
        self._hooks = hooks
        self._newest = newest
        self._left: list[tuple[Readmitted, int]] = []
        self._looked: set[int] = set()
        self._question = 0
        self._busy = False
        self.listed: dict[bytes, str] = {}

    @property
    def done(self) -> bool:
        """Whether nothing waits."""
        return not self._left and not self._busy

    def look(self, hosts: list[MovingSite]) -> None:
        """Find what stands in ledgers that were set aside and not in the newest epoch."""
        for host in hosts:
            for store, fork_size in host.aside:
                if id(store) not in self._looked:
                    self._looked.add(id(store))
                    self._found(store, fork_size)
        if self._left and not self._busy:
            self._busy = True
            self._heap.after(1, self._next)

    def _found(self, store: MemoryStore, fork_size: int) -> None:
        hashes = [store.record_hash_at(position) for position in range(fork_size, store.tip.size)]
        self._heap.faults["orphans found"] += len(hashes)
        items = submissions_again(store, store.snapshot().ledger_id, hashes, fork_size)
        self._left += [(item, 0) for item in items]

    def _next(self) -> None:
        if not self._left:
            self._busy = False
            return
        item, tries = self._left[0]
        sites = [host for host in self._newest() if host.state == "running" and host.serving]
        if not item.data:
            self._end(item, item.why)
        elif not sites:
            self._heap.after(ANSWER_WITHIN_MS, self._next)
        else:
            self._question += 1
            host, question = self._heap.one_of(sites), self._question
            answer = functools.partial(self._answered, item, tries, question)
            host.answering.submit(answer, 0, self._hooks.late_entry(item.data))
            self._heap.after(ANSWER_WITHIN_MS, self._silent, question)

    def _silent(self, question: int) -> None:
        if question == self._question:
            self._question += 1
            self._next()

    def _answered(
        self,
        item: Readmitted,
        tries: int,
        question: int,
        number: int,
        epoch: int,
        answers: list[tuple[int, int, bytes]],
        error: int,
    ) -> None:
        if question != self._question:
            return
        self._question += 1
        codes = [Code(error)] if error else [Code(code) for code, _, _ in answers]
        refused = [code for code in codes if code not in STANDING_CODES]
        if not refused:
            self._heap.faults["orphans taken in as late entries"] += len(item.hashes)
            self._end(item, "")
        elif refused[0] is not Code.PREDECESSOR_MISSING and TABLE[refused[0]].standing in (
            Standing.TRY_AGAIN,
            Standing.UNKNOWN,
        ):
            self._heap.after(self._heap.between(100, 400), self._next)
        elif TABLE[refused[0]].standing is Standing.NOT_YET and tries < NOT_YET_TRIES:
            self._left = [*self._left[1:], (item, tries + 1)]
            self._heap.after(self._heap.between(100, 400), self._next)
        else:
            hashes = [hash_ for code, _, hash_ in answers if Code(code) not in STANDING_CODES] or list(
                item.hashes
            )
            self._end(Readmitted(tuple(hashes), item.data, ""), refused[0].name)

    def _end(self, item: Readmitted, why: str) -> None:
        self._left = self._left[1:]
        if why:
            self._heap.faults["orphan on a person's list"] += len(item.hashes)
            self.listed.update(dict.fromkeys(item.hashes, why))
        self._heap.after(self._heap.between(*PAUSE_MS), self._next)
