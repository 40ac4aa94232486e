"""Trying very many KEK seals on all cores: HPKE holds the interpreter's lock, so further cores need processes.

Below some ten thousand seals one process is quicker than starting others. The workers are started afresh (not forked: this process may have threads) and get
the secret through a pipe, never by argument or environment. Results come in the order of the seals.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice

from sento_client.recovery.keks import Tried, try_seal
from sento_client.recovery.standing import CommittedSeal
from sento_proto.seal import XWingOpener

WORTH_PROCESSES = 10_000
"""Seals from which on further processes are started: with two cores they save about the second that it takes to start them."""
_PORTION = 250
_AHEAD = 4

_opener: XWingOpener | None = None


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def try_all(seals: Iterable[CommittedSeal], secret: bytes, processes: int | None = None) -> Iterator[Tried]:
    """Every seal tried, in order. `processes`: how many; None for as many as there are cores, if that is worth while.

    Holds some ten thousand seals in memory and not all of them. Raises what a process's end raises: then nothing is complete."""
    rest = iter(seals)
    first = list(islice(rest, WORTH_PROCESSES + 1))
    cores = processes if processes is not None else available_cores()
    if cores < 2 or (processes is None and len(first) <= WORTH_PROCESSES):
        opener = XWingOpener(secret)
        for group in (first, rest):
            yield from (try_seal(sealed, opener) for sealed in group)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, context, initializer=_start, initargs=(secret,)) as pool:
        waiting: deque[Future[list[Tried]]] = deque()
        for portion in _portions(first, rest):
            waiting.append(pool.submit(_try_portion, portion))
            if len(waiting) > cores * _AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _portions(first: Sequence[CommittedSeal], rest: Iterator[CommittedSeal]) -> Iterator[list[CommittedSeal]]:
    for at in range(0, len(first), _PORTION):
        yield list(first[at : at + _PORTION])
    while portion := list(islice(rest, _PORTION)):
        yield portion


def _start(secret: bytes) -> None:
    global _opener  # noqa: PLW0603  # a worker process has nothing else to keep it in
    _opener = XWingOpener(secret)


def _try_portion(portion: list[CommittedSeal]) -> list[Tried]:
    if _opener is None:
        raise RuntimeError("a worker was not started")
    return [try_seal(sealed, _opener) for sealed in portion]
