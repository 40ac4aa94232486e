"""The plan of a development world: who takes part, who may write and read what, before any key or file exists.

An author writes scopes and makes a KEK for each; a reader is given some of them. A reader without KEKs (`opens=()`) can fetch and verify everything
and open nothing: that is an auditor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sento_drill.places import EVERYWHERE, PLACES, WITH_TIE_BREAKER, Place
from sento_proto.genesis import Scope
from sento_proto.rules import NEWEST_RULES

REGISTRIES = ("governance", "keys", "residency", "tax", "health")
PERSONAL_REGISTRIES = ("residency", "tax", "health")
"""Registries about people: each has a pseudonym key."""
OFFICERS = (
    "chief-cabinet-secretary",
    "digital-minister",
    "internal-affairs-minister",
    "health-minister",
    "ciso",
)
OFFICERS_THRESHOLD = 3
DEPUTIES = tuple((officer, f"deputy-{officer}") for officer in OFFICERS)
FIRST_KEY_EPOCH = 1
ANY = "*"
OPEN = ""


@dataclass(frozen=True, slots=True)
class AuthorPlan:
    """An institution that writes. `may_write` may name compartment "*"; `keks` names each compartment it makes a KEK for."""

    name: str
    may_write: tuple[Scope, ...]
    keks: tuple[Scope, ...]

    @property
    def registries(self) -> tuple[str, ...]:
        """Registries in which it names people."""
        return tuple(dict.fromkeys(scope.registry for scope in self.keks))


@dataclass(frozen=True, slots=True)
class ReaderPlan:
    """An institution that reads. `may_read`: what sites give it; `opens`: what authors seal their KEKs to it for."""

    name: str
    may_read: tuple[Scope, ...]
    opens: tuple[Scope, ...]
    may_see: tuple[Scope, ...] = ()
    """What sites show it the headers of, beside what it may read."""

    def opens_scope(self, scope: Scope) -> bool:
        """Whether KEKs of that registry and compartment are sealed to this reader."""
        return any(mine.covers(scope.registry, scope.compartment) for mine in self.opens)

    @property
    def registries(self) -> tuple[str, ...]:
        """Registries in which it must find a person by number: those it can open something of."""
        return tuple(dict.fromkeys(scope.registry for scope in self.opens))


IIZUKA_CITY = AuthorPlan(
    "iizuka-city",
    may_write=(Scope("residency", ANY), Scope("tax", ANY), Scope("health", "coverage")),
    keks=(
        Scope("residency", OPEN),
        Scope("residency", "basic"),
        Scope("residency", "protected"),
        Scope("tax", OPEN),
        Scope("tax", "income"),
        Scope("health", "coverage"),
    ),
)
IIZUKA_HOSPITAL = AuthorPlan(
    "iizuka-hospital",
    may_write=(Scope("health", ANY),),
    keks=(Scope("health", OPEN), Scope("health", "prescription")),
)
DISASTER_MEDICAL_TEAM = ReaderPlan(
    "disaster-medical-team", may_read=(Scope("health", ANY),), opens=(Scope("health", ANY),)
)
AUDITOR_BOARD = ReaderPlan(
    "auditor-board", may_read=tuple(Scope(registry, ANY) for registry in REGISTRIES), opens=()
)
_READ_LOGS = tuple(Scope(registry, "access") for registry in PERSONAL_REGISTRIES)
READ_LOG_DESK = ReaderPlan("read-log-desk", may_read=_READ_LOGS, opens=_READ_LOGS)
"""Shows residents who read their records, and can open nothing else."""
AUTHORS = (IIZUKA_CITY, IIZUKA_HOSPITAL)
READERS = (DISASTER_MEDICAL_TEAM, AUDITOR_BOARD, READ_LOG_DESK)
OPERATOR = "drill"


@dataclass(frozen=True, slots=True)
class WorldPlan:
    """A whole world. The receipt set is who votes and holds a ledger, with embassies where a tie-breaker leaves too few; the quorum is its majority."""

    name: str = "sento-drill"
    sites: tuple[Place, ...] = PLACES
    authors: tuple[AuthorPlan, ...] = AUTHORS
    readers: tuple[ReaderPlan, ...] = READERS
    operator: str = OPERATOR
    officers: tuple[str, ...] = OFFICERS
    officers_threshold: int = OFFICERS_THRESHOLD
    deputies: tuple[tuple[str, str], ...] = DEPUTIES
    """(officer, deputy); those of officers that the plan does not have count for nothing."""
    registries: tuple[str, ...] = REGISTRIES
    purpose: str = "training"
    later_authors: tuple[AuthorPlan, ...] = ()
    later_readers: tuple[ReaderPlan, ...] = ()
    """Institutions that have directories and keys and do not stand in the genesis file: officers enrol them."""
    rules: int = NEWEST_RULES
    """The rules number that the ledger begins under."""
    stand_by: bool = False
    """Whether embassies are prepared to vote one day: their node.toml says where a member would listen, and a safe holds certificates for it."""

    @property
    def deputy_of(self) -> dict[str, str]:
        """The deputy of each officer who has one."""
        return {officer: deputy for officer, deputy in self.deputies if officer in self.officers}

    @property
    def people(self) -> tuple[str, ...]:
        """Officers, then their deputies: everybody who signs acts."""
        return (*self.officers, *self.deputy_of.values())

    @property
    def institutions(self) -> tuple[AuthorPlan | ReaderPlan, ...]:
        """Everybody who has a directory."""
        return (*self.authors, *self.later_authors, *self.readers, *self.later_readers)

    @property
    def receipt_sites(self) -> tuple[str, ...]:
        """Sites whose cosignatures make receipts. Two data sites with a tie-breaker count on embassies: with either of them lost, receipts must go on."""
        ties_are_broken = any(place.votes and not place.ledger for place in self.sites)
        return tuple(place.site for place in self.sites if place.ledger and (place.votes or ties_are_broken))

    @property
    def receipt_quorum(self) -> int:
        """More than half of the receipt set."""
        return len(self.receipt_sites) // 2 + 1


FIVE_SITES = WorldPlan(sites=EVERYWHERE)
"""Three sites that vote and two embassies."""
PREPARED = replace(FIVE_SITES, name="sento-prepared", stand_by=True)
"""The same, prepared in peace for the day on which an embassy votes."""
TIE_BREAKER_WORLD = WorldPlan(name="sento-tie-breaker", sites=WITH_TIE_BREAKER)
"""Two data sites, a tie-breaker, an embassy."""
