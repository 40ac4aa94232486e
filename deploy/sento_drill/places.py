"""Places: where the sites of a development world stand and what each depends on, as the genesis file records it.

Three sites are worth little if one river, one power grid or one carrier can take two of them. These three share no fault zone, no river basin, no
grid operator and, between Kanto and the others, not even the mains frequency; the test of the world holds them to that.

Source: fault zones and earthquakes by the Headquarters for Earthquake Research Promotion; areas of the transmission operators by OCCTO.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """One place that can host a site; the fields are those of a site in the genesis file."""

    site: str
    country: str
    region: str
    hazard_zone: str
    power: str
    carrier: str
    provider: str
    legal_basis: str


_ENTRUSTED = (
    "Local Autonomy Act (Act 67 of 1947) art. 252-14: administration entrusted between municipalities"
)

JP_FUKUOKA = Place(
    site="jp-fukuoka",
    country="JP",
    region="kyushu",
    hazard_zone="Nishiyama fault zone; Onga river basin (Iizuka, 402052)",
    power="Kyushu Electric Power Transmission and Distribution, 60 Hz",
    carrier="QTnet",
    provider="Iizuka city office, own machine room",
    legal_basis="Basic Resident Registration Act (Act 81 of 1967) art. 5: the municipality keeps its register",
)
JP_ISHIKAWA = Place(
    site="jp-ishikawa",
    country="JP",
    region="hokuriku",
    hazard_zone="eastern Fukui plain fault zone; Daishoji river basin (Kaga, 172065)",
    power="Hokuriku Electric Power Transmission and Distribution, 60 Hz",
    carrier="HTNet",
    provider="Kaga city office, own machine room",
    legal_basis=_ENTRUSTED,
)
JP_IBARAKI = Place(
    site="jp-ibaraki",
    country="JP",
    region="kanto",
    hazard_zone="southern Ibaraki slab earthquakes; Kokai river basin (Tsukuba, 082201)",
    power="TEPCO Power Grid, 50 Hz",
    carrier="NTT East",
    provider="Tsukuba city office, own machine room",
    legal_basis=_ENTRUSTED,
)
PLACES = (JP_FUKUOKA, JP_ISHIKAWA, JP_IBARAKI)
"""The places known here, in the order in which a world takes them."""


def place_of(site: str) -> Place:
    """The place of that site. Raises KeyError, with the names that are known, for another."""
    for place in PLACES:
        if place.site == site:
            return place
    raise KeyError(f"no place is called {site}; known are {', '.join(place.site for place in PLACES)}")
