"""Killing the leading site again and again under load: each round with what was acknowledged, what is present, and the longest silence.

After each round the site is brought back and has caught up before the next one, so that every round begins with all sites and ends with everything
read back from all of them.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from sento_drill.demo import AUDITOR
from sento_drill.reading_back import ReadingBack
from sento_drill.rehearsal import Rehearsal

BEFORE_EACH_KILL = 100
AFTER_EACH_KILL = 200


@dataclass(frozen=True, slots=True)
class Round:
    """One round's figures. `acknowledged` and `present` count from the beginning of the drill."""

    number: int
    killed: str
    acknowledged: int
    present: int
    longest_gap_s: float
    caught_up_s: float
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing was lost and everything verified."""
        return self.acknowledged == self.present and not self.problems

    def line(self) -> str:
        """For people and programs."""
        return (
            f"round {self.number}: killed={self.killed} acknowledged={self.acknowledged} present={self.present} "
            f"lost={self.acknowledged - self.present} longest_gap_s={self.longest_gap_s:.2f} "
            f"caught_up_s={self.caught_up_s:.2f} verified={'yes' if self.holds else 'no'}"
        )


async def kill_once(drill: Rehearsal, number: int) -> Round:
    """One round. Raises TooLate when writing does not resume or the site does not come back."""
    drill.stage(f"round {number}")
    drill.start_writing()
    await drill.wait_acknowledged(BEFORE_EACH_KILL, time.monotonic())
    lead = await drill.cluster.lead_site()
    killed_s = time.monotonic()
    await asyncio.to_thread(drill.cluster.kill_site, lead)
    await drill.wait_acknowledged(AFTER_EACH_KILL, time.monotonic())
    gap_s = drill.tally.longest_gap_s(killed_s, time.monotonic())
    started_s = time.monotonic()
    drill.cluster.start(lead)
    await drill.cluster.wait_caught_up(lead)
    caught_up_s = time.monotonic() - started_s
    await drill.stop_writing()
    await drill.wait_flushed()
    found = await ReadingBack(drill.offices[AUDITOR], drill.tally).run()
    problems = (*found.problems, *drill.workload.failures)
    return Round(number, lead, len(drill.tally), found.present, gap_s, caught_up_s, problems)


async def kill_rounds(drill: Rehearsal, rounds: int) -> list[Round]:
    """So many rounds on a running rehearsal, each said as it ends."""
    done: list[Round] = []
    for number in range(1, rounds + 1):
        done.append(await kill_once(drill, number))
        drill.display.say(done[-1].line())
    return done
