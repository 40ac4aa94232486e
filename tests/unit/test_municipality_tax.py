"""Tax: the published sample to the yen, the tables by year, and certificates that add up."""

from __future__ import annotations

import pytest

from sento_drill.municipality import Household, Resident, municipality, tax
from sento_drill.municipality.income import Correction, income_certificate
from sento_drill.municipality.people import REGISTER_DATE


def test_published_sample_certificate_is_computed_to_the_yen() -> None:
    assessment = tax.assess(
        tax.schedule("sample-2015"),
        total_income_yen=3_300_000,
        deductions_yen=2_435_695,
        personal_difference_yen=330_000,
        dependants=4,
    )
    assert assessment.taxable_base_yen == 864_305
    assert assessment.city_income_based_yen == 41_900
    assert assessment.prefecture_income_based_yen == 27_900
    assert assessment.city_per_capita_yen == 3_500
    assert assessment.prefecture_per_capita_yen == 2_500
    assert assessment.annual_yen == 75_800


@pytest.mark.parametrize(
    ("total_yen", "dependants", "non_taxed"),
    [(380_000, 0, True), (380_001, 0, False), (828_000, 1, True), (828_001, 1, False), (0, 0, True)],
)
def test_income_at_the_limit_is_not_taxed_and_one_yen_more_is(
    total_yen: int, dependants: int, non_taxed: bool
) -> None:
    assessment = tax.assess(
        tax.schedule("iizuka-2026"),
        total_income_yen=total_yen,
        deductions_yen=430_000,
        personal_difference_yen=50_000,
        dependants=dependants,
    )
    assert assessment.non_taxed is non_taxed
    assert (assessment.annual_yen == 0) is non_taxed


def test_adjustment_credit_shrinks_above_two_million_and_never_below_its_floor() -> None:
    rates = tax.schedule("iizuka-2026")

    def city_yen(base_yen: int, difference_yen: int) -> int:
        return tax.assess(
            rates,
            total_income_yen=base_yen,
            deductions_yen=0,
            personal_difference_yen=difference_yen,
            dependants=0,
        ).city_income_based_yen

    assert city_yen(2_000_000, 300_000) == 120_000 - 9_000
    assert city_yen(2_100_000, 300_000) == 126_000 - 6_000
    assert city_yen(5_000_000, 300_000) == 300_000 - 1_500


@pytest.mark.parametrize(
    ("schedule", "receipts_yen", "income_yen"),
    [
        ("iizuka-2025", 1_625_000, 1_075_000),
        ("iizuka-2026", 1_625_000, 975_000),
        ("iizuka-2026", 600_000, 0),
        ("iizuka-2026", 1_900_000, 1_250_000),
        ("iizuka-2026", 5_000_000, 3_560_000),
        ("iizuka-2026", 10_000_000, 8_050_000),
    ],
)
def test_salary_income_follows_the_table_of_its_year(
    schedule: str, receipts_yen: int, income_yen: int
) -> None:
    assert tax.salary_income_yen(schedule, receipts_yen) == income_yen


def test_unknown_year_and_unknown_deduction_are_refused_in_words() -> None:
    with pytest.raises(tax.TaxTableError, match=r"resident_tax_rates\.csv"):
        tax.schedule("iizuka-1900")
    with pytest.raises(tax.TaxTableError, match=r"resident_tax_deductions\.csv"):
        tax.personal_deduction("cat")
    with pytest.raises(tax.TaxTableError, match=r"salary_deduction\.csv"):
        tax.salary_income_yen("iizuka-1900", 1)


def test_every_certificate_adds_up_and_prints_zero_instead_of_blank() -> None:
    taxed = 0
    for household in municipality(500, seed=4).households:
        for resident in household.members:
            content = income_certificate(resident, household, seed=4)
            assert isinstance(content["deductions"], dict)
            assert isinstance(content["total_income"], int)
            assert content["deductions_total"] == sum(content["deductions"].values())
            assert content["taxable_base"] == max(0, content["total_income"] - content["deductions_total"])
            assert content["non_taxed"] is (content["annual"] == 0)
            assert None not in content.values()
            taxed += not content["non_taxed"]
    assert 100 < taxed < 400


def test_correction_upwards_raises_the_income_and_medical_expenses_lower_the_base() -> None:
    town = municipality(400, seed=4)
    household = next(house for house in town.households if _annual_yen(house.members[0], house) > 100_000)
    head = household.members[0]
    more = income_certificate(head, household, 4, Correction(2, REGISTER_DATE, 300_000, 0))
    less = income_certificate(head, household, 4, Correction(3, REGISTER_DATE, 0, 200_000))
    now = _annual_yen(head, household)
    assert isinstance(more["annual"], int)
    assert isinstance(less["annual"], int)
    assert less["annual"] < now < more["annual"]
    assert (more["version"], less["version"]) == (2, 3)


def _annual_yen(resident: Resident, household: Household) -> int:
    annual = income_certificate(resident, household, seed=4)["annual"]
    assert isinstance(annual, int)
    return annual
