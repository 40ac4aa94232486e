"""Check digits: every scheme against its vectors, and against each single wrong digit."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from sento_drill.municipality.check_digits import (
    ADDRESSEE_NUMBER,
    CORPORATE_NUMBER,
    INSURER_NUMBER,
    JUMINHYO_CODE,
    MUNICIPALITY_CODE,
    MY_NUMBER,
    CheckDigitError,
    NumberScheme,
)

VECTORS = Path(__file__).parents[1] / "golden" / "check_digits.csv"
SCHEMES = {
    "my_number": MY_NUMBER,
    "corporate_number": CORPORATE_NUMBER,
    "juminhyo_code": JUMINHYO_CODE,
    "municipality_code": MUNICIPALITY_CODE,
}


def read_vectors() -> list[tuple[str, str, bool]]:
    with VECTORS.open(encoding="utf-8", newline="") as stream:
        return [(row["kind"], row["value"], row["expect"] == "valid") for row in csv.DictReader(stream)]


def test_every_golden_vector_is_judged_as_it_says() -> None:
    vectors = read_vectors()
    assert len(vectors) == 1658
    wrong = [
        (kind, value) for kind, value, expected in vectors if SCHEMES[kind].is_valid(value) is not expected
    ]
    assert wrong == []


def test_completing_a_valid_body_gives_the_golden_number_back() -> None:
    for kind, value, expected in read_vectors():
        if expected:
            scheme = SCHEMES[kind]
            assert scheme.complete(value[1:] if scheme.leads else value[:-1]) == value


@pytest.mark.parametrize(
    ("scheme", "number"),
    [
        (ADDRESSEE_NUMBER, "000000019"),
        (ADDRESSEE_NUMBER, "000000027"),
        (ADDRESSEE_NUMBER, "000000108"),
        (INSURER_NUMBER, "00409995"),
        (INSURER_NUMBER, "409995"),
        (CORPORATE_NUMBER, "8000020402052"),
        (MUNICIPALITY_CODE, "402052"),
        (MY_NUMBER, "983205673214"),
        (JUMINHYO_CODE, "90000000018"),
    ],
)
def test_known_number_is_valid_and_every_other_check_digit_is_not(scheme: NumberScheme, number: str) -> None:
    place = 0 if scheme.leads else len(number) - 1
    accepted = [
        digit for digit in "0123456789" if scheme.is_valid(number[:place] + digit + number[place + 1 :])
    ]
    assert accepted == [number[place]]


@pytest.mark.parametrize("body", ["00000006", "00000023"])
def test_addressee_serial_whose_check_would_be_ten_is_refused(body: str) -> None:
    with pytest.raises(CheckDigitError, match="no check digit") as refused:
        ADDRESSEE_NUMBER.complete(body)
    assert body not in str(refused.value)
    assert not any(ADDRESSEE_NUMBER.is_valid(body + digit) for digit in "0123456789")


@pytest.mark.parametrize(
    "text", ["", "98320567321", "9832056732140", "9832 0567 3214", "98320567321x", "９８３２０５６７３２１４"]
)
def test_text_that_is_not_exactly_twelve_ascii_digits_is_no_my_number(text: str) -> None:
    assert not MY_NUMBER.is_valid(text)


@pytest.mark.parametrize("body", ["", "1", "１２３４５６７８９０１", "1234567890a"])
def test_body_of_wrong_form_is_refused_without_repeating_it(body: str) -> None:
    with pytest.raises(CheckDigitError, match="Give 11 ASCII digits") as refused:
        MY_NUMBER.complete(body)
    assert len(body) < 2 or body not in str(refused.value)
