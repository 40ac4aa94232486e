"""What governance is made of: sites, receipt set, officers, authors, readers, scopes, keys; and how each is read from JSON.

The genesis file and officers' acts name the same things in the same words, so both are read here. Everything is plain data; `read_*` take one JSON object
off and raise Malformed with the path of the first field that is wrong.

    key       {"suite": "ed25519" | "ecdsa-p256", "public_key": base64, "ml_dsa_65": base64 (optional companion)}
    scope     {"registry": "health", "compartment": "" (the open part) | "*" (any) | a name}
    officer   {"name", "key", "seal_key" (optional), "deputy" (optional): {"name", "key", "seal_key" (optional)}}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sento_proto.keys import PublicKey, Suite, check_public_key
from sento_proto.seal import check_recipient_key
from sento_proto.strict_json import Fields
from sento_proto.wire import Malformed

SEAL_KEY_BYTES = {1216: "X-Wing", 65: "P-256"}
SIGNING_SUITES = {"ed25519": Suite.ED25519, "ecdsa-p256": Suite.ECDSA_P256}
BUDGET_MAX = 10_000
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]{2,64}\]|[A-Za-z0-9._-]{1,253}):([1-9][0-9]{0,4})")
_PLACE = ("ledger", "address", "ordering_url")


@dataclass(frozen=True, slots=True)
class Scope:
    """A registry and one of its compartments; compartment "" is the registry's open part, "*" any."""

    registry: str
    compartment: str

    def covers(self, registry: str, compartment: str) -> bool:
        """Whether this scope contains the given registry and compartment."""
        return self.registry == registry and self.compartment in ("*", compartment)

    @property
    def words(self) -> str:
        """For people."""
        parts = {"": "open part of ", "*": "all of "}
        return parts.get(self.compartment, f"{self.compartment} in ") + self.registry


@dataclass(frozen=True, slots=True)
class Budget:
    """How much an author may write per 10,000 positions of the ledger before officers are asked."""

    records: int
    subjects: int


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs, and the ML-DSA-65 key that signs beside it, if it has one."""

    key: PublicKey
    companion: PublicKey | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """A site with its signing key. `votes`: it has a voting ordering member. `ml_dsa_44`: the key of its second cosignature, empty without one.

    `ledger`: it keeps the ledger; a tie-breaker votes without. `address` (host:port of its node) and `ordering_url` (https://host:port of its ordering
    member) are where others reach it, empty where governance does not say."""

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
    ml_dsa_44: bytes = b""
    ledger: bool = True
    address: str = ""
    ordering_url: str = ""

    @property
    def role(self) -> str:
        """`voting` (ledger and member), `embassy` (ledger alone) or `tie-breaker` (member alone)."""
        return ("voting" if self.votes else "embassy") if self.ledger else "tie-breaker"


@dataclass(frozen=True, slots=True)
class ReceiptSet:
    """The sites whose cosignatures count, and how many of them make a quorum."""

    sites: tuple[str, ...]
    quorum: int

    @property
    def is_majority(self) -> bool:
        """Whether the quorum is more than half of the sites, and no more than all."""
        return len(self.sites) // 2 < self.quorum <= len(self.sites)


@dataclass(frozen=True, slots=True)
class Deputy:
    """Who acts for an officer: the two count once."""

    name: str
    key: PublicKey
    seal_key: bytes = b""


@dataclass(frozen=True, slots=True)
class Officer:
    """A person in office. `seal_key` is what shares of a recovery key are sealed to; empty while there is none."""

    name: str
    key: PublicKey
    seal_key: bytes = b""
    deputy: Deputy | None = None

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """The keys that sign for this office."""
        return (self.key,) if self.deputy is None else (self.key, self.deputy.key)


@dataclass(frozen=True, slots=True)
class Officers:
    """Officers by name, and how many of them act together."""

    threshold: int
    people: Mapping[str, Officer]

    @property
    def keys(self) -> Mapping[str, PublicKey]:
        """Each officer's own key."""
        return {name: officer.key for name, officer in self.people.items()}

    @property
    def is_majority(self) -> bool:
        """Whether the threshold is more than half of the officers, so that no two acts can stand against each other; or nobody is in office at all."""
        count = len(self.people)
        return count // 2 < self.threshold <= count or count == self.threshold == 0


@dataclass(frozen=True, slots=True)
class Author:
    """An institution that writes: signing keys, what it may write, its budget, and the key its own KEK seals go to."""

    name: str
    keys: tuple[PublicKey, ...]
    may_write: tuple[Scope, ...]
    budget: Budget
    seal_key: bytes
    companions: Mapping[bytes, PublicKey] = field(default_factory=dict)
    """ML-DSA-65 keys by the key id of the key that they stand beside."""

    @property
    def signing_keys(self) -> tuple[SigningKey, ...]:
        """Each key with its companion."""
        return tuple(SigningKey(key, self.companions.get(key.key_id)) for key in self.keys)


@dataclass(frozen=True, slots=True)
class Reader:
    """An institution that reads: what payloads it may be given, what it may see the headers of, and the public key that KEKs are sealed to."""

    name: str
    may_read: tuple[Scope, ...]
    seal_key: bytes
    may_see: tuple[Scope, ...] = ()


def read_signing_key(fields: Fields) -> SigningKey:
    """A key with its companion, if it has one."""
    key = _public_key(fields)
    if not fields.has("ml_dsa_65"):
        return SigningKey(key)
    return SigningKey(key, _checked(fields, "ml_dsa_65", Suite.ML_DSA_65))


def read_key(fields: Fields) -> PublicKey:
    """A key that has no companion: a site's or an officer's."""
    return _public_key(fields)


def _public_key(fields: Fields) -> PublicKey:
    suite = SIGNING_SUITES[fields.choice("suite", tuple(SIGNING_SUITES))]
    return _checked(fields, "public_key", suite)


def _checked(fields: Fields, name: str, suite: Suite) -> PublicKey:
    key = PublicKey(suite, fields.blob(name))
    try:
        check_public_key(key)
    except Malformed as error:
        raise fields.wrong(f"{name}:", str(error)) from None
    return key


def read_seal_key(fields: Fields, name: str = "seal_key") -> bytes:
    """A public key that secrets are sealed to: X-Wing, or P-256 where the private key lives in a token."""
    data = fields.blob(name)
    if len(data) not in SEAL_KEY_BYTES or (len(data) == 65 and data[0] != 4):
        raise fields.wrong(name, "must be an X-Wing public key of 1216 bytes or a P-256 one of 65")
    try:
        check_recipient_key(data)
    except Malformed as error:
        raise fields.wrong(f"{name}:", str(error)) from None
    return data


def read_scope(fields: Fields) -> Scope:
    """A scope."""
    registry, compartment = fields.name("registry"), fields.text("compartment")
    if compartment not in ("", "*"):
        fields.check_name(compartment, "compartment")
    return Scope(registry, compartment)


def read_budget(fields: Fields) -> Budget:
    """A budget."""
    return Budget(fields.number("records", 0, BUDGET_MAX), fields.number("subjects", 0, BUDGET_MAX))


def read_site(fields: Fields) -> Site:
    """A site."""
    return Site(
        name=fields.institution("name"),
        key=fields.inner("key", read_key),
        votes=fields.flag("votes"),
        country=fields.text("country"),
        region=fields.text("region"),
        hazard_zone=fields.text("hazard_zone"),
        power=fields.text("power"),
        carrier=fields.text("carrier"),
        provider=fields.text("provider"),
        legal_basis=fields.text("legal_basis"),
        ml_dsa_44=read_ml_dsa_44(fields),
    )


def names_place(fields: Fields) -> bool:
    """Whether a site's object has a member that exists from rules 5 on."""
    return any(fields.has(name) for name in _PLACE)


def read_placed_site(fields: Fields) -> Site:
    """A site as rules 5 and later know it: with its place, and whether it keeps the ledger."""
    ledger = fields.flag("ledger") if fields.has("ledger") else True
    address = read_address(fields) if fields.has("address") else ""
    ordering_url = read_ordering_url(fields) if fields.has("ordering_url") else ""
    return replace(read_site(fields), ledger=ledger, address=address, ordering_url=ordering_url)


def read_address(fields: Fields, name: str = "address") -> str:
    """`host:port` of a node; empty: not said."""
    text = fields.text(name)
    if text and not _is_address(text):
        raise fields.wrong(name, "must be host:port")
    return text


def read_ordering_url(fields: Fields, name: str = "ordering_url") -> str:
    """`https://host:port` of an ordering member; empty: not said."""
    text = fields.text(name)
    if text and not (text.startswith("https://") and _is_address(text.removeprefix("https://"))):
        raise fields.wrong(name, "must be https://host:port")
    return text


def _is_address(text: str) -> bool:
    match = _ADDRESS.fullmatch(text)
    return match is not None and int(match[2]) <= 65_535


def read_ml_dsa_44(fields: Fields) -> bytes:
    """The optional key of a site's second cosignature."""
    return _checked(fields, "ml_dsa_44", Suite.ML_DSA_44).data if fields.has("ml_dsa_44") else b""


def read_receipt_set(fields: Fields) -> ReceiptSet:
    """A receipt set; whether its sites exist and its quorum is a majority is asked later."""
    return ReceiptSet(fields.institutions("sites"), fields.number("quorum", 1, 1000))


def read_officer(fields: Fields) -> Officer:
    """An officer, with deputy if there is one."""
    return Officer(
        fields.text("name"),
        fields.inner("key", read_key),
        _optional_seal_key(fields),
        fields.inner("deputy", read_deputy) if fields.has("deputy") else None,
    )


def read_deputy(fields: Fields) -> Deputy:
    """A deputy."""
    return Deputy(fields.text("name"), fields.inner("key", read_key), _optional_seal_key(fields))


def _optional_seal_key(fields: Fields) -> bytes:
    return read_seal_key(fields) if fields.has("seal_key") else b""


def read_author(fields: Fields) -> Author:
    """An author."""
    name = fields.institution("name")
    keys = fields.objects("keys", read_signing_key)
    return Author(
        name=name,
        keys=tuple(key.key for key in keys),
        may_write=fields.objects("may_write", read_scope),
        budget=fields.inner("budget_per_10000_positions", read_budget),
        seal_key=read_seal_key(fields),
        companions={key.key.key_id: key.companion for key in keys if key.companion is not None},
    )


def read_reader(fields: Fields) -> Reader:
    """A reader."""
    return Reader(
        name=fields.institution("name"),
        may_read=fields.objects("may_read", read_scope),
        seal_key=read_seal_key(fields),
        may_see=fields.objects("may_see", read_scope) if fields.has("may_see") else (),
    )
