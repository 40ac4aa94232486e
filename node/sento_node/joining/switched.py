"""The order of a site that is given a vote: through other sites' nodes until its own member votes, through its own from then on, without a break.

Blocks, numbers and revisions are the same whichever member is asked, and (lane, seq) is ordered once whoever hands it over, so that one access may follow the
other in the middle of a life: who follows is told to follow again, and what was appended with unknown outcome is appended again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from sento_node.joining.gated import GatedLog
from sento_node.ordering.port import Appended, FollowBroken, Head, LogEvent, OrderingLog, OrderingStatus


class SwitchedLog:
    """`OrderingLog` over `lent` until `own` is opened, over `own` afterwards."""

    def __init__(self, lent: OrderingLog, own: GatedLog) -> None:
        self._lent = lent
        self._own = own

    @property
    def _now(self) -> OrderingLog:
        return self._own if self._own.is_open else self._lent

    async def append(self, lane: str, seq: int, data: bytes, *, timeout_ms: int) -> Appended:
        """See `OrderingLog.append`."""
        return await self._now.append(lane, seq, data, timeout_ms=timeout_ms)

    async def follow(self, after: Head) -> AsyncGenerator[LogEvent, None]:
        """See `OrderingLog.follow`; ends with FollowBroken when the own member begins to vote."""
        if self._own.is_open:
            async with contextlib.aclosing(self._own.follow(after)) as events:
                async for event in events:
                    yield event
            return
        opening = asyncio.ensure_future(self._own.opened())
        try:
            async with contextlib.aclosing(self._lent.follow(after)) as events:
                while True:
                    yield await _next(events, opening)
        finally:
            opening.cancel()

    async def head(self, *, timeout_ms: int) -> Head:
        """See `OrderingLog.head`."""
        return await self._now.head(timeout_ms=timeout_ms)

    async def trim(self, through_seq: Mapping[str, int], through_revision: int, *, timeout_ms: int) -> None:
        """See `OrderingLog.trim`."""
        await self._now.trim(through_seq, through_revision, timeout_ms=timeout_ms)

    async def status(self, *, timeout_ms: int) -> OrderingStatus:
        """See `OrderingLog.status`."""
        return await self._now.status(timeout_ms=timeout_ms)

    async def hand_over_lead(self, to_site: str, *, timeout_ms: int) -> None:
        """See `OrderingLog.hand_over_lead`."""
        await self._now.hand_over_lead(to_site, timeout_ms=timeout_ms)

    async def close(self) -> None:
        """See `OrderingLog.close`."""
        await self._lent.close()
        await self._own.close()


async def _next(events: AsyncGenerator[LogEvent, None], opening: asyncio.Future[None]) -> LogEvent:
    """The stream's next event. Raises FollowBroken when the own member votes first, and what the stream raises."""
    reading: asyncio.Future[LogEvent] = asyncio.ensure_future(anext(events))
    both: set[asyncio.Future[Any]] = {reading, opening}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            return reading.result()
    except StopAsyncIteration:
        pass
    finally:
        if not reading.done():
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    raise FollowBroken("This site's own member votes now, or the lent stream ended. Follow again.")
