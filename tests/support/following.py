"""Reading an ordering log in tests: a bounded number of events, always with a deadline, always closed."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from sento_node.ordering.port import Head, LogEvent, OrderedBlock, OrderingLog

TIMEOUT_S = 15.0


async def take_events(log: OrderingLog, after: Head, count: int) -> list[LogEvent]:
    """The next `count` events after `after`; fails by TimeoutError when they do not come."""
    taken: list[LogEvent] = []
    async with (
        asyncio.timeout(TIMEOUT_S),
        aclosing(log.follow(after)) as events,
    ):
        while len(taken) < count:
            taken.append(await anext(events))
    return taken


async def take_blocks(log: OrderingLog, after: Head, count: int) -> list[OrderedBlock]:
    """The next `count` blocks after `after`, removals passed over."""
    taken: list[OrderedBlock] = []
    async with (
        asyncio.timeout(TIMEOUT_S),
        aclosing(log.follow(after)) as events,
    ):
        while len(taken) < count:
            event = await anext(events)
            if isinstance(event, OrderedBlock):
                taken.append(event)
    return taken


async def blocks_until(log: OrderingLog, after: Head, last: Head) -> list[OrderedBlock]:
    """All blocks after `after` up to `last`."""
    return await take_blocks(log, after, last.number - after.number)
