"""Reference tables: the real towns, names, municipality codes and drugs of `data/`, read once and kept as plain rows.

`data/NOTICE.md` names source, version and licence of each file.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class NamePart:
    """A family or a given name: exact glyphs and full-width katakana."""

    kanji: str
    kana: str


@dataclass(frozen=True, slots=True)
class Town:
    """A town (町字) of Iizuka with its postal code of seven digits."""

    name: str
    postal_code: str


@dataclass(frozen=True, slots=True)
class MunicipalityName:
    """A municipality or ward with its code of six digits."""

    code: str
    prefecture: str
    name: str


@dataclass(frozen=True, slots=True)
class Drug:
    """A drug with its usual dosage: `frequency` doses each `period`, a count and a UCUM unit such as 1d or 4h."""

    rxnorm_code: str
    display: str
    frequency: int
    period: str
    dose: int
    as_needed: bool
    weight: int


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of one CSV file of `data/`, values byte-exact: no Unicode normalization anywhere."""
    text = (files(__package__) / "data" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def family_names() -> tuple[NamePart, ...]:
    """Family names without weights: the list is not a statistic of Iizuka."""
    return tuple(NamePart(row["kanji"], row["kana"]) for row in read_table("family_names.csv"))


@cache
def given_names(sex: str) -> tuple[NamePart, ...]:
    """Given names for 男 or 女."""
    return tuple(
        NamePart(row["kanji"], row["kana"]) for row in read_table("given_names.csv") if row["sex"] == sex
    )


@cache
def towns() -> tuple[Town, ...]:
    """The towns of Iizuka."""
    return tuple(Town(row["town"], row["postal_code"]) for row in read_table("towns.csv"))


@cache
def municipalities() -> tuple[MunicipalityName, ...]:
    """Every municipality of Japan: where people move in from."""
    return tuple(
        MunicipalityName(row["code"], row["prefecture"], row["name"])
        for row in read_table("municipalities.csv")
    )


@cache
def drugs() -> tuple[Drug, ...]:
    """Drugs that a patient takes at home, with how often each was prescribed in the sample."""
    return tuple(
        Drug(
            rxnorm_code=row["rxnorm_code"],
            display=row["display"],
            frequency=int(row["frequency"]),
            period=row["period"],
            dose=int(row["dose"]),
            as_needed=row["as_needed"] == "yes",
            weight=int(row["weight"]),
        )
        for row in read_table("prescriptions.csv")
    )
