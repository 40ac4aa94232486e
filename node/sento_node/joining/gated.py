"""The ordering log of a site whose member does not vote yet: a learner answers neither follower nor writer, so they wait until it is promoted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping

from sento_node.ordering.port import (
    Appended,
    Head,
    LogEvent,
    OrderingLog,
    OrderingStatus,
    OutcomeUnknown,
)

_NOT_YET = "This site's ordering member does not vote yet. Send to another site meanwhile."


class GatedLog:
    """`OrderingLog` over `inner`, shut until `open` is called."""

    def __init__(self, inner: OrderingLog) -> None:
        self._inner = inner
        self._opened = asyncio.Event()

    def open(self) -> None:
        """The member votes."""
        self._opened.set()

    @property
    def is_open(self) -> bool:
        """Whether the member votes."""
        return self._opened.is_set()

    async def opened(self) -> None:
        """Return when the member votes."""
        await self._opened.wait()

    def _require_open(self) -> None:
        if not self._opened.is_set():
            raise OutcomeUnknown(_NOT_YET)

    async def append(self, lane: str, seq: int, data: bytes, *, timeout_ms: int) -> Appended:
        """See `OrderingLog.append`."""
        self._require_open()
        return await self._inner.append(lane, seq, data, timeout_ms=timeout_ms)

    async def follow(self, after: Head) -> AsyncGenerator[LogEvent, None]:
        """See `OrderingLog.follow`; waits until it is open."""
        await self._opened.wait()
        async with contextlib.aclosing(self._inner.follow(after)) as events:
            async for event in events:
                yield event

    async def head(self, *, timeout_ms: int) -> Head:
        """See `OrderingLog.head`."""
        self._require_open()
        return await self._inner.head(timeout_ms=timeout_ms)

    async def trim(self, through_seq: Mapping[str, int], through_revision: int, *, timeout_ms: int) -> None:
        """See `OrderingLog.trim`."""
        self._require_open()
        await self._inner.trim(through_seq, through_revision, timeout_ms=timeout_ms)

    async def status(self, *, timeout_ms: int) -> OrderingStatus:
        """See `OrderingLog.status`; a learner answers too."""
        return await self._inner.status(timeout_ms=timeout_ms)

    async def hand_over_lead(self, to_site: str, *, timeout_ms: int) -> None:
        """See `OrderingLog.hand_over_lead`."""
        self._require_open()
        await self._inner.hand_over_lead(to_site, timeout_ms=timeout_ms)

    async def close(self) -> None:
        """See `OrderingLog.close`."""
        await self._inner.close()
