"""The old capital is found again: its disk knows what no survivor knew, and it is refused until it is brought over, its orphans taken in once."""

from __future__ import annotations

import json

from sento_drill.cluster import LocalCluster
from sento_drill.config_files import DATA_DIR
from sento_drill.moving.destroying import HOSPITAL, Destroyed
from sento_drill.moving.officers import DEGRADED, Officers
from sento_drill.moving.recovering import Recovered, look_for_gaps
from sento_drill.rehearsal import Rehearsal
from sento_drill.verdict import Verdict

ENDED = "epoch-ended"
_DEADLINE_S = 60.0


async def the_old_capital_returns(
    drill: Rehearsal, verdict: Verdict, destroyed: Destroyed, recovered: Recovered
) -> None:
    """Refused by epoch, brought over, its orphans listed, reviewed and taken in; then nothing that was acknowledged is missing, and the gap is closed."""
    officers, site = Officers(drill.world), destroyed.found_site
    drill.stage(f"weeks later a disk of {site} is found, and started: the new epoch is shown to it")
    destroyed.found_disk.rename(drill.world.sites_directory / site / DATA_DIR)
    drill.cluster.start(site)
    await drill.until(lambda: _says(drill.cluster, site, ENDED), _DEADLINE_S, f"{site} was not refused")
    drill.display.say(f"{site} says {ENDED}, and takes no part")

    drill.stage(f"{site} is brought over by the same plan; what the new epoch lacks is set aside there")
    await officers.first("recover", "apply", str(recovered.plan), "--site", site, ends=(0, DEGRADED))
    await drill.cluster.wait_caught_up(site)
    orphans = officers.file("orphans.json")
    await officers.first(
        *("return", "orphans", "--site", site, "--epoch", "0", "--out", str(orphans)), ends=(0, DEGRADED)
    )
    told = json.loads(
        await officers.first(
            *("--json", "return", "readmit", str(orphans), "--site", site, "--yes"), ends=(0, DEGRADED)
        )
    )
    verdict.orphans = int(told["counts"]["stands"])
    drill.display.say(f"{verdict.orphans:,} orphans stand again, under their authors' own signatures")
    missing = await look_for_gaps(drill, verdict, officers, recovered)
    if missing:
        verdict.problems.append(f"{missing} acknowledged records are still missing")
    await _close_the_gap(drill, officers)
    await drill.offices.open(HOSPITAL)
    drill.speak(HOSPITAL)


async def _close_the_gap(drill: Rehearsal, officers: Officers) -> None:
    await officers.decide("everything known is there again", "set-gap", "1", "closed", "0")
    drill.display.say("three officers closed the gap: nothing is shown 'as of' any more")


async def _says(cluster: LocalCluster, site: str, state: str) -> bool:
    status = await cluster.status(site)
    return status is not None and status.state == state
