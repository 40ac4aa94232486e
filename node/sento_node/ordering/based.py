"""An epoch's ordering log as the ledger counts: the log's block 1 is the ledger's block `base` + 1.

Each epoch has a log of its own that counts from 1; the ledger's block numbers go on. Everything above this sees ledger numbers only. Revisions are the new
log's own. A ledger that has not reached the base, or still stands in the former epoch, cannot follow: what it misses was never in this log (`Compacted`),
and comes from another site's ledger.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace

from sento_node.ordering.port import (
    Appended,
    Compacted,
    Head,
    LogEvent,
    OrderedBlock,
    OrderingLog,
    OrderingStatus,
)

NEVER_IN_THIS_LOG = 1 << 62
"""The oldest revision to be followed for a ledger that this log can never bring forward."""


class BasedLog(OrderingLog):
    """See `OrderingLog`. `belongs` says whether the ledger stands in this log's epoch already."""

    def __init__(self, log: OrderingLog, base: int, belongs: Callable[[], bool]) -> None:
        self._log = log
        self._base = base
        self._belongs = belongs

    async def append(self, lane: str, seq: int, data: bytes, *, timeout_ms: int) -> Appended:
        """See `OrderingLog.append`; the place is the ledger's."""
        place = await self._log.append(lane, seq, data, timeout_ms=timeout_ms)
        return replace(place, number=self._ledger_number(place.number))

    async def follow(self, after: Head) -> AsyncGenerator[LogEvent, None]:
        """See `OrderingLog.follow`. Raises Compacted for a ledger that is not in this epoch, or not at its beginning."""
        if not self._belongs() or after.number < self._base:
            raise Compacted(NEVER_IN_THIS_LOG)
        start = Head(after.number - self._base, after.revision)
        async with contextlib.aclosing(self._log.follow(start)) as events:
            async for event in events:
                if isinstance(event, OrderedBlock):
                    yield replace(event, number=event.number + self._base)
                else:
                    yield event

    async def head(self, *, timeout_ms: int) -> Head:
        """See `OrderingLog.head`, as the ledger counts."""
        head = await self._log.head(timeout_ms=timeout_ms)
        return Head(head.number + self._base, head.revision)

    async def trim(self, through_seq: Mapping[str, int], through_revision: int, *, timeout_ms: int) -> None:
        """See `OrderingLog.trim`."""
        await self._log.trim(through_seq, through_revision, timeout_ms=timeout_ms)

    async def status(self, *, timeout_ms: int) -> OrderingStatus:
        """See `OrderingLog.status`."""
        return await self._log.status(timeout_ms=timeout_ms)

    async def hand_over_lead(self, to_site: str, *, timeout_ms: int) -> None:
        """See `OrderingLog.hand_over_lead`."""
        await self._log.hand_over_lead(to_site, timeout_ms=timeout_ms)

    async def close(self) -> None:
        """See `OrderingLog.close`."""
        await self._log.close()

    def _ledger_number(self, number: int) -> int:
        """0 says that the place cannot be told."""
        return number + self._base if number else 0
