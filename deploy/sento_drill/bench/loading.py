"""The loop that every Python load runs: so many callers, each calling again as soon as it was answered; or probes at a fixed rhythm.

It is what `etcdload` does in Go and pgbench in C: a call counts in the window in which it ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from sento_drill.bench.calls import Calls, encode_calls
from sento_drill.bench.works import RUN_ON_S

Step = Callable[[], Awaitable[bool]]
"""One call; False when it failed."""
_PAUSE_AFTER_FAILURE_S = 0.01


async def measure(callers: Sequence[Step], warm_up_s: float, seconds: float) -> str:
    """Let all callers call until a little after the window; what to print for the bench."""
    began_s, offset_s = time.perf_counter(), time.time() - time.perf_counter()
    from_s = began_s + warm_up_s
    until_s = from_s + seconds
    took_us: list[int] = []
    failed = 0

    async def call_again(step: Step) -> None:
        nonlocal failed
        while (called_s := time.perf_counter()) < until_s + RUN_ON_S:
            good = await step()
            ended_s = time.perf_counter()
            inside = from_s <= ended_s < until_s
            if not good:
                failed += inside
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
            elif inside:
                took_us.append(round((ended_s - called_s) * 1e6))

    await asyncio.gather(*map(call_again, callers))
    return encode_calls(Calls(from_s + offset_s, until_s + offset_s, failed, took_us))


async def probe(step: Step, every_ms: int) -> None:
    """Begin a call at every tick, whatever became of the earlier ones, and print when each that succeeded began and ended; until it is ended."""

    async def one() -> None:
        begun_s = time.time()
        if await step():
            print(f"{begun_s:.6f} {time.time():.6f}", flush=True)

    async with asyncio.TaskGroup() as probes:
        while True:
            probes.create_task(one())
            await asyncio.sleep(every_ms / 1000)
