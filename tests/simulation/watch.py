"""Following the simulated log through one member: events in order, from that member's own knowledge, until the stream breaks or falls silent.

A watch sees only what its member knows to be committed. It ends with Compacted when the log has forgotten what comes next, with FollowBroken when its
member lost the lead's word or stopped; a stalled one just says nothing, for that is what a real one did when it was tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.heap import EventHeap

from sento_node.ordering.engine import OrderEngine
from sento_node.ordering.port import Compacted, FollowBroken, Head, LogEvent, OrderingError

BATCH_EVENTS = 8
FOR_EVER_MS = 1 << 40

Deliver = Callable[[LogEvent], None]
Broken = Callable[[OrderingError], None]


@dataclass(slots=True, eq=False)
class Watch:
    """One open stream. `revision` is the last one handed out; `stalled_until_ms` holds it back."""

    site: str
    revision: int
    deliver: Deliver
    broken: Broken
    busy: bool = False
    open: bool = True
    stalled_until_ms: int = 0


class Watches:
    """All streams of one log, at most one a site. `revealed` tells the last revision that a site's member knows to be committed."""

    def __init__(
        self, heap: EventHeap, engine: Callable[[], OrderEngine], revealed: Callable[[str], int]
    ) -> None:
        self._heap = heap
        self._engine = engine
        self._revealed = revealed
        self._open: dict[str, Watch] = {}

    def follow(self, site: str, after: Head, deliver: Deliver, broken: Broken) -> None:
        """Open a stream of everything after `after`; it takes the place of the site's last one."""
        self.unfollow(site)
        self._open[site] = Watch(site, after.revision, deliver, broken)
        self._heap.after(1, self.pump, site)

    def unfollow(self, site: str) -> None:
        """Close the site's stream without a word."""
        watch = self._open.pop(site, None)
        if watch is not None:
            watch.open = False

    def break_stream(self, site: str) -> None:
        """End the site's stream in words."""
        watch = self._open.get(site)
        if watch is not None:
            self._break(watch)

    def stall(self, site: str, for_ms: int, *, says_so: bool) -> None:
        """Hold the site's stream back in silence; afterwards it breaks, or (`says_so` False) it stays silent for ever."""
        watch = self._open.get(site)
        if watch is not None:
            watch.stalled_until_ms = self._heap.now_ms + (for_ms if says_so else FOR_EVER_MS)
            if says_so:
                self._heap.after(for_ms, self._break, watch)

    def pump(self, site: str) -> None:
        """Hand out what the site's member knows and its stream has not shown."""
        watch = self._open.get(site)
        if watch is None or watch.busy or self._heap.now_ms < watch.stalled_until_ms:
            return
        revealed = self._revealed(site)
        if watch.revision >= revealed:
            return
        try:
            events = self._engine().events_after(watch.revision, limit=BATCH_EVENTS)
        except Compacted as compacted:
            self._close(watch, compacted)
            return
        except OrderingError:
            return  # a place beyond the log's end: silence, as from a real member
        seen = [event for event in events if event.revision <= revealed]
        if seen:
            watch.revision, watch.busy = seen[-1].revision, True
            self._heap.after(self._heap.between(1, 8), self._hand_out, watch, seen)

    def _hand_out(self, watch: Watch, events: list[LogEvent]) -> None:
        for event in events:
            if watch.open:
                watch.deliver(event)
        watch.busy = False
        if watch.open:
            self.pump(watch.site)

    def _break(self, watch: Watch) -> None:
        if watch.open:
            self._close(watch, FollowBroken("The simulated stream ended. Follow again."))

    def _close(self, watch: Watch, error: OrderingError) -> None:
        watch.open = False
        if self._open.get(watch.site) is watch:
            del self._open[watch.site]
        self._heap.after(self._heap.between(1, 30), watch.broken, error)
