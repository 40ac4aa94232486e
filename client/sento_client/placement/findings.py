"""What is wrong with where copies and votes stand: one finding for each thing that one event could take too much of.

    hazard:<zone>             two copies of the ledger stand in one hazard zone
    majority-hazard:<zone>    more than half of the votes do (a tie-breaker has no copy, and a vote)
    majority-region:<name>    more than half of the votes stand in one region; majority-country:<name>
    majority-power:<name>     more than half of the votes have no other power company; majority-carrier:<name>
    satellite:<site>          a vote goes over a satellite
    unsaid:<site>             governance does not say enough of the place to judge it

Each is refused unless the officers accept it by its name in the plan that they sign: a country with all its votes at home knows why. Names are stable.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from sento_client.placement.place_words import (
    Name,
    companies_of,
    is_over_satellite,
    is_said,
    name_of,
    zones_of,
)
from sento_client.placement.round_trips import RoundTrips
from sento_client.site_status.survivability import majority
from sento_client.site_status.wording import listed
from sento_proto.governance.parts import Site

SATELLITE_ROUND_TRIP_US = 450_000
"""Up to a geostationary satellite and down again takes 240 ms at least, so there and back 480; no way on the ground takes as long."""
_SHARED = ("country", "region", "hazard_zone", "power", "carrier")
"""What a place must say to be judged."""


class Finding(NamedTuple):
    """`sites`: those that it is about."""

    name: str
    sites: tuple[str, ...]
    words: str
    remedy: str

    def accepted(self, accepts: Collection[str]) -> bool:
        """Whether the officers accept it."""
        return self.name in accepts


def findings(
    sites: Sequence[Site], voters: Collection[str], trips: RoundTrips | None = None
) -> tuple[Finding, ...]:
    """Everything that is to be refused about these sites where `voters` have the votes, the gravest first. `trips`: what was measured, if anything was."""
    voting = tuple(site for site in sites if site.name in voters)
    shared = tuple(_hazards(sites))
    return (
        *_unsaid(sites),
        *shared,
        *_majorities(voting, {one.name.partition(":")[2] for one in shared}),
        *_satellites(voting, trips or RoundTrips()),
    )


def refused(found: Sequence[Finding], accepts: Collection[str]) -> tuple[Finding, ...]:
    """Those that nobody accepted."""
    return tuple(one for one in found if not one.accepted(accepts))


def _unsaid(sites: Sequence[Site]) -> Iterator[Finding]:
    for site in sites:
        missing = [field.replace("_", " ") for field in _SHARED if not is_said(getattr(site, field))]
        if missing:
            yield Finding(
                f"unsaid:{site.name}",
                (site.name,),
                f"Governance does not say the {listed(missing)} of {site.name}, so nobody can tell what it shares with others.",
                "Enrol the site with its place, by an act of officers.",
            )


def _hazards(sites: Sequence[Site]) -> Iterator[Finding]:
    copies = tuple(site for site in sites if site.ledger)
    for zone, names in _grouped(copies, lambda site: zones_of(site.hazard_zone)).items():
        if len(names) > 1:
            yield Finding(
                f"hazard:{zone.shown}",
                names,
                f"{'Both' if len(names) == 2 else 'All'} copies at {listed(names)} stand in one hazard zone ({zone.shown}): one event can destroy them.",
                "Move one of them out of the zone.",
            )


def _majorities(voting: Sequence[Site], said_before: Collection[str]) -> Iterator[Finding]:
    def alone(field: str) -> Callable[[Site], tuple[Name, ...]]:
        def of(site: Site) -> tuple[Name, ...]:
            companies = companies_of(getattr(site, field))
            # Who has two companies does not go dark with one of them.
            return companies if len(companies) == 1 else ()

        return of

    def place(field: str) -> Callable[[Site], tuple[Name, ...]]:
        return lambda site: (name_of(getattr(site, field)),) if is_said(getattr(site, field)) else ()

    kinds: Mapping[str, tuple[str, Callable[[Site], tuple[Name, ...]], str]] = {
        "hazard": ("stand in one hazard zone", lambda site: zones_of(site.hazard_zone), "zone"),
        "region": ("stand in one region", place("region"), "region"),
        "country": ("stand in one country", place("country"), "country"),
        "power": ("have no other power company than one", alone("power"), "company"),
        "carrier": ("have no other carrier than one", alone("carrier"), "carrier"),
    }
    needed = majority(len(voting))
    for kind, (how, of, what) in kinds.items():
        for name, names in _grouped(voting, of).items():
            if len(voting) < 2 or len(names) < needed or (kind == "hazard" and name.shown in said_before):
                continue
            yield Finding(
                f"majority-{kind}:{name.shown}",
                names,
                f"{len(names)} of {len(voting)} votes ({listed(names)}) {how} ({name.shown}): where it goes dark, ordering stops.",
                f"Give a vote to a site outside of that {what}, or have the officers accept it by name.",
            )


def _satellites(voting: Sequence[Site], trips: RoundTrips) -> Iterator[Finding]:
    names = [site.name for site in voting]
    for site in voting:
        measured = list(trips.from_site(site.name, names).values())
        far = bool(measured) and all(one is not None and one >= SATELLITE_ROUND_TRIP_US for one in measured)
        if not far and not is_over_satellite(site.carrier):
            continue
        how = (
            f"no other vote is nearer than {min(one for one in measured if one is not None) // 1000} ms"
            if far
            else f"its only way out is {site.carrier}"
        )
        yield Finding(
            f"satellite:{site.name}",
            (site.name,),
            f"{site.name} would vote over a satellite ({how}): each record waits for it when it is needed, and elections come with each fade.",
            "Let it be an embassy without a vote, or give it a line on the ground.",
        )


def _grouped(
    sites: Sequence[Site], names_of: Callable[[Site], tuple[Name, ...]]
) -> dict[Name, tuple[str, ...]]:
    """Names by key -> the sites that have them, in order; shown as the first of them wrote it."""
    found: dict[str, tuple[Name, list[str]]] = {}
    for site in sites:
        for name in names_of(site):
            found.setdefault(name.key, (name, []))[1].append(site.name)
    return {name: tuple(names) for name, names in found.values()}
