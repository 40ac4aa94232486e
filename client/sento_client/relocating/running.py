"""The shell that takes the steps: looks, asks what is next, does it, looks again, until it is done or cannot go on.

A call that fails is no step that was taken, and one whose answer was lost may have been: both show at the next look, so nothing is done on the strength of an
answer. Killed at any moment, it is started again, here or elsewhere, and goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from sento_client.composing import Ports
from sento_client.governing.following import Followed
from sento_client.relocating.deciding import (
    SERVING,
    Done,
    MoveLead,
    Next,
    Refused,
    RemoveMember,
    Seen,
    Submit,
    Wait,
)
from sento_client.relocating.looking import Memory, look
from sento_proto.errors import FINAL_CODES, Code, SentoError
from sento_proto.relocation_plan import RelocationPlan, Stage, Step
from sento_proto.v1 import admin_pb2

LOOK_EVERY_MS = 500
PATIENCE_MS = 1_800_000


class World(Protocol):
    """What is asked of the sites. Every method raises SentoError."""

    async def follow(self) -> Followed:
        """Governance as the sites know it."""
        ...

    async def statuses(self) -> Mapping[str, admin_pb2.StatusReply]:
        """What each site says of itself that answers; never raises for one."""
        ...

    async def submit(self, plan: RelocationPlan, step: Step) -> None:
        """Order one of the plan's acts."""
        ...

    async def hand_over_lead(self, from_site: str, to_site: str) -> None:
        """Have the site that leads hand the lead on."""
        ...

    async def remove_member(self, by_site: str, site: str) -> None:
        """Have a site take another's member out of the ordering log."""
        ...


Told = Callable[[Seen, Next, str], None]
"""Hears of each look: what was seen, what is next, and what went wrong with the step before, empty where nothing did."""


async def carry_out(
    plan: RelocationPlan,
    world: World,
    decide: Callable[[RelocationPlan, Seen], Next],
    told: Told,
    ports: Ports,
    *,
    patience_ms: int = PATIENCE_MS,
    look_every_ms: int = LOOK_EVERY_MS,
) -> str:
    """Carry a plan out, or back; in words how it ended. `patience_ms`: how long it may take.

    Raises SentoError: PLAN_NOT_FIT where it cannot go on, DEADLINE when it took too long and may be run again, or the final code of an act that was refused."""
    deadline_ms, memory, trouble = ports.steady_ms() + patience_ms, Memory(), ""
    while True:
        words = ""
        try:
            seen, memory = await _look(plan, world, ports, memory)
            step = decide(plan, seen)
            told(seen, step, trouble)
            if isinstance(step, Done):
                return step.words
            if isinstance(step, Refused):
                code = Code.STALE if seen.stage in (Stage.STALE, Stage.OVERTAKEN) else Code.PLAN_NOT_FIT
                raise _Ended(SentoError(code, step.words))
            words = _words(step)
            await _take(plan, world, seen, step)
            trouble = ""
        except SentoError as error:
            if error.code in FINAL_CODES and error.code is not Code.STALE:
                raise
            trouble = f"{error.code.name}: {error.detail}" if error.detail else error.code.name
        except _Ended as ended:
            raise ended.error from None
        if ports.steady_ms() >= deadline_ms:
            last = "; ".join(part for part in (words, trouble) if part)
            raise SentoError(
                Code.DEADLINE,
                f"it has not come to its end yet ({last}); run the same command again, it goes on",
            )
        await asyncio.sleep(look_every_ms / 1000)


class _Ended(Exception):
    """It cannot go on, which no further look changes."""

    def __init__(self, error: SentoError) -> None:
        self.error = error
        super().__init__(str(error))


async def _look(plan: RelocationPlan, world: World, ports: Ports, memory: Memory) -> tuple[Seen, Memory]:
    followed, answers = await asyncio.gather(world.follow(), world.statuses())
    return look(plan, followed, answers, ports.steady_ms(), ports.wall_ms(), memory)


async def _take(plan: RelocationPlan, world: World, seen: Seen, step: Next) -> None:
    match step:
        case Submit():
            await world.submit(plan, Step(step.act))
        case MoveLead():
            await world.hand_over_lead(step.from_site, step.to_site)
        case RemoveMember():
            await world.remove_member(_helper(seen, step.site), step.site)
        case Wait() | Done() | Refused():
            pass


def _helper(seen: Seen, leaving: str) -> str:
    """A voter that takes another's member out: the one that leads, else the first that serves. Raises SentoError UNREACHABLE."""
    serving = [site for site in seen.voters if site != leaving and seen.site(site).state == SERVING]
    if not serving:
        raise SentoError(Code.UNREACHABLE, "no voting site serves that could take the member out")
    return seen.lead if seen.lead in serving else serving[0]


def _words(step: Next) -> str:
    match step:
        case Submit():
            return f"the act `{step.act}` is to be ordered"
        case MoveLead():
            return f"the lead is to go from {step.from_site} to {step.to_site}"
        case Wait() | Done() | Refused() | RemoveMember():
            return step.words


def step_words(step: Next) -> str:
    """A step for people."""
    words = _words(step)
    return words if words.endswith(".") else f"{words[:1].upper()}{words[1:]}."
