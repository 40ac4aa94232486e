"""Lending this site's ordering log to sites that have no member of their own: the order behind a place, appends to the caller's own lanes, the head.

Callers are sites that governance knows, asked again at every block and append: one that officers retired is let go at once. A site may append to lanes of its
own name only, so that nobody's exactly-once counters are in another's hands; the block's signature is judged when it is applied, like every block's. What one
caller may hold open at once is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator

from sento_node.epochs.ended import check_same_epoch
from sento_node.ordering.port import Compacted, Head, LogEvent, OrderedBlock, OrderingError, OrderingLog
from sento_node.ordering.relay_wire import encode_alive, encode_compacted, encode_event, refusal_of
from sento_node.service.node_state import NodeState
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import sync_pb2

ALIVE_EVERY_MS = 1_000
STREAMS_MAX = 4
"""Streams of the order that one site may hold open: its node's, and those that it has not noticed yet to be broken."""
CALLS_MAX = 64
"""Appends and heads of one site that may wait at once: twice as many as it has lanes at most."""
TIMEOUT_MAX_MS = 4_000
LENDING = ("catching-up", "serving", "no-majority")


class OrderService:
    """What `SyncService` answers about the order. `alive_every_ms`: how long a stream is silent before it says that it lives."""

    def __init__(self, node: NodeState, *, alive_every_ms: int = ALIVE_EVERY_MS) -> None:
        self._node = node
        self._alive_every_ms = alive_every_ms
        self._streams: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()

    async def follow(
        self, caller: str, request: sync_pb2.FollowOrderRequest, still_allowed: Callable[[], None]
    ) -> AsyncGenerator[sync_pb2.OrderEvent, None]:
        """Events after a place, for ever. `still_allowed` raises SentoError when the caller's time is over. Raises SentoError."""
        order = self._order(request.epoch)
        after = Head(request.after_number, request.after_revision)
        with one_more(self._streams, caller, STREAMS_MAX):
            events = with_signs_of_life(order.follow(after), after, self._alive_every_ms)
            async with contextlib.aclosing(events):
                try:
                    async for event in events:
                        still_allowed()
                        self._require_known(caller)
                        yield event
                except Compacted as compacted:
                    yield encode_compacted(compacted)
                except OrderingError as error:
                    raise refusal_of(error) from error

    async def append(
        self, caller: str, request: sync_pb2.AppendForRequest, remaining_s: float | None
    ) -> sync_pb2.AppendForReply:
        """Order a block of the caller's. Raises SentoError."""
        order = self._order(request.epoch)
        if not request.lane.startswith(f"{caller}/"):
            raise SentoError(Code.IDENTITY_REFUSED, f"{caller} appends to lanes of its own only")
        with one_more(self._calls, caller, CALLS_MAX):
            try:
                placed = await order.append(
                    request.lane, request.seq, request.data, timeout_ms=_timeout_ms(remaining_s)
                )
            except OrderingError as error:
                raise refusal_of(error) from error
        return sync_pb2.AppendForReply(
            number=placed.number, revision=placed.revision, repeated=placed.repeated
        )

    async def head(self, caller: str, remaining_s: float | None, epoch: int = 0) -> sync_pb2.OrderHeadReply:
        """The linearizable head of this epoch's log. Raises SentoError."""
        order = self._order(epoch)
        with one_more(self._calls, caller, CALLS_MAX):
            try:
                head = await order.head(timeout_ms=_timeout_ms(remaining_s))
            except OrderingError as error:
                raise refusal_of(error) from error
        return sync_pb2.OrderHeadReply(number=head.number, revision=head.revision)

    def _order(self, epoch: int) -> OrderingLog:
        """This site's own log, if it has a member, that may be asked, and it is of this epoch. Raises SentoError."""
        condition = self._node.condition
        check_same_epoch(self._node, epoch, "the order is asked for")
        if self._node.member_log is None or condition.state not in LENDING:
            raise SentoError(condition.code, condition.shown_explanation)
        return self._node.member_log

    def _require_known(self, caller: str) -> None:
        if caller not in self._node.governance.sites:
            raise SentoError(Code.IDENTITY_REFUSED, "no site of that name is in this ledger")


async def with_signs_of_life(
    events: AsyncGenerator[LogEvent, None], after: Head, every_ms: int
) -> AsyncGenerator[sync_pb2.OrderEvent, None]:
    """The events as messages, and at the beginning and after each `every_ms` of silence that nothing was left out. Raises what following the log raises."""
    last = after
    async with contextlib.aclosing(events):
        yield encode_alive(last)
        while True:
            reading: asyncio.Future[LogEvent] = asyncio.ensure_future(anext(events))
            try:
                while not reading.done():
                    await asyncio.wait({reading}, timeout=every_ms / 1000)
                    if not reading.done():
                        yield encode_alive(last)
                event = reading.result()
            except StopAsyncIteration:
                return
            finally:
                if not reading.done():
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)
            if isinstance(event, OrderedBlock):
                last = Head(event.number, event.revision)
            yield encode_event(event)


def _timeout_ms(remaining_s: float | None) -> int:
    """Half of the caller's time is for the log, the other half for the way: an answer that comes after the caller left looks like a dead relay."""
    return TIMEOUT_MAX_MS if remaining_s is None else max(1, min(TIMEOUT_MAX_MS, int(remaining_s * 500)))


@contextlib.contextmanager
def one_more(counts: Counter[str], caller: str, at_most: int) -> Iterator[None]:
    """Raises SentoError RATE_LIMITED when the caller holds as many already."""
    if counts[caller] >= at_most:
        raise SentoError(Code.RATE_LIMITED, f"{caller} holds {at_most} of them open already")
    counts[caller] += 1
    try:
        yield
    finally:
        counts[caller] -= 1
