"""The load on our side: one process with one client, as a ministry's program has it. Sealing, signing and verifying are part of every call.

    python -m sento_drill.bench.sento_load --config sento.toml --mode write --callers 64

Modes and figures are those of `etcdload`; `read` is linearizable and `read-local` asks any site for what it has. An answer that does not verify is an error.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections.abc import Iterator, Sequence

import uvloop

from sento_client import Acknowledgement, Draft, Freshness, SentoClient, SentoError
from sento_drill.bench.loading import Step, measure, probe
from sento_drill.bench.works import drafts

PURPOSE, CASE_NUMBER = "bench", "bench-1"
_PRELOAD_CALLERS, _PRELOAD_BATCH = 8, 100


def writer(client: SentoClient, source: Iterator[Draft], batch: int) -> Step:
    """A caller's step: one record, or one batch, which has failed when any record of it has."""

    async def one() -> bool:
        try:
            await client.write(**next(source)._asdict())
        except SentoError:
            return False
        return True

    async def many() -> bool:
        results = await client.write_many([next(source) for _ in range(batch)])
        return all(isinstance(result, Acknowledgement) for result in results)

    return one if batch == 1 else many


def reader(client: SentoClient, positions: Sequence[int], freshness: Freshness) -> Step:
    """A caller's step: the record at one of these positions, verified and opened."""

    async def step() -> bool:
        position = random.choice(positions)  # noqa: S311 - which record is no secret
        try:
            version = await client.read(
                position, purpose=PURPOSE, case_number=CASE_NUMBER, freshness=freshness
            )
        except SentoError:
            return False
        return version.content is not None

    return step


async def fill(client: SentoClient, source: Iterator[Draft], records: int) -> list[int]:
    """Write what is to be read; its positions. Raises SystemExit when a record is not acknowledged."""
    positions: list[int] = []

    async def caller() -> None:
        while len(positions) < records:
            for result in await client.write_many([next(source) for _ in range(_PRELOAD_BATCH)]):
                if isinstance(result, SentoError):
                    sys.exit(f"cannot write what is to be read: {result}")
                positions.append(result.position)

    await asyncio.gather(*(caller() for _ in range(_PRELOAD_CALLERS)))
    return positions


async def load(arguments: argparse.Namespace) -> None:
    """What the mode says; prints the figures."""
    source = drafts()
    async with SentoClient.open(arguments.config) as client:
        if arguments.mode == "probe":
            await probe(writer(client, source, 1), arguments.every_ms)
        if arguments.mode == "write":
            steps = [writer(client, source, arguments.batch) for _ in range(arguments.callers)]
        else:
            freshness = Freshness.LINEARIZABLE if arguments.mode == "read" else Freshness.LOCAL
            positions = await fill(client, source, arguments.preload)
            steps = [reader(client, positions, freshness) for _ in range(arguments.callers)]
        print(await measure(steps, arguments.warm_up, arguments.seconds))


def main(words: Sequence[str]) -> None:
    """Load a registry as the arguments say."""
    parser = argparse.ArgumentParser(prog="sento_load", description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--mode", choices=("write", "read", "read-local", "probe"), default="write")
    for name, default in {"callers": 1, "batch": 1, "preload": 5000, "every-ms": 10}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--warm-up", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    uvloop.run(load(parser.parse_args(words)))


if __name__ == "__main__":
    main(sys.argv[1:])
