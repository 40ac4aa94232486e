"""Changes to the sites that governance knows, and to the set whose cosignatures make a receipt.

These say who counts; moving members of the ordering log is another matter. A checkpoint is judged by the receipt set of its size, so a change makes a new entry
and leaves the former ones for the checkpoints before it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from sento_proto.governance.changing import NotYetFit, Unfit, check_new_key, with_entry, without
from sento_proto.governance.parts import (
    ReceiptSet,
    Site,
    names_place,
    read_key,
    read_ml_dsa_44,
    read_placed_site,
    read_receipt_set,
)
from sento_proto.governance.site_keys import receipt_quorum, second_keys
from sento_proto.governance.state import Governance
from sento_proto.keys import PublicKey
from sento_proto.strict_json import Fields


@dataclass(frozen=True, slots=True)
class EnrolSite:
    """A new site, with its risks and, from rules 5 on, its place. `placed`: its object has a member that exists from rules 5 on."""

    DO: ClassVar[str] = "enrol-site"
    RULES: ClassVar[int] = 2
    site: Site
    placed: bool = False

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(*fields.inner("site", read_site_told))

    def effect(self, governance: Governance, at: int) -> Governance:
        if not self.site.ledger:
            raise Unfit("A site without a ledger is enrolled by enrol-tie-breaker.")
        return with_new_site(governance, self.site)

    def words(self, governance: Governance) -> str:
        site = self.site
        return f"{site.name} ({site.region}, {site.country}) is a site; its cosignature counts once it is in the receipt set."


@dataclass(frozen=True, slots=True)
class RetireSite:
    """A site is none any more: its blocks and cosignatures are refused."""

    DO: ClassVar[str] = "retire-site"
    RULES: ClassVar[int] = 2
    name: str

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.institution("name"))

    def effect(self, governance: Governance, at: int) -> Governance:
        if self.name not in governance.sites:
            raise Unfit(f"There is no site {self.name}.")
        if self.name in governance.receipt_set.sites:
            raise Unfit(
                f"{self.name} is in the receipt set; take it out of the set before, or in the same act."
            )
        if governance.voting_sites == (self.name,):
            raise Unfit(f"{self.name} is the last site that votes.")
        after = governance.changed(
            sites=without(governance.sites, self.name), site_rules=without(governance.site_rules, self.name)
        )
        check_voters(after)
        return after

    def words(self, governance: Governance) -> str:
        return f"{self.name} is no site any more: its blocks are refused."


@dataclass(frozen=True, slots=True)
class RotateSiteKey:
    """A site signs with another key from now on."""

    DO: ClassVar[str] = "rotate-site-key"
    RULES: ClassVar[int] = 2
    name: str
    key: PublicKey
    ml_dsa_44: bytes

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.institution("name"), fields.inner("key", read_key), read_ml_dsa_44(fields))

    def effect(self, governance: Governance, at: int) -> Governance:
        site = governance.sites.get(self.name)
        if site is None:
            raise Unfit(f"There is no site {self.name}.")
        check_new_key(governance, self.key)
        governance = with_site(governance, replace(site, key=self.key, ml_dsa_44=self.ml_dsa_44))
        if self.name not in governance.receipt_set.sites:
            return governance
        return _with_receipt_set(governance, governance.receipt_set, at)

    def words(self, governance: Governance) -> str:
        return f"{self.name} signs with key {self.key.key_id.hex()}; blocks and cosignatures under its former key are refused."


@dataclass(frozen=True, slots=True)
class SetReceiptSet:
    """The sites whose cosignatures count, and how many are needed, for trees that contain this act."""

    DO: ClassVar[str] = "set-receipt-set"
    RULES: ClassVar[int] = 2
    receipt_set: ReceiptSet

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(read_receipt_set(fields))

    def effect(self, governance: Governance, at: int) -> Governance:
        wanted = self.receipt_set
        unknown = set(wanted.sites) - set(governance.sites)
        if unknown:
            raise Unfit(f"There is no site {min(unknown)}.")
        without_ledger = [name for name in wanted.sites if not governance.sites[name].ledger]
        if without_ledger:
            raise Unfit(
                f"{without_ledger[0]} is a tie-breaker and keeps no ledger: it has nothing to cosign."
            )
        if len(set(wanted.sites)) != len(wanted.sites):
            raise Unfit("A site stands twice in the receipt set.")
        if not wanted.is_majority:
            raise Unfit("The quorum must be more than half of the receipt set's sites, and no more than all.")
        newcomers = [name for name in wanted.sites if name not in governance.receipt_set.sites]
        for name in newcomers:
            if governance.agreed_rules not in governance.site_rules.get(name, ()):
                raise NotYetFit(
                    f"{name} has not announced that it knows rules {governance.agreed_rules}; start it, let it catch up, then add it."
                )
        return _with_receipt_set(governance, wanted, at)

    def words(self, governance: Governance) -> str:
        wanted = self.receipt_set
        return f"A receipt needs cosignatures of {wanted.quorum} of {', '.join(wanted.sites)}."


def read_site_told(fields: Fields) -> tuple[Site, bool]:
    """A site, and whether its object has a member that exists from rules 5 on."""
    placed = names_place(fields)
    return read_placed_site(fields), placed


def check_voters(after: Governance) -> None:
    """Raises Unfit when only tie-breakers would vote: they keep no ledger, so nobody could answer from it."""
    if not any(site.votes and site.ledger for site in after.sites.values()):
        raise Unfit("At least one site that keeps the ledger must vote.")


def with_new_site(governance: Governance, site: Site) -> Governance:
    """The governance with one more site. Raises Unfit for a name or a key that is taken."""
    if site.name in governance.sites:
        raise Unfit(f"There is a site {site.name} already.")
    check_new_key(governance, site.key)
    return with_site(governance, site)


def with_site(governance: Governance, site: Site) -> Governance:
    """The governance with this site as it now is; its keys stay known for ever."""
    return governance.changed(
        sites=with_entry(governance.sites, site.name, site),
        site_keys_ever=with_entry(governance.site_keys_ever, site.key.key_id, (site.name, site.key)),
        second_keys_ever={**governance.second_keys_ever, **second_keys([site])},
    )


def _with_receipt_set(governance: Governance, receipt_set: ReceiptSet, at: int) -> Governance:
    entry = receipt_quorum(governance.sites, receipt_set, at + 1)
    kept = tuple(known for known in governance.receipt_quorums if known.from_size <= at)
    return governance.changed(receipt_set=receipt_set, receipt_quorums=(*kept, entry))
