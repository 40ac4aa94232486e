"""Danger seen in time: the capital's vote and lead go to an embassy under load, the capital is powered off, and comes home again by the reverse plan."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from sento_drill.moving.officers import DEGRADED, Officers
from sento_drill.places import LU_BETZDORF
from sento_drill.plan import PERSONAL_REGISTRIES
from sento_drill.rehearsal import Rehearsal
from sento_drill.verdict import Verdict

TARGET = LU_BETZDORF.site
BUSY_PER_S, PAPERWORK_PER_S = 50.0, 8.0
"""Events a second while the capital moves or is lost, and while officers read and sign: their programs want the processors, too."""
ACCEPTED = ("majority-country:JP",)
"""Two of three voters stay in one country; the officers say so in the plan and sign it."""
WITHOUT_THE_CAPITAL = 40
"""Acknowledgements while the capital is powered off."""


async def evacuate_and_return(drill: Rehearsal, verdict: Verdict, capital: str) -> None:
    """Move out, live without the capital, move home; the verdict has the longest silence that a writing office met in either move."""
    officers = Officers(drill.world)
    drill.pace_per_s = PAPERWORK_PER_S
    drill.stage(
        f"a typhoon is two days away: the officers plan to move the capital from {capital} to {TARGET}"
    )
    drill.world.hand_over_certificates(TARGET, 0)
    out, home = officers.file("relocate.json"), officers.file("return.json")
    await officers.first(
        *("relocate", "plan", "--target", TARGET, "--retire", capital, "--out", str(out)),
        *("--legal-basis", "Decision of 22 November: evacuation before the typhoon"),
        *(word for registry in PERSONAL_REGISTRIES for word in ("--registry", registry)),
        *(word for finding in ACCEPTED for word in ("--accept", finding)),
        *officers.operator,
    )
    await officers.first("relocate", "check", str(out), *officers.operator, ends=(0, DEGRADED))
    out_s = await _carry_out(drill, officers, out)

    drill.stage(f"{capital} is powered off; the offices write on")
    await asyncio.to_thread(drill.cluster.kill_site, capital)
    await drill.wait_acknowledged(WITHOUT_THE_CAPITAL, time.monotonic())
    drill.stage(f"the typhoon has passed: {capital} is back, and the officers plan the way home")
    drill.cluster.start(capital)
    await drill.cluster.wait_caught_up(capital)
    await officers.first(
        *("relocate", "return", str(out), "--out", str(home)),
        *("--legal-basis", "Decision of 25 November: home again"),
        *(word for finding in ACCEPTED for word in ("--accept", finding)),
        *officers.operator,
    )
    home_s = await _carry_out(drill, officers, home)
    verdict.relocation_pause_s = max(out_s, home_s)


async def _carry_out(drill: Rehearsal, officers: Officers, plan: Path) -> float:
    """Signed, run under load; the longest silence of a writing office meanwhile, seconds."""
    await officers.sign("relocate", "sign", str(plan))
    drill.stage(f"{plan.name} is signed by three of five and carried out while the offices write")
    drill.pace_per_s = BUSY_PER_S
    begun_s = time.monotonic()
    told = json.loads(await officers.first("--json", "relocate", "run", str(plan), *officers.operator))
    drill.pace_per_s = PAPERWORK_PER_S
    silence_s = drill.tally.longest_gap_s(begun_s, time.monotonic())
    drill.display.say(
        f"{told['lead']} leads; moved in {time.monotonic() - begun_s:.1f} s, the longest silence of an office {silence_s:.2f} s"
    )
    return silence_s
