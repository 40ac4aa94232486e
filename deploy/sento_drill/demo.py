"""The demonstration: a town's records at five sites, and everything that may happen to a capital while its offices write.

Stages in order: world, start of four sites, load, keep writing, kill -9 of the leading site (node and ordering member), go on with the others, bring it back,
wait until it has caught up; another voting site's disk lost and replaced; courier volumes made, proven, and imported at an embassy that reaches nobody, and the
difference by link; the capital evacuated in time, and home again; then all three voting sites lost at once with their disks, a new epoch at the embassies by
three of five officers, the city's outbox sends again what is missing, the old capital's disk is found and its orphans are taken in; stop writing, read back and
verify at every site that is left, open a few records as their offices see them, search all files for plaintext.
Each stage adds to the verdict; a stage that fails ends the demonstration and makes it a no.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from sento_drill.copies import EVENTS_PER_S, bring_by_courier, replace_a_disk
from sento_drill.display import Display
from sento_drill.moving.destroying import destroy_the_capital
from sento_drill.moving.evacuating import evacuate_and_return
from sento_drill.moving.recovering import recover_abroad
from sento_drill.moving.returning import the_old_capital_returns
from sento_drill.moving.unlocking import hold_the_ceremony, unlock_what_the_hospital_wrote
from sento_drill.plaintext_search import search
from sento_drill.plan import AUDITOR_BOARD
from sento_drill.reading_back import ReadingBack
from sento_drill.rehearsal import Rehearsal, RehearsalSettings
from sento_drill.showing import auditor_opens_nothing, facts_to_show, show, show_reads
from sento_drill.verdict import Verdict
from sento_drill.workload import Workload

BEFORE_THE_KILL = 100
AFTER_THE_KILL = 200
AFTER_THE_RETURN = 100
"""How many acknowledgements each stretch of writing waits for."""
AUDITOR = AUDITOR_BOARD.name
_PROBLEMS_SHOWN = 20


async def run_demo(settings: RehearsalSettings, display: Display, verdict: Verdict) -> None:
    """Run all stages; `verdict` holds what was measured, also when this raises (TooLate, SentoError, NoWorld, OSError)."""
    async with Rehearsal(settings, display) as drill:
        await drill.load()
        await lose_and_regain_the_lead(drill, verdict)
        await replace_a_disk(drill, verdict)
        await bring_by_courier(drill, verdict)
        facts = facts_to_show(drill.workload.standing)
        await auditor_opens_nothing(drill.offices, facts, verdict.problems)
        drill.display.say(f"{AUDITOR} reads every header, holds no key and opens nothing")
        await move_the_capital(drill, verdict)
        await show_a_few(drill, verdict)
        await search_for_plaintext(drill, verdict)
        verdict.finished = True
        if settings.stay:
            say_what_to_try(drill, display)


async def run_move(settings: RehearsalSettings, display: Display, verdict: Verdict) -> None:
    """The chapters about the capital alone, over as many residents as one likes."""
    async with Rehearsal(settings, display) as drill:
        await drill.load()
        drill.start_writing(EVENTS_PER_S)
        await drill.wait_acknowledged(BEFORE_THE_KILL, time.monotonic())
        await move_the_capital(drill, verdict)
        verdict.finished = True


async def move_the_capital(drill: Rehearsal, verdict: Verdict) -> None:
    """Evacuated and home again; lost, recovered abroad, found again; and everything read back at the sites that are left."""
    capital = drill.world.genesis.voting_sites[0]
    await hold_the_ceremony(drill)
    await evacuate_and_return(drill, verdict, capital)
    destroyed = await destroy_the_capital(drill, capital)
    recovered = await recover_abroad(drill, verdict, destroyed)
    await unlock_what_the_hospital_wrote(drill)
    await the_old_capital_returns(drill, verdict, destroyed, recovered)
    await stop_writing(drill, verdict)
    left = [site.name for site in drill.world.sites if drill.cluster.processes[site.name].node()]
    await verify_everything(drill, verdict, left, recovered.fork)


async def lose_and_regain_the_lead(drill: Rehearsal, verdict: Verdict) -> None:
    """Kill the leading site under load, measure the silence, bring the site back, measure how long it takes to catch up."""
    drill.stage("writing events: moves, corrections, prescriptions")
    drill.start_writing()
    await drill.wait_acknowledged(BEFORE_THE_KILL, time.monotonic())
    lead = await drill.cluster.lead_site()

    drill.stage(f"{lead} leads: killing its node and ordering member with kill -9")
    killed_s = time.monotonic()
    await asyncio.to_thread(drill.cluster.kill_site, lead)
    await drill.wait_acknowledged(AFTER_THE_KILL, time.monotonic())
    verdict.unavailable_s = drill.tally.longest_gap_s(killed_s, time.monotonic())
    successor = await drill.cluster.lead_site()
    drill.display.say(f"longest silence {verdict.unavailable_s:.2f} s; the capital moved to {successor}")

    drill.stage(f"bringing {lead} back while the offices write on")
    await drill.stop_writing()
    drill.start_writing(EVENTS_PER_S)
    started_s = time.monotonic()
    drill.cluster.start(lead)
    size = await drill.cluster.wait_caught_up(lead)
    verdict.caught_up_s = time.monotonic() - started_s
    drill.display.say(f"{lead} caught up with {size:,} records {verdict.caught_up_s:.2f} s after its start")
    await drill.wait_acknowledged(AFTER_THE_RETURN, time.monotonic())


async def stop_writing(drill: Rehearsal, verdict: Verdict) -> None:
    """Let everything on its way be answered; what is acknowledged by now must be everywhere."""
    await drill.stop_writing()
    verdict.acknowledged = len(drill.tally)
    note_failures(drill.workload, verdict)


async def verify_everything(
    drill: Rehearsal, verdict: Verdict, sites: Sequence[str], fork: int | None = None
) -> None:
    """Read every record of these sites as the auditor and hold it against the tally and a quorum checkpoint. `fork`: see `present_everywhere`."""
    await drill.wait_flushed(sites)
    reading = ReadingBack(drill.offices[AUDITOR], drill.tally, sites, fork)
    title = "reading everything back from every site: signatures, chains, tree; of payloads a sample"
    drill.stage(title, len(reading.audits) * drill.tally.size, reading.taken)
    found = await reading.run()
    verdict.present, verdict.sites = found.present, len(reading.audits)
    verdict.problems += found.problems[:_PROBLEMS_SHOWN]
    drill.display.say(
        f"{found.records:,} records of {len(reading.audits)} sites, {found.submissions:,} signatures; "
        f"the tree's root stands under a quorum's checkpoint of size {found.checkpoint.size:,}"
    )


async def show_a_few(drill: Rehearsal, verdict: Verdict) -> None:
    """Open a few records as the offices concerned see them, and see that others cannot."""
    drill.stage("opening a few records as the offices see them")
    facts = facts_to_show(drill.workload.standing)
    for line in await show(drill.offices, facts, verdict.problems):
        drill.display.say(line)
    resident = next(fact.identifier for fact in facts if fact.registry == "residency")
    for line in await show_reads(drill.offices, resident, verdict.problems):
        drill.display.say(line)


async def search_for_plaintext(drill: Rehearsal, verdict: Verdict) -> None:
    """grep over all files of all sites for everything that only residents and offices may know."""
    needles = drill.town.needles()
    drill.stage(f"searching all files of all sites for {len(needles):,} names, numbers and addresses")
    result = await asyncio.to_thread(search, drill.world.sites_directory, needles)
    verdict.problems += [f"plaintext in {hit}" for hit in result.hits]
    drill.display.say(
        f"{result.files} files, {result.size_bytes / 2**20:,.0f} MiB: {len(result.hits)} with a hit"
    )


def note_failures(workload: Workload, verdict: Verdict) -> None:
    """A write that was not acknowledged within its deadline is not lost, and still no success."""
    if workload.failures:
        verdict.problems.append(f"{len(workload.failures)} writes failed; the first: {workload.failures[0]}")


def say_what_to_try(drill: Rehearsal, display: Display) -> None:
    """For STAY=1: commands that work on what is left running."""
    directory = drill.settings.directory
    city = directory / "institutions" / "iizuka-city" / "sento.toml"
    display.say("The sites stay. Try:")
    for command in (
        f"sento --config {city} status",
        f"sento-drill cluster status {directory}",
        f"sento-drill cluster kill {directory} {drill.world.sites[0].name}",
        f"sento-drill cluster up {directory}",
        f"sento-drill cluster down {directory}",
    ):
        display.say(f"  {command}")
