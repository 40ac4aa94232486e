"""The genesis file: who may do what in position 0, readable by people; its hash is the ledger's name.

    ledger id = SHA-256(genesis file, as it stands byte for byte)

JSON, strict: unknown or doubled names, missing fields and wrong values are refused with the path of the field. It names the registries, the sites
(with their place and risk), the receipt set, the officers with their deputies, and the authors with keys, permissions and budgets; officers' acts change them
later. Readers stand here with what they may read, and with the public key to which KEKs are sealed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sento_proto import limits
from sento_proto.governance.parts import (
    Author,
    Budget,
    Officer,
    Officers,
    Reader,
    ReceiptSet,
    Scope,
    Site,
    read_author,
    read_officer,
    read_placed_site,
    read_reader,
    read_receipt_set,
    read_site,
)
from sento_proto.rules import RULES_KNOWN
from sento_proto.strict_json import Fields, load
from sento_proto.wire import Malformed

__all__ = [
    "FORMAT",
    "PURPOSES",
    "RULES_KNOWN",
    "Author",
    "Budget",
    "Genesis",
    "Officer",
    "Officers",
    "Reader",
    "ReceiptSet",
    "Scope",
    "Site",
    "decode_genesis",
]

FORMAT = "sento-genesis-1"
PURPOSES = ("production", "training")
PLACE_RULES = 5
"""From which rules on a site's object may say where it is reached and whether it keeps the ledger."""


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


def decode_genesis(data: bytes) -> Genesis:
    """The genesis in `data`. Raises Malformed with the path of the first field that is wrong."""
    if len(data) > limits.GENESIS_MAX_BYTES:
        raise Malformed(f"genesis: over {limits.GENESIS_MAX_BYTES} bytes")
    fields = load(data, "genesis")
    if fields.text("format") != FORMAT:
        raise Malformed(f"genesis: format must be {FORMAT}")
    rules = fields.number("rules", 1, 0xFFFFFFFF)
    genesis = Genesis(
        ledger_id=hashlib.sha256(data).digest(),
        name=fields.text("name"),
        purpose=fields.text("purpose"),
        created=fields.text("created"),
        rules=rules,
        registries=fields.names("registries"),
        sites=fields.objects("sites", read_placed_site if rules >= PLACE_RULES else read_site),
        receipt_set=fields.inner("receipt_set", read_receipt_set),
        officers=fields.inner("officers", _officers),
        authors=fields.objects("authors", read_author),
        readers=fields.objects("readers", read_reader),
    )
    fields.end()
    _check(genesis)
    return genesis


def _officers(fields: Fields) -> Officers:
    threshold = fields.number("threshold", 0, 255)
    people = fields.objects("people", read_officer)
    names = [officer.name for officer in people]
    names += [officer.deputy.name for officer in people if officer.deputy is not None]
    if len(set(names)) != len(names):
        raise Malformed("genesis: officers.people names one officer twice")
    return Officers(threshold, {officer.name: officer for officer in people})


def _check(genesis: Genesis) -> None:
    """What must hold between fields."""
    if genesis.purpose not in PURPOSES:
        raise Malformed(f"genesis: purpose must be one of {', '.join(PURPOSES)}")
    sites = [site.name for site in genesis.sites]
    keys = [site.key for site in genesis.sites] + [key for author in genesis.authors for key in author.keys]
    keys += [key for officer in genesis.officers.people.values() for key in officer.keys]
    keys += [key for author in genesis.authors for key in author.companions.values()]
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
    _check_ledgers(genesis)
    receipt_set = genesis.receipt_set
    if not set(receipt_set.sites) <= set(sites):
        raise Malformed("genesis: receipt_set.sites names a site that is not in sites")
    if not receipt_set.is_majority:
        raise Malformed("genesis: receipt_set.quorum must be more than half of its sites")
    if not genesis.officers.is_majority:
        raise Malformed(
            "genesis: officers.threshold must be more than half of the officers, or 0 without any"
        )
    for index, author in enumerate(genesis.authors):
        _check_scopes(genesis, author.may_write, f"authors[{index}].may_write")
    for index, reader in enumerate(genesis.readers):
        _check_scopes(genesis, reader.may_read, f"readers[{index}].may_read")
        _check_scopes(genesis, reader.may_see, f"readers[{index}].may_see")


def _check_ledgers(genesis: Genesis) -> None:
    """What a site without a ledger cannot be."""
    without = {site.name for site in genesis.sites if not site.ledger}
    if set(genesis.voting_sites) <= without:
        raise Malformed("genesis: no site that votes keeps the ledger")
    if without - set(genesis.voting_sites):
        raise Malformed("genesis: a site neither votes nor keeps the ledger")
    if without & set(genesis.receipt_set.sites):
        raise Malformed("genesis: receipt_set.sites names a site that keeps no ledger")


def _check_scopes(genesis: Genesis, scopes: tuple[Scope, ...], path: str) -> None:
    for index, scope in enumerate(scopes):
        if scope.registry not in genesis.registries:
            raise Malformed(f"genesis: {path}[{index}].registry is not in registries")
    if len(set(scopes)) != len(scopes):
        raise Malformed(f"genesis: {path} has one entry twice")
