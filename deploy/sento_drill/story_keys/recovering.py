"""Chapters about the worst day: a recovery key for the year, the rehearsal, and an unlock with two shares and with three."""

from __future__ import annotations

import time

from sento_client.recovery.unlocked_files import read_unlocked
from sento_drill.config_files import PSEUDONYM_KEYS
from sento_drill.plan import OFFICERS
from sento_drill.story_keys.acts import PROPOSER, Office
from sento_drill.story_keys.cast import CITY, CLINIC_A, CLINIC_B
from sento_drill.story_keys.stage import Stage
from sento_drill.story_keys.writing import REFUSED

YEAR = "2026"


def a_ceremony_is_held(stage: Stage, office: Office) -> None:
    """The key is made, shared out and thrown away; each opens the own share before anybody signs; authors seal their keys to it."""
    stage.chapter(
        "The officers hold the year's ceremony: a recovery key, three of five shares, each sealed to officer and deputy"
    )
    home = stage.directory(PROPOSER)
    stage.does(
        PROPOSER, "recovery", "ceremony", "--ledger", "genesis.json", "--name", YEAR, "--out", "ceremony",
        "--registry-keys", str(stage.world.pseudonym_service.parent / PSEUDONYM_KEYS),
    )  # fmt: skip
    proposal = home / "ceremony" / "proposal.json"
    for officer in OFFICERS[:3]:
        stage.does(
            officer, "recovery", "share", "open", "--proposal", str(proposal), "--holder", officer, "--key", "seal.key",
            "--out", "own.share", shown=3,
        )  # fmt: skip
    office.decide(f"recovery key of {YEAR}", file=proposal, says=("3 of 5 shares",))
    for author in (CITY, CLINIC_A.name, CLINIC_B.name):
        stage.does(author, "keys", "reseal", shown=3)


def it_is_rehearsed(stage: Stage) -> None:
    """Every seal of every author is tried while the authors are still there."""
    stage.chapter("A rehearsal on a copy: every seal is tried, and nothing is kept")
    stage.does(PROPOSER, "recovery", "copy", "--out", "recovery.copy", shown=4)
    stage.does(PROPOSER, "recovery", "rehearse", "--copy", "recovery.copy", *shares(stage, 3), shown=8)


def health_is_unlocked(stage: Stage, office: Office) -> None:
    """Two shares open nothing, three open nothing without an act, three with the act open what it names."""
    stage.chapter(
        "After the flood: the registry health is unlocked, by an act that everybody can see and three shares"
    )
    wanted = ("recovery", "unlock", "--registry", "health", "--epoch", "1")
    stage.does(
        PROPOSER, *wanted, *shares(stage, 3), "--out", "unlocked", ends=REFUSED, says=("NO_UNLOCK_ACT",)
    )
    office.decide(
        "both clinics are under water",
        f"unlock {YEAR} health 1 {','.join(OFFICERS[:3])}",
        says=("because: both clinics",),
    )
    stage.does(
        PROPOSER, *wanted, *shares(stage, 2), "--out", "unlocked", ends=REFUSED, says=("needs 3, have 2",)
    )
    began_s = time.monotonic()
    stage.does(PROPOSER, *wanted, *shares(stage, 3), "--out", "unlocked", ends=(0, 5), shown=8)
    stage.figures["unlock_s"] = f"{time.monotonic() - began_s:.2f}"
    keyring = read_unlocked(stage.directory(PROPOSER) / "unlocked", stage.world.genesis.ledger_id)
    for clinic in (CLINIC_A.name, CLINIC_B.name):
        stage.holds(
            f"the key of {clinic} was not opened", len(keyring.kek_for(clinic, "health", clinic, 1)) == 32
        )


def shares(stage: Stage, count: int) -> list[str]:
    """`--share` for so many officers' share files."""
    return [
        text
        for officer in OFFICERS[:count]
        for text in ("--share", str(stage.directory(officer) / "own.share"))
    ]
