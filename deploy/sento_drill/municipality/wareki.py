"""Wareki: dates in Japanese eras, as text and back, by an era table that is data and not code.

A change of era is one more line in `data/eras.csv`. The first year is written 元年 and read as 元年 or 1年. On a day that
belongs to two eras the later one is written and both are read, as the registers must.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cache

from sento_drill.municipality.reference import read_table

GREGORIAN_SINCE = date(1873, 1, 1)
"""Before this day Japan counted by the lunar calendar (Dajokan edict 337 of Meiji 5): month and day do not map."""

_WAREKI = re.compile(r"(?P<era>\D+?)(?P<year>元|\d{1,2})年(?P<month>\d{1,2})月(?P<day>\d{1,2})日")


class WarekiError(ValueError):
    """A date or a text that the era table cannot carry. The message never holds the date: it may be a birth date."""


@dataclass(frozen=True, slots=True)
class Era:
    """One era with its first and last Gregorian day; `last` is None while it runs."""

    name: str
    first: date
    last: date | None

    def covers(self, day: date) -> bool:
        """Tell whether the day belongs to the era; first and last day do."""
        return self.first <= day and (self.last is None or day <= self.last)


@cache
def eras() -> tuple[Era, ...]:
    """The era table, oldest first."""
    return tuple(
        Era(
            name=row["era"],
            first=date.fromisoformat(row["first_gregorian_date"]),
            last=date.fromisoformat(row["last_gregorian_date"]) if row["last_gregorian_date"] else None,
        )
        for row in read_table("eras.csv")
    )


def to_wareki(day: date) -> str:
    """Write a Gregorian day as era text, for example 昭和20年5月3日. Raises WarekiError before 1873-01-01."""
    if day < GREGORIAN_SINCE:
        raise WarekiError("The day lies before the Gregorian calendar in Japan. Enter the date as text only.")
    for era in reversed(eras()):
        if era.covers(day):
            year = day.year - era.first.year + 1
            return f"{era.name}{'元' if year == 1 else year}年{day.month}月{day.day}日"
    raise WarekiError("No era of the table covers the day. Add the era to the table.")


def from_wareki(text: str) -> date:
    """Read era text, digits of either width, back to the Gregorian day.

    Raises WarekiError for another form, an unknown era, a day that no calendar has, and a day outside the era.
    """
    match = _WAREKI.fullmatch(text)
    if match is None:
        raise WarekiError("The text is no wareki date. Write era, year 年, month 月, day 日.")
    era = next((known for known in eras() if known.name == match["era"]), None)
    if era is None:
        raise WarekiError("The era is not in the table. Check its name, or add the era to the table.")
    year = 1 if match["year"] == "元" else int(match["year"])
    try:
        day = date(era.first.year + year - 1, int(match["month"]), int(match["day"]))
    except ValueError as error:
        raise WarekiError("The calendar has no such day. Keep the text, and leave the date unset.") from error
    if day < GREGORIAN_SINCE or not era.covers(day):
        raise WarekiError("The day lies outside its era. Check era and year.")
    return day
