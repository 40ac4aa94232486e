"""Chapters about who writes: rules raised, clinics enrolled, a key rotated, a stolen one revoked, a rewrite in the night held."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from sento_drill.config_files import SIGNING_KEY
from sento_drill.plan import OFFICERS
from sento_drill.story_keys.acts import PROPOSER, Office
from sento_drill.story_keys.cast import CITY, CLINIC_A, CLINIC_B, NEIGHBOUR, PERSON
from sento_drill.story_keys.people import enrol_author, key_id, key_json
from sento_drill.story_keys.stage import Said, Stage

NIGHT_RECORDS = 1_000
DAY_RECORDS, DAY_SUBJECTS = 2_000, 120
THIEF = "thief"
REFUSED = (1, 2, 3, 4, 5, 6)
"""Exit codes of a command that did not do what was asked; the words say why."""


def write(
    stage: Stage,
    person: str,
    registry: str,
    kind: str,
    fact: str,
    content: str,
    *,
    compartment: str = "",
    subject: str = PERSON,
    ends: int | tuple[int, ...] = 0,
    says: tuple[str, ...] = (),
) -> Said:
    """One record, about the person of the story unless another is named."""
    (stage.directory(person) / "content.json").write_text(content)
    arguments = ["write", registry, kind, "--fact", fact, "--content", "content.json"]
    if compartment:
        arguments += ["--compartment", compartment]
    return stage.does(person, *arguments, ends=ends, says=says, env={"SENTO_SUBJECT": subject}, shown=4)


def new_key(stage: Stage, person: str, name: str) -> Path:
    """A signing key made where it is used; drills do not encrypt."""
    stage.does(person, "keys", "new", name, "--plain", shown=1)
    return stage.directory(person) / name


def position_of(said: Said) -> str:
    """The position that a write printed."""
    words = said.out.split()
    return next((word for word in words if word.isdigit()), "")


def rules_are_raised(stage: Stage, office: Office) -> None:
    """Too few officers, an officer and the deputy, then enough."""
    stage.chapter("Five officers, three of whom act together; every site announced which rules it knows")
    stage.does(PROPOSER, "govern", "show", says=("TRAINING",), shown=40)
    act = office.propose("companions of ML-DSA-65 beside signing keys", "set-rules 3", says=("rules 3",))
    office.sign(act, OFFICERS[0])
    stage.does(PROPOSER, "govern", "submit", act.name, ends=REFUSED, says=("needs 3 of 5 officers, has 1",))
    deputy = stage.world.genesis.officers.people[OFFICERS[0]].deputy
    if deputy is not None:
        carried = stage.directory(deputy.name) / act.name
        shutil.copy(act, carried)
        stage.does(
            deputy.name,
            "govern",
            "sign",
            carried.name,
            "--yes",
            ends=REFUSED,
            says=("signed this already",),
        )
    office.sign(act, *OFFICERS[1:3])
    office.submit(act)


def clinics_are_enrolled(stage: Stage, office: Office) -> str:
    """Two clinics, a compartment each; the position of clinic A's first prescription."""
    stage.chapter("Two clinics are enrolled, each for its own compartment of the registry health")
    write(
        stage,
        CLINIC_A.name,
        "health",
        "prescription/new",
        "rx-1",
        "{}",
        compartment="clinic-a",
        ends=REFUSED,
    )
    office.decide(
        "the clinics open",
        changes=[
            enrol_author(stage.directory(plan.name), plan, DAY_RECORDS, DAY_SUBJECTS)
            for plan in (CLINIC_A, CLINIC_B)
        ],
        says=("clinic-a is enrolled as an author", "clinic-b is enrolled as an author"),
    )
    said = write(
        stage,
        CLINIC_A.name,
        "health",
        "prescription/new",
        "rx-1",
        '{"drug":"metformin"}',
        compartment="clinic-a",
    )
    write(
        stage,
        CLINIC_B.name,
        "health",
        "prescription/new",
        "rx-2",
        '{"drug":"lisinopril"}',
        compartment="clinic-b",
    )
    stage.notes("clinic B tries to write into the compartment of clinic A:")
    write(
        stage,
        CLINIC_B.name,
        "health",
        "prescription/new",
        "rx-3",
        "{}",
        compartment="clinic-a",
        ends=REFUSED,
    )
    return position_of(said)


def a_key_is_rotated(stage: Stage, office: Office) -> None:
    """Enrolled, the former retired; late records under the former are accepted until it is closed."""
    stage.chapter(
        "The city changes its signing key: the old one is retired, late records still count, then it is closed"
    )
    directory = stage.directory(CITY)
    current, former = directory / SIGNING_KEY, directory / "signing-former.key"
    fresh = new_key(stage, CITY, "signing-new.key")
    old_id = key_id(current)
    write(stage, CITY, "residency", "residence/entry", "address", '{"town":"Honamimachi"}')
    office.decide(
        "yearly change of keys",
        changes=[
            {"do": "enrol-key", "author": CITY, "key": key_json(fresh)},
            {"do": "retire-key", "author": CITY, "key_id": old_id},
        ],
    )
    write(
        stage, CITY, "tax", "tax/assessment", "2026", '{"late":"under the former key"}', compartment="income"
    )
    current.rename(former)
    shutil.copy(fresh, current)
    write(stage, CITY, "tax", "tax/assessment", "2027", '{"signed":"with the new key"}', compartment="income")
    office.decide(
        "the month for late records is over", f"close-key {CITY} {old_id}", says=("is accepted any more",)
    )
    shutil.copy(former, current)
    write(
        stage,
        CITY,
        "tax",
        "tax/assessment",
        "2028",
        "{}",
        compartment="income",
        ends=REFUSED,
        says=("KEY_ENDED",),
    )
    shutil.copy(fresh, current)


def a_laptop_is_stolen(stage: Stage, office: Office) -> None:
    """Revoked at night; what the thief signs is refused from that position on."""
    stage.chapter(
        "A laptop of clinic B is stolen: its key is revoked at night, and a new one enrolled in the morning"
    )
    directory = stage.directory(CLINIC_B.name)
    stolen, fresh = directory / SIGNING_KEY, new_key(stage, CLINIC_B.name, "signing-new.key")
    stolen_id = key_id(stolen)
    office.decide(
        "laptop stolen on the train",
        f"revoke-key {CLINIC_B.name} {stolen_id} 0",
        says=("is revoked", "suspect"),
    )
    write(
        stage,
        CLINIC_B.name,
        "health",
        "prescription/new",
        "rx-9",
        "{}",
        compartment="clinic-b",
        ends=REFUSED,
        says=("KEY_ENDED",),
    )
    office.decide(
        "new laptop", changes=[{"do": "enrol-key", "author": CLINIC_B.name, "key": key_json(fresh)}]
    )
    shutil.copy(fresh, stolen)
    write(
        stage,
        CLINIC_B.name,
        "health",
        "prescription/new",
        "rx-10",
        '{"drug":"atenolol"}',
        compartment="clinic-b",
    )


def the_night_rewrite_is_held(stage: Stage, office: Office) -> None:
    """A valid account that rewrites a thousand people at night stands for the budget's number of them; officers decide about the rest."""
    stage.chapter(
        f"In the night a valid account writes about {NIGHT_RECORDS:,} people; the budget holds what is above {DAY_SUBJECTS}"
    )
    office.decide("what the city writes in a day", f"set-budget {CITY} {DAY_RECORDS} {DAY_SUBJECTS}")
    thief = stage.world.directory / "institutions" / THIEF
    shutil.copytree(stage.directory(CITY), thief, ignore=shutil.ignore_patterns("outbox"))
    lines = [
        json.dumps(
            {"subject": f"{number:012d}", "fact": "address", "content": {"town": "moved in the night"}},
            separators=(",", ":"),
        )
        for number in range(NIGHT_RECORDS)
    ]
    (thief / "night.jsonl").write_text("\n".join(lines) + "\n")
    stage.does(
        THIEF, "write", "residency", "residence/move", "--lines", "night.jsonl", "--deadline", "20",
        ends=REFUSED, says=("HELD",), shown=6,
    )  # fmt: skip
    show = stage.does(PROPOSER, "govern", "show", says=(CITY,), shown=0)
    stage.holds("the budget is not shown as used up", "held" in show.out)
    for line in show.out.splitlines():
        if "held" in line:
            stage.notes(line.strip())
    stage.notes(
        "the city itself is held too; its clerk's key is changed first, then officers let through what is meant"
    )
    write(
        stage,
        CITY,
        "residency",
        "residence/move",
        "move-1",
        "{}",
        subject=NEIGHBOUR,
        ends=REFUSED,
        says=("HELD",),
    )
    directory = stage.directory(CITY)
    current, fresh = directory / SIGNING_KEY, new_key(stage, CITY, "signing-morning.key")
    office.decide(
        "a clerk's key was used in the night; one family's move was checked by telephone",
        f"grant-budget {CITY} 20 20",
        changes=[
            {"do": "revoke-key", "author": CITY, "key_id": key_id(current)},
            {"do": "enrol-key", "author": CITY, "key": key_json(fresh)},
        ],
        says=("20 records and 20 subjects more", "is revoked"),
    )
    shutil.copy(fresh, current)
    write(stage, CITY, "residency", "residence/move", "move-2", '{"town":"Kaita"}', subject=NEIGHBOUR)
