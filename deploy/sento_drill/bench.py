"""Measuring speed: so many callers with so many records a call, against three sites with every check on, all on this machine.

One caller of single records shows the latency of a counter; 64 and 256 callers show sharing; 8 callers with batches of 100 show bulk. Everything shares this
machine's cores (three nodes, three ordering members, the client), so figures compare settings and releases, not machines.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from statistics import quantiles

from sento_client import Acknowledgement, Draft, SentoClient
from sento_drill.plan import IIZUKA_CITY
from sento_drill.rehearsal import Rehearsal

CONTENT_BYTES = 1000
LOADS = ((1, 1), (64, 1), (256, 1), (8, 100))
"""(callers, records a call)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One load's figures; times are those of a whole call."""

    callers: int
    batch: int
    records: int
    failed: int
    took_s: float
    p50_ms: float
    p99_ms: float

    def line(self) -> str:
        """For people and programs."""
        return (
            f"bench: callers={self.callers} batch={self.batch} records={self.records} failed={self.failed} "
            f"records_per_s={self.records / self.took_s:.0f} p50_ms={self.p50_ms:.1f} p99_ms={self.p99_ms:.1f}"
        )


def drafts() -> Iterator[Draft]:
    """New facts about new people, without end, each with content that does not compress."""
    for number in count():
        yield Draft(
            registry="residency",
            compartment="basic",
            kind="residence/entry",
            subject=f"bench {number}",
            fact="address",
            content=os.urandom(CONTENT_BYTES),
        )


async def measure(
    client: SentoClient, source: Iterator[Draft], callers: int, batch: int, s: float
) -> Measured:
    """Run one load for `s` seconds."""
    took_ms: list[float] = []
    acknowledged = failed = 0
    start_s = time.monotonic()

    async def caller() -> None:
        nonlocal acknowledged, failed
        while time.monotonic() < start_s + s:
            called_s = time.monotonic()
            results = await client.write_many([next(source) for _ in range(batch)])
            took_ms.append((time.monotonic() - called_s) * 1000)
            good = sum(isinstance(result, Acknowledgement) for result in results)
            acknowledged += good
            failed += len(results) - good

    await asyncio.gather(*(caller() for _ in range(callers)))
    took_s = time.monotonic() - start_s
    cuts = quantiles(took_ms, n=100) if len(took_ms) > 1 else [took_ms[0]] * 99
    return Measured(callers, batch, acknowledged, failed, took_s, cuts[49], cuts[98])


async def bench(drill: Rehearsal, seconds: float) -> list[Measured]:
    """All loads, one after the other, each said as it ends."""
    source = drafts()
    client = drill.offices[IIZUKA_CITY.name]
    done: list[Measured] = []
    for callers, batch in LOADS:
        drill.stage(f"{callers} callers, {batch} records a call, {seconds:g} s")
        done.append(await measure(client, source, callers, batch, seconds))
        drill.display.say(done[-1].line())
    return done
