"""Chapters about who reads: a clinic and another clinic's prescriptions, a reader that comes, a reader that goes."""

from __future__ import annotations

from sento_drill.story_keys.acts import PROPOSER, Office
from sento_drill.story_keys.cast import CITY, CLINIC_A, CLINIC_B, RELIEF_DESK, WHY
from sento_drill.story_keys.people import enrol_reader
from sento_drill.story_keys.stage import Stage
from sento_drill.story_keys.writing import REFUSED, position_of, write


def clinics_do_not_read_each_other(stage: Stage, prescription: str) -> None:
    """The author reads its own; the other clinic is given nothing, and would have no key for it."""
    stage.chapter("A clinic cannot read another clinic's prescriptions")
    stage.does(CLINIC_A.name, "read", prescription, *WHY, says=("metformin",), shown=6)
    stage.does(
        CLINIC_B.name, "read", prescription, *WHY, ends=REFUSED, says=("NOT_PERMITTED",), never=("metformin",)
    )


def a_reader_comes(stage: Stage, office: Office) -> str:
    """Enrolled, it opens nothing until the author seals its keys to it; then all of the key epoch. The position that it read."""
    stage.chapter(
        "A relief desk is enrolled as a reader: the city seals its keys to it, and no record is touched"
    )
    said = write(stage, CITY, "residency", "residence/entry", "household", '{"members":4}')
    position = position_of(said)
    office.decide(
        "relief after the flood", changes=[enrol_reader(stage.directory(RELIEF_DESK.name), RELIEF_DESK)]
    )
    stage.does(RELIEF_DESK.name, "read", position, *WHY, ends=(0, *REFUSED), never=("members",), shown=5)
    stage.does(CITY, "keys", "reseal", "--dry-run", says=("nothing finer",))
    stage.does(CITY, "keys", "reseal")
    stage.does(RELIEF_DESK.name, "read", position, *WHY, says=("members",), shown=6)
    return position


def a_reader_goes(stage: Stage, office: Office, position: str) -> None:
    """Without a new key epoch in the same act it is refused; with it, the words say what stays readable."""
    stage.chapter("The relief desk closes: reading is revoked, and a new key epoch starts in the same act")
    stage.does(
        PROPOSER, "govern", "propose", "--reason", "closed", "--out", "without.json", "revoke-reader", RELIEF_DESK.name,
        ends=REFUSED, says=("start key epoch 2 of residency in the same act",),
    )  # fmt: skip
    office.decide(
        "the relief desk closed",
        "start-key-epoch residency closed",
        f"revoke-reader {RELIEF_DESK.name}",
        says=("stays readable",),
    )
    stage.notes("the city goes on writing: its client makes a key for the new epoch by itself")
    said = write(stage, CITY, "residency", "residence/entry", "after-the-relief", '{"members":5}')
    stage.does(RELIEF_DESK.name, "read", position, *WHY, ends=REFUSED, never=("members",))
    stage.does(RELIEF_DESK.name, "read", position_of(said), *WHY, ends=REFUSED, never=("members",))
