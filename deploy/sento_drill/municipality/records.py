"""Records: turns residents into the facts that institutions write, as plain data that any client can seal and send.

A fact names its registry, its compartment and its author; `identifier` and `natural_key` never leave the client, only
keyed hashes of them do. All versions of one fact share registry, identifier, natural key and the first segment of the
kind, whoever writes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sento_drill.municipality import fhir
from sento_drill.municipality.fhir import CoverageState, Prescription
from sento_drill.municipality.income import FIRST_DECISION, FISCAL_YEAR, Correction, income_certificate
from sento_drill.municipality.people import Household, Resident
from sento_drill.municipality.residence import ResidenceState, first_state, residence_row

CITY: Final = "iizuka-city"
HOSPITAL: Final = "iizuka-hospital"


@dataclass(frozen=True, slots=True)
class Scope:
    """One key scope: which author writes into which compartment of which registry."""

    author: str
    registry: str
    compartment: str


RESIDENCE_SCOPE: Final = Scope(CITY, "residency", "basic")
TAX_SCOPE: Final = Scope(CITY, "tax", "income")
COVERAGE_SCOPE: Final = Scope(CITY, "health", "coverage")
PRESCRIPTION_SCOPE: Final = Scope(HOSPITAL, "health", "prescription")
SCOPES: Final = (RESIDENCE_SCOPE, TAX_SCOPE, COVERAGE_SCOPE, PRESCRIPTION_SCOPE)
"""Every scope that facts and events use: what a drill needs permissions and keys for. The city writes coverage because
it is the insurer of national health insurance and the counter of the late-stage scheme."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One version of one fact about a person, ready to be written.

    `kind` matches [a-z0-9/-]{1,32}; `identifier` is the My Number as text; `content` holds what JSON can hold.
    """

    registry: str
    compartment: str
    kind: str
    author: str
    identifier: str
    natural_key: str
    content: dict[str, object]

    def encoded(self) -> bytes:
        """The content as JSON in UTF-8, letters written as themselves: a search for plaintext can find what leaks."""
        return json.dumps(self.content, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def facts_of(household: Household, seed: int) -> Iterator[Fact]:
    """The facts of the first load: residence, assessment, coverage and prescriptions of each member."""
    for resident in household.members:
        yield residence_fact(resident, first_state(resident), "residence/entry")
        yield tax_fact(resident, household, seed, FIRST_DECISION, "tax/assessment")
        yield coverage_fact(resident, fhir.first_coverage(resident, seed), "health/coverage")
        for prescription in fhir.prescriptions_of(resident, seed):
            yield prescription_fact(resident, prescription, "health/prescription")


def residence_fact(resident: Resident, state: ResidenceState, kind: str) -> Fact:
    """The residence record in that state."""
    return _fact(RESIDENCE_SCOPE, kind, resident, "address", residence_row(resident, state))


def tax_fact(resident: Resident, household: Household, seed: int, correction: Correction, kind: str) -> Fact:
    """The assessment of the fiscal year after that decision."""
    content = income_certificate(resident, household, seed, correction)
    return _fact(TAX_SCOPE, kind, resident, f"assessment/{FISCAL_YEAR}", content)


def coverage_fact(resident: Resident, state: CoverageState, kind: str) -> Fact:
    """The insurance coverage in that state."""
    return _fact(COVERAGE_SCOPE, kind, resident, "coverage", fhir.coverage_resource(resident, state))


def prescription_fact(resident: Resident, prescription: Prescription, kind: str) -> Fact:
    """One prescription; each is a fact of its own."""
    natural_key = f"prescription/{prescription.prescription_id(resident)}"
    return _fact(
        PRESCRIPTION_SCOPE, kind, resident, natural_key, fhir.prescription_resource(resident, prescription)
    )


def _fact(scope: Scope, kind: str, resident: Resident, natural_key: str, content: dict[str, object]) -> Fact:
    return Fact(
        scope.registry, scope.compartment, kind, scope.author, resident.my_number, natural_key, content
    )
