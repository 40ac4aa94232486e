"""Events: an endless seeded stream of what happens to people after the first load, as further versions of their facts.

Nothing is overwritten: a correction and a cancellation are new versions, and a cancelled move writes the former address
again. A fact's first version comes from `records`, so it must be written before the events on it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import count
from typing import NamedTuple

from sento_drill.municipality import fhir, records
from sento_drill.municipality.fhir import CoverageState, Prescription
from sento_drill.municipality.income import Correction, tax_subjects
from sento_drill.municipality.people import REGISTER_DATE, Address, Household, Resident, draw_address
from sento_drill.municipality.records import Fact
from sento_drill.municipality.residence import ResidenceState, first_state
from sento_drill.municipality.seeding import seeded

HAPPENINGS_PER_DAY = 70
"""So many happenings move the stream's calendar on by a day: about what a town of Iizuka's size enters."""


class Event(NamedTuple):
    """A fact to write now, and the natural key of the fact it is a new version of; None for a new fact.

    The former version has the same registry, identifier and natural key.
    """

    fact: Fact
    is_new_version_of: str | None


@dataclass(slots=True)
class _Memory:
    """What has happened so far, by addressee number or household number; absent means: as first loaded."""

    residence: dict[str, ResidenceState] = field(default_factory=dict)
    former_home: dict[str, tuple[Address, date]] = field(default_factory=dict)
    assessment_versions: dict[str, int] = field(default_factory=dict)
    coverage: dict[str, CoverageState] = field(default_factory=dict)
    prescriptions: dict[str, list[Prescription]] = field(default_factory=dict)


def stream(households: Sequence[Household], seed: int) -> Iterator[Event]:
    """Events without end, the same for the same households and seed; a move yields one event for each member."""
    office = _Office(seeded(seed, "events"), seed)
    happenings: tuple[tuple[int, Callable[[Household, date], Iterator[Event]]], ...] = (
        (10, office.move),
        (2, office.cancel_move),
        (26, office.correct_tax),
        (36, office.prescribe),
        (6, office.cancel_prescription),
        (8, office.renew_coverage),
    )
    weights = [weight for weight, _ in happenings]
    rng = seeded(seed, "happenings")
    for number in count():
        today = REGISTER_DATE + timedelta(days=1 + number // HAPPENINGS_PER_DAY)
        ((_, happen),) = rng.choices(happenings, weights=weights)
        yield from happen(rng.choice(households), today)


class _Office:
    """Applies one happening to one household; a happening that cannot be is replaced by one that can."""

    def __init__(self, rng: random.Random, seed: int) -> None:
        self._rng = rng
        self._seed = seed
        self._memory = _Memory()

    def move(self, household: Household, today: date) -> Iterator[Event]:
        """The household moves inside the town (転居)."""
        now = self._residence(household.members[0])
        self._memory.former_home[household.household_no] = (now.address, now.address_since)
        address = draw_address(self._rng)
        for member in household.members:
            yield self._enter(member, address, today, "転居", today, "residence/move")

    def cancel_move(self, household: Household, today: date) -> Iterator[Event]:
        """The last move is cancelled (異動の取消し): a new entry restores the former home; without a move, one happens."""
        former = self._memory.former_home.pop(household.household_no, None)
        if former is None:
            yield from self.move(household, today)
            return
        address, _ = former
        for member in household.members:
            since = member.address_since if address == member.address else former[1]
            yield self._enter(member, address, since, "異動の取消し(修正)", today, "residence/cancellation")

    def correct_tax(self, household: Household, today: date) -> Iterator[Event]:
        """The assessment of one member is corrected (更正), up or down."""
        resident = self._rng.choice(tax_subjects(household))
        version = self._memory.assessment_versions.get(resident.addressee_no, 1) + 1
        self._memory.assessment_versions[resident.addressee_no] = version
        amount_yen = self._rng.randrange(10_000, 800_000, 1_000)
        upwards = self._rng.random() < 0.6
        correction = Correction(version, today, amount_yen if upwards else 0, 0 if upwards else amount_yen)
        fact = records.tax_fact(resident, household, self._seed, correction, "tax/correction")
        yield Event(fact, fact.natural_key)

    def prescribe(self, household: Household, today: date) -> Iterator[Event]:
        """One member gets a new prescription: a new fact."""
        resident = self._rng.choice(household.members)
        known = self._prescriptions(resident)
        prescription = fhir.draw_prescription(self._rng, len(known) + 1, today)
        known.append(prescription)
        yield Event(records.prescription_fact(resident, prescription, "health/prescription"), None)

    def cancel_prescription(self, household: Household, today: date) -> Iterator[Event]:
        """One member's last prescription is cancelled; if it was cancelled already, a new one is written."""
        resident = self._rng.choice(household.members)
        known = self._prescriptions(resident)
        if known[-1].status != "active":
            yield from self.prescribe(household, today)
            return
        known[-1] = replace(known[-1], status="cancelled")
        fact = records.prescription_fact(resident, known[-1], "health/cancellation")
        yield Event(fact, fact.natural_key)

    def renew_coverage(self, household: Household, today: date) -> Iterator[Event]:
        """One member's class of the limit amount changes."""
        resident = self._rng.choice(household.members)
        now = self._memory.coverage.get(resident.addressee_no) or fhir.first_coverage(resident, self._seed)
        others = [limit_class for limit_class in fhir.LIMIT_CLASSES if limit_class != now.limit_class]
        state = CoverageState(self._rng.choice(others), today)
        self._memory.coverage[resident.addressee_no] = state
        fact = records.coverage_fact(resident, state, "health/coverage")
        yield Event(fact, fact.natural_key)

    def _enter(
        self, member: Resident, address: Address, since: date, reason: str, today: date, kind: str
    ) -> Event:
        history_no = self._residence(member).history_no + 1
        state = ResidenceState(history_no, address, since, reason, today)
        self._memory.residence[member.addressee_no] = state
        fact = records.residence_fact(member, state, kind)
        return Event(fact, fact.natural_key)

    def _residence(self, member: Resident) -> ResidenceState:
        return self._memory.residence.get(member.addressee_no) or first_state(member)

    def _prescriptions(self, resident: Resident) -> list[Prescription]:
        known = self._memory.prescriptions.get(resident.addressee_no)
        if known is None:
            known = list(fhir.prescriptions_of(resident, self._seed))
            self._memory.prescriptions[resident.addressee_no] = known
        return known
