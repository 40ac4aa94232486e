"""Who takes part in the story: a city in the genesis file, five officers with deputies, and those whom officers enrol while it is told."""

from __future__ import annotations

from sento_drill.plan import IIZUKA_CITY, AuthorPlan, ReaderPlan, WorldPlan
from sento_proto.genesis import Scope

CITY = IIZUKA_CITY.name
CLINIC_A = AuthorPlan("clinic-a", (Scope("health", "clinic-a"),), (Scope("health", "clinic-a"),))
CLINIC_B = AuthorPlan("clinic-b", (Scope("health", "clinic-b"),), (Scope("health", "clinic-b"),))
RELIEF_DESK = ReaderPlan("relief-desk", (Scope("residency", "*"),), (Scope("residency", "*"),))
AUDITOR = "auditor-board"
FIRST_RULES = 2

PERSON = "123456789018"
"""The identifier of the one person whom the story speaks of; sites never see it."""
NEIGHBOUR = "900000000115"
"""Another one, about whom nothing stands before the night."""
WHY = ("--purpose", "story", "--case", "2026-1")


def story_plan() -> WorldPlan:
    """The world at its beginning: clinics and relief desk have keys of their own, and nobody has enrolled them."""
    return WorldPlan(
        name="sento-story",
        authors=(IIZUKA_CITY,),
        later_authors=(CLINIC_A, CLINIC_B),
        later_readers=(RELIEF_DESK,),
        rules=FIRST_RULES,
    )
