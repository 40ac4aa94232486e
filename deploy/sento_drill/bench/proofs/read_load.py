"""The load of reads: ways to read one record, window by window in rotating order within one process, so that all meet the same neighbours.

    python -m sento_drill.bench.proofs.read_load --with-log sento.toml --without-log other/sento.toml --rounds 5 --seconds 1.5

`--with-log`: a client of a ledger whose sites record every release; `--without-log`: of one under rules 3, whose sites do not. Prints one JSON line a window:
{"way", "callers", "round", "per_s", "p50_ms", "p99_ms", "failed", "added": records that the ledger grew by a read, which are access records}.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import uvloop

from sento_client import Freshness, SentoClient, SentoError
from sento_drill.bench.calls import decode_calls
from sento_drill.bench.loading import Step, measure
from sento_drill.bench.proofs.running import fill_records

PURPOSE, CASE_NUMBER = "bench", "bench-1"
CALLERS = (1, 64)
WARM_UP_S = 0.3
WINDOW_MAX_S = 16.0
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


async def window(ledger: Ledger, name: str, callers: int, number: int, seconds: float) -> dict[str, object]:
    """One window's line; a window in which no call ended is made longer. Raises LoadFailed when none ends in the longest."""
    before, steps = await ledger.size(), [stepper(ledger, WAYS[name])] * callers
    calls = decode_calls(await measure(steps, WARM_UP_S, seconds))
    while not calls.took_us and seconds < WINDOW_MAX_S:
        seconds *= 2
        calls = decode_calls(await measure(steps, WARM_UP_S, seconds))
    added = await ledger.size() - before
    return {
        "way": name,
        "callers": callers,
        "round": number,
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
    uvloop.run(load(parser.parse_args(words)))


if __name__ == "__main__":
    main(sys.argv[1:])
