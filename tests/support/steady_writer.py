"""Steady writing from several callers while sites fail: each submission is sent until it stands, at other sites with the same ids.

Keeps what was acknowledged, and the longest time in which nobody was: the two numbers that a fault is judged by. What the sites say meanwhile is counted by
code; a refusal that is final is an error of the test and ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from types import TracebackType

import grpc.aio

from live_sites import AUDITOR, AUTHOR, LiveSites
from raw_calls import Caller, StreamEnded, WriteStream, all_records, root_at
from sento_drill.waiting import until
from sento_proto.errors import FINAL_CODES, STANDING_CODES, Code
from sento_proto.submission import decode_submission

ANSWER_TIMEOUT_S = 3.0
PAUSE_S = 0.02
PACE_S = 0.1
"""Between two submissions of one caller: load, not a measurement; the sites share the machine with the test."""


class SteadyWriter:
    """Callers that write as long as the block lasts; `acknowledged` is position -> record hash, as sites answered."""

    def __init__(self, sites: LiveSites, *, callers: int = 4, records: int = 5) -> None:
        self.acknowledged: dict[int, bytes] = {}
        self.refusals: Counter[str] = Counter()
        self.longest_gap_s = 0.0
        self._sites = sites
        self._author = sites.author()
        self._callers = callers
        self._records = records
        self._last_s = time.monotonic()
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> SteadyWriter:
        self._last_s = time.monotonic()
        self._tasks = [asyncio.create_task(self._write_on(k)) for k in range(self._callers)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)
        self._note_gap()

    async def more(self, count: int, *, deadline_s: float = 60.0) -> None:
        """Return when so many further records are acknowledged."""
        goal = len(self.acknowledged) + count
        async with asyncio.timeout(deadline_s):
            while len(self.acknowledged) < goal:
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(PAUSE_S)

    def _note_gap(self) -> None:
        now_s = time.monotonic()
        self.longest_gap_s = max(self.longest_gap_s, now_s - self._last_s)
        self._last_s = now_s

    async def _write_on(self, k: int) -> None:
        async with contextlib.AsyncExitStack() as stack:
            channels = [
                await stack.enter_async_context(self._sites.caller(AUTHOR, name))
                for name in self._sites.names
            ]
            routes = [_Route(channel) for channel in channels]
            stack.push_async_callback(_close_all, routes)
            at = k
            while not self._stop.is_set():
                submission = self._author.submission(*self._author.records(self._records))
                while not await self._try(routes[at % len(routes)], submission):
                    at += 1
                    await asyncio.sleep(PAUSE_S)
                await asyncio.sleep(PACE_S)

    async def _try(self, route: _Route, submission: bytes) -> bool:
        """Whether all of it stands now."""
        try:
            stream = route.stream()
            reply = await stream.ask(submission, timeout_s=ANSWER_TIMEOUT_S)
        except (StreamEnded, TimeoutError, grpc.aio.AioRpcError) as error:
            self.refusals[type(error).__name__] += 1
            await route.close()
            return False
        if reply.HasField("error"):
            code = Code(reply.error.code)
            self.refusals[code.name] += 1
            assert code not in FINAL_CODES, reply.error
            return False
        assert {Code(outcome.code) for outcome in reply.outcomes} <= STANDING_CODES, reply
        records = decode_submission(submission).records
        for record, outcome in zip(records, reply.outcomes, strict=True):
            assert outcome.record_hash == record.record_hash
            known = self.acknowledged.setdefault(outcome.position, record.record_hash)
            assert known == record.record_hash, (
                f"two records were acknowledged at position {outcome.position}"
            )
        self._note_gap()
        return True


class _Route:
    """One caller's way to one site; the stream is opened when it is needed, and again after it broke."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._stream: WriteStream | None = None

    def stream(self) -> WriteStream:
        if self._stream is None:
            self._stream = WriteStream(self._caller)
        return self._stream

    async def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()


async def _close_all(routes: list[_Route]) -> None:
    for route in routes:
        await route.close()


async def missing_anywhere(
    sites: LiveSites, acknowledged: dict[int, bytes], reader: str
) -> dict[str, list[int]]:
    """Site -> positions of acknowledged records that it does not give out as they were acknowledged."""
    missing: dict[str, list[int]] = {}
    for name in sites.names:
        async with sites.caller(reader, name) as caller:
            held = await all_records(caller, min(acknowledged, default=0))
        missing[name] = [
            position for position, record_hash in acknowledged.items() if held.get(position) != record_hash
        ]
    return missing


async def all_agree(sites: LiveSites, at_least_size: int = 0) -> int:
    """Wait until all sites serve with the same flushed size, not below `at_least_size`, and hold them to the same root; that size."""

    async def one_size() -> int | None:
        statuses = (await sites.cluster.statuses()).values()
        sizes = {status.flushed_size if status and status.state == "serving" else -1 for status in statuses}
        return sizes.pop() if len(sizes) == 1 and min(sizes) >= at_least_size else None

    size = await until(one_size, deadline_s=60, what="the sites do not come to one size")
    roots = set()
    for name in sites.names:
        async with sites.caller(AUDITOR, name) as auditor:
            roots.add(await root_at(auditor, size))
    assert len(roots) == 1
    return size


async def nothing_is_lost(sites: LiveSites, writer: SteadyWriter, what: str) -> None:
    """Every acknowledged record stands at every site."""
    # Acknowledged is ordered and not yet flushed everywhere: sites may agree on a size before it.
    size = await all_agree(sites, max(writer.acknowledged, default=-1) + 1)
    missing = await missing_anywhere(sites, writer.acknowledged, AUDITOR)
    print(
        f"{what}: acknowledged={len(writer.acknowledged)} size={size} lost={sum(map(len, missing.values()))} "
        f"longest_gap_s={writer.longest_gap_s:.2f} refusals={dict(writer.refusals)}"
    )
    assert writer.acknowledged
    assert not any(missing.values()), missing
