"""A day of residence events of all Japan as records: as many of each kind as a working day brings, each about an invented person, about 2 KB each.

67,000 events: 16.5 million a year over 245 days. A move between municipalities is two events, in the place left and in the place entered; so is a marriage or a
divorce. Contents are random bytes, because a sealed record does not compress either.

Source: vital statistics of 2023 (births 727,277, deaths 1,575,936, marriages 474,717, divorces 183,808); some 5.2 million moves between municipalities and some
2.5 million inside one a year.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

from sento_client import Draft

DAY_RECORDS = 67_000
CONTENT_BYTES = 2_000
PER_YEAR = {
    "residence/birth": 727_277,
    "residence/death": 1_575_936,
    "residence/marriage": 2 * 474_717,
    "residence/divorce": 2 * 183_808,
    "residence/move-out": 5_200_000,
    "residence/move-in": 5_200_000,
    "residence/move-inside": 2_500_000,
}


def events(records: int, content_bytes: int = CONTENT_BYTES) -> Iterator[Draft]:
    """So many events, the kinds mixed as over a year; nobody twice."""
    source, kinds = secrets.token_hex(4), _mixed()
    for number in range(records):
        yield Draft(
            registry="residency",
            compartment="basic",
            kind=next(kinds),
            subject=f"{source} {number}",
            fact="event",
            content=os.urandom(content_bytes),
        )


def _mixed() -> Iterator[str]:
    """Kinds without end, each as often as its number of a year says: always the one that is furthest behind."""
    whole = sum(PER_YEAR.values())
    owed = dict.fromkeys(PER_YEAR, 0)
    while True:
        for kind, number in PER_YEAR.items():
            owed[kind] += number
        kind = max(owed, key=lambda name: owed[name])
        owed[kind] -= whole
        yield kind
