"""Governance a second time, as one dictionary after the other: who may do what at one position, and nothing of how it came to that.

Nothing of the code that it is compared with is used; what is taken from the contract is form alone: key ids, fixed fields of headers, the layout of KEK seals.
A `Rulebook` is changed by nobody: each act and announcement makes a copy (`rulebook_changes.py`).
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field
from typing import Self

from sento_proto.errors import Code
from sento_proto.header import Header
from sento_proto.kek_record import decode_kek_seals, fact_of_kek, subject_of_kek
from sento_proto.keys import PublicKey
from sento_proto.wire import Malformed

Scope = tuple[str, str]
ACTS_FROM, COMPANIONS_FROM, READ_LOG_FROM = 2, 3, 4
CLEAR = ("governance", "keys")
ACCESS = "access"
ACCESS_KINDS = ("access", "access-refused", "access-delayed")
ACCESS_PAYLOAD_MAX_BYTES = 8 * 1024 + 64


@dataclass(slots=True)
class Key:
    """A key that was ever an author's."""

    author: str
    key: PublicKey
    companion: PublicKey | None
    state: str = "in use"


@dataclass(slots=True)
class Order:
    """An erasure that one act ordered. `state`: "open", "withdrawn", or the position at which it was carried out."""

    records: set[str] = field(default_factory=set)
    subjects: set[tuple[str, str]] = field(default_factory=set)
    state: str | int = "open"

    def covers(self, registry: str, subject: bytes, position: int) -> bool:
        """Whether it is in force for a record about the subject."""
        if self.state == "withdrawn" or (registry, subject.hex()) not in self.subjects:
            return False
        return self.state == "open" or position < int(self.state)


@dataclass(slots=True)
class Delay:
    """A delay of the read log."""

    registries: list[str]
    salt: bytes
    cases: list[str]
    released: bool = False


@dataclass(slots=True)
class Rulebook:
    """Everything that acts decide, at one position."""

    rules: int = 1
    next_rules: int = 1
    registries: dict[str, tuple[int, int]] = field(default_factory=dict)
    may_write: dict[str, list[Scope]] = field(default_factory=dict)
    budgets: dict[str, tuple[int, int]] = field(default_factory=dict)
    twice: dict[str, bool] = field(default_factory=dict)
    keys: dict[bytes, Key] = field(default_factory=dict)
    may_read: dict[str, list[Scope]] = field(default_factory=dict)
    may_see: dict[str, list[Scope]] = field(default_factory=dict)
    sites: dict[str, PublicKey] = field(default_factory=dict)
    site_keys: dict[bytes, tuple[str, PublicKey]] = field(default_factory=dict)
    receipts: list[tuple[int, tuple[str, ...], int]] = field(default_factory=list)
    offices: dict[str, dict[bytes, str]] = field(default_factory=dict)
    deputies: dict[str, str] = field(default_factory=dict)
    threshold: int = 0
    officer_keys: dict[bytes, PublicKey] = field(default_factory=dict)
    grants: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    recovery: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    delays: dict[str, Delay] = field(default_factory=dict)
    agents: dict[Scope, str] = field(default_factory=dict)
    announced: dict[str, set[int]] = field(default_factory=dict)
    epoch: int = 0
    voting: set[str] = field(default_factory=set)
    forks: dict[int, int] = field(default_factory=dict)
    gaps: dict[int, tuple[int, int, bool]] = field(default_factory=dict)

    # -- questions --------------------------------------------------------------------------------------------------------

    def writes(self, institution: str, registry: str, compartment: str) -> bool:
        """May it write there?"""
        if self.rules >= READ_LOG_FROM and compartment == ACCESS:
            return False
        return _inside(self.may_write.get(institution, []), registry, compartment)

    def reads(self, institution: str, registry: str, compartment: str, author: str) -> bool:
        """May a payload by that author be released to it?"""
        return institution == author or _inside(self.may_read.get(institution, []), registry, compartment)

    def sees(self, institution: str, registry: str, compartment: str, author: str) -> bool:
        """May a header by that author be shown to it?"""
        return (
            self.reads(institution, registry, compartment, author)
            or self.writes(institution, registry, compartment)
            or _inside(self.may_see.get(institution, []), registry, compartment)
        )

    def key_epoch_refusal(self, registry: str, key_epoch: int) -> Code | None:
        """Why nothing is taken under this key epoch."""
        if registry not in self.registries or registry in CLEAR:
            return None
        newest, oldest = self.registries[registry]
        if key_epoch > newest:
            return Code.NOT_PERMITTED
        return None if key_epoch >= oldest else Code.KEY_EPOCH_CLOSED

    def budget(self, author: str, position: int, window: int) -> tuple[int, int]:
        """(records, subjects) of the window in which the position is."""
        records, subjects = self.budgets[author]
        at, more_records, more_subjects = self.grants.get(author, (-1, 0, 0))
        if at == position // window:
            return records + more_records, subjects + more_subjects
        return records, subjects

    def key_refusal(self, key_id: bytes) -> Code | None:
        """Why nothing is taken under this key."""
        if key_id not in self.keys:
            return Code.UNKNOWN_AUTHOR
        return Code.KEY_ENDED if self.keys[key_id].state in ("closed", "revoked") else None

    def withheld(self, record_hash: bytes, registry: str, subject: bytes, position: int) -> int | None:
        """The order under which a record is not given out: the one that names it, or the first about its subject."""
        in_force = [(at, one) for at, one in sorted(self.orders.items()) if one.state != "withdrawn"]
        named = [at for at, one in in_force if record_hash.hex() in one.records]
        about = [at for at, one in in_force if one.covers(registry, subject, position)]
        return next(iter(named + about), None)

    def destroyed(self, record_hash: bytes, registry: str, subject: bytes, position: int) -> int | None:
        """The same of those that were carried out."""
        done = [(at, one) for at, one in sorted(self.orders.items()) if isinstance(one.state, int)]
        named = [at for at, one in done if record_hash.hex() in one.records]
        about = [at for at, one in done if one.covers(registry, subject, position)]
        return next(iter(named + about), None)

    def delayed(self, registry: str, case_number: str) -> str | None:
        """The delay in force for this case there."""
        for name, delay in self.delays.items():
            hashed = hashlib.sha256(b"sento delayed case v1" + delay.salt + case_number.encode()).hexdigest()
            if not delay.released and registry in delay.registries and hashed in delay.cases:
                return name
        return None

    def office(self, key_id: bytes) -> str | None:
        """The office of this key now."""
        return next((name for name, keys in self.offices.items() if key_id in keys), None)

    def receipt(self, size: int) -> tuple[tuple[str, ...], int]:
        """The receipt set that judges a tree of this size."""
        _, sites, quorum = max((entry for entry in self.receipts if entry[0] <= size), key=lambda one: one[0])
        return sites, quorum

    def record_refusal(self, author: str, header: Header) -> Code | None:
        """Permission of an institution's record, before its budget is asked."""
        if self.rules < ACTS_FROM:
            return None if self.writes(author, header.registry, header.compartment) else Code.NOT_PERMITTED
        ended = self.key_refusal(header.author_key_id)
        if ended is not None:
            return ended
        if self.twice[author] and self.keys[header.author_key_id].companion is None:
            return Code.NOT_PERMITTED
        if header.registry == "keys":
            return self._seals_refusal(author, header)
        if header.registry == "governance" or not self.writes(author, header.registry, header.compartment):
            return Code.NOT_PERMITTED
        return self.key_epoch_refusal(header.registry, header.key_epoch)

    def _seals_refusal(self, author: str, header: Header) -> Code | None:
        try:
            seals = decode_kek_seals(header.content)
        except Malformed:
            return Code.MALFORMED
        subject = subject_of_kek(author, seals.registry, seals.compartment, seals.key_epoch)
        if header.subject != subject or header.fact != fact_of_kek(subject, seals.part):
            return Code.MALFORMED
        if header.compartment or header.kind != "kek-seals" or header.payload_bytes:
            return Code.MALFORMED
        if seals.registry not in self.registries:
            return Code.NOT_PERMITTED
        if seals.key_epoch > self.registries[seals.registry][0]:
            return Code.NOT_PERMITTED
        if author.startswith("/sites/"):
            own = seals.registry not in CLEAR and seals.compartment == ACCESS
            return None if own else Code.NOT_PERMITTED
        return None if self.writes(author, seals.registry, seals.compartment) else Code.NOT_PERMITTED

    def site_refusal(self, site: str, header: Header) -> Code | None:
        """Permission of a site's record that is no announcement, from rules 4 on."""
        if site not in self.sites or self.sites[site].key_id != header.author_key_id:
            return Code.KEY_ENDED
        if header.registry == "keys":
            return self._seals_refusal("/sites/" + site, header)
        if header.registry not in self.registries or header.compartment != ACCESS:
            return Code.NOT_PERMITTED
        if header.kind not in ACCESS_KINDS:
            return Code.NOT_PERMITTED
        fact = hashlib.sha256(b"sento access" + header.record_id).digest()[:16]
        if header.fact != fact or header.previous != bytes(32):
            return Code.MALFORMED
        if not 1 <= header.payload_bytes <= ACCESS_PAYLOAD_MAX_BYTES:
            return Code.MALFORMED
        if header.kind == "access-delayed":
            names = [name for name, delay in self.delays.items() if header.registry in delay.registries]
            subjects = [hashlib.sha256(b"sento delayed" + name.encode()).digest() for name in names]
            if header.subject not in subjects:
                return Code.NOT_PERMITTED
        return self.key_epoch_refusal(header.registry, header.key_epoch)

    # -- copies -----------------------------------------------------------------------------------------------------------

    def next_block(self) -> Self:
        """The rulebook that the next block meets."""
        if self.rules == self.next_rules:
            return self
        after = copy.deepcopy(self)
        after.rules = after.next_rules
        return after

    def announce(self, site: str, rules: set[int]) -> Self:
        """The rulebook behind a site's announcement."""
        after = copy.deepcopy(self)
        after.announced[site] = rules
        return after


def _inside(scopes: list[Scope], registry: str, compartment: str) -> bool:
    return (registry, compartment) in scopes or (registry, "*") in scopes
