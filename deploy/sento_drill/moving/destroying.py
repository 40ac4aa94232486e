"""The worst day: the links abroad are gone, the offices write on at home, and then all voting sites are lost at once, with their disks.

What makes the day hard is arranged on purpose. Embassies hear nothing for the last few hundred acknowledgements. The hospital is lost as well, with its outbox:
what it wrote last is known by its receipts alone, of which the officers have copies. One disk of the capital is found again weeks later; nobody knows that yet.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from sento_drill.config_files import DATA_DIR
from sento_drill.moving.evacuating import BUSY_PER_S, PAPERWORK_PER_S
from sento_drill.plan import IIZUKA_HOSPITAL
from sento_drill.rehearsal import Rehearsal

HOSPITAL = IIZUKA_HOSPITAL.name
UNHEARD_ABROAD = 200
"""Acknowledgements while embassies hear nothing."""
FOUND = "found-in-the-mud"
RECEIPT_COPIES = "receipt-copies"
_RECEIPTS_DEADLINE_S = 60.0


class Destroyed(NamedTuple):
    """What is left to know: when it happened, which sites are gone, where the found disk lies, where copies of the hospital's receipts are."""

    at_s: float
    sites: tuple[str, ...]
    found_site: str
    found_disk: Path
    receipt_copies: Path


async def destroy_the_capital(drill: Rehearsal, capital: str) -> Destroyed:
    """Under load: embassies hear nothing, then every voting site is killed and its data deleted; the disk of `capital` alone lies somewhere."""
    world, processes = drill.world, drill.cluster.processes
    voting = world.genesis.voting_sites
    abroad = [site.name for site in world.genesis.sites if site.name not in voting]
    drill.stage(f"the links abroad are gone: {' and '.join(abroad)} hear nothing, the offices write on")
    drill.pace_per_s = BUSY_PER_S
    for site in abroad:
        processes[site].pause()
    await drill.wait_acknowledged(UNHEARD_ABROAD, time.monotonic())
    drill.stage(f"the hospital is lost, and under load {', '.join(voting)}: all killed, their disks deleted")
    copies = await _lose_the_hospital(drill)
    found = world.directory / FOUND
    await asyncio.gather(*(asyncio.to_thread(drill.cluster.kill_site, site) for site in voting))
    at_s = time.monotonic()
    drill.pace_per_s = PAPERWORK_PER_S
    await asyncio.to_thread(_lose_disks, drill, capital, found)
    for site in abroad:
        processes[site].resume()
    drill.display.say(
        f"{len(drill.tally):,} records are acknowledged by now; the links abroad are back, and nobody at home answers"
    )
    return Destroyed(at_s, voting, capital, found, copies)


def _lose_disks(drill: Rehearsal, capital: str, found: Path) -> None:
    for site in drill.world.genesis.voting_sites:
        data = drill.world.sites_directory / site / DATA_DIR
        if site == capital:
            data.rename(found)
        else:
            shutil.rmtree(data)


def _receipts_in(directory: Path) -> int:
    """How many records the receipts in the directory's stores speak of."""
    count = 0
    for store in directory.glob("*.receipts"):
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as database:
            count += database.execute("SELECT coalesce(sum(records), 0) FROM runs").fetchone()[0]
    return count


async def _lose_the_hospital(drill: Rehearsal) -> Path:
    """Its computer is gone, and the outbox on it. The officers have copies of its receipts, which had come for all that it wrote."""
    await drill.silence(HOSPITAL)
    home = drill.world.institution(HOSPITAL).directory
    written = sum(one.author == HOSPITAL for one in drill.tally.all())

    async def all_have_come() -> bool:
        return await asyncio.to_thread(_receipts_in, home / "receipts") >= written

    await drill.until(all_have_come, _RECEIPTS_DEADLINE_S, "the hospital's receipts have not come")
    await drill.offices.close(HOSPITAL)
    copies = drill.world.directory / RECEIPT_COPIES
    await asyncio.to_thread(shutil.copytree, home / "receipts", copies)
    await asyncio.to_thread(shutil.rmtree, home / "outbox")
    return copies
