"""What officers' acts come to, a second time: acts and the genesis file are read as plain JSON, and each change is done to dictionaries.

The code that it is compared with is not used. An act's changes hold together or not at all: they are made to a copy, which is dropped when one does not fit.
"""

from __future__ import annotations

import base64
import copy
import json
import re
from collections.abc import Sequence
from typing import Any

from tests.simulation.rulebook import ACTS_FROM, CLEAR, COMPANIONS_FROM, READ_LOG_FROM, Key, Scope
from tests.simulation.rulebook_epochs import DOES as EPOCHS_DO
from tests.simulation.rulebook_epochs import EPOCHS_FROM, EpochBook
from tests.simulation.rulebook_read_log import DOES, Misfit
from tests.simulation.rulebook_read_log import need as _need

from sento_proto.errors import Code
from sento_proto.keys import PublicKey, Suite, check_public_key
from sento_proto.wire import Malformed

Json = dict[str, Any]
SUITES = {"ed25519": Suite.ED25519, "ecdsa-p256": Suite.ECDSA_P256}
MORE_FIELDS: dict[str, tuple[str, ...]] = {
    "revoke-key": ("suspect_from_position",),
    "set-deputy": ("deputy",),
    "enrol-reader": ("may_see",),
    "rotate-site-key": ("ml_dsa_44",),
    "begin-epoch": ("agreed",),
}
FIELDS = {
    "enrol-author": ("name", "keys", "may_write", "budget_per_10000_positions", "seal_key"),
    "enrol-key": ("author", "key"),
    "retire-key": ("author", "key_id"),
    "close-key": ("author", "key_id"),
    "revoke-key": ("author", "key_id"),
    "permit": ("institution", "may", "scopes"),
    "withdraw": ("institution", "may", "scopes"),
    "set-budget": ("author", "budget_per_10000_positions"),
    "grant-budget": ("author", "more"),
    "set-policy": ("author", "ml_dsa_65"),
    "enrol-reader": ("name", "may_read", "seal_key"),
    "revoke-reader": ("name",),
    "replace-seal-key": ("institution", "seal_key"),
    "add-registry": ("registry",),
    "start-key-epoch": ("registry", "key_epoch", "previous"),
    "close-key-epoch": ("registry", "key_epoch"),
    "enrol-site": ("site",),
    "retire-site": ("name",),
    "set-receipt-set": ("sites", "quorum"),
    "enrol-officer": ("officer",),
    "retire-officer": ("name",),
    "set-deputy": ("officer",),
    "set-threshold": ("threshold",),
    "erase": ("records", "legal_basis"),
    "erase-subject": ("registry", "subject", "legal_basis", "wait"),
    "carry-out-erasure": ("order",),
    "withdraw-erasure": ("order",),
    "delay-read-log": ("name", "registries", "salt", "cases"),
    "release-read-log": ("name",),
    "require-key-agent": ("registry", "compartment", "agent"),
    "end-key-agent": ("registry", "compartment"),
    "set-rules": ("rules",),
    "set-recovery-key": ("name", "public_key", "threshold", "ceremony", "shares"),
    "unlock": ("registries", "key_epochs", "recovery_key", "officers", "reason"),
    "begin-epoch": ("epoch", "parent", "plan", "reason", "voting", "receipt_set"),
    "set-gap": ("epoch", "as_of_ms", "known_missing", "open"),
    "set-site-votes": ("name", "votes"),
}


EXISTS_FROM = {
    "set-policy": COMPANIONS_FROM,
    **dict.fromkeys(DOES, READ_LOG_FROM),
    **dict.fromkeys(EPOCHS_DO, EPOCHS_FROM),
}


class Governed(EpochBook):
    """A rulebook that acts can follow."""

    __slots__ = ()

    def act(
        self, content: bytes, signers: Sequence[bytes], at: int, window: int
    ) -> tuple[Code | None, Governed]:
        """An act that follows the newest one, under signatures that verified: why it does not stand, or the rulebook behind it."""
        offices = {self.office(key_id) for key_id in signers}
        if None in offices:
            return Code.NOT_AN_OFFICER, self
        if len(offices) < self.threshold or self.threshold == 0:
            return Code.TOO_FEW_OFFICERS, self
        after = copy.deepcopy(self)
        try:
            changes = _read_act(content)
            for change in changes:
                do = change.pop("do")
                _need(self.rules >= EXISTS_FROM.get(do, ACTS_FROM), "not under these rules")
                getattr(after, "_do_" + do.replace("-", "_"))(change, at, window)
            after._check_whole(self)
        except Misfit as misfit:
            return (Code.RULES_NOT_ANNOUNCED if misfit.waits else Code.ACT_REFUSED), self
        return None, after

    def _check_whole(self, before: Governed) -> None:
        """What must hold after all changes of an act."""
        count = len(self.offices)
        _need(count > 0 and count < 2 * self.threshold <= 2 * count, "threshold")
        for reader, scopes in before.may_read.items():
            for registry, compartment in scopes:
                if (registry, compartment) in self.may_read.get(reader, []) or registry in CLEAR:
                    continue
                _need(self.registries[registry][0] > before.registries[registry][0], "lost reader")
        self._check_agents()

    def _new_key(self, key: PublicKey) -> bytes:
        key_id = key.key_id
        companions = [known.companion.key_id for known in self.keys.values() if known.companion]
        _need(key_id not in self.keys and key_id not in companions, "an author's key")
        _need(key_id not in self.site_keys and key_id not in self.officer_keys, "another's key")
        return key_id

    def _enrol(self, author: str, described: Json) -> None:
        key, companion = _read_key(described)
        if companion is not None:
            _need(self.rules >= COMPANIONS_FROM, "no companions yet")
        _need(companion is not None or not self.twice[author], "must have a companion")
        key_id = self._new_key(key)
        if companion is not None:
            self._new_key(companion)
        self.keys[key_id] = Key(author, key, companion)

    def _scopes(self, described: list[Json]) -> list[Scope]:
        scopes = _read_scopes(described)
        _need(len(set(scopes)) == len(scopes), "a scope twice")
        _need(all(registry in self.registries for registry, _ in scopes), "no such registry")
        return scopes

    def _do_enrol_author(self, change: Json, at: int, window: int) -> None:
        name = _institution(change["name"])
        _need(name not in self.may_write, "there already")
        self.may_write[name] = self._scopes(change["may_write"])
        self.budgets[name] = _budget(change["budget_per_10000_positions"])
        self.twice[name] = False
        _seal_key(change["seal_key"])
        for key in change["keys"]:
            self._enrol(name, key)

    def _do_enrol_key(self, change: Json, at: int, window: int) -> None:
        _need(change["author"] in self.may_write, "no such author")
        self._enrol(change["author"], change["key"])

    def _key(self, change: Json) -> Key:
        key = self.keys.get(bytes.fromhex(change["key_id"]))
        if key is None or key.author != change["author"] or key.state in ("closed", "revoked"):
            raise Misfit("no such key, or ended")
        return key

    def _do_retire_key(self, change: Json, at: int, window: int) -> None:
        key = self._key(change)
        _need(key.state == "in use", "retired already")
        key.state = "retired"

    def _do_close_key(self, change: Json, at: int, window: int) -> None:
        key = self._key(change)
        _need(key.state == "retired", "not retired")
        key.state = "closed"

    def _do_revoke_key(self, change: Json, at: int, window: int) -> None:
        self._key(change).state = "revoked"

    def _lists(self, change: Json) -> list[Scope]:
        where = {"write": self.may_write, "read": self.may_read, "see": self.may_see}.get(change["may"])
        if where is None or change["institution"] not in where:
            raise Misfit("no such institution")
        return where[change["institution"]]

    def _do_permit(self, change: Json, at: int, window: int) -> None:
        held, scopes = self._lists(change), self._scopes(change["scopes"])
        _need(bool(scopes) and not set(held) & set(scopes), "held already, or nothing")
        held.extend(scopes)

    def _do_withdraw(self, change: Json, at: int, window: int) -> None:
        held, scopes = self._lists(change), _read_scopes(change["scopes"])
        _need(bool(scopes) and set(scopes) <= set(held), "not held, or nothing")
        held[:] = [scope for scope in held if scope not in scopes]

    def _do_set_budget(self, change: Json, at: int, window: int) -> None:
        _need(change["author"] in self.budgets, "no such author")
        self.budgets[change["author"]] = _budget(change["budget_per_10000_positions"])

    def _do_grant_budget(self, change: Json, at: int, window: int) -> None:
        author = change["author"]
        _need(author in self.budgets, "no such author")
        records, subjects = _budget(change["more"])
        now = at // window
        then, more_records, more_subjects = self.grants.get(author, (now, 0, 0))
        if then == now:
            records, subjects = records + more_records, subjects + more_subjects
        self.grants[author] = (now, records, subjects)

    def _do_set_policy(self, change: Json, at: int, window: int) -> None:
        author, wanted = change["author"], change["ml_dsa_65"]
        _need(author in self.twice and isinstance(wanted, bool), "no such author")
        able = [
            key
            for key in self.keys.values()
            if key.author == author and key.companion and key.state in ("in use", "retired")
        ]
        _need(bool(able) or not wanted, "no key with a companion")
        self.twice[author] = wanted

    def _do_enrol_reader(self, change: Json, at: int, window: int) -> None:
        name = _institution(change["name"])
        _need(name not in self.may_read, "there already")
        _seal_key(change["seal_key"])
        self.may_read[name] = self._scopes(change["may_read"])
        self.may_see[name] = self._scopes(change.get("may_see", []))

    def _do_revoke_reader(self, change: Json, at: int, window: int) -> None:
        _need(change["name"] in self.may_read, "no such reader")
        del self.may_read[change["name"]], self.may_see[change["name"]]

    def _do_replace_seal_key(self, change: Json, at: int, window: int) -> None:
        name = change["institution"]
        _need(name in self.may_read or name in self.may_write, "no such institution")
        _seal_key(change["seal_key"])

    def _do_add_registry(self, change: Json, at: int, window: int) -> None:
        _need(change["registry"] not in self.registries and change["registry"] not in CLEAR, "there already")
        self.registries[change["registry"]] = (1, 1)

    def _do_start_key_epoch(self, change: Json, at: int, window: int) -> None:
        newest, oldest = self._epochs(change)
        _need(change["key_epoch"] == newest + 1 and change["previous"] in ("accepted", "closed"), "number")
        self.registries[change["registry"]] = (
            newest + 1,
            newest + 1 if change["previous"] == "closed" else oldest,
        )

    def _do_close_key_epoch(self, change: Json, at: int, window: int) -> None:
        newest, oldest = self._epochs(change)
        _need(oldest <= change["key_epoch"] < newest, "closed already, or in use")
        self.registries[change["registry"]] = (newest, change["key_epoch"] + 1)

    def _epochs(self, change: Json) -> tuple[int, int]:
        _need(change["registry"] in self.registries and change["registry"] not in CLEAR, "no such registry")
        return self.registries[change["registry"]]

    def _do_enrol_site(self, change: Json, at: int, window: int) -> None:
        name = change["site"]["name"]
        key, _ = _read_key(change["site"]["key"])
        _need(name not in self.sites, "there already")
        self.site_keys[self._new_key(key)] = (name, key)
        self.sites[name] = key

    def _do_retire_site(self, change: Json, at: int, window: int) -> None:
        name = change["name"]
        _need(name in self.sites and name not in self.receipts[-1][1], "no site, or in the receipt set")
        del self.sites[name]
        self.announced.pop(name, None)

    def _do_set_receipt_set(self, change: Json, at: int, window: int) -> None:
        sites, quorum = tuple(change["sites"]), change["quorum"]
        _need(set(sites) <= set(self.sites) and len(set(sites)) == len(sites), "sites")
        _need(len(sites) < 2 * quorum <= 2 * len(sites), "quorum")
        for name in sites:
            if name not in self.receipts[-1][1] and self.next_rules not in self.announced.get(name, set()):
                raise Misfit("not announced", waits=True)
        self.receipts = [entry for entry in self.receipts if entry[0] <= at] + [(at + 1, sites, quorum)]

    def _do_enrol_officer(self, change: Json, at: int, window: int) -> None:
        person = change["officer"]
        deputy = person.get("deputy")
        self._free(person["name"])
        if deputy is not None:
            self._free(deputy["name"])
            _need(deputy["name"] != person["name"], "own deputy")
        _need(len(self.offices) < 16, "too many")
        self.offices[person["name"]] = {}
        for one in (person, deputy) if deputy is not None else (person,):
            self._take_office(person["name"], one)
        if deputy is not None:
            self.deputies[person["name"]] = deputy["name"]

    def _take_office(self, office: str, person: Json) -> None:
        key, _ = _read_key(person["key"])
        key_id = self._new_key(key)
        self.officer_keys[key_id] = key
        self.offices[office][key_id] = person["name"]

    def _free(self, name: str) -> None:
        _need(name not in self.offices and name not in self.deputies.values(), "in office already")

    def _do_retire_officer(self, change: Json, at: int, window: int) -> None:
        _need(change["name"] in self.offices, "not in office")
        del self.offices[change["name"]]
        self.deputies.pop(change["name"], None)

    def _do_set_deputy(self, change: Json, at: int, window: int) -> None:
        name, deputy = change["officer"], change.get("deputy")
        _need(name in self.offices and (deputy is not None or name in self.deputies), "no officer, no deputy")
        if deputy is not None:
            self._free(deputy["name"])
        former = self.deputies.pop(name, None)
        self.offices[name] = {key: who for key, who in self.offices[name].items() if who != former}
        if deputy is not None:
            self._take_office(name, deputy)
            self.deputies[name] = deputy["name"]

    def _do_set_threshold(self, change: Json, at: int, window: int) -> None:
        _need(1 <= change["threshold"] <= 16, "number")
        self.threshold = change["threshold"]

    def _do_set_rules(self, change: Json, at: int, window: int) -> None:
        wanted = change["rules"]
        _need(wanted > self.next_rules, "only ever raised")
        if any(wanted not in self.announced.get(name, set()) for name in self.receipts[-1][1]):
            raise Misfit("not announced", waits=True)
        self.next_rules = wanted

    def _do_set_recovery_key(self, change: Json, at: int, window: int) -> None:
        holders = [share["officer"] for share in change["shares"]]
        _need(len(base64.b64decode(change["public_key"])) == 1216, "no X-Wing key")
        _need(change["name"] not in self.recovery, "there already")
        _need([share["index"] for share in change["shares"]] == [*range(1, len(holders) + 1)], "indexes")
        _need(len(holders) < 2 * change["threshold"] <= 2 * len(holders), "threshold")
        _need(set(holders) <= set(self.offices) and len(set(holders)) == len(holders), "holders")
        self.recovery[change["name"]] = (change["threshold"], holders)

    def _do_unlock(self, change: Json, at: int, window: int) -> None:
        _need(bool(change["registries"] and change["key_epochs"] and change["reason"].strip()), "empty")
        _need(all(one in self.registries and one not in CLEAR for one in change["registries"]), "registry")
        _need(change["recovery_key"] in self.recovery, "no such key")
        threshold, holders = self.recovery[change["recovery_key"]]
        _need(set(change["officers"]) <= set(holders), "no holder")
        _need(len(set(change["officers"])) >= threshold, "too few")


def at_genesis(data: bytes) -> Governed:
    """The rulebook of the genesis file itself."""
    file = json.loads(data)
    book = Governed(file["rules"], file["rules"], threshold=file["officers"]["threshold"])
    book.registries = dict.fromkeys(file["registries"], (1, 1))
    for site in file["sites"]:
        key, _ = _read_key(site["key"])
        book.sites[site["name"]] = key
        book.site_keys[key.key_id] = (site["name"], key)
        if site.get("votes", True):
            book.voting.add(site["name"])
    book.receipts = [(0, tuple(file["receipt_set"]["sites"]), file["receipt_set"]["quorum"])]
    for person in file["officers"]["people"]:
        book.offices[person["name"]] = {}
        book._take_office(person["name"], person)
        if "deputy" in person:
            book._take_office(person["name"], person["deputy"])
            book.deputies[person["name"]] = person["deputy"]["name"]
    for author in file["authors"]:
        book.may_write[author["name"]] = _read_scopes(author["may_write"])
        book.budgets[author["name"]] = _budget(author["budget_per_10000_positions"])
        book.twice[author["name"]] = False
        for described in author["keys"]:
            key, companion = _read_key(described)
            book.keys[key.key_id] = Key(author["name"], key, companion)
    for reader in file["readers"]:
        book.may_read[reader["name"]] = _read_scopes(reader["may_read"])
        book.may_see[reader["name"]] = _read_scopes(reader.get("may_see", []))
    return book


def _read_act(content: bytes) -> list[Json]:
    """The changes of an act in its one form, as far as this world's officers and thieves depart from it."""
    try:
        act = json.loads(content.decode("utf-8"))
    except ValueError:
        raise Misfit("no JSON") from None
    _need(isinstance(act, dict) and set(act) == {"format", "reason", "changes"}, "fields")
    _need(act["format"] == "sento-act-1" and bool(act["reason"].strip()), "format or reason")
    changes: list[Json] = act["changes"]
    _need(1 <= len(changes) <= 64, "count")
    for change in changes:
        do = str(change.get("do"))
        _need(do in FIELDS, "unknown change")
        asked = {"do", *FIELDS[do]}
        _need(asked <= set(change) <= asked | set(MORE_FIELDS.get(do, ())), "fields of a change")
        _check_keys(change)
    return changes


def _check_keys(value: object) -> None:
    """Every key anywhere in an act must be one under which not just anybody can sign."""
    if isinstance(value, dict):
        if "suite" in value:
            _read_key(value)
        for inner in value.values():
            _check_keys(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_keys(inner)


def _read_key(described: Json) -> tuple[PublicKey, PublicKey | None]:
    key = _checked(SUITES[described["suite"]], described["public_key"])
    companion = described.get("ml_dsa_65")
    return key, None if companion is None else _checked(Suite.ML_DSA_65, companion)


def _checked(suite: Suite, text: str) -> PublicKey:
    key = PublicKey(suite, base64.b64decode(text))
    try:
        check_public_key(key)
    except Malformed as error:
        raise Misfit(str(error)) from None
    return key


def _read_scopes(described: list[Json]) -> list[Scope]:
    return [(scope["registry"], scope["compartment"]) for scope in described]


def _budget(described: Json) -> tuple[int, int]:
    records, subjects = described["records"], described["subjects"]
    _need(0 <= records <= 10_000 and 0 <= subjects <= 10_000, "budget")
    return records, subjects


def _institution(name: str) -> str:
    _need(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name) is not None, "name")
    return name


def _seal_key(text: str) -> None:
    _need(len(base64.b64decode(text)) in (65, 1216), "seal key")
