"""What officers decide: changes that fit what they see, made from a governance as `sento govern show` would show it, and acts signed by those in office.

What they see may be older than the newest act, so an act can be STALE, or not fit any more; the rules and not the desk say what becomes of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from tests.simulation.heap import EventHeap
from tests.simulation.people import (
    SPARE_KEYS,
    Change,
    author_signer,
    base64_of,
    described,
    officer_signer,
    scopes,
)

from sento_client.testing.world import Numbers
from sento_proto.governance.acts import act_header
from sento_proto.governance.state import Governance
from sento_proto.kek_seal import XWING_SECRET_BYTES, xwing_public
from sento_proto.keys import Signer
from sento_proto.record import Record, make_record
from sento_proto.seal import P256Opener
from sento_proto.submission import sign_act

P256_SEAL_KEY = base64_of(P256Opener(ec.derive_private_key(7, ec.SECP256R1())).public_key)
XWING_SEAL_KEY = base64_of(xwing_public(bytes([7]) * XWING_SECRET_BYTES))
NEWCOMERS = ("oda", "sato", "ueno")
PLACES = [("residency", ""), ("tax", ""), ("health", "ward"), ("health", "clinic"), ("health", "*")]


class Signed(NamedTuple):
    """An act: its record, and its bytes under the signatures given so far."""

    record: Record
    data: bytes


class ActsDesk:
    """Makes changes and acts of one world. `raised_to`: the highest rules number that officers decide on; `kinds`: what they decide, with weights."""

    def __init__(self, heap: EventHeap, sites: Sequence[str], epoch: int) -> None:
        self._heap = heap
        self._sites = list(sites)
        self._epoch = epoch
        self._numbers = Numbers(heap.between(0, 1 << 40))
        self._made = 0
        self.raised_to = 3
        keen = heap.one_of([2, 5, 25])
        self._signers: dict[bytes, Signer] = {}
        self.kinds: list[tuple[Callable[[Governance], list[Change]], int]] = [
            (self.enrol_key, 8),
            (self._retire, 4),
            (self._close, 5),
            (self._revoke, 6),
            (self._permit_write, 5),
            (self._withdraw_write, 4),
            (self._budget, 3),
            (self._grant, 8),
            (self._start_epoch, 5),
            (self._close_epoch, 4),
            (self._reader_comes, 4),
            (self._reader_goes, 3),
            (self._may_see, 2),
            (self._seal_key, 1),
            (self._receipt_set, 7),
            (self._rules, keen),
            (self._policy, 5),
            (self.officer_comes, 4),
            (self._officer_goes, 4),
            (self._deputy, 4),
            (self._registry, 1),
            (self.site, 2),
            (self._erase, 1),
            (self._recovery, 2),
            (self._author, 2),
        ]

    # -- acts -------------------------------------------------------------------------------------------------------------

    def record(
        self, governance: Governance, changes: Sequence[Change], previous: bytes | None = None
    ) -> Record:
        """The record of an act that follows the newest one, or `previous`."""
        content = json.dumps(
            {"format": "sento-act-1", "reason": "It was decided.", "changes": changes}
        ).encode()
        at = self._numbers.next_time_ms()
        follows = governance.last_act if previous is None else previous
        return make_record(act_header(self._numbers.record_id(), at, content, follows), b"")

    def sign(
        self, governance: Governance, record: Record, signers: Sequence[Signer], epoch: int | None = None
    ) -> bytes:
        """The act under these signatures."""
        return sign_act(governance.ledger_id, self._epoch if epoch is None else epoch, record, signers)

    def signers(self, governance: Governance, count: int | None = None) -> list[Signer]:
        """As many of those in office as are needed, or `count`, each in person or by deputy."""
        people = list(governance.officers.people.values())
        count = governance.officers.threshold if count is None else count
        chosen = self._heap.random.sample(people, min(count, len(people)))
        return [self.signer_of(self._heap.one_of(list(officer.keys)).key_id) for officer in chosen]

    def signer_with(self, public_key: str) -> Signer:
        """The officer or deputy with this key, as acts name it."""
        return next(one for one in self._everybody().values() if base64_of(one.public_key.data) == public_key)

    def signer_of(self, key_id: bytes) -> Signer:
        """Whoever has this officer's or deputy's key."""
        return self._everybody()[key_id]

    def _everybody(self) -> dict[bytes, Signer]:
        if not self._signers:
            for name in ("mori", "abe", "ito", "kato", "ono", *NEWCOMERS):
                for person in (name, f"{name}-deputy"):
                    for number in range(12):
                        signer = officer_signer(person, number)
                        self._signers[signer.public_key.key_id] = signer
        return self._signers

    def decide(self, governance: Governance) -> list[Change]:
        """Changes of one kind that fits now."""
        makers, weights = zip(*self.kinds, strict=True)
        for _ in range(12):
            changes: list[Change] = self._heap.random.choices(makers, weights)[0](governance)
            if changes:
                return changes
        return [self.seal_key_change()]

    def seal_key_change(self) -> Change:
        """A change that always fits and harms nobody."""
        return {"do": "replace-seal-key", "institution": "kaga-clinic", "seal_key": P256_SEAL_KEY}

    # -- authors ----------------------------------------------------------------------------------------------------------

    def _an_author(self, governance: Governance) -> str:
        return self._heap.one_of(sorted(governance.authors))

    def _keys(self, governance: Governance, author: str) -> list[tuple[bytes, bool]]:
        """(key id, retired) of keys not ended."""
        return [
            (key_id, known.retired_at is not None)
            for key_id, known in governance.author_keys.items()
            if known.author == author and known.ended_at is None
        ]

    def enrol_key(self, governance: Governance, author: str | None = None) -> list[Change]:
        """A spare key is enrolled."""
        author = author or self._an_author(governance)
        for number in range(1, SPARE_KEYS):
            signer = author_signer(author, number)
            if signer.public_key.key_id in governance.author_keys:
                continue
            if number % 3 == 0 and governance.rules < 3 and self._heap.chance(0.9):
                continue
            return [{"do": "enrol-key", "author": author, "key": described(signer)}]
        return []

    def _retire(self, governance: Governance) -> list[Change]:
        author = self._an_author(governance)
        keys = [key_id for key_id, retired in self._keys(governance, author) if not retired]
        return [_of_key("retire-key", author, keys[0])] if len(keys) > 1 else []

    def _close(self, governance: Governance) -> list[Change]:
        author = self._an_author(governance)
        keys = [key_id for key_id, retired in self._keys(governance, author) if retired]
        return [_of_key("close-key", author, keys[0])] if keys else []

    def _revoke(self, governance: Governance) -> list[Change]:
        author = self._an_author(governance)
        keys = [key_id for key_id, _ in self._keys(governance, author)]
        another = self.enrol_key(governance, author)
        if not keys or (len(keys) == 1 and not another):
            return []
        change = _of_key("revoke-key", author, keys[0])
        if self._heap.chance(0.3):
            change["suspect_from_position"] = self._heap.between(0, 40)
        return [change, *another] if len(keys) == 1 or self._heap.chance(0.5) else [change]

    def _permit_write(self, governance: Governance) -> list[Change]:
        author = self._an_author(governance)
        held = {(scope.registry, scope.compartment) for scope in governance.authors[author].may_write}
        free = [place for place in PLACES if place not in held]
        return [_scope_change("permit", author, "write", self._heap.one_of(free))] if free else []

    def _withdraw_write(self, governance: Governance) -> list[Change]:
        author = self._an_author(governance)
        held = [(scope.registry, scope.compartment) for scope in governance.authors[author].may_write]
        return [_scope_change("withdraw", author, "write", self._heap.one_of(held))] if len(held) > 1 else []

    def _budget(self, governance: Governance) -> list[Change]:
        records, subjects = self._heap.between(8, 30), self._heap.between(3, 8)
        author = self._heap.one_of(["soo-village", "soo-village", "kaga-city"])
        return [_budget_change("set-budget", "budget_per_10000_positions", author, records, subjects)]

    def _grant(self, governance: Governance) -> list[Change]:
        records, subjects = self._heap.between(1, 12), self._heap.between(1, 8)
        return [_budget_change("grant-budget", "more", "soo-village", records, subjects)]

    def _policy(self, governance: Governance) -> list[Change]:
        author = self._an_author(governance)
        now = governance.authors[author].post_quantum
        able = any(governance.author_keys[key].signing.companion for key, _ in self._keys(governance, author))
        if not able and not now:
            return self.enrol_key(governance, author) if governance.rules >= 3 else []
        return [{"do": "set-policy", "author": author, "ml_dsa_65": not now}]

    def _author(self, governance: Governance) -> list[Change]:
        name = f"clinic-{len(governance.authors)}"
        change: Change = {
            "do": "enrol-author",
            "name": name,
            "keys": [described(author_signer(name, 0))],
            "may_write": scopes(("health", "clinic")),
            "budget_per_10000_positions": {"records": 9, "subjects": 9},
            "seal_key": XWING_SEAL_KEY,
        }
        return [change] if name not in governance.authors else []

    # -- readers, registries, key epochs ------------------------------------------------------------------------------------

    def _start_epoch(self, governance: Governance) -> list[Change]:
        return [self._next_epoch(governance, self._heap.one_of(["residency", "tax", "health"]))]

    def _next_epoch(self, governance: Governance, registry: str) -> Change:
        previous = "closed" if self._heap.chance(0.35) else "accepted"
        number = governance.registries[registry].key_epoch + 1
        return {"do": "start-key-epoch", "registry": registry, "key_epoch": number, "previous": previous}

    def _close_epoch(self, governance: Governance) -> list[Change]:
        for registry, state in sorted(governance.registries.items()):
            if state.oldest_open < state.key_epoch:
                return [{"do": "close-key-epoch", "registry": registry, "key_epoch": state.key_epoch - 1}]
        return []

    def _reader_comes(self, governance: Governance) -> list[Change]:
        name = self._heap.one_of(["relief-desk", "tax-office", "audit-board"])
        if name in governance.readers:
            return [_scope_change("permit", name, "read", self._heap.one_of(PLACES))]
        change: Change = {
            "do": "enrol-reader",
            "name": name,
            "may_read": scopes(PLACES[0]),
            "seal_key": XWING_SEAL_KEY,
        }
        if self._heap.chance(0.5):
            change["may_see"] = scopes(PLACES[1])
        return [change]

    def _reader_goes(self, governance: Governance) -> list[Change]:
        """Mostly with a new key epoch wherever it read; forgotten now and then."""
        for name, reader in sorted(governance.readers.items()):
            registries = sorted({scope.registry for scope in reader.may_read})
            epochs = [self._next_epoch(governance, registry) for registry in registries]
            return [{"do": "revoke-reader", "name": name}, *(epochs if self._heap.chance(0.8) else [])]
        return []

    def _may_see(self, governance: Governance) -> list[Change]:
        for name, reader in sorted(governance.readers.items()):
            held = [(scope.registry, scope.compartment) for scope in reader.may_see]
            if held and self._heap.chance(0.5):
                return [_scope_change("withdraw", name, "see", held[0])]
            free = [place for place in PLACES if place not in held]
            return [_scope_change("permit", name, "see", free[0])] if free else []
        return []

    def _seal_key(self, governance: Governance) -> list[Change]:
        return [self.seal_key_change()]

    def _registry(self, governance: Governance) -> list[Change]:
        return [] if "housing" in governance.registries else [{"do": "add-registry", "registry": "housing"}]

    # -- sites, rules -------------------------------------------------------------------------------------------------------

    def _receipt_set(self, governance: Governance) -> list[Change]:
        sites = list(self._sites)
        if self._heap.chance(0.4):
            sites.remove(self._heap.one_of(sites))
        return [self.receipt_set(sites, self._heap.between(len(sites) // 2 + 1, len(sites)))]

    def receipt_set(self, sites: Sequence[str], quorum: int) -> Change:
        """Who counts from then on."""
        return {"do": "set-receipt-set", "sites": list(sites), "quorum": quorum}

    def site(self, governance: Governance) -> list[Change]:
        """An embassy comes, or goes."""
        if "de-embassy" in governance.sites:
            return [{"do": "retire-site", "name": "de-embassy"}]
        self._made += 1
        site = dict.fromkeys(
            ("country", "region", "hazard_zone", "power", "carrier", "provider", "legal_basis"), "x"
        )
        key = described(officer_signer("embassy", self._made * 3))
        return [{"do": "enrol-site", "site": {"name": "de-embassy", "key": key, "votes": False, **site}}]

    def _rules(self, governance: Governance) -> list[Change]:
        if governance.rules >= self.raised_to:
            return []
        changes: list[Change] = [{"do": "set-rules", "rules": governance.rules + 1}]
        return [*changes, *self.enrol_key(governance)] if self._heap.chance(0.2) else changes

    # -- officers -----------------------------------------------------------------------------------------------------------

    def _person(self, governance: Governance, name: str) -> Change | None:
        for number in range(12):
            signer = officer_signer(name, number)
            if signer.public_key.key_id not in governance.officer_keys_ever:
                return {"name": name, "key": described(signer)}
        return None

    def officer_comes(self, governance: Governance) -> list[Change]:
        """Somebody takes office, mostly with a deputy."""
        people = governance.officers.people
        free = [name for name in ("mori", "abe", "ito", "kato", "ono", *NEWCOMERS) if name not in people]
        if not free or len(people) > 6:
            return []
        name = self._heap.one_of(free)
        person, deputy = self._person(governance, name), self._person(governance, f"{name}-deputy")
        if person is None or deputy is None:
            return []
        if self._heap.chance(0.6):
            person["deputy"] = deputy
        return [{"do": "enrol-officer", "officer": person}, *self._threshold(governance, len(people) + 1)]

    def _officer_goes(self, governance: Governance) -> list[Change]:
        people = sorted(governance.officers.people)
        if len(people) < 4:
            return []
        gone: Change = {"do": "retire-officer", "name": self._heap.one_of(people)}
        return [gone, *self._threshold(governance, len(people) - 1)]

    def _threshold(self, governance: Governance, count: int) -> list[Change]:
        """The majority of so many, where it is another one than now; forgotten now and then."""
        wanted = count // 2 + 1
        if wanted == governance.officers.threshold or self._heap.chance(0.1):
            return []
        return [{"do": "set-threshold", "threshold": wanted}]

    def _deputy(self, governance: Governance) -> list[Change]:
        name = self._heap.one_of(sorted(governance.officers.people))
        if governance.officers.people[name].deputy is not None:
            return [{"do": "set-deputy", "officer": name}]
        deputy = self._person(governance, f"{name}-deputy")
        return [] if deputy is None else [{"do": "set-deputy", "officer": name, "deputy": deputy}]

    # -- what stands to be seen ---------------------------------------------------------------------------------------------

    def _erase(self, governance: Governance) -> list[Change]:
        return [{"do": "erase", "records": [self._numbers.take(32).hex()], "legal_basis": "by law"}]

    def _recovery(self, governance: Governance) -> list[Change]:
        key = governance.recovery_key
        if key is not None and self._heap.chance(0.5):
            holders = sorted(officer for officer, _ in key.commitments.values())
            named = holders[: self._heap.between(max(1, key.threshold - 1), len(holders))]
            return [
                {
                    "do": "unlock",
                    "registries": ["health"],
                    "key_epochs": [1],
                    "recovery_key": key.name,
                    "officers": named,
                    "reason": "The capital is lost.",
                }
            ]
        people = sorted(governance.officers.people)
        shares = [
            {"index": index, "officer": name, "commitment": bytes([index]).hex() * 32}
            for index, name in enumerate(people, 1)
        ]
        return [
            {
                "do": "set-recovery-key",
                "name": str(2027 + len(governance.recovery_keys)),
                "public_key": XWING_SEAL_KEY,
                "threshold": len(people) // 2 + 1,
                "ceremony": bytes(16).hex(),
                "shares": shares,
            }
        ]


def _of_key(do: str, author: str, key_id: bytes) -> Change:
    return {"do": do, "author": author, "key_id": key_id.hex()}


def _scope_change(do: str, who: str, may: str, place: tuple[str, str]) -> Change:
    return {"do": do, "institution": who, "may": may, "scopes": scopes(place)}


def _budget_change(do: str, name: str, author: str, records: int, subjects: int) -> Change:
    return {"do": do, "author": author, name: {"records": records, "subjects": subjects}}
