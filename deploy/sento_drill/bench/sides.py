"""A side: one of the systems that are compared, each with three servers on this machine, started empty for every run and stopped after it.

Only the side that is measured runs. An idle cluster is not free (heartbeats, timers, followers that poll), and not equally dear, so sides that stayed up
would be charged to their rivals; stopped by a signal instead, their clusters would wake up into elections.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sento_drill.bench.calls import Calls, decode_calls, joined
from sento_drill.bench.programs import end_load, finish_load, start_load
from sento_drill.bench.usage import Usage, sampled, usage_between
from sento_drill.bench.works import Timing, Work

SENTO, ETCD, POSTGRESQL = "sento", "etcd", "postgresql"
SIDES = (SENTO, ETCD, POSTGRESQL)
PEERS = (ETCD, POSTGRESQL)
CLIENT = "client"


def _calls_of_output(outputs: Sequence[str]) -> Calls:
    return joined(map(decode_calls, outputs))


@dataclass(frozen=True, slots=True)
class Load:
    """Programs that load a side together, and how their figures are found when they have ended (by default in what they print)."""

    commands: Sequence[Sequence[str]]
    calls: Callable[[Sequence[str]], Calls] = _calls_of_output


class Side(Protocol):
    """A system under the bench."""

    name: str

    async def start(self) -> None:
        """Three servers with empty stores, ready for calls. Raises TooLate, LoadFailed or OSError."""
        ...

    async def stop(self) -> None:
        """End the servers, if they run, and leave nothing that the next run would meet."""
        ...

    def servers(self) -> Mapping[str, int]:
        """Role -> process id of each server."""
        ...

    def writing(self, work: Work, timing: Timing) -> Load:
        """The load of that work."""
        ...


class KillableSide(Side, Protocol):
    """A side that goes on by itself when its leading server is gone."""

    def probing(self, every_ms: int) -> Sequence[str]:
        """A program that begins a write at that rhythm and prints "begun acknowledged" (seconds since 1970) for each that was acknowledged."""
        ...

    async def find_lead(self) -> Callable[[], None]:
        """What kills the leading server with kill -9."""
        ...


async def run_alone(side: Side, load: Callable[[], Load], timing: Timing) -> tuple[Calls, Usage]:
    """Start a side, run a load against it, and stop it in any case. Raises TooLate, LoadFailed."""
    try:
        await side.start()
        return await carry_out(side, load(), timing)
    finally:
        await side.stop()


async def carry_out(side: Side, load: Load, timing: Timing) -> tuple[Calls, Usage]:
    """Run a load against a side that was started. Raises LoadFailed."""
    os.sync()  # what earlier runs left to be written must not fall on this one
    processes = [await start_load(command) for command in load.commands]
    clients = {f"{CLIENT} {n}" if n > 1 else CLIENT: each.pid for n, each in enumerate(processes, 1)}
    try:
        async with sampled({**side.servers(), **clients}) as samples:
            outputs = [await finish_load(process, timing.deadline_s) for process in processes]
    finally:
        for process in processes:
            await end_load(process)
    calls = load.calls(outputs)
    return calls, usage_between(samples, calls.from_s, calls.until_s)
