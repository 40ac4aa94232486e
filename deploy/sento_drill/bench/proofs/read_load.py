"""The load of reads: ways to read one record, window by window in rotating order within one process, so that all meet the same neighbours.

    python -m sento_drill.bench.proofs.read_load --with-log sento.toml --without-log other/sento.toml --rounds 5 --seconds 1.5

`--with-log`: a client of a ledger whose sites record every release; `--without-log`: of one under rules 3, whose sites do not. Prints one JSON line a window:
{"way", "callers", "round", "calls", "per_s", "p50_ms", "p99_ms", "failed", "added": records that the ledger grew by a read, which are access records}.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import uvloop

from sento_client import Freshness, SentoClient, SentoError
from sento_drill.bench.calls import Calls, LoadFailed
from sento_drill.bench.loading import Step
from sento_drill.bench.proofs.running import fill_records

PURPOSE, CASE_NUMBER = "bench", "bench-1"
CALLERS = (1, 64)
RECORDS = 1_000


@dataclass(frozen=True, slots=True)
class Way:
    """A way to read: under which ledger, how fresh, confirmed or not, the payload or the header alone."""

    with_log: bool
    freshness: Freshness
    confirmed: bool = False
    header_only: bool = False


WAYS: Mapping[str, Way] = {
    "local": Way(True, Freshness.LOCAL),
    "linearizable": Way(True, Freshness.LINEARIZABLE),
    "confirmed": Way(True, Freshness.LINEARIZABLE, confirmed=True),
    "header-local": Way(True, Freshness.LOCAL, header_only=True),
    "header-linearizable": Way(True, Freshness.LINEARIZABLE, header_only=True),
    "header-confirmed": Way(True, Freshness.LINEARIZABLE, confirmed=True, header_only=True),
    "unrecorded-local": Way(False, Freshness.LOCAL),
    "unrecorded-linearizable": Way(False, Freshness.LINEARIZABLE),
}
"""Headers are no release: reading them leaves no access record, so these three differ in freshness alone."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """A client, and positions of records that it may read."""

    client: SentoClient
    positions: Sequence[int]

    @classmethod
    async def filled(cls, client: SentoClient) -> Ledger:
        """With records that a quorum has cosigned, so that they can be confirmed."""
        positions = await fill_records(client, RECORDS)
        await client.checkpoint(at_least_size=max(positions) + 1)
        return cls(client, positions)

    async def size(self) -> int:
        """Records that stand, by a site's word."""
        version = await self.client.read(
            self.positions[0], purpose=PURPOSE, case_number=CASE_NUMBER, header_only=True
        )
        return version.as_of.size


def stepper(ledger: Ledger, way: Way) -> Step:
    """One read of a record at random; False when it failed or came without what was asked for."""
    client = ledger.client

    async def step() -> bool:
        position = random.choice(ledger.positions)  # noqa: S311 - which record is no secret
        try:
            version = await client.read(
                position,
                purpose=PURPOSE,
                case_number=CASE_NUMBER,
                freshness=way.freshness,
                header_only=way.header_only,
                confirmed=way.confirmed,
            )
        except SentoError:
            return False
        opened = way.header_only or version.content is not None
        return opened and (version.confirmed is not None or not way.confirmed)

    return step


async def called(step: Step, callers: int, seconds: float) -> Calls:
    """One call of each caller that is not counted; then every call that begins within `seconds`, at least one of each caller, counted to its end.

    Slow calls are not cut off by a window's end, so that a way that is slower than the window does not look quicker than it is."""
    took_us: list[int] = []
    failed = 0

    async def caller(until_s: float) -> None:
        nonlocal failed
        while True:
            began_s = time.perf_counter()
            if await step():
                took_us.append(round((time.perf_counter() - began_s) * 1e6))
            else:
                failed += 1
            if time.perf_counter() >= until_s:
                return

    await asyncio.gather(*(step() for _ in range(callers)))
    start_s = time.perf_counter()
    await asyncio.gather(*(caller(start_s + seconds) for _ in range(callers)))
    return Calls(0.0, time.perf_counter() - start_s, failed, took_us)


async def window(ledger: Ledger, name: str, callers: int, number: int, seconds: float) -> dict[str, object]:
    """One window's line. Raises LoadFailed when no call succeeded."""
    before = await ledger.size()
    calls = await called(stepper(ledger, WAYS[name]), callers, seconds)
    added = await ledger.size() - before
    return {
        "way": name,
        "callers": callers,
        "round": number,
        "calls": len(calls.took_us),
        "per_s": round(calls.per_s, 1),
        "p50_ms": round(calls.percentile_ms(50), 3),
        "p99_ms": round(calls.percentile_ms(99), 3),
        "failed": calls.failed,
        "added": added,
    }


async def load(arguments: argparse.Namespace) -> None:
    """Print every window's line."""
    async with AsyncExitStack() as stack:
        recorded = await stack.enter_async_context(SentoClient.open(arguments.with_log))
        unrecorded = await stack.enter_async_context(SentoClient.open(arguments.without_log))
        ledgers = {True: await Ledger.filled(recorded), False: await Ledger.filled(unrecorded)}
        names, say = list(WAYS), _printer()
        for number in range(arguments.rounds):
            turn = number % len(names)
            for callers in CALLERS:
                for name in names[turn:] + names[:turn]:
                    ledger = ledgers[WAYS[name].with_log]
                    say(await window(ledger, name, callers, number, arguments.seconds))


def _printer() -> Callable[[dict[str, object]], None]:
    return lambda fields: print(json.dumps(fields), flush=True)


def main(words: Sequence[str]) -> None:
    """Load two registries as the arguments say."""
    parser = argparse.ArgumentParser(prog="read_load", description=__doc__)
    parser.add_argument("--with-log", required=True)
    parser.add_argument("--without-log", required=True)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    try:
        uvloop.run(load(parser.parse_args(words)))
    except LoadFailed as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
