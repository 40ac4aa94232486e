"""The ordering log of a site without a member: the log of another site's node, and of the next one when that falls silent.

A site without a vote has the same decisions as every other; only its access to the order goes through a *relay*, the node of a site that votes and keeps the
ledger. One relay is used at a time. Another one is taken when

 * it cannot be reached, or says that it does not lend its log now (it starts, stops, makes its ledger anew)
 * it has no majority behind it: another side may have one
 * its stream is silent for three seconds; a living one says so each second, and once at its beginning
 * two questions in a row were not answered in time
 * its stream says what cannot come next, or ends from outside while blocks are known that it did not send

A question may take three seconds, however short the patience of who asks: over a satellite an answer takes two round trips of 650 ms and the queue before
it, while a member of one's own answers in milliseconds. What is under way through a relay that is given up ends at once, so that a dead one costs no more
than its stream's silence.

A relay can hold back the order, and tell an old head: this site is then behind, and its ledger's age and lag say so. It cannot make this site take a block that
its ingress did not sign, nor vouch for an order that others do not have (`quorum/embassy.py`). Trimming is the voters' work, and so is the lead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, TypeVar

from sento_node.ordering.limits import check_append
from sento_node.ordering.port import (
    Appended,
    Compacted,
    FollowBroken,
    Head,
    LogEvent,
    OrderedBlock,
    OrderingError,
    OrderingRefused,
    OrderingStatus,
    OutcomeUnknown,
)
from sento_node.ordering.relay_wire import appended, error_of, read_event
from sento_proto.errors import SentoError
from sento_proto.v1 import sync_pb2

SILENCE_MS: Final = 3_000
PATIENCE_MS: Final = 3_000
"""The least time that a question to a relay gets."""
FIRST_EVENT_SILENCES: Final = 2
"""A stream's beginning may take so many silences: over a satellite connecting alone takes two seconds."""
DOUBTS_MAX: Final = 2
STATUS_KEPT_S: Final = 5.0
"""The relay's status is asked no more often: on a thin link it costs as much as ten heads."""

_T = TypeVar("_T")


class RelaySilent(Exception):
    """The relay did not answer. `in_time`: it may only have been slow; else it cannot be reached at all."""

    def __init__(self, words: str, *, in_time: bool = False) -> None:
        super().__init__(words)
        self.in_time = in_time


class Relay(Protocol):
    """The node of another site, as far as it lends its log. Calls raise RelaySilent, and SentoError with the code that the node answered."""

    @property
    def name(self) -> str:
        """The site."""
        ...

    def follow_order(self, after: Head) -> AsyncGenerator[sync_pb2.OrderEvent, None]:
        """Events behind a place, with a sign of life in each second without one."""
        ...

    async def append_for(self, lane: str, seq: int, data: bytes, timeout_ms: int) -> sync_pb2.AppendForReply:
        """Order a block on one of this site's own lanes."""
        ...

    async def order_head(self, timeout_ms: int) -> Head:
        """The linearizable head."""
        ...

    async def order_status(self, timeout_ms: int) -> OrderingStatus:
        """What the node says of its own member; `is_lead` and the members are the member's own."""
        ...


class RelayedLog:
    """`OrderingLog` through relays. `relays` tells who may be asked now, in the order of preference; who that is follows governance."""

    def __init__(
        self,
        relays: Callable[[], Sequence[Relay]],
        *,
        silence_ms: int = SILENCE_MS,
        patience_ms: int = PATIENCE_MS,
    ) -> None:
        self._relays = relays
        self._silence_ms = silence_ms
        self._patience_ms = patience_ms
        self._given_up = asyncio.Event()
        self._current = ""
        self._doubts = 0
        self._known_number = 0
        self._status: tuple[float, str, OrderingStatus] | None = None
        self._closed = asyncio.Event()

    @property
    def through(self) -> str:
        """The site whose log is used now; empty when there is none."""
        relay = self._relay()
        return "" if relay is None else relay.name

    # -- the log --------------------------------------------------------------------------------------------------

    async def append(self, lane: str, seq: int, data: bytes, *, timeout_ms: int) -> Appended:
        """See `OrderingLog.append`, with no less time than a far relay needs. One relay is asked once: what it leaves unknown is asked again, by the same
        pair, of whichever is next."""
        check_append(lane, seq, data)
        relay = self._needed("order a block")
        call = relay.append_for(lane, seq, data, max(timeout_ms, self._patience_ms))
        return appended(await self._asked(relay, call))

    async def head(self, *, timeout_ms: int) -> Head:
        """See `OrderingLog.head`. Each relay is asked at most once; all together have the time, or as much as a far one needs."""
        deadline_s = asyncio.get_running_loop().time() + max(timeout_ms, self._patience_ms) / 1000
        tried: set[str] = set()
        while True:
            relay = self._needed("read the log's head")
            left_ms = round((deadline_s - asyncio.get_running_loop().time()) * 1000)
            tried.add(relay.name)
            try:
                head = await self._asked(relay, relay.order_head(max(1, left_ms)))
            except OutcomeUnknown:
                if self.through in tried or left_ms <= 1:
                    raise
                continue
            self._known_number = max(self._known_number, head.number)
            return head

    async def follow(self, after: Head) -> AsyncGenerator[LogEvent, None]:
        """See `OrderingLog.follow`; ends with FollowBroken when its relay is given up: follow again, through the next."""
        if self._closed.is_set():
            raise _closed_while_following()
        relay = self._relay()
        if relay is None:
            raise FollowBroken(
                "No voting site is known whose log could be followed. Look at peers in node.toml."
            )
        events, last = relay.follow_order(after), after
        silence_ms = FIRST_EVENT_SILENCES * self._silence_ms
        try:
            while True:
                event = read_event(await self._next(relay, events, silence_ms), last)
                silence_ms = self._silence_ms
                if event is None:
                    continue
                if isinstance(event, OrderedBlock):
                    last = Head(event.number, event.revision)
                yield event
        except (FollowBroken, Compacted):
            # That its log begins later is its own word: after the copying another one is asked.
            self._give_up(relay)
            raise
        finally:
            if last.number < self._known_number:
                self._give_up(relay)  # it was ended from outside, and keeps back what is known to stand
            await events.aclose()

    async def trim(self, through_seq: Mapping[str, int], through_revision: int, *, timeout_ms: int) -> None:
        """Nothing: sites with a member of the log trim it."""

    async def status(self, *, timeout_ms: int) -> OrderingStatus:
        """See `OrderingLog.status`: what the relay says, without a member, a lead and alarms of this site's own. At most five seconds old."""
        relay = self._needed("ask how the log stands")
        now_s = asyncio.get_running_loop().time()
        if self._status is not None and self._status[1] == relay.name:
            asked_s, _, status = self._status
            if now_s - asked_s < STATUS_KEPT_S:
                return status
        told = await self._asked(relay, relay.order_status(max(timeout_ms, self._patience_ms)))
        status = replace(
            told, cluster_id=0, member_id=0, is_lead=False, resident_bytes=0, alarms=(), members=()
        )
        self._status = (now_s, relay.name, status)
        return status

    async def hand_over_lead(self, to_site: str, *, timeout_ms: int) -> None:
        """Nothing happens: this site has no member that could lead."""
        self._check_open()

    async def close(self) -> None:
        """End followers and refuse further calls. The relays stay their owner's. Safe to repeat."""
        self._closed.set()

    # -- which relay ----------------------------------------------------------------------------------------------

    def _relay(self) -> Relay | None:
        relays = self._relays()
        current = next((relay for relay in relays if relay.name == self._current), None)
        if current is None and relays:
            current = relays[0]
            self._current, self._doubts = current.name, 0
        return current

    def _needed(self, what: str) -> Relay:
        """The relay of now. Raises OrderingRefused when closed, OutcomeUnknown when there is none."""
        self._check_open()
        relay = self._relay()
        if relay is None:
            raise OutcomeUnknown(
                f"To {what} needs a voting site's node, and none is known. Look at peers in node.toml."
            )
        return relay

    def _give_up(self, relay: Relay) -> None:
        """Use the next one, unless somebody has gone over already."""
        names = [other.name for other in self._relays()]
        if relay.name != self._current or relay.name not in names:
            return
        self._current, self._doubts = names[(names.index(relay.name) + 1) % len(names)], 0
        if self._current != relay.name:
            given_up, self._given_up = self._given_up, asyncio.Event()
            given_up.set()

    async def _asked(self, relay: Relay, call: Awaitable[_T]) -> _T:
        """A relay's answer. Raises what its log raised; OutcomeUnknown when it did not answer or does not lend its log."""
        try:
            answer = await self._unless_given_up(relay, call)
        except SentoError as refusal:
            error = error_of(refusal)
            if error is None or isinstance(error, OutcomeUnknown):
                self._give_up(relay)
                error = OutcomeUnknown(f"{relay.name} does not lend its ordering log: {refusal}")
            raise error from refusal
        except RelaySilent as silence:
            self._doubts += relay.name == self._current
            if not silence.in_time or self._doubts >= DOUBTS_MAX:
                self._give_up(relay)
            raise OutcomeUnknown(f"{relay.name} did not answer ({silence}).") from silence
        if relay.name == self._current:
            self._doubts = 0
        return answer

    async def _unless_given_up(self, relay: Relay, call: Awaitable[_T]) -> _T:
        """What the call brings. Raises RelaySilent when its relay is given up meanwhile: nobody waits for the dead."""
        answering: asyncio.Future[_T] = asyncio.ensure_future(call)
        giving_up = asyncio.ensure_future(self._given_up.wait())
        both: set[asyncio.Future[Any]] = {answering, giving_up}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                return answering.result()
            raise RelaySilent(f"{relay.name} was given up meanwhile")
        finally:
            for waiting in both:
                waiting.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    # -- its stream -----------------------------------------------------------------------------------------------

    async def _next(
        self, relay: Relay, events: AsyncGenerator[sync_pb2.OrderEvent, None], silence_ms: int
    ) -> sync_pb2.OrderEvent:
        """The stream's next event. Raises FollowBroken, OrderingRefused."""
        reading: asyncio.Future[sync_pb2.OrderEvent] = asyncio.ensure_future(anext(events))
        closing = asyncio.ensure_future(self._closed.wait())
        both: set[asyncio.Future[Any]] = {reading, closing}
        try:
            await asyncio.wait(both, timeout=silence_ms / 1000, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                return _result(relay, reading)
            if closing.done():
                raise _closed_while_following()
            raise FollowBroken(
                f"{relay.name} has said nothing for {silence_ms / 1000:g} s. The order is followed through another site."
            )
        finally:
            closing.cancel()
            if not reading.done():
                reading.cancel()
            await asyncio.gather(reading, closing, return_exceptions=True)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise OrderingRefused("This access to the ordering log was closed. Open a new one.")


def _closed_while_following() -> FollowBroken:
    return FollowBroken("This access to the ordering log was closed. Follow again through a new one.")


def _result(relay: Relay, reading: asyncio.Future[sync_pb2.OrderEvent]) -> sync_pb2.OrderEvent:
    try:
        return reading.result()
    except StopAsyncIteration:
        raise FollowBroken(
            f"{relay.name} ended the stream of blocks. Follow again from the last block seen."
        ) from None
    except RelaySilent as silence:
        raise FollowBroken(f"The stream of blocks through {relay.name} broke ({silence}).") from silence
    except SentoError as refusal:
        error: OrderingError | None = error_of(refusal)
        if isinstance(error, OrderingRefused):
            raise error from refusal
        raise FollowBroken(f"{relay.name} does not lend its ordering log: {refusal}") from refusal
