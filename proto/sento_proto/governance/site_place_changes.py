"""Changes to where a site is reached and whether its ordering member votes, and the enrolment of a tie-breaker. They exist from rules 5 on.

Governance says who may be a member of the ordering log; the membership itself is changed by the site whose member it is (`sento-node join`), behind the act.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from sento_proto.governance.changing import Unfit
from sento_proto.governance.parts import Site, read_address, read_ordering_url, read_placed_site
from sento_proto.governance.site_changes import check_voters, with_new_site, with_site
from sento_proto.governance.state import Governance
from sento_proto.strict_json import Fields


@dataclass(frozen=True, slots=True)
class SetSitePlace:
    """Where the others reach a site's node, and its ordering member if it has one."""

    DO: ClassVar[str] = "set-site-place"
    RULES: ClassVar[int] = 5
    name: str
    address: str
    ordering_url: str

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.institution("name"), read_address(fields), read_ordering_url(fields))

    def effect(self, governance: Governance, at: int) -> Governance:
        site = _standing(governance, self.name)
        return with_site(governance, replace(site, address=self.address, ordering_url=self.ordering_url))

    def words(self, governance: Governance) -> str:
        node = (
            f"is reached at {self.address}" if self.address else "is reached where each site's own file says"
        )
        member = f", its ordering member at {self.ordering_url}" if self.ordering_url else ""
        return f"{self.name} {node}{member}."


@dataclass(frozen=True, slots=True)
class SetSiteVotes:
    """Whether a site that keeps the ledger has a voting member of the ordering log."""

    DO: ClassVar[str] = "set-site-votes"
    RULES: ClassVar[int] = 5
    name: str
    votes: bool

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.institution("name"), fields.flag("votes"))

    def effect(self, governance: Governance, at: int) -> Governance:
        site = _standing(governance, self.name)
        if not site.ledger:
            raise Unfit(f"{self.name} is a tie-breaker, which only votes; retire it with retire-site.")
        if site.votes == self.votes:
            raise Unfit(f"{self.name} {'votes' if self.votes else 'has no vote'} already.")
        after = with_site(governance, replace(site, votes=self.votes))
        check_voters(after)
        return after

    def words(self, governance: Governance) -> str:
        if self.votes:
            return f"{self.name} may have a voting member of the ordering log; sento-node join at the site makes it one."
        return f"{self.name} has no vote any more: its member leaves the ordering log when the site starts next, its ledger stays."


@dataclass(frozen=True, slots=True)
class EnrolTieBreaker:
    """A site that votes without a ledger, so that two sites with ledgers have a majority when one of them is lost."""

    DO: ClassVar[str] = "enrol-tie-breaker"
    RULES: ClassVar[int] = 5
    site: Site

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.inner("site", read_placed_site))

    def effect(self, governance: Governance, at: int) -> Governance:
        if self.site.ledger or not self.site.votes:
            raise Unfit('A tie-breaker has "votes": true and "ledger": false.')
        return with_new_site(governance, self.site)

    def words(self, governance: Governance) -> str:
        site = self.site
        return f"{site.name} ({site.region}, {site.country}) votes in the ordering log and keeps no ledger; it never cosigns."


def _standing(governance: Governance, name: str) -> Site:
    site = governance.sites.get(name)
    if site is None:
        raise Unfit(f"There is no site {name}.")
    return site
