"""Timing a kill: which write ends the silence, what happens when none does, and that one failed run does not end the bench."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence

import pytest

from sento_drill.bench.attempts import Attempts
from sento_drill.bench.calls import LoadFailed
from sento_drill.bench.killing import Kill, kill_once, kills_fields, measure_kills
from sento_drill.bench.sides import Load
from sento_drill.bench.works import Timing, Work

KILL_TAKES_S = 0.2
ALWAYS_ANSWERED = "import time\nwhile True:\n t = time.time()\n print(t, t, flush=True)\n time.sleep(0.001)"
ENDS_EARLY = "print('1 1', flush=True)"


class FakeSide:
    """A side without servers, whose writer is a few lines of Python and whose kill takes a while."""

    def __init__(self, name: str, writer: str) -> None:
        self.name = name
        self.running = False
        self._writer = writer

    async def start(self) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False

    def servers(self) -> Mapping[str, int]:
        return {}

    def writing(self, work: Work, timing: Timing) -> Load:
        raise NotImplementedError

    def probing(self, every_ms: int) -> Sequence[str]:
        return [sys.executable, "-c", self._writer]

    async def find_lead(self) -> Callable[[], None]:
        return lambda: time.sleep(KILL_TAKES_S)


async def test_a_write_that_the_dying_leader_may_have_answered_does_not_end_the_silence() -> None:
    side = FakeSide("etcd", ALWAYS_ANSWERED)
    assert KILL_TAKES_S <= await kill_once(side) < KILL_TAKES_S + 5
    assert not side.running


async def test_a_writer_that_ends_is_an_error_and_the_side_is_stopped() -> None:
    side = FakeSide("etcd", ENDS_EARLY)
    with pytest.raises(LoadFailed, match="no write was acknowledged"):
        await kill_once(side)
    assert not side.running


async def test_a_failed_round_is_written_down_and_the_other_side_goes_on() -> None:
    found: list[Kill | None] = []
    said: list[str] = []

    async def done(kill: Kill | None) -> None:
        found.append(kill)

    attempts = Attempts(said.append)
    await measure_kills([FakeSide("sento", ENDS_EARLY), FakeSide("etcd", ALWAYS_ANSWERED)], 1, attempts, done)
    kills = [kill for kill in found if kill is not None]
    assert [kill.side for kill in kills] == ["etcd"]
    assert len(found) == 2
    assert len(attempts.failures) == len(said) == 1
    assert attempts.failures[0].startswith("leader_kill sento round 1: no write")
    assert set(kills_fields(kills)["max_s"]) == {"etcd"}  # type: ignore[call-overload]


async def test_what_is_no_failure_of_a_run_ends_the_bench() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Attempts(print).at("a run", broken())
