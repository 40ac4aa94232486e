"""Government goes on abroad: what survives is collected, a plan is made and signed by three of five officers, and a new epoch serves at the embassies.

The offices' own programs are told nothing: they find the new epoch by themselves, and send again what their outboxes hold and the new epoch lacks.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from sento_drill.moving.destroying import Destroyed
from sento_drill.moving.officers import DEGRADED, Officers
from sento_drill.plan import IIZUKA_CITY
from sento_drill.rehearsal import Rehearsal
from sento_drill.tally import Acknowledged
from sento_drill.verdict import Verdict

CITY = IIZUKA_CITY.name
AFTER_THE_RECOVERY = 30
_SENT_AGAIN_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Recovered:
    """`fork`: how many records of the former epoch the new one keeps. The officers' files."""

    fork: int
    plan: Path
    collected: Path


async def recover_abroad(drill: Rehearsal, verdict: Verdict, destroyed: Destroyed) -> Recovered:
    """Collect, plan, sign, apply; the verdict has the seconds from the third signature to the first acknowledged write, and how many records came again."""
    officers, world = Officers(drill.world), drill.world
    survivors = [site.name for site in world.genesis.sites if site.name not in destroyed.sites]
    collected, plan = officers.file("collected.json"), officers.file("recover.json")
    drill.stage(f"sento recover: what {' and '.join(survivors)} hold, what receipts and outboxes know")
    city = world.institution(CITY).directory
    await officers.first(
        *("recover", "collect", "--out", str(collected)),
        *("--receipts", str(destroyed.receipt_copies), "--receipts", str(city / "receipts")),
        *("--outbox", str(city / "outbox"), "--trust", str(city / "trust.json")),
        ends=(0, DEGRADED),
    )
    told = json.loads(
        await officers.first(
            *("--json", "recover", "plan", str(collected), "--out", str(plan)),
            *("--legal-basis", "Cabinet order 31: government goes on abroad"),
            *("--evidence", "Governor by telephone, 14:05: the machine rooms are under water"),
        )
    )
    fork = int(told["parent"]["size"])
    drill.display.say(
        f"the new epoch keeps {fork:,} records; {told['known_missing']:,} acknowledged ones are known that no survivor holds"
    )
    for site in survivors:
        world.hand_over_certificates(site, 1)
    drill.stage("three of five officers hear the evidence and sign; the plan is carried out")
    await officers.sign("recover", "sign", str(plan))
    signed_s = time.monotonic()
    await officers.first("recover", "apply", str(plan), ends=(0, DEGRADED))
    await drill.wait_acknowledged(1, signed_s)
    verdict.rto_s = drill.tally.first_since_s(signed_s) - signed_s
    drill.display.say(
        f"serving {verdict.rto_s:.1f} s after the third signature, {drill.tally.first_since_s(signed_s) - destroyed.at_s:.1f} s after the sites were lost"
    )
    await drill.wait_acknowledged(AFTER_THE_RECOVERY, signed_s)
    await _sent_again(drill, verdict, destroyed, fork, survivors[0])
    await look_for_gaps(drill, verdict, officers, Recovered(fork, plan, collected))
    return Recovered(fork, plan, collected)


def behind(drill: Rehearsal, fork: int, before_s: float, author: str) -> list[Acknowledged]:
    """What an office had been told of before the sites were lost, and the new epoch did not keep."""
    return [
        one
        for one in drill.tally.all()
        if one.author == author and one.position >= fork and one.at_s < before_s
    ]


async def _sent_again(drill: Rehearsal, verdict: Verdict, destroyed: Destroyed, fork: int, site: str) -> None:
    """Wait until everything that the city had been told of stands in the new epoch, by its outbox alone."""
    lost = behind(drill, fork, destroyed.at_s, CITY)
    drill.stage("the city's outbox sends again what the new epoch lacks, by itself", len(lost))

    async def all_stand() -> bool:
        return await drill.cluster.stand(site, [one.record_hash for one in lost]) == len(lost)

    await drill.until(all_stand, _SENT_AGAIN_DEADLINE_S, "the city's outbox has not sent everything again")
    verdict.sent_again = len(lost)
    drill.display.say(f"{len(lost):,} acknowledged records came again from the city's outbox")


async def look_for_gaps(drill: Rehearsal, verdict: Verdict, officers: Officers, recovered: Recovered) -> int:
    """Ask for every record that receipts and outboxes know; how many are missing, for the counter's list."""
    result = officers.file("result")
    told = json.loads(
        await officers.first(
            *(
                "--json",
                "recover",
                "verify",
                str(recovered.plan),
                str(recovered.collected),
                "--out",
                str(result),
            ),
            ends=(0, DEGRADED),
        )
    )
    missing = int(told["missing"])
    drill.display.say(f"{missing:,} records are known by receipt alone: {result / 'gap-list.csv'}")
    return missing
