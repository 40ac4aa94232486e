"""What governance says of a place, taken apart so that two places can be compared: hazard zones, companies, satellites.

    hazard_zone   "Nishiyama fault zone; Onga river basin (Iizuka, 402052)"            two zones
    power         "TEPCO Power Grid, 50 Hz"                                            one company
    carrier       "SES, teleport at Betzdorf; POST Luxembourg by fibre"                two companies

Parts are separated by ";". What stands in brackets, behind a comma or behind " by " describes a part and does not name it. Names are compared without regard
to case and to spaces; they are shown as they were written. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

_BRACKETS = re.compile(r"\([^)]*\)")
_DESCRIBED = re.compile(r",|\s+by\s+|\s+via\s+|\s+over\s+", re.IGNORECASE)
_UNSAID = frozenset({"", "-", "?", "unknown", "none", "n/a", "not known"})
_WORDS = re.compile(r"[a-z0-9]+")
_SATELLITE_WORDS = frozenset(
    {
        "satellite", "satellites", "satcom", "vsat", "starlink", "oneweb", "ses", "o3b", "mpower", "eutelsat", "intelsat", "inmarsat", "viasat", "hughesnet",
        "iridium", "jsat", "telesat", "thuraya", "kuiper", "konnect",
    }
)  # fmt: skip
"""Operators that carry a site's traffic through space, and the words for it; compared with whole words of a part."""


class Name(NamedTuple):
    """`key` compares, `shown` is what was written."""

    key: str
    shown: str


def zones_of(hazard_zone: str) -> tuple[Name, ...]:
    """The hazard zones of a place, each once; none where it does not say."""
    return _names(_BRACKETS.sub(" ", part) for part in hazard_zone.split(";"))


def companies_of(field: str) -> tuple[Name, ...]:
    """The companies that a place's power or carrier names, each once; none where it does not say."""
    return _names(_DESCRIBED.split(_BRACKETS.sub(" ", part), maxsplit=1)[0] for part in field.split(";"))


def name_of(text: str) -> Name:
    """A country's or a region's name."""
    shown = " ".join(unicodedata.normalize("NFKC", text).split())
    return Name(shown.casefold(), shown)


def is_said(text: str) -> bool:
    """Whether a field says anything."""
    return name_of(text).key not in _UNSAID


def is_over_satellite(carrier: str) -> bool:
    """Whether every part of a carrier goes through space. A fibre beside the dish is enough to stay on the ground."""
    parts = [part for part in carrier.split(";") if is_said(part)]
    return bool(parts) and all(_SATELLITE_WORDS & set(_WORDS.findall(name_of(part).key)) for part in parts)


def _names(texts: Iterable[str]) -> tuple[Name, ...]:
    found: dict[str, Name] = {}
    for text in texts:
        name = name_of(text)
        if name.key not in _UNSAID:
            found.setdefault(name.key, name)
    return tuple(found.values())
