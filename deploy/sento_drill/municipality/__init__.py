"""The synthetic municipality: invented residents of Iizuka, what institutions write about them, and what happens next.

`municipality(residents, seed)` is the whole of it for a caller; the same arguments give the same bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sento_drill.municipality import events, records
from sento_drill.municipality.events import Event
from sento_drill.municipality.people import Household, Resident, generate_households
from sento_drill.municipality.records import SCOPES, Fact, Scope
from sento_drill.municipality.reference import towns

__all__ = ["SCOPES", "Event", "Fact", "Household", "Municipality", "Resident", "Scope", "municipality"]

_SHORTEST_NEEDLE_LETTERS = 3
_SHORTEST_NEEDLE_BYTES = 9


@dataclass(frozen=True, slots=True)
class Municipality:
    """Households of one seed; every method starts anew and gives the same again."""

    seed: int
    households: tuple[Household, ...]

    def residents(self) -> Iterator[Resident]:
        """Everybody, household by household."""
        return (member for household in self.households for member in household.members)

    def facts(self) -> Iterator[Fact]:
        """First versions to load: for each resident at least one of residency, of tax and two of health."""
        for household in self.households:
            yield from records.facts_of(household, self.seed)

    def events(self) -> Iterator[Event]:
        """Later events without end; the facts they build on come from `facts` or from earlier events."""
        return events.stream(self.households, self.seed)

    def needles(self) -> list[bytes]:
        """What must never be found in clear at a site, each once, as UTF-8.

        Names, kana, My Numbers, juminhyo codes and addresses of all residents, and city with town for every town, which
        is how each address of a later event begins. What is so short that chance would find it is left out.
        """
        texts: dict[str, None] = {}
        for resident in self.residents():
            personal = (resident.name, resident.name_kana, resident.my_number, resident.juminhyo_code)
            texts |= dict.fromkeys((*personal, resident.address.text, resident.domicile))
        texts |= dict.fromkeys(f"飯塚市{town.name}" for town in towns())
        return [text.encode("utf-8") for text in texts if _is_telling(text)]


def municipality(residents: int, seed: int) -> Municipality:
    """Make a municipality with exactly so many residents. Raises ValueError for fewer than one."""
    return Municipality(seed, generate_households(residents, seed))


def _is_telling(text: str) -> bool:
    return len(text) >= _SHORTEST_NEEDLE_LETTERS and len(text.encode("utf-8")) >= _SHORTEST_NEEDLE_BYTES
