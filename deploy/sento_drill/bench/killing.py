"""How long nobody can write when the leading server is killed: from kill -9 to the acknowledgement of the first write that was begun after it.

A writer begins a write every 10 ms, whatever became of the earlier ones, and goes on with the servers that are left: the same rhythm at both sides. A write
that was on its way at the kill does not count, because the leader may have answered it. Every kill has a fresh cluster.
PostgreSQL is not measured: nothing in it takes over by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import NamedTuple

from sento_drill.bench.attempts import Attempts
from sento_drill.bench.calls import LoadFailed
from sento_drill.bench.programs import end_load, start_load
from sento_drill.bench.sides import KillableSide
from sento_drill.bench.summary import in_turn

PROBE_EVERY_MS = 10
BEFORE_THE_KILL = 100
"""Acknowledged writes before the kill: the writer is at its rhythm then."""
ANSWER_DEADLINE_S = 60.0


class Kill(NamedTuple):
    """One kill. `silent_s`: until the next write was acknowledged."""

    side: str
    round: int
    silent_s: float

    def line(self) -> str:
        """For people and programs."""
        return f"bench: leader_kill side={self.side} round={self.round} silent_s={self.silent_s:.3f}"


async def measure_kills(
    sides: Sequence[KillableSide],
    kills: int,
    attempts: Attempts,
    done: Callable[[Kill | None], Awaitable[None]],
) -> None:
    """So many kills at each side, one after the other in rotating order; `done` gets each, or None for one that failed."""
    by_name = {side.name: side for side in sides}
    for number in range(1, kills + 1):
        for name in in_turn(list(by_name), number - 1):
            silent_s = await attempts.at(f"leader_kill {name} round {number}", kill_once(by_name[name]))
            await done(None if silent_s is None else Kill(name, number, silent_s))


async def kill_once(side: KillableSide) -> float:
    """Kill the leading server of a fresh cluster under probes; seconds until the next acknowledged write. Raises TooLate, LoadFailed."""
    try:
        await side.start()
        writer = await start_load(side.probing(PROBE_EVERY_MS))
        try:
            for _ in range(BEFORE_THE_KILL):
                await _next_acknowledged(writer)
            kill = await side.find_lead()
            killed_s = time.time()
            await asyncio.to_thread(kill)
            return await _first_after(writer, time.time()) - killed_s
        finally:
            await end_load(writer)
    finally:
        await side.stop()


def kills_fields(kills: Sequence[Kill]) -> dict[str, object]:
    """For bench.json: seconds, by side."""
    by_side = {
        side: [kill.silent_s for kill in kills if kill.side == side]
        for side in dict.fromkeys(kill.side for kill in kills)
    }
    return {
        "probe_every_ms": PROBE_EVERY_MS,
        "seconds": {side: [round(silent_s, 3) for silent_s in times] for side, times in by_side.items()},
        "median_s": {side: round(median(times), 3) for side, times in by_side.items()},
        "max_s": {side: round(max(times), 3) for side, times in by_side.items()},
        "note": "PostgreSQL has no failover of its own and is not measured",
    }


async def _first_after(writer: Process, gone_s: float) -> float:
    """When the first write that was begun after the leader was gone was acknowledged; one begun during the kill may have met it alive."""
    while True:
        begun_s, acknowledged_s = await _next_acknowledged(writer)
        if begun_s > gone_s:
            return acknowledged_s


async def _next_acknowledged(writer: Process) -> tuple[float, float]:
    """The next line of a writer: begun, acknowledged. Raises LoadFailed when none comes."""
    assert writer.stdout is not None, "it was started with a pipe"
    line = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_DEADLINE_S):
            line = await writer.stdout.readline()
    try:
        begun_s, acknowledged_s = map(float, line.split())
    except ValueError:
        raise LoadFailed(f"no write was acknowledged within {ANSWER_DEADLINE_S:g} s") from None
    return begun_s, acknowledged_s
