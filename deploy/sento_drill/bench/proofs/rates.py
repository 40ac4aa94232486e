"""Rates of work that one core does: so many rounds of so many seconds, their median and every round; and programs timed with the CPU that they took."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from sento_drill.bench.calls import LoadFailed
from sento_drill.bench.programs import bound_command

_TAIL_CHARACTERS = 1_000


class Round(NamedTuple):
    """Things a second by the clock, and a second of CPU that this thread had: the second does not change when other programs take the core."""

    per_s: float
    per_cpu_s: float


def rounds_per_s(once: Callable[[], int], rounds: int, round_s: float) -> list[Round]:
    """Each round's rate, after one call that is not counted; `once` does some and says how many. For one thread."""
    once()
    return [_one_round(once, round_s) for _ in range(rounds)]


def _one_round(once: Callable[[], int], round_s: float) -> Round:
    done, start_s, start_cpu_s = 0, time.perf_counter(), time.thread_time()
    while True:
        done += once()
        took_s, cpu_s = time.perf_counter() - start_s, time.thread_time() - start_cpu_s
        if took_s >= round_s:
            return Round(done / took_s, done / cpu_s if cpu_s > 0 else 0.0)


def rate_fields(rounds: Sequence[Round]) -> dict[str, float | list[float]]:
    """For the results: medians, and every round."""
    return {
        "per_s": round(median(each.per_s for each in rounds), 1),
        "per_cpu_s": round(median(each.per_cpu_s for each in rounds), 1),
        "rounds_per_s": [round(each.per_s, 1) for each in rounds],
        "rounds_per_cpu_s": [round(each.per_cpu_s, 1) for each in rounds],
    }


def rate_words(rounds: Sequence[Round], what: str) -> tuple[str, str]:
    """The figure by the clock and the note by CPU, in words."""
    per_s, per_cpu_s = (median(each) for each in zip(*rounds, strict=True))
    return f"{per_s:,.0f} {what}/s", f"{per_cpu_s:,.0f} a CPU second"


class Timed(NamedTuple):
    """How long a program ran, what CPU it took with all that it started, and what it printed."""

    wall_s: float
    cpu_s: float
    printed: str


def timed_program(command: Sequence[str], output: Path, *, good: Sequence[int] = (0,)) -> Timed:
    """Run a program to its end; its output goes through the file `output`. Blocks. Raises LoadFailed when its exit code is none of `good`.

    Source: wait4(2), whose usage is that of this child alone and of the children that it waited for."""
    with output.open("wb") as printed:
        start_s = time.perf_counter()
        popen = subprocess.Popen(
            bound_command(command), stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(popen.pid, 0)
        wall_s = time.perf_counter() - start_s
        popen.returncode = os.waitstatus_to_exitcode(status)
    text = output.read_text(encoding="utf-8", errors="replace")
    if popen.returncode not in good:
        raise LoadFailed(f"{command[0]} ended with {popen.returncode}: {text[-_TAIL_CHARACTERS:]}")
    return Timed(wall_s, usage.ru_utime + usage.ru_stime, text)


def marginal_per_s(small: int, small_s: float, large: int, large_s: float) -> float:
    """Things a second between two runs of a program, so that what every run costs is in neither. Raises LoadFailed where the longer took no longer."""
    if large_s <= small_s:
        raise LoadFailed(f"{large} took {large_s:.3f} s and {small} took {small_s:.3f} s: too few for a rate")
    return (large - small) / (large_s - small_s)
