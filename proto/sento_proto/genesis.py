"""The genesis file: who may do what in position 0, readable by people; its hash is the ledger's name.

    ledger id = SHA-256(genesis file, as it stands byte for byte)

JSON, strict: unknown or doubled names, missing fields and wrong values are refused with the path of the field. It names the registries, the sites
(with their place and risk), the receipt set, the officers, and the authors with keys, permissions and budgets; officers' acts change them later.
Readers stand here with what they may read, and with the public key to which KEKs are sealed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

from sento_proto import limits
from sento_proto.header import check_name
from sento_proto.kek_seal import XWING_PUBLIC_BYTES
from sento_proto.keys import PublicKey, Suite, check_public_key
from sento_proto.wire import Malformed

FORMAT = "sento-genesis-1"
PURPOSES = ("production", "training")
RULES_KNOWN = (1,)
_T = TypeVar("_T")
_INSTITUTION = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class Scope:
    """A registry and one of its compartments; compartment "" is the registry's open part, "*" any."""

    registry: str
    compartment: str

    def covers(self, registry: str, compartment: str) -> bool:
        """Whether this scope contains the given registry and compartment."""
        return self.registry == registry and self.compartment in ("*", compartment)


@dataclass(frozen=True, slots=True)
class Budget:
    """How much an author may write per 10,000 positions of the ledger before officers are asked."""

    records: int
    subjects: int


@dataclass(frozen=True, slots=True)
class Site:
    """A site with its signing key. `votes`: it has a voting ordering member."""

    name: str
    key: PublicKey
    votes: bool
    country: str
    region: str
    hazard_zone: str
    power: str
    carrier: str
    provider: str
    legal_basis: str


@dataclass(frozen=True, slots=True)
class ReceiptSet:
    """The sites whose cosignatures count, and how many of them make a quorum."""

    sites: tuple[str, ...]
    quorum: int


@dataclass(frozen=True, slots=True)
class Officers:
    """Officers' keys by name, and how many of them act together."""

    threshold: int
    keys: Mapping[str, PublicKey]


@dataclass(frozen=True, slots=True)
class Author:
    """An institution that writes: signing keys, what it may write, its budget, and the key its own KEK seals go to."""

    name: str
    keys: tuple[PublicKey, ...]
    may_write: tuple[Scope, ...]
    budget: Budget
    seal_key: bytes


@dataclass(frozen=True, slots=True)
class Reader:
    """An institution that reads: what it may read and the X-Wing public key that KEKs are sealed to."""

    name: str
    may_read: tuple[Scope, ...]
    seal_key: bytes


@dataclass(frozen=True, slots=True)
class Genesis:
    """The decoded file. `ledger_id` is the hash of the bytes it was decoded from."""

    ledger_id: bytes
    name: str
    purpose: str
    created: str
    rules: int
    registries: tuple[str, ...]
    sites: tuple[Site, ...]
    receipt_set: ReceiptSet
    officers: Officers
    authors: tuple[Author, ...]
    readers: tuple[Reader, ...]

    def site(self, name: str) -> Site | None:
        """The site of that name."""
        return next((site for site in self.sites if site.name == name), None)

    @property
    def voting_sites(self) -> tuple[str, ...]:
        """Names of the sites whose ordering members vote."""
        return tuple(site.name for site in self.sites if site.votes)


class _Fields:
    """One JSON object being read strictly: every field is taken exactly once and none is left over."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise Malformed(f"genesis: {path or 'the file'} must be an object")
        self._left = cast("dict[str, object]", dict(value))
        self._path = path

    def text(self, name: str) -> str:
        return _text(self.raw(name), self.path(name))

    def number(self, name: str, low: int, high: int) -> int:
        value = self.raw(name)
        if type(value) is not int or not low <= value <= high:
            raise Malformed(f"genesis: {self.path(name)} must be a whole number from {low} to {high}")
        return value

    def flag(self, name: str) -> bool:
        value = self.raw(name)
        if not isinstance(value, bool):
            raise Malformed(f"genesis: {self.path(name)} must be true or false")
        return value

    def blob(self, name: str) -> bytes:
        text = self.text(name)
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError:
            raise Malformed(f"genesis: {self.path(name)} must be base64") from None
        if base64.b64encode(data).decode() != text:
            raise Malformed(f"genesis: {self.path(name)} is not in its one base64 form")
        return data

    def seal_key(self) -> bytes:
        data = self.blob("seal_key")
        if len(data) != XWING_PUBLIC_BYTES:
            raise Malformed(
                f"genesis: {self.path('seal_key')} must be an X-Wing public key of {XWING_PUBLIC_BYTES} bytes"
            )
        return data

    def items(self, name: str, read: Callable[[object, str], _T]) -> tuple[_T, ...]:
        value = self.raw(name)
        if not isinstance(value, list):
            raise Malformed(f"genesis: {self.path(name)} must be a list")
        return tuple(read(item, f"{self.path(name)}[{index}]") for index, item in enumerate(value))

    def inner(self, name: str) -> _Fields:
        return _Fields(self.raw(name), self.path(name))

    def path(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def raw(self, name: str) -> object:
        if name not in self._left:
            raise Malformed(f"genesis: {self.path(name)} is missing")
        return self._left.pop(name)

    def end(self) -> None:
        if self._left:
            raise Malformed(f"genesis: {self.path(next(iter(self._left)))} is not known to this release")


def decode_genesis(data: bytes) -> Genesis:
    """The genesis in `data`. Raises Malformed with the path of the first field that is wrong."""
    if len(data) > limits.GENESIS_MAX_BYTES:
        raise Malformed(f"genesis: over {limits.GENESIS_MAX_BYTES} bytes")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_no_doubles)
    except Malformed:
        raise
    except (ValueError, RecursionError) as error:
        raise Malformed(f"genesis: not JSON in UTF-8 ({error})") from None
    fields = _Fields(value, "")
    if fields.text("format") != FORMAT:
        raise Malformed(f"genesis: format must be {FORMAT}")
    genesis = Genesis(
        ledger_id=hashlib.sha256(data).digest(),
        name=fields.text("name"),
        purpose=fields.text("purpose"),
        created=fields.text("created"),
        rules=fields.number("rules", 1, 0xFFFFFFFF),
        registries=fields.items("registries", _name),
        sites=fields.items("sites", _site),
        receipt_set=_receipt_set(fields.inner("receipt_set")),
        officers=_officers(fields.inner("officers")),
        authors=fields.items("authors", _author),
        readers=fields.items("readers", _reader),
    )
    fields.end()
    _check(genesis)
    return genesis


def _no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value: dict[str, object] = {}
    for name, inner in pairs:
        if name in value:
            raise Malformed(f"genesis: field {name!a} stands twice in one object")
        value[name] = inner
    return value


def _text(value: object, path: str) -> str:
    if not isinstance(value, str) or not value.replace("\u3000", " ").isprintable():
        raise Malformed(f"genesis: {path} must be text in one line")
    return value


def _name(value: object, path: str) -> str:
    name = _text(value, path)
    try:
        check_name(name, path)
    except Malformed:
        raise Malformed(f"genesis: {path} must be 1 to 32 characters of a-z 0-9 / -") from None
    return name


def _institution(value: object, path: str) -> str:
    name = _text(value, path)
    if not _INSTITUTION.fullmatch(name):
        raise Malformed(f"genesis: {path} must be 1 to 32 characters of a-z 0-9 -")
    return name


def _key(value: object, path: str) -> PublicKey:
    fields = _Fields(value, path)
    suites = {"ed25519": Suite.ED25519}
    suite = suites.get(fields.text("suite"))
    if suite is None:
        raise Malformed(f"genesis: {path}.suite must be one of {', '.join(suites)}")
    key = PublicKey(suite, fields.blob("public_key"))
    fields.end()
    try:
        check_public_key(key)
    except Malformed as error:
        raise Malformed(f"genesis: {path}.public_key: {error}") from None
    return key


def _site(value: object, path: str) -> Site:
    fields = _Fields(value, path)
    site = Site(
        name=_institution(fields.text("name"), f"{path}.name"),
        key=_key(fields.raw("key"), f"{path}.key"),
        votes=fields.flag("votes"),
        country=fields.text("country"),
        region=fields.text("region"),
        hazard_zone=fields.text("hazard_zone"),
        power=fields.text("power"),
        carrier=fields.text("carrier"),
        provider=fields.text("provider"),
        legal_basis=fields.text("legal_basis"),
    )
    fields.end()
    return site


def _receipt_set(fields: _Fields) -> ReceiptSet:
    receipt_set = ReceiptSet(fields.items("sites", _institution), fields.number("quorum", 1, 1000))
    fields.end()
    return receipt_set


def _officers(fields: _Fields) -> Officers:
    def officer(value: object, path: str) -> tuple[str, PublicKey]:
        inner = _Fields(value, path)
        pair = (inner.text("name"), _key(inner.raw("key"), f"{path}.key"))
        inner.end()
        return pair

    threshold = fields.number("threshold", 0, 255)
    pairs = fields.items("people", officer)
    fields.end()
    if len({name for name, _ in pairs}) != len(pairs):
        raise Malformed("genesis: officers.people names one officer twice")
    return Officers(threshold, dict(pairs))


def _scope(value: object, path: str) -> Scope:
    fields = _Fields(value, path)
    scope = Scope(_name(fields.raw("registry"), f"{path}.registry"), fields.text("compartment"))
    if scope.compartment not in ("", "*"):
        _name(scope.compartment, f"{path}.compartment")
    fields.end()
    return scope


def _author(value: object, path: str) -> Author:
    fields = _Fields(value, path)
    budget = fields.inner("budget_per_10000_positions")
    author = Author(
        name=_institution(fields.text("name"), f"{path}.name"),
        keys=fields.items("keys", _key),
        may_write=fields.items("may_write", _scope),
        budget=Budget(budget.number("records", 0, 10_000), budget.number("subjects", 0, 10_000)),
        seal_key=fields.seal_key(),
    )
    budget.end()
    fields.end()
    return author


def _reader(value: object, path: str) -> Reader:
    fields = _Fields(value, path)
    reader = Reader(
        name=_institution(fields.text("name"), f"{path}.name"),
        may_read=fields.items("may_read", _scope),
        seal_key=fields.seal_key(),
    )
    fields.end()
    return reader


def _check(genesis: Genesis) -> None:
    """What must hold between fields."""
    if genesis.purpose not in PURPOSES:
        raise Malformed(f"genesis: purpose must be one of {', '.join(PURPOSES)}")
    sites = [site.name for site in genesis.sites]
    keys = [site.key for site in genesis.sites] + [key for author in genesis.authors for key in author.keys]
    keys += genesis.officers.keys.values()
    for what, names in (
        ("sites", sites),
        ("authors", [author.name for author in genesis.authors]),
        ("readers", [reader.name for reader in genesis.readers]),
        ("registries", list(genesis.registries)),
        ("receipt_set.sites", list(genesis.receipt_set.sites)),
        ("keys", [key.key_id.hex() for key in keys]),
    ):
        if len(set(names)) != len(names):
            raise Malformed(f"genesis: {what} has one entry twice")
    if not genesis.voting_sites:
        raise Malformed("genesis: no site votes")
    receipt_set = genesis.receipt_set
    if not set(receipt_set.sites) <= set(sites):
        raise Malformed("genesis: receipt_set.sites names a site that is not in sites")
    if not len(receipt_set.sites) // 2 < receipt_set.quorum <= len(receipt_set.sites):
        raise Malformed("genesis: receipt_set.quorum must be more than half of its sites")
    officers = len(genesis.officers.keys)
    if not (
        officers // 2 < genesis.officers.threshold <= officers or officers == genesis.officers.threshold == 0
    ):
        raise Malformed(
            "genesis: officers.threshold must be more than half of the officers, or 0 without any"
        )
    for index, author in enumerate(genesis.authors):
        _check_scopes(genesis, author.may_write, f"authors[{index}].may_write")
    for index, reader in enumerate(genesis.readers):
        _check_scopes(genesis, reader.may_read, f"readers[{index}].may_read")


def _check_scopes(genesis: Genesis, scopes: tuple[Scope, ...], path: str) -> None:
    for index, scope in enumerate(scopes):
        if scope.registry not in genesis.registries:
            raise Malformed(f"genesis: {path}[{index}].registry is not in registries")
    if len(set(scopes)) != len(scopes):
        raise Malformed(f"genesis: {path} has one entry twice")
