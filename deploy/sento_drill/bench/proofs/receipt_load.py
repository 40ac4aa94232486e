"""The load of receipts: callers that write, and how long after the write began its receipt was on this computer's disk.

    python -m sento_drill.bench.proofs.receipt_load --config sento.toml --callers 64 --way kept

`kept`: callers go on writing, and receipts come behind them as the outbox asks for them, once a second; another connection to the file of receipts looks for
them every 10 ms, so that what is measured is what any program would find there. `asked`: each caller asks for the receipt of what it wrote and waits for it.

Prints {"seconds", "failed", "missing", "written_us": [from the write's begin to its acknowledgement], "stored_us": [to its receipt]} of writes that began in
the window.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from sento_client import SentoClient, SentoError
from sento_client.opening import open_installation
from sento_client.outbox.shelf import Belongs
from sento_client.receipts.store import ReceiptStore
from sento_drill.bench.works import RUN_ON_S, drafts
from sento_drill.waiting import TooLate, until

KEPT, ASKED = "kept", "asked"
LOOK_EVERY_S = 0.01
STORED_WITHIN_S = 60.0


@dataclass(slots=True)
class Times:
    """Of writes that began in the window. `waiting`: position -> when a write began whose receipt is not there yet."""

    from_s: float
    until_s: float
    failed: int = 0
    written_us: list[int] = field(default_factory=list)
    stored_us: list[int] = field(default_factory=list)
    waiting: dict[int, float] = field(default_factory=dict)

    def counts(self, began_s: float) -> bool:
        """Whether a write that began then is in the window."""
        return self.from_s <= began_s < self.until_s

    def printed(self) -> str:
        """For the bench."""
        fields = {"seconds": self.until_s - self.from_s, "failed": self.failed, "missing": len(self.waiting)}
        return json.dumps({**fields, "written_us": self.written_us, "stored_us": self.stored_us})


class Looker:
    """Looks into the file of receipts from a thread and a connection of its own, as another program would."""

    def __init__(self, directory: Path, belongs: Belongs, times: Times) -> None:
        self._directory, self._belongs, self._times = directory, belongs, times
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Looker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        store = ReceiptStore.open(self._directory, self._belongs)
        try:
            while not self._end.wait(LOOK_EVERY_S):
                self._look(store)
        finally:
            store.close()

    def _look(self, store: ReceiptStore) -> None:
        waiting = self._times.waiting
        first = min(tuple(waiting), default=None)
        if first is None:
            return
        found = list(store.held(first))
        now_s = time.perf_counter()
        for held in found:
            began_s = waiting.pop(held.position, None)
            if began_s is not None:
                self._times.stored_us.append(round((now_s - began_s) * 1e6))


async def write_on(client: SentoClient, callers: int, times: Times, way: str) -> None:
    """All callers, until a little after the window."""
    source = drafts()

    async def caller() -> None:
        while (began_s := time.perf_counter()) < times.until_s + RUN_ON_S:
            counts = times.counts(began_s)
            try:
                done = await client.write(**next(source)._asdict())
                written_s = time.perf_counter()
                if counts and way == KEPT:
                    times.waiting[done.position] = began_s
                if way == ASKED:
                    await client.receipt(done)
            except SentoError:
                times.failed += counts
                continue
            if counts:
                times.written_us.append(round((written_s - began_s) * 1e6))
                if way == ASKED:
                    times.stored_us.append(round((time.perf_counter() - began_s) * 1e6))

    await asyncio.gather(*(caller() for _ in range(callers)))


async def load(arguments: argparse.Namespace) -> None:
    """Print the times."""
    path: Path = arguments.config
    config = open_installation(path).config
    if config.receipts is None:
        sys.exit("this client keeps no receipts")
    async with SentoClient.open(path) as client:
        from_s = time.perf_counter() + arguments.warm_up
        times = Times(from_s, from_s + arguments.seconds)
        with Looker(config.receipts, Belongs(client.genesis.ledger_id, client.institution), times):
            await write_on(client, arguments.callers, times, arguments.way)
            await _wait_stored(times)
        print(times.printed())


async def _wait_stored(times: Times) -> None:
    """Wait for the receipts that are still to come; those that do not come are told as missing."""

    async def stored() -> bool:
        return not times.waiting

    with contextlib.suppress(TooLate):
        await until(stored, deadline_s=STORED_WITHIN_S, what="receipts are missing", poll_s=LOOK_EVERY_S)


def main(words: Sequence[str]) -> None:
    """Load a registry as the arguments say."""
    parser = argparse.ArgumentParser(prog="receipt_load", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--callers", type=int, default=1)
    parser.add_argument("--way", choices=(KEPT, ASKED), default=KEPT)
    parser.add_argument("--warm-up", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    uvloop.run(load(parser.parse_args(words)))


if __name__ == "__main__":
    main(sys.argv[1:])
