"""Check digits: for each kind of official number, how a body of digits gets its check digit and how a number is judged.

The schemes differ only in lengths, in where the digit stands and in one formula, so each is one row of data with one
function. My Number and corporate number come from python-stdnum; the others have no implementation there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stdnum.jp import cn as corporate_number_rules
from stdnum.jp import in_ as my_number_rules


class CheckDigitError(ValueError):
    """A body has the wrong form, or its scheme gives it no check digit. The message never holds the digits."""


@dataclass(frozen=True, slots=True)
class NumberScheme:
    """One kind of number: accepted body lengths in digits, the formula, and whether the digit leads or trails.

    The formula takes a body of ASCII digits and returns one digit, or None where the scheme has none for that body.
    """

    name: str
    body_digits: tuple[int, ...]
    check_digit: Callable[[str], str | None]
    leads: bool = False

    def complete(self, body: str) -> str:
        """Return the body with its check digit. Raises CheckDigitError for a wrong form or a body without a digit."""
        if len(body) not in self.body_digits or not _is_digits(body):
            lengths = " or ".join(str(length) for length in self.body_digits)
            raise CheckDigitError(f"A {self.name} body has the wrong form. Give {lengths} ASCII digits.")
        digit = self.check_digit(body)
        if digit is None:
            raise CheckDigitError(
                f"This {self.name} body has no check digit. Skip it and take the next serial."
            )
        return digit + body if self.leads else body + digit

    def is_valid(self, number: str) -> bool:
        """Tell whether the whole number, ASCII digits without separators, carries the check digit of its body."""
        if len(number) - 1 not in self.body_digits or not _is_digits(number):
            return False
        body, digit = (number[1:], number[0]) if self.leads else (number[:-1], number[-1])
        return self.check_digit(body) == digit


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _weighted_sum(body: str, weights: tuple[int, ...]) -> int:
    """Sum of digit times weight, the weights given from the right and repeated as often as needed."""
    return sum(int(digit) * weights[place % len(weights)] for place, digit in enumerate(reversed(body)))


def _juminhyo_check_digit(body: str) -> str:
    """Modulus 11, weights 2 to 7 then 2 to 5 from the right; remainders 0 and 1 give 0.

    Source: ordinance on the Basic Resident Registration Act (住民基本台帳法施行規則), article 1. The weights are those of
    My Number; no independent implementation of this number was found to compare with.
    """
    remainder = _weighted_sum(body, (2, 3, 4, 5, 6, 7)) % 11
    return "0" if remainder <= 1 else str(11 - remainder)


def _addressee_check_digit(body: str) -> str | None:
    """Modulus 11, weights 2 to 7 from the right; remainder 0 gives 0, remainder 1 would give 10 and has no digit.

    Source: standard specification of resident record systems (住民記録システム標準仕様書), addressee numbers, "M11W2-7".
    """
    remainder = _weighted_sum(body, (2, 3, 4, 5, 6, 7)) % 11
    if remainder == 1:
        return None
    return str((11 - remainder) % 11)


def _municipality_check_digit(body: str) -> str:
    """Modulus 11, weights 2 to 6 from the right, last digit of the difference to 11.

    Source: codes of local governments (全国地方公共団体コード), note on check digits, Ministry of Internal Affairs.
    """
    return str((11 - _weighted_sum(body, (2, 3, 4, 5, 6)) % 11) % 10)


def _insurer_check_digit(body: str) -> str:
    """Weights 2 and 1 in turn from the right, digits of the products added, difference to the next ten.

    Source: setting of insurer numbers (保険者番号等の設定について), Ministry of Health; the formula of Luhn.
    """
    total = 0
    for place, digit in enumerate(reversed(body)):
        product = int(digit) * (2 if place % 2 == 0 else 1)
        total += product // 10 + product % 10
    return str(-total % 10)


MY_NUMBER = NumberScheme("My Number", (11,), my_number_rules.calc_check_digit)
CORPORATE_NUMBER = NumberScheme(
    "corporate number", (12,), corporate_number_rules.calc_check_digit, leads=True
)
JUMINHYO_CODE = NumberScheme("juminhyo code", (10,), _juminhyo_check_digit)
ADDRESSEE_NUMBER = NumberScheme("addressee number", (8,), _addressee_check_digit)
MUNICIPALITY_CODE = NumberScheme("municipality code", (5,), _municipality_check_digit)
INSURER_NUMBER = NumberScheme("insurer number", (5, 7), _insurer_check_digit)
