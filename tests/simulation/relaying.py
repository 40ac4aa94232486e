"""The ordering log as a site reaches it: through its own member, or, for a site without one, through the node of a voting site that lends its log.

`RelayedOrder` is this world's counterpart of `ordering/relayed.py` and keeps its habits: one relay at a time; another one when it says that it does not lend,
when two questions in a row got no answer, when its stream is silent for three seconds (a living one says so each second), when its stream ends, or is opened
anew from outside. A stream is a pipe: what is lost in it breaks it, so that no event is missing in its middle. Trimming is the voters' work.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

from tests.simulation.members import Answer
from tests.simulation.watch import Broken, Deliver

from sento_node.ordering.engine import OrderEngine
from sento_node.ordering.port import FollowBroken, Head, OrderingError

if TYPE_CHECKING:
    from tests.simulation.ordering import SimOrdering
    from tests.simulation.site_host import SiteHost

SILENCE_MS = 3_000
ALIVE_EVERY_MS = 1_000
LOOK_EVERY_MS = 500
ANSWER_WITHIN_MS = 800
DOUBTS_MAX = 2
_T = TypeVar("_T")


class Order(Protocol):
    """What a site asks of the ordering log."""

    def append(self, lane: str, seq: int, data: bytes, answer: Answer) -> None:
        """Order a block."""
        ...

    def ask(self, question: Callable[[OrderEngine], _T], answer: Callable[[_T], None]) -> None:
        """A linearizable question."""
        ...

    def follow(self, after: Head, deliver: Deliver, broken: Broken) -> None:
        """Everything behind a place, in order."""
        ...

    def trim(self, through_seq: Mapping[str, int], through_revision: int) -> None:
        """Remove blocks and forget history."""
        ...

    @property
    def is_lead(self) -> bool:
        """What this site's member believes of itself."""
        ...


class OwnOrder:
    """The log through the site's own member."""

    def __init__(self, host: SiteHost, ordering: SimOrdering) -> None:
        self._name = host.name
        self._ordering = ordering

    def append(self, lane: str, seq: int, data: bytes, answer: Answer) -> None:
        """See `Order`."""
        self._ordering.append(self._name, lane, seq, data, answer)

    def ask(self, question: Callable[[OrderEngine], _T], answer: Callable[[_T], None]) -> None:
        """See `Order`."""
        self._ordering.ask(self._name, question, answer)

    def follow(self, after: Head, deliver: Deliver, broken: Broken) -> None:
        """See `Order`."""
        self._ordering.follow(self._name, after, deliver, broken)

    def trim(self, through_seq: Mapping[str, int], through_revision: int) -> None:
        """See `Order`."""
        self._ordering.trim(self._name, through_seq, through_revision)

    @property
    def is_lead(self) -> bool:
        """See `Order`."""
        return self._ordering.is_lead(self._name)


class RelayedOrder:
    """The log through voting sites' nodes."""

    def __init__(self, host: SiteHost, ordering: SimOrdering) -> None:
        self._host = host
        self._ordering = ordering
        self._at = host.heap.between(0, 9)
        self._doubts = 0
        self._stream = 0
        self._broken_stream = 0
        self._heard_ms = self._pipe_ms = 0

    @property
    def relay(self) -> SiteHost:
        """The site whose log is used now."""
        relays = [peer for peer in self._host.peers.values() if peer.votes]
        return relays[self._at % len(relays)]

    @property
    def is_lead(self) -> bool:
        """Never."""
        return False

    def trim(self, through_seq: Mapping[str, int], through_revision: int) -> None:
        """Nothing: sites with a member trim."""

    def _give_up(self, relay: SiteHost) -> None:
        if relay is self.relay:
            self._at += 1
            self._doubts = 0
            self._host.heap.fault("relay given up", f"{self._host.name} {relay.name}")

    # -- questions ----------------------------------------------------------------------------------------------------

    def append(self, lane: str, seq: int, data: bytes, answer: Answer) -> None:
        """See `Order`."""
        self._host.heap.faults["block ordered through a relay"] += 1

        def there(relay: SiteHost, back: Answer) -> None:
            self._ordering.append(relay.name, lane, seq, data, back)

        self._asked(there, answer)

    def ask(self, question: Callable[[OrderEngine], _T], answer: Callable[[_T], None]) -> None:
        """See `Order`."""

        def there(relay: SiteHost, back: Callable[[_T], None]) -> None:
            self._ordering.ask(relay.name, question, back)

        self._asked(there, answer)

    def _asked(
        self, there: Callable[[SiteHost, Callable[[_T], None]], None], answer: Callable[[_T], None]
    ) -> None:
        """Ask the relay of now; silence is doubt."""
        host, relay = self._host, self.relay
        life, answered = host.life, [False]

        def back(told: _T) -> None:
            host.around.network.send(relay.name, host.name, heard, told)

        def heard(told: _T) -> None:
            answered[0] = True
            if relay is self.relay:
                self._doubts = 0
            answer(told)

        def arrives() -> None:
            if relay.lends:
                there(relay, back)
            elif relay.answers_peers:
                host.around.network.send(relay.name, host.name, host.in_life, life, self._give_up, relay)

        host.around.network.send(host.name, relay.name, arrives)
        host.later(ANSWER_WITHIN_MS, self._doubt, relay, answered)

    def _doubt(self, relay: SiteHost, answered: list[bool]) -> None:
        if not answered[0] and relay is self.relay:
            self._doubts += 1
            if self._doubts >= DOUBTS_MAX:
                self._give_up(relay)

    # -- its stream ---------------------------------------------------------------------------------------------------

    def follow(self, after: Head, deliver: Deliver, broken: Broken) -> None:
        """See `Order`. A stream that is still open was ended from outside, because it keeps back what is known to stand."""
        host = self._host
        if self._broken_stream != self._stream and self._stream:
            self._give_up(self.relay)
        self._stream += 1
        self._heard_ms = self._pipe_ms = host.heap.now_ms
        relay, stream = self.relay, self._stream
        host.around.network.send(
            host.name, relay.name, self._follow_there, relay, stream, after, deliver, broken
        )
        host.later(LOOK_EVERY_MS, self._look, relay, stream, broken)

    def new_life(self) -> None:
        """No stream is open."""
        self._broken_stream = self._stream
        self._doubts = 0

    def _follow_there(
        self, relay: SiteHost, stream: int, after: Head, deliver: Deliver, broken: Broken
    ) -> None:
        if stream != self._stream or not relay.answers_peers:
            return
        if not relay.lends:
            ended = FollowBroken(f"{relay.name} does not lend its log.")
            self._pipe(relay, stream, self._ends, relay, stream, broken, ended)
            return
        name = self._host.name
        self._ordering.relayed[name] = relay.name
        self._ordering.watches.follow(
            name,
            after,
            functools.partial(self._pipe, relay, stream, deliver),
            functools.partial(self._pipe, relay, stream, self._ends, relay, stream, broken),
        )
        self._alive(relay, relay.life, stream)

    def _alive(self, relay: SiteHost, life: int, stream: int) -> None:
        if relay.life == life and stream == self._stream:
            self._pipe(relay, stream, _nothing)
            self._host.heap.after(ALIVE_EVERY_MS, self._alive, relay, life, stream)

    def _pipe(self, relay: SiteHost, stream: int, act: Callable[..., None], *args: object) -> None:
        """Behind what was put in before; nothing comes any more once the line was cut, or the relay's process is gone."""
        network, heap = self._host.around.network, self._host.heap
        if stream == self._broken_stream or stream != self._stream:
            return
        if not network.linked(relay.name, self._host.name) or not relay.answers_peers:
            self._cut(stream)
            return
        delay_ms = network.delay_ms(relay.name, self._host.name)
        self._pipe_ms = max(self._pipe_ms, heap.now_ms + delay_ms)
        heap.after(self._pipe_ms - heap.now_ms, self._arrive, relay, stream, act, args)

    def _arrive(
        self, relay: SiteHost, stream: int, act: Callable[..., None], args: tuple[object, ...]
    ) -> None:
        if stream != self._stream or stream == self._broken_stream:
            return
        if not self._host.around.network.linked(relay.name, self._host.name):
            self._cut(stream)
            return
        self._heard_ms = self._host.heap.now_ms
        act(*args)

    def _cut(self, stream: int) -> None:
        """The stream is dead, and the embassy does not know it yet."""
        self._broken_stream = stream
        self._ordering.watches.unfollow(self._host.name)

    def _look(self, relay: SiteHost, stream: int, broken: Broken) -> None:
        """In the embassy's life: has the stream said anything in time?"""
        if stream != self._stream:
            return
        if self._host.heap.now_ms - self._heard_ms > SILENCE_MS:
            self._host.heap.fault("relay silent", f"{self._host.name} {relay.name}")
            self._ends(relay, stream, broken, FollowBroken(f"{relay.name} is silent."))
        else:
            self._host.later(LOOK_EVERY_MS, self._look, relay, stream, broken)

    def _ends(self, relay: SiteHost, stream: int, broken: Broken, error: OrderingError) -> None:
        if stream != self._stream:
            return
        self._stream += 1
        self._broken_stream = self._stream
        self._ordering.watches.unfollow(self._host.name)
        if isinstance(error, FollowBroken):
            self._give_up(relay)
        broken(error)


def _nothing() -> None:
    """A sign of life."""
