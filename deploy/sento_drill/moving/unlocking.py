"""The year's recovery key: made and shared out in peace, and put together by three of five on the worst day, so that what a lost office wrote can be read.

The hospital that wrote the prescriptions is gone with its keys. Nobody else could open them; three officers can, by an act that everybody can see.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from sento_client.recovery.unlocked_files import read_unlocked
from sento_drill.commands import sento
from sento_drill.moving.destroying import HOSPITAL
from sento_drill.moving.evacuating import PAPERWORK_PER_S
from sento_drill.moving.officers import SIGNERS, Officers
from sento_drill.plan import FIRST_KEY_EPOCH, IIZUKA_CITY
from sento_drill.rehearsal import Rehearsal

YEAR = "2026"
REGISTRY, COMPARTMENT = "health", "prescription"
_DEGRADED = 5
_KEK_BYTES = 32


async def hold_the_ceremony(drill: Rehearsal) -> None:
    """In peace: the key is made and shared out, an act names it, and the offices seal their keys to it."""
    officers = Officers(drill.world)
    drill.pace_per_s = PAPERWORK_PER_S
    drill.stage("in peace: the officers make the year's recovery key, and the offices seal their keys to it")
    ceremony = officers.file("ceremony")
    await officers.first(
        "recovery", "ceremony", "--ledger", "genesis.json", "--name", YEAR, "--out", str(ceremony)
    )
    proposal = ceremony / "proposal.json"
    opened = (_open_share(drill, officer, proposal) for officer in SIGNERS)
    await asyncio.gather(*opened, officers.decide(f"recovery key of {YEAR}", "--file", str(proposal)))
    offices = (drill.world.institution(office).directory for office in (IIZUKA_CITY.name, HOSPITAL))
    await asyncio.gather(*(sento(office, "keys", "reseal") for office in offices))


async def _open_share(drill: Rehearsal, officer: str, proposal: Path) -> None:
    """At the officer's own computer."""
    await sento(
        drill.world.officer(officer).directory,
        *("recovery", "share", "open", "--proposal", str(proposal), "--holder", officer),
        *("--key", "seal.key", "--out", "own.share"),
    )


async def unlock_what_the_hospital_wrote(drill: Rehearsal) -> None:
    """After the recovery: an act, three shares, and the hospital's key is there. Raises AssertionError where it is not."""
    officers, world = Officers(drill.world), drill.world
    drill.stage(f"three of five unlock the registry {REGISTRY}: the hospital that could open it is gone")
    await officers.decide(
        "the hospital is lost, its patients are not",
        *("unlock", YEAR, REGISTRY, str(FIRST_KEY_EPOCH), ",".join(SIGNERS)),
    )
    copy, unlocked = officers.file("recovery.copy"), officers.file("unlocked")
    await officers.first("recovery", "copy", "--out", str(copy))
    shares = [
        word for name in SIGNERS for word in ("--share", str(world.officer(name).directory / "own.share"))
    ]
    await officers.first(
        *("recovery", "unlock", "--copy", str(copy), "--registry", REGISTRY, "--epoch", str(FIRST_KEY_EPOCH)),
        *(*shares, "--out", str(unlocked)),
        ends=(0, _DEGRADED),
    )
    keyring = read_unlocked(unlocked, world.genesis.ledger_id)
    kek = keyring.kek_for(HOSPITAL, REGISTRY, COMPARTMENT, FIRST_KEY_EPOCH)
    assert len(kek) == _KEK_BYTES, "a key of another length"
    drill.display.say(
        f"the key of {HOSPITAL} for {REGISTRY}/{COMPARTMENT} is open: its prescriptions can be read"
    )
