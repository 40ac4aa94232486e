"""What may be lost now and what may not: for each single site, hazard zone, country, power company and carrier, taken as gone all at once.

A record is acknowledged when a majority of the voters has it on disk. From that follows what an event can take (`site_status.survivability`); what other copies
hold of it follows from how far they are. Power and carriers only cut sites off: nothing on a disk is lost by them. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from sento_client.placement.place_words import Name, companies_of, is_said, name_of, zones_of
from sento_client.site_status.survivability import majority, possible_loss
from sento_client.site_status.wording import counted, listed
from sento_proto.governance.parts import Site


class Event(StrEnum):
    """What happens. The last two cut sites off and leave their disks."""

    SITE = "site"
    HAZARD = "hazard"
    COUNTRY = "country"
    POWER = "power"
    CARRIER = "carrier"


_DESTROYS = frozenset({Event.SITE, Event.HAZARD, Event.COUNTRY})


class Known(NamedTuple):
    """How the sites stand. `sizes`: records on each site's disk, of those that answered; `at_work`: voters that vote now; `holding`: voters whose disks
    are known to be whole. None of it is known before a ledger runs."""

    sizes: Mapping[str, int]
    at_work: tuple[str, ...]
    holding: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loss:
    """What one event takes. `goes_on`: ordering does; `may_lose`: acknowledged records can be lost by it; `at_risk`: how many stand on no copy that is left, at
    this look (None: not known); `left`: copies that are left, the furthest first."""

    event: Event
    name: str
    sites: tuple[str, ...]
    goes_on: bool
    votes_left: int
    votes: int
    may_lose: bool
    at_risk: int | None
    left: tuple[str, ...]

    @property
    def words(self) -> str:
        """One sentence."""
        what = _EVENT_WORDS[self.event].format(name=self.name, sites=listed(self.sites))
        order = (
            f"ordering goes on with {self.votes_left} of {self.votes} votes"
            if self.goes_on
            else f"ordering stops ({self.votes_left} of {self.votes} votes are left)"
        )
        return f"{what}: {order}; {self._loss_words()}."

    def _loss_words(self) -> str:
        if not self.may_lose:
            return "nothing acknowledged can be lost"
        if not self.left:
            return "the whole ledger would be lost: no copy stands elsewhere"
        if self.at_risk is None:
            return f"acknowledged records may be lost that {self.left[0]} does not have yet; how many is not known"
        if not self.at_risk:
            return f"acknowledged records may be lost that {self.left[0]} does not have yet: at this look there is none"
        return f"up to {counted(self.at_risk, 'acknowledged record')} may be lost that {_are(self.at_risk)} not at {self.left[0]} yet"


def losses(sites: Sequence[Site], voters: Sequence[str], known: Known | None = None) -> tuple[Loss, ...]:
    """Every event that takes at least one site. `known` is None before a ledger runs: then all are taken to be at work and nothing is said of numbers."""
    standing = known or Known({}, tuple(voters), tuple(voters))
    return tuple(_loss(event, name, taken, sites, voters, standing) for event, name, taken in _events(sites))


def _loss(
    event: Event,
    name: str,
    taken: tuple[str, ...],
    sites: Sequence[Site],
    voters: Sequence[str],
    known: Known,
) -> Loss:
    votes_left = sum(site in known.at_work and site not in taken for site in voters)
    burnt = event in _DESTROYS
    least = possible_loss(voters, known.at_work, known.holding)
    may_lose = burnt and len(set(taken) & set(least.sites)) >= least.any_of
    copies = [site.name for site in sites if site.ledger and not (burnt and site.name in taken)]
    left = tuple(sorted(copies, key=lambda site: -known.sizes.get(site, 0)))
    head, kept = max(known.sizes.values(), default=None), [known.sizes[s] for s in left if s in known.sizes]
    at_risk = None if head is None or not kept else head - max(kept)
    return Loss(
        event,
        name,
        taken,
        votes_left >= majority(len(voters)),
        votes_left,
        len(voters),
        may_lose,
        at_risk,
        left,
    )


def _events(sites: Sequence[Site]) -> Iterator[tuple[Event, str, tuple[str, ...]]]:
    for site in sites:
        yield Event.SITE, site.name, (site.name,)
    kinds: tuple[tuple[Event, Callable[[Site], tuple[Name, ...]]], ...] = (
        (Event.HAZARD, lambda site: zones_of(site.hazard_zone)),
        (Event.COUNTRY, lambda site: (name_of(site.country),) if is_said(site.country) else ()),
        (Event.POWER, lambda site: _only(companies_of(site.power))),
        (Event.CARRIER, lambda site: _only(companies_of(site.carrier))),
    )
    for event, names_of in kinds:
        found: dict[str, tuple[str, list[str]]] = {}
        for site in sites:
            for name in names_of(site):
                found.setdefault(name.key, (name.shown, []))[1].append(site.name)
        yield from ((event, shown, tuple(taken)) for shown, taken in found.values())


def _only(companies: tuple[Name, ...]) -> tuple[Name, ...]:
    """Who has two companies does not go dark with one of them."""
    return companies if len(companies) == 1 else ()


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


_EVENT_WORDS = {
    Event.SITE: "{name} destroyed",
    Event.HAZARD: "hazard zone {name} strikes ({sites})",
    Event.COUNTRY: "country {name} lost ({sites})",
    Event.POWER: "{name} without power ({sites})",
    Event.CARRIER: "carrier {name} down ({sites})",
}
