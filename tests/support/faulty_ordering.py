"""An ordering log with faults: wraps any form of the port and loses requests, answers, or the majority when a test says so.

Faults that must be survived: an answer lost after the block was ordered; a request lost before; a member cut off from the majority (no append,
no head, followers broken). A wrapper shows to its caller only what a real member could: OutcomeUnknown and FollowBroken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import TypeVar

from sento_node.ordering.port import (
    Appended,
    FollowBroken,
    Head,
    LogEvent,
    OrderingLog,
    OrderingStatus,
    OutcomeUnknown,
)

T = TypeVar("T")


class FaultyOrderingLog:
    """`OrderingLog` around `inner`; set the counters and flags to make the next calls fail."""

    def __init__(self, inner: OrderingLog) -> None:
        self.inner = inner
        self.answers_to_lose = 0
        self.requests_to_lose = 0
        self._reachable = asyncio.Event()
        self._reachable.set()
        self._break = asyncio.Event()

    def cut_off(self) -> None:
        """From now on no majority is in reach; followers break."""
        self._reachable.clear()
        self.break_followers()

    def heal(self) -> None:
        """The majority is in reach again."""
        self._reachable.set()

    def break_followers(self) -> None:
        """End every running `follow` once."""
        self._break.set()
        self._break = asyncio.Event()

    async def append(self, lane: str, seq: int, data: bytes, *, timeout_ms: int) -> Appended:
        await self._reach(timeout_ms)
        if self.requests_to_lose:
            self.requests_to_lose -= 1
            raise OutcomeUnknown("The request was lost, as the test wished. Retry.")
        appended = await self.inner.append(lane, seq, data, timeout_ms=timeout_ms)
        if self.answers_to_lose:
            self.answers_to_lose -= 1
            raise OutcomeUnknown("The answer was lost, as the test wished. Retry.")
        return appended

    async def follow(self, after: Head) -> AsyncGenerator[LogEvent, None]:
        if not self._reachable.is_set():
            raise FollowBroken("No majority is in reach, as the test wished.")
        broken = asyncio.ensure_future(self._break.wait())
        events = self.inner.follow(after)
        try:
            while True:
                following = asyncio.ensure_future(anext(events))
                try:
                    await asyncio.wait({following, broken}, return_when=asyncio.FIRST_COMPLETED)
                    if broken.done():
                        raise FollowBroken("The stream was broken, as the test wished. Follow again.")
                    event = following.result()
                finally:
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)
                yield event
        finally:
            broken.cancel()
            await events.aclose()

    async def head(self, *, timeout_ms: int) -> Head:
        await self._reach(timeout_ms)
        return await self.inner.head(timeout_ms=timeout_ms)

    async def trim(self, through_seq: Mapping[str, int], through_revision: int, *, timeout_ms: int) -> None:
        await self._reach(timeout_ms)
        await self.inner.trim(through_seq, through_revision, timeout_ms=timeout_ms)

    async def status(self, *, timeout_ms: int) -> OrderingStatus:
        return await self.inner.status(timeout_ms=timeout_ms)

    async def hand_over_lead(self, to_site: str, *, timeout_ms: int) -> None:
        await self._reach(timeout_ms)
        await self.inner.hand_over_lead(to_site, timeout_ms=timeout_ms)

    async def close(self) -> None:
        self.break_followers()
        await self.inner.close()

    async def _reach(self, timeout_ms: int) -> None:
        try:
            await asyncio.wait_for(self._reachable.wait(), timeout_ms / 1000)
        except TimeoutError:
            raise OutcomeUnknown("No majority answered before the deadline. Retry.") from None
