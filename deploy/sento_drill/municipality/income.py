"""Income certificate: what a resident earned and what the city made of it, in the fields that certificates print.

Receipts are drawn from the seed and the person alone, so that two members of a household know each other's income
without asking. The computation itself is in `tax`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date

from sento_drill.municipality import tax
from sento_drill.municipality.people import REGISTER_DATE, Household, Resident, age_years
from sento_drill.municipality.seeding import seeded
from sento_drill.municipality.wareki import to_wareki

FISCAL_YEAR = 2026
SCHEDULE = f"iizuka-{FISCAL_YEAR}"
DECIDED_ON = date(2026, 5, 20)

_YEAR_END = date(FISCAL_YEAR - 1, 12, 31)
_PENSION_DEDUCTION_YEN = 1_100_000
_SPOUSES = frozenset({"夫", "妻"})


@dataclass(frozen=True, slots=True)
class Receipts:
    """Receipts of the income year and premiums paid, in yen; pension only from 65 years, up to 3,300,000."""

    salary_yen: int
    pension_yen: int
    social_insurance_yen: int
    life_insurance_yen: int


@dataclass(frozen=True, slots=True)
class Correction:
    """A later finding (更正): income that nobody had declared, or medical expenses handed in late; both in yen."""

    version: int
    decided_on: date
    other_income_yen: int
    medical_yen: int


FIRST_DECISION = Correction(1, DECIDED_ON, 0, 0)


@dataclass(frozen=True, slots=True)
class _Claims:
    """Deductions for persons by kind, and the number of dependants that count for the non-taxed limit."""

    by_kind: dict[str, int]
    dependants: int
    dependants_under_16: int

    def deduction_yen(self, *kinds: str) -> int:
        return sum(tax.personal_deduction(kind).deduction_yen * self.by_kind.get(kind, 0) for kind in kinds)

    def personal_difference_yen(self) -> int:
        return sum(
            tax.personal_deduction(kind).personal_difference_yen * n for kind, n in self.by_kind.items()
        )


def receipts_of(resident: Resident, seed: int) -> Receipts:
    """What the resident received in the income year, the same at every call."""
    rng = seeded(seed, "income", resident.addressee_no)
    age = age_years(resident.birth_date, _YEAR_END)
    salary_yen = pension_yen = 0
    if age >= 65:
        pension_yen = rng.randrange(700_000, 3_200_000, 1_000)
    elif age >= 18 and rng.random() < 0.82:
        salary_yen = rng.choice(
            (rng.randrange(400_000, 2_000_000, 1_000), rng.randrange(2_000_000, 8_000_000, 1_000))
        )
    return Receipts(
        salary_yen=salary_yen,
        pension_yen=pension_yen,
        social_insurance_yen=salary_yen * 15 // 100 + pension_yen * 5 // 100,
        life_insurance_yen=rng.choice((0, 28_000, 56_000)) if salary_yen else 0,
    )


def total_income_yen(receipts: Receipts) -> int:
    """Income from salary and pension together, after the deductions that belong to each."""
    return tax.salary_income_yen(SCHEDULE, receipts.salary_yen) + _pension_income_yen(receipts)


def income_certificate(
    resident: Resident, household: Household, seed: int, correction: Correction = FIRST_DECISION
) -> dict[str, object]:
    """The content of the fiscal year's assessment; every amount in yen, and 0 where there is none, never blank."""
    receipts = receipts_of(resident, seed)
    claims = _claims(resident, household, seed)
    total_yen = total_income_yen(receipts) + correction.other_income_yen
    deductions = _deductions(receipts, claims, correction)
    assessment = tax.assess(
        tax.schedule(SCHEDULE),
        total_income_yen=total_yen,
        deductions_yen=sum(deductions.values()),
        personal_difference_yen=claims.personal_difference_yen(),
        dependants=claims.dependants,
    )
    return {
        "fiscal_year": FISCAL_YEAR,
        "income_year": FISCAL_YEAR - 1,
        "version": correction.version,
        "decided_on": to_wareki(correction.decided_on),
        "name": resident.name,
        "birth_date": to_wareki(resident.birth_date),
        "sex": resident.sex,
        "address_on_jan1": resident.address.text,
        "salary_receipts": receipts.salary_yen,
        "salary_income": tax.salary_income_yen(SCHEDULE, receipts.salary_yen),
        "pension_receipts": receipts.pension_yen,
        "misc_pension_income": _pension_income_yen(receipts),
        "other": correction.other_income_yen,
        "total_income": total_yen,
        "deductions": deductions,
        "deductions_total": sum(deductions.values()),
        "dependants": {
            "general": claims.by_kind["dependant_general"],
            "specified": claims.by_kind["dependant_specified"],
            "aged_living_with": claims.by_kind["dependant_aged_living_with"],
            "under_16": claims.dependants_under_16,
        },
        "taxable_base": assessment.taxable_base_yen,
        "city": {
            "income_based": assessment.city_income_based_yen,
            "per_capita": assessment.city_per_capita_yen,
        },
        "prefecture": {
            "income_based": assessment.prefecture_income_based_yen,
            "per_capita": assessment.prefecture_per_capita_yen,
        },
        "forest_tax": assessment.forest_tax_yen,
        "annual": assessment.annual_yen,
        "non_taxed": assessment.non_taxed,
    }


def _pension_income_yen(receipts: Receipts) -> int:
    """Income from a public pension of less than 3,300,000 yen at 65 years or more."""
    return max(0, receipts.pension_yen - _PENSION_DEDUCTION_YEN)


def _deductions(receipts: Receipts, claims: _Claims, correction: Correction) -> dict[str, int]:
    return {
        "medical": correction.medical_yen,
        "social_insurance": receipts.social_insurance_yen,
        "life": receipts.life_insurance_yen,
        "spouse": claims.deduction_yen("spouse", "spouse_aged"),
        "dependants": claims.deduction_yen(
            "dependant_general", "dependant_specified", "dependant_aged_living_with"
        ),
        "basic": claims.deduction_yen("basic"),
    }


def _claims(resident: Resident, household: Household, seed: int) -> _Claims:
    """Whom the resident may claim. Only the head claims: nobody can then be claimed twice."""
    by_kind = Counter({"basic": 1})
    under_16 = 0
    if resident is household.members[0]:
        limit_yen = tax.schedule(SCHEDULE).dependant_income_limit_yen
        for member in household.members[1:]:
            if total_income_yen(receipts_of(member, seed)) > limit_yen:
                continue
            kind = _kind_of(member)
            if kind == "under_16":
                under_16 += 1
            elif kind is not None:
                by_kind[kind] += 1
    return _Claims(by_kind, by_kind.total() - 1 + under_16, under_16)


def _kind_of(member: Resident) -> str | None:
    """The kind of claim by relationship and age at the year's end; a lodger or an unmarried partner is none."""
    age = age_years(member.birth_date, _YEAR_END)
    if member.relationship in _SPOUSES:
        return "spouse_aged" if age >= 70 else "spouse"
    if member.relationship in ("同居人", "縁故者") or "未届" in member.relationship:
        return None
    if age < 16:
        return "under_16"
    if 19 <= age < 23:
        return "dependant_specified"
    return "dependant_aged_living_with" if age >= 70 else "dependant_general"


def tax_subjects(household: Household) -> tuple[Resident, ...]:
    """Members old enough for a later correction of their assessment; the head is always one of them."""
    return tuple(
        member
        for member in household.members
        if member is household.members[0] or age_years(member.birth_date, REGISTER_DATE) >= 20
    )
