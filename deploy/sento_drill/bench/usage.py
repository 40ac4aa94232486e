"""Who used how much: CPU seconds and memory by role, from samples of the process table. The sums are pure, the samples come from /proc.

A role is a process with all that it started, except what is a role of its own: a node without its ordering member, a PostgreSQL server with its backends.
Memory of a role with many processes counts what they share once: the sum of what each holds alone, and the largest shared part.

Source: proc(5), /proc/<pid>/stat and /proc/<pid>/statm; /proc/stat for the whole machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

SAMPLE_EVERY_S = 0.5
_PROC = Path("/proc")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PARENT, _TIMES = 1, slice(11, 15)
"""Fields after the command's closing parenthesis: parent; own user and system time, then those of children that were waited for."""
_IDLE = slice(3, 5)


class Process(NamedTuple):
    """A line of the process table: CPU of it and of its children that ended; memory that it holds alone, and that it shares."""

    pid: int
    parent_pid: int
    cpu_s: float
    private_bytes: int
    shared_bytes: int


class Sample(NamedTuple):
    """The process table at one moment (seconds since 1970) by role, and the CPU seconds that the machine has spent."""

    at_s: float
    cpu_s: Mapping[str, float]
    memory_bytes: Mapping[str, int]
    machine_cpu_s: float


@dataclass(frozen=True, slots=True)
class Usage:
    """Over a window. `elsewhere_cpu_s`: what the machine spent on everything else, the bench and other people's programs among it."""

    cpu_s: Mapping[str, float]
    peak_rss_mib: Mapping[str, float]
    elsewhere_cpu_s: float


def by_role(
    processes: Sequence[Process], roots: Mapping[str, int]
) -> tuple[dict[str, float], dict[str, int]]:
    """CPU seconds and bytes of each role; `roots`: role -> its first process. A process belongs to the nearest root above it."""
    table = {process.pid: process for process in processes}
    role_of = {pid: role for role, pid in roots.items()}
    cpu_s = dict.fromkeys(roots, 0.0)
    private, shared = dict.fromkeys(roots, 0), dict.fromkeys(roots, 0)
    for process in processes:
        above: Process | None = process
        while above is not None and above.pid not in role_of:
            above = table.get(above.parent_pid)
        if above is None:
            continue
        role = role_of[above.pid]
        cpu_s[role] += process.cpu_s
        private[role] += process.private_bytes
        shared[role] = max(shared[role], process.shared_bytes)
    return cpu_s, {role: private[role] + shared[role] for role in roots}


def usage_between(samples: Sequence[Sample], from_s: float, until_s: float) -> Usage:
    """What was used in a window that the samples surround; CPU at its ends is interpolated between the samples next to them."""

    def spent(values: Sequence[float]) -> float:
        # A role that ended has spent what it had spent, although the process table knows nothing of it any more.
        so_far = list(accumulate(values, max))
        return _at(samples, until_s, so_far) - _at(samples, from_s, so_far)

    roles = list(samples[-1].cpu_s)
    cpu_s = {role: spent([sample.cpu_s[role] for sample in samples]) for role in roles}
    machine_cpu_s = spent([sample.machine_cpu_s for sample in samples])
    inside = [sample for sample in samples if from_s <= sample.at_s <= until_s] or list(samples)
    peak = {role: max(sample.memory_bytes[role] for sample in inside) / 2**20 for role in roles}
    return Usage(cpu_s, peak, machine_cpu_s - sum(cpu_s.values()))


def _at(samples: Sequence[Sample], at_s: float, values: Sequence[float]) -> float:
    """The value at a moment, on the straight line between the samples around it."""
    for index in range(1, len(samples)):
        before, after = samples[index - 1], samples[index]
        if at_s <= after.at_s or index == len(samples) - 1:
            share = (at_s - before.at_s) / (after.at_s - before.at_s)
            return values[index - 1] + min(1.0, max(0.0, share)) * (values[index] - values[index - 1])
    return values[-1]


@contextlib.asynccontextmanager
async def sampled(roots: Mapping[str, int]) -> AsyncIterator[list[Sample]]:
    """Samples of these roles from now until the block ends; read the list after it."""
    samples = [await asyncio.to_thread(_sample, roots)]

    async def go_on() -> None:
        while True:
            await asyncio.sleep(SAMPLE_EVERY_S)
            samples.append(await asyncio.to_thread(_sample, roots))

    sampling = asyncio.create_task(go_on())
    try:
        yield samples
    finally:
        sampling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sampling


def _sample(roots: Mapping[str, int]) -> Sample:
    processes = [process for entry in _PROC.iterdir() if entry.name.isdigit() for process in _process(entry)]
    spent = [
        int(field) for field in (_PROC / "stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
    ]
    busy_s = (sum(spent) - sum(spent[_IDLE])) * _TICK_S
    return Sample(time.time(), *by_role(processes, roots), busy_s)


def _process(entry: Path) -> list[Process]:
    """The process of a directory in /proc, or nothing when it has ended."""
    try:
        stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        resident, shared = (int(n) for n in (entry / "statm").read_text(encoding="ascii").split()[1:3])
    except (FileNotFoundError, ProcessLookupError):
        return []
    fields = stat[stat.rindex(")") + 2 :].split()
    cpu_s = sum(map(int, fields[_TIMES])) * _TICK_S
    sizes = ((resident - shared) * _PAGE_BYTES, shared * _PAGE_BYTES)
    return [Process(int(entry.name), int(fields[_PARENT]), cpu_s, *sizes)]
