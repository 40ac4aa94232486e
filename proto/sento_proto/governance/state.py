"""Governance at a position: everything that decides who may do what there, as one value that never changes.

An act makes a new value; apply holds the one in force and asks it. Equal (genesis, acts) give an equal value at every site, client and auditor. What ends stays
known: a key that was ever enrolled must verify what it signed while it stood, and a checkpoint is judged by the receipt set in force at its size.

    position p of an act    what it changes holds from position p + 1, for the records behind it in the same block too
    rules number            holds from the next block
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from sento_proto.checkpoint import SiteKeys
from sento_proto.errors import Code
from sento_proto.genesis import Genesis
from sento_proto.governance.epoch_parts import Epoch, Gap
from sento_proto.governance.parts import (
    Author,
    Budget,
    Officers,
    Reader,
    ReceiptSet,
    Scope,
    SigningKey,
    Site,
)
from sento_proto.governance.site_keys import ReceiptQuorum, keys_of_site, receipt_quorum, second_keys
from sento_proto.header import ZERO32
from sento_proto.keys import PublicKey
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.rules import RULES

BUDGET_WINDOW_POSITIONS = 10_000
"""Budgets count per aligned window of this many positions: no clock is needed to count."""
FIRST_KEY_EPOCH = 1
ANSWERS_MAX = 4_096
ACCESS_COMPARTMENT = "access"
"""Where sites record releases in each registry (`access_record.py`)."""
_SITES = "/sites/"


def site_author(site: str) -> str:
    """The author name of a site's own records; no institution's name has a slash."""
    return _SITES + site


def site_of_author(author: str) -> str | None:
    """The site whose own record it is, or None for an institution's."""
    return author.removeprefix(_SITES) if author.startswith(_SITES) else None


def delayed_case(salt: bytes, case_number: str) -> bytes:
    """How an act names the case number whose releases are delayed, 32 bytes."""
    return hashlib.sha256(b"sento delayed case v1" + salt + case_number.encode("utf-8")).digest()


def subject_of_delay(name: str) -> bytes:
    """The subject under which releases stand while their delay is in force, 32 bytes."""
    return hashlib.sha256(b"sento delayed" + name.encode("utf-8")).digest()


class AuthorKey(NamedTuple):
    """A key that was ever enrolled for an author. Positions are those of the acts; -1 stands for the genesis file.

    `retired_at`: late submissions still count; `ended_at`: nothing under it counts from there on; `suspect_from`: what it signed from there on
    is to be looked at, by the officers' word."""

    author: str
    signing: SigningKey
    enrolled_at: int = -1
    retired_at: int | None = None
    ended_at: int | None = None
    revoked: bool = False
    suspect_from: int | None = None

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """The keys that sign each submission under it: its own, and its companion."""
        signing = self.signing
        return (signing.key,) if signing.companion is None else (signing.key, signing.companion)


class AuthorRights(NamedTuple):
    """What an author may do. `post_quantum`: each of its submissions carries an ML-DSA-65 signature too."""

    may_write: tuple[Scope, ...]
    budget: Budget
    seal_key: bytes
    post_quantum: bool = False


class RegistryState(NamedTuple):
    """A registry's key epochs: the one to write under, and the oldest that late records may still come from."""

    key_epoch: int = FIRST_KEY_EPOCH
    oldest_open: int = FIRST_KEY_EPOCH


class Grant(NamedTuple):
    """What officers allowed an author beyond its budget, in one window of positions."""

    window_start: int
    records: int
    subjects: int


class ErasureOrder(NamedTuple):
    """What the act at `position` ordered to be destroyed: records by their hashes, and (registry, subject) pairs. `wait`: the waiting period in words, empty
    for orders that name none. Nothing may be destroyed before an act that carries the order out, at `carried_out_at`; a withdrawn order orders nothing."""

    position: int
    records: tuple[bytes, ...]
    subjects: tuple[tuple[str, bytes], ...]
    legal_basis: str
    carried_out_at: int | None = None
    withdrawn_at: int | None = None
    wait: str = ""


class ReadLogDelay(NamedTuple):
    """Releases in these registries for these cases stand under `subject` instead of the person's until the delay is released.

    `cases`: `delayed_case` of each case number; `subject`: `subject_of_delay` of the name."""

    name: str
    registries: tuple[str, ...]
    salt: bytes
    cases: frozenset[bytes]
    subject: bytes
    ordered_at: int
    released_at: int | None = None


class RecoveryKey(NamedTuple):
    """A key that opens KEKs when its shares come together. `commitments`: of each share, by its index."""

    name: str
    public_key: bytes
    threshold: int
    ceremony: bytes
    commitments: Mapping[int, tuple[str, bytes]]
    act_at: int


@dataclass(frozen=True, slots=True)
class Governance:
    """The value in force. `last_act` is the record hash of the newest act, zeros before the first; `acts` counts them."""

    ledger_id: bytes
    name: str
    purpose: str
    rules: int
    registries: Mapping[str, RegistryState]
    authors: Mapping[str, AuthorRights]
    author_keys: Mapping[bytes, AuthorKey]
    readers: Mapping[str, Reader]
    sites: Mapping[str, Site]
    site_keys_ever: Mapping[bytes, tuple[str, PublicKey]]
    receipt_quorums: tuple[ReceiptQuorum, ...]
    receipt_set: ReceiptSet
    officers: Officers
    officer_keys_ever: Mapping[bytes, PublicKey]
    grants: Mapping[str, Grant] = field(default_factory=dict)
    recovery_keys: tuple[RecoveryKey, ...] = ()
    erasures: Mapping[bytes, int] = field(default_factory=dict)
    """Each record that an order names and no act withdrew, with the position of that order."""
    subject_erasures: Mapping[tuple[str, bytes], tuple[int, ...]] = field(default_factory=dict)
    """Each (registry, subject) that orders name and no act withdrew, with the orders' positions, rising; all but the last are carried out."""
    erasure_orders: Mapping[int, ErasureOrder] = field(default_factory=dict)
    """Every order there ever was, by the position of its act."""
    read_log_delays: Mapping[str, ReadLogDelay] = field(default_factory=dict)
    """Every delay there ever was, by name."""
    second_keys_ever: Mapping[bytes, PublicKey] = field(default_factory=dict)
    """The ML-DSA-44 key that stands or stood beside a site's key, by that key's id; sites with one key have no entry."""
    key_agents: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(registry, compartment) to the reader that alone opens keys there, one release at a time."""
    site_rules: Mapping[str, frozenset[int]] = field(default_factory=dict)
    epochs: tuple[Epoch, ...] = ()
    """The epochs that acts began, in order; a ledger begins in epoch 0, for which there is no act."""
    gaps: tuple[Gap, ...] = ()
    """What officers last said of the gap that a recovery left, one for each recovered epoch of which they spoke, in the epochs' order."""
    acts: int = 0
    last_act: bytes = ZERO32
    last_act_at: int = -1
    next_rules: int | None = None
    """What officers raised the rules number to in a block that is not over; None between blocks."""
    _answered: dict[tuple[str, str, str], bool] = field(default_factory=dict, compare=False, repr=False)
    """Questions asked once for each record, mostly the same few; this value never changes."""

    def changed(self, **fields: object) -> Governance:
        """A value that differs in these fields."""
        return replace(self, _answered={}, **fields)  # type: ignore[arg-type]  # each caller names fields of its own types

    @property
    def agreed_rules(self) -> int:
        """The rules number that the next block is under."""
        return self.rules if self.next_rules is None else self.next_rules

    @property
    def next_block(self) -> Governance:
        """The governance that the next block meets: a new rules number holds from there on."""
        return self if self.next_rules is None else self.changed(rules=self.next_rules, next_rules=None)

    def signing_keys(self, author_key_id: bytes) -> tuple[str, tuple[PublicKey, ...]] | None:
        """Whose submissions name this key, an institution's or a site's, and every key that signs them; None for one that the rules do not let sign."""
        rules = RULES[self.rules]
        known = self.author_keys.get(author_key_id)
        if known is not None:
            return known.author, known.keys
        site = self.site_keys_ever.get(author_key_id) if rules.acts else None
        return None if site is None else (site_author(site[0]), (site[1],))

    def may_sign(self, keys: Sequence[PublicKey]) -> bool:
        """Whether the rules in force know a submission under the first key, with the second as its companion."""
        rules = RULES[self.rules]
        return keys[0].suite in rules.suites and (len(keys) == 1 or rules.companions)

    # -- authors ----------------------------------------------------------------------------------------------------

    def may_write(self, author: str, registry: str, compartment: str) -> bool:
        """Whether the institution may write there now. Where sites record releases, they alone write the compartment of access records."""
        name = (author, registry, compartment)
        answer = self._answered.get(name)
        if answer is None:
            rights = self.authors.get(author)
            answer = rights is not None and covered(rights.may_write, registry, compartment)
            if compartment == ACCESS_COMPARTMENT and RULES[self.rules].read_log:
                answer = False
            if len(self._answered) < ANSWERS_MAX:
                self._answered[name] = answer
        return answer

    def budget(self, author: str, position: int) -> Budget:
        """What the author may use of the window that this position falls into."""
        budget = self.authors[author].budget
        grant = self.grants.get(author)
        if grant is None or grant.window_start != position - position % BUDGET_WINDOW_POSITIONS:
            return budget
        return Budget(budget.records + grant.records, budget.subjects + grant.subjects)

    def key_epoch_refusal(self, registry: str, key_epoch: int) -> Code | None:
        """Why a record may not be sealed under this key epoch; None when it may."""
        state = self.registries.get(registry)
        if state is None or registry in CLEAR_CONTENT_REGISTRIES:
            return None
        if key_epoch > state.key_epoch:
            return Code.NOT_PERMITTED
        return Code.KEY_EPOCH_CLOSED if key_epoch < state.oldest_open else None

    # -- readers ----------------------------------------------------------------------------------------------------

    def may_read(self, institution: str, registry: str, compartment: str, author: str = "") -> bool:
        """Whether the payload of a record by `author` may be released to the institution: to its author, and to readers of that scope.

        Who may write a compartment does not thereby read what others wrote in it."""
        return institution == author or covered(self.readable(institution), registry, compartment)

    def may_see(self, institution: str, registry: str, compartment: str, author: str = "") -> bool:
        """Whether the header of a record by `author` may be shown to it. Whoever may write everywhere in a registry does not thereby see who reads there."""
        if compartment == ACCESS_COMPARTMENT and RULES[self.rules].read_log:
            reader = self.readers.get(institution)
            return reader is not None and covered((*reader.may_read, *reader.may_see), registry, compartment)
        return institution == author or covered(self.visible(institution), registry, compartment)

    def readable(self, institution: str) -> tuple[Scope, ...]:
        """The scopes whose payloads, whoever wrote them, may be released to the institution."""
        reader = self.readers.get(institution)
        return () if reader is None else reader.may_read

    def visible(self, institution: str) -> tuple[Scope, ...]:
        """The scopes whose headers may be shown to it: where it may write too, because it must follow the versions there."""
        rights, reader = self.authors.get(institution), self.readers.get(institution)
        written = () if rights is None else rights.may_write
        return written + (() if reader is None else (*reader.may_read, *reader.may_see))

    # -- erasure, read log, key agents ------------------------------------------------------------------------------

    def withheld_by(self, record_hash: bytes, registry: str, subject: bytes, position: int) -> int | None:
        """The position of an order under which the record's payload is given out no more; None when it may be given out.

        `registry`, `subject` and `position` are the record's. An order for a subject covers its records below the act that carries it out."""
        order = self.erasures.get(record_hash)
        if order is not None:
            return order
        for order in self.subject_erasures.get((registry, subject), ()):
            carried_out_at = self.erasure_orders[order].carried_out_at
            if carried_out_at is None or position < carried_out_at:
                return order
        return None

    def destroyed_by(self, record_hash: bytes, registry: str, subject: bytes, position: int) -> int | None:
        """The position of a carried-out order that covers the record, so that its payload is kept nowhere; None when it may be kept."""
        order = self.erasures.get(record_hash)
        if order is not None and self.erasure_orders[order].carried_out_at is not None:
            return order
        for order in self.subject_erasures.get((registry, subject), ()):
            carried_out_at = self.erasure_orders[order].carried_out_at
            if carried_out_at is not None and position < carried_out_at:
                return order
        return None

    def delay_of(self, registry: str, case_number: str) -> ReadLogDelay | None:
        """The delay, not yet released, under which releases for this case in this registry are recorded; None when the person may see them at once."""
        for delay in self.read_log_delays.values():
            stands = delay.released_at is None and registry in delay.registries
            if stands and delayed_case(delay.salt, case_number) in delay.cases:
                return delay
        return None

    def key_agent_of(self, registry: str, compartment: str) -> str | None:
        """The reader that alone opens keys of this compartment, for others one release at a time; None where readers open them themselves."""
        return self.key_agents.get((registry, compartment))

    # -- sites and officers -----------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """The number of the epoch in force."""
        return self.epochs[-1].number if self.epochs else 0

    @property
    def block_base(self) -> int:
        """What is added to the number of a block in the epoch's ordering log to get its number in the ledger."""
        return self.epochs[-1].block_base if self.epochs else 0

    def lost_with(self, epoch: int, size: int) -> Epoch | None:
        """The later epoch that forked off below this size of this epoch, so that what stood there in it is lost; None when it stays good."""
        later = [begun for begun in self.epochs if begun.number > epoch and begun.fork_size < size]
        return min(later, key=lambda begun: begun.fork_size, default=None)

    @property
    def voting_sites(self) -> tuple[str, ...]:
        """Names of the sites whose ordering members vote."""
        return tuple(site.name for site in self.sites.values() if site.votes)

    def site_of_key(self, key_id: bytes) -> tuple[str, PublicKey] | None:
        """The site that has this key now."""
        known = self.site_keys_ever.get(key_id)
        if known is None:
            return None
        site = self.sites.get(known[0])
        return known if site is not None and site.key == known[1] else None

    @property
    def site_keys(self) -> dict[str, SiteKeys]:
        """The keys of each site now."""
        return {name: keys_of_site(site) for name, site in self.sites.items()}

    def site_keys_since_genesis(self, site: str) -> tuple[SiteKeys, ...]:
        """Every pair of keys that the site has or had, oldest first: what it signed under a replaced one is judged by that."""
        return tuple(
            SiteKeys(key, self.second_keys_ever.get(key_id))
            for key_id, (name, key) in self.site_keys_ever.items()
            if name == site
        )

    def receipt_quorum_at(self, size: int) -> ReceiptQuorum:
        """The receipt set by which a checkpoint of this size is judged."""
        return next(entry for entry in reversed(self.receipt_quorums) if entry.from_size <= size)

    def office_of_key(self, key_id: bytes) -> str | None:
        """The office for which this key signs now: the officer's name, for the deputy's key too."""
        for name, officer in self.officers.people.items():
            if any(key.key_id == key_id for key in officer.keys):
                return name
        return None

    @property
    def recovery_key(self) -> RecoveryKey | None:
        """The recovery key in force: the newest."""
        return self.recovery_keys[-1] if self.recovery_keys else None


def covered(scopes: tuple[Scope, ...], registry: str, compartment: str) -> bool:
    """Whether one of the scopes contains the compartment of the registry."""
    return any(scope.covers(registry, compartment) for scope in scopes)


def rights_of(author: Author) -> AuthorRights:
    """An author's rights as genesis or its enrolment states them."""
    return AuthorRights(author.may_write, author.budget, author.seal_key)


def from_genesis(genesis: Genesis) -> Governance:
    """The governance that holds at position 0."""
    sites = {site.name: site for site in genesis.sites}
    return Governance(
        ledger_id=genesis.ledger_id,
        name=genesis.name,
        purpose=genesis.purpose,
        rules=genesis.rules,
        registries={registry: RegistryState() for registry in genesis.registries},
        authors={author.name: rights_of(author) for author in genesis.authors},
        author_keys={
            signing.key.key_id: AuthorKey(author.name, signing)
            for author in genesis.authors
            for signing in author.signing_keys
        },
        readers={reader.name: reader for reader in genesis.readers},
        sites=sites,
        site_keys_ever={site.key.key_id: (site.name, site.key) for site in genesis.sites},
        second_keys_ever=second_keys(sites.values()),
        receipt_quorums=(receipt_quorum(sites, genesis.receipt_set, 0),),
        receipt_set=genesis.receipt_set,
        officers=genesis.officers,
        officer_keys_ever={
            key.key_id: key for officer in genesis.officers.people.values() for key in officer.keys
        },
    )
