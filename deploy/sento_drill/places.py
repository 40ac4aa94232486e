"""Places: where the sites of a development world stand and what each depends on, as the genesis file records it.

Sites are worth little if one river, one power grid or one carrier can take two of them. The three at home share no fault zone, no river basin, no
grid operator and, between Kanto and the others, not even the mains frequency; the two embassies share no country with anybody. The test of the world
holds them to that.

Source: fault zones and earthquakes by the Headquarters for Earthquake Research Promotion; areas of the transmission operators by OCCTO; the Shanchiao
(Sanjiao) fault by the Central Geological Survey of Taiwan; Betzdorf as a place of embassies of data by the agreement of Estonia and Luxembourg, 20 June 2017.
Those two sites are invented for training: neither country has agreed to anything here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


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
    votes: bool = True
    """Whether it has a member of the ordering log that votes; an embassy has none."""
    ledger: bool = True
    """Whether it holds a copy; a tie-breaker votes and holds none."""


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
LU_BETZDORF = Place(
    site="lu-betzdorf",
    country="LU",
    region="betzdorf",
    hazard_zone="Syre river basin (Moselle); some 30 km from the Cattenom nuclear power station",
    power="Creos Luxembourg, 50 Hz",
    carrier="SES, teleport at Betzdorf; POST Luxembourg by fibre",
    provider="SES, teleport at Betzdorf",
    legal_basis="to be agreed as Estonia and Luxembourg did on 20 June 2017: premises and data immune, the host without access",
    votes=False,
)
TW_TAIPEI = Place(
    site="tw-taipei",
    country="TW",
    region="taipei",
    hazard_zone="Shanchiao fault; Tamsui river basin; Tatun volcanoes",
    power="Taiwan Power Company, 60 Hz",
    carrier="Chunghwa Telecom",
    provider="rented machine room in Taipei, ciphertext only",
    legal_basis="to be agreed between the two exchange associations; the host stores what it cannot read and handles nothing",
    votes=False,
)
PLACES = (JP_FUKUOKA, JP_ISHIKAWA, JP_IBARAKI)
"""The voting sites known here, in the order in which a world takes them."""
EMBASSIES = (LU_BETZDORF, TW_TAIPEI)
"""The embassies known here: complete copies abroad, without a vote."""
EVERYWHERE = (*PLACES, *EMBASSIES)
"""Five sites: three that vote and two embassies."""
TIE_BREAKER = replace(JP_IBARAKI, ledger=False, provider="Tsukuba city office, one small machine")
"""A third vote without a ledger, for two data sites."""
WITH_TIE_BREAKER = (JP_FUKUOKA, JP_ISHIKAWA, TIE_BREAKER, LU_BETZDORF)
"""Two data sites, an embassy, and a tie-breaker: one data site may be lost."""


def place_of(site: str) -> Place:
    """The place of that site. Raises KeyError, with the names that are known, for another."""
    for place in EVERYWHERE:
        if place.site == site:
            return place
    raise KeyError(f"no place is called {site}; known are {', '.join(place.site for place in EVERYWHERE)}")
