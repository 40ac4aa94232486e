"""Resident tax: from income and deductions to the yen that city and prefecture ask for, by tables and not by code.

Rates, per-capita amounts and limits change by year: each year is a row in `data/`, named by its schedule. Sources:
Local Tax Act (地方税法) articles 24-5, 37, 38, 50-3 and 295, 310, 314-6; Income Tax Act (所得税法) article 28. Not here:
tax credits other than the adjustment credit, instalments, and the class of locality behind the non-taxed limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sento_drill.municipality.reference import read_table

_ADJUSTMENT_BOUND_YEN = 2_000_000
_ADJUSTMENT_FLOOR_YEN = 50_000


class TaxTableError(LookupError):
    """A schedule or a kind of deduction is not in the tables."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What one municipality asks in one fiscal year; rates in percent, all else in yen."""

    city_rate_percent: int
    prefecture_rate_percent: int
    city_per_capita_yen: int
    prefecture_per_capita_yen: int
    forest_tax_yen: int
    non_taxed_per_head_yen: int
    non_taxed_fixed_yen: int
    non_taxed_with_dependants_yen: int
    dependant_income_limit_yen: int

    def non_taxed_limit_yen(self, dependants: int) -> int:
        """Total income up to which a person with so many dependants pays nothing at all."""
        limit_yen = self.non_taxed_per_head_yen * (1 + dependants) + self.non_taxed_fixed_yen
        return limit_yen + (self.non_taxed_with_dependants_yen if dependants else 0)


@dataclass(frozen=True, slots=True)
class PersonalDeduction:
    """A deduction for a person, and how much lower it is than the one of income tax; both in yen."""

    deduction_yen: int
    personal_difference_yen: int


@dataclass(frozen=True, slots=True)
class Assessment:
    """The result of one assessment, all in yen; `taxable_base_yen` as printed, before it is floored to 1,000."""

    taxable_base_yen: int
    city_income_based_yen: int
    prefecture_income_based_yen: int
    city_per_capita_yen: int
    prefecture_per_capita_yen: int
    forest_tax_yen: int
    non_taxed: bool

    @property
    def annual_yen(self) -> int:
        """What is to be paid for the year, all parts together."""
        return (
            self.city_income_based_yen
            + self.prefecture_income_based_yen
            + self.city_per_capita_yen
            + self.prefecture_per_capita_yen
            + self.forest_tax_yen
        )


@cache
def schedule(name: str) -> Schedule:
    """The schedule of that name, for example `iizuka-2026`. Raises TaxTableError for an unknown one."""
    for row in read_table("resident_tax_rates.csv"):
        if row.pop("schedule") == name:
            return Schedule(**{column: int(value) for column, value in row.items()})
    raise TaxTableError(f"The tax tables have no schedule {name!r}. Add its row to resident_tax_rates.csv.")


@cache
def personal_deduction(kind: str) -> PersonalDeduction:
    """The deduction of that kind, for example `spouse`. Raises TaxTableError for an unknown one."""
    for row in read_table("resident_tax_deductions.csv"):
        if row["kind"] == kind:
            return PersonalDeduction(int(row["deduction_yen"]), int(row["personal_difference_yen"]))
    raise TaxTableError(
        f"The tax tables have no deduction {kind!r}. Add its row to resident_tax_deductions.csv."
    )


@cache
def _salary_brackets(schedule_name: str) -> tuple[tuple[int | None, int, int], ...]:
    """Brackets (receipts up to yen or None, rate in percent, addition in yen), lowest first."""
    brackets = tuple(
        (
            int(row["receipts_up_to_yen"]) if row["receipts_up_to_yen"] else None,
            int(row["rate_percent"]),
            int(row["addition_yen"]),
        )
        for row in read_table("salary_deduction.csv")
        if row["schedule"] == schedule_name
    )
    if not brackets or brackets[-1][0] is not None:
        raise TaxTableError(
            f"The salary table of {schedule_name!r} has no end. Add its rows to salary_deduction.csv."
        )
    return brackets


def salary_income_yen(schedule_name: str, receipts_yen: int) -> int:
    """Income from salary receipts, after the deduction of the bracket they fall into; never below 0."""
    for up_to_yen, rate_percent, addition_yen in _salary_brackets(schedule_name):
        if up_to_yen is None or receipts_yen <= up_to_yen:
            return max(0, receipts_yen - receipts_yen * rate_percent // 100 - addition_yen)
    raise TaxTableError(f"The salary table of {schedule_name!r} has no end. Add its last row.")


def assess(
    rates: Schedule,
    *,
    total_income_yen: int,
    deductions_yen: int,
    personal_difference_yen: int,
    dependants: int,
) -> Assessment:
    """Assess one person for one fiscal year.

    `deductions_yen` is the sum of all deductions, `personal_difference_yen` the sum of the differences of those for
    persons. The base is floored to 1,000 yen, each income-based tax to 100 yen after the adjustment credit.
    """
    base_yen = max(0, total_income_yen - deductions_yen)
    if total_income_yen <= rates.non_taxed_limit_yen(dependants):
        return Assessment(base_yen, 0, 0, 0, 0, 0, non_taxed=True)
    floored_yen = base_yen // 1_000 * 1_000
    credit_base_yen = _adjustment_base_yen(floored_yen, personal_difference_yen)
    city_yen = floored_yen * rates.city_rate_percent // 100 - credit_base_yen * 3 // 100
    prefecture_yen = floored_yen * rates.prefecture_rate_percent // 100 - credit_base_yen * 2 // 100
    return Assessment(
        taxable_base_yen=base_yen,
        city_income_based_yen=max(0, city_yen) // 100 * 100,
        prefecture_income_based_yen=max(0, prefecture_yen) // 100 * 100,
        city_per_capita_yen=rates.city_per_capita_yen,
        prefecture_per_capita_yen=rates.prefecture_per_capita_yen,
        forest_tax_yen=rates.forest_tax_yen,
        non_taxed=False,
    )


def _adjustment_base_yen(floored_base_yen: int, personal_difference_yen: int) -> int:
    """What the adjustment credit (調整控除) is taken of: 3 % by the city and 2 % by the prefecture."""
    if floored_base_yen <= _ADJUSTMENT_BOUND_YEN:
        return min(personal_difference_yen, floored_base_yen)
    return max(_ADJUSTMENT_FLOOR_YEN, personal_difference_yen - (floored_base_yen - _ADJUSTMENT_BOUND_YEN))
