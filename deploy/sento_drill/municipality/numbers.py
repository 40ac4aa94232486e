"""Number desk: hands out the official numbers of a synthetic municipality, valid, unique and drawn from a seed.

Serials run and skip those without a check digit; My Number and juminhyo code are drawn at random. Every random body
starts with 9, so that the invented numbers are easy to tell on a screen.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from sento_drill.municipality.check_digits import (
    ADDRESSEE_NUMBER,
    JUMINHYO_CODE,
    MY_NUMBER,
    CheckDigitError,
    NumberScheme,
)


class NumberDesk:
    """Draws numbers from one `random.Random`; never the same twice, never a reserved one."""

    def __init__(self, rng: random.Random, reserved: frozenset[str]) -> None:
        self._rng = rng
        self._taken = set(reserved)
        self._addressees = self._serials(first=1)
        self._households = self._serials(first=1001)

    def addressee_number(self) -> str:
        """The next addressee number, nine digits."""
        return next(self._addressees)

    def household_number(self) -> str:
        """The next household number, nine digits, from a range of its own."""
        return next(self._households)

    def my_number(self) -> str:
        """A My Number, twelve digits."""
        return self._draw(MY_NUMBER, random_digits=10)

    def juminhyo_code(self) -> str:
        """A juminhyo code, eleven digits."""
        return self._draw(JUMINHYO_CODE, random_digits=9)

    def _draw(self, scheme: NumberScheme, random_digits: int) -> str:
        while True:
            number = scheme.complete(f"9{self._rng.randrange(10**random_digits):0{random_digits}d}")
            if number not in self._taken:
                self._taken.add(number)
                return number

    def _serials(self, first: int) -> Iterator[str]:
        for serial in range(first, 10**8):
            try:
                number = ADDRESSEE_NUMBER.complete(f"{serial:08d}")
            except CheckDigitError:
                continue
            if number not in self._taken:
                yield number
