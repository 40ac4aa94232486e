"""What keys this installation has, and whether each is in order: every file is looked at by itself, so that one mistake hides no other.

The client refuses to open at the first thing that does not fit. This goes on: a configuration with mistakes still names files, a genesis file that is
lost leaves the key files to be read. Nothing secret comes into a finding: key ids, fingerprints of public keys, names of scopes.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sento_client.cli.findings import Finding, in_order, wrong
from sento_client.cli.named_files import NamedFiles, read_named
from sento_client.cli.tls_checks import check_tls
from sento_client.keyfiles import (
    SealedKek,
    read_kek_seals,
    read_pseudonyms,
    read_seal_key,
    read_signing_key,
)
from sento_client.setup_errors import Setup, SetupError
from sento_proto.genesis import Author, Genesis, Reader, decode_genesis
from sento_proto.kek_seal import KekName, open_kek, xwing_public
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.sealing import CannotOpen
from sento_proto.wire import Malformed

FINGERPRINT_BYTES = 16


@dataclass(frozen=True, slots=True)
class _Place:
    """The institution in the ledger; either part may be unknown."""

    institution: str | None
    genesis: Genesis | None

    @property
    def author(self) -> Author | None:
        return next((a for a in self._authors if a.name == self.institution), None)

    @property
    def reader(self) -> Reader | None:
        readers = self.genesis.readers if self.genesis is not None else ()
        return next((reader for reader in readers if reader.name == self.institution), None)

    @property
    def _authors(self) -> tuple[Author, ...]:
        return self.genesis.authors if self.genesis is not None else ()


def check_installation(path: Path, now: dt.datetime) -> list[Finding]:
    """Findings on the configuration at `path` and on all that it names. Never raises for what it finds."""
    findings: list[Finding] = []
    named = read_named(path.absolute(), findings)
    if named is None:
        return findings
    genesis = _check_genesis(named, findings)
    place = _Place(named.institution, genesis)
    if genesis is not None and named.institution is not None:
        findings.append(_check_institution(place, genesis))
    findings += check_tls(named.tls, named.institution, now)
    findings += _check_signing(named.signing, place)
    secret = _check_seal_key(named.seal, place, findings)
    findings += _check_keks(named.kek_seals, place, secret)
    findings += _check_pseudonyms(named.pseudonyms, place)
    return findings


# The configuration and the ledger.


def _check_genesis(named: NamedFiles, findings: list[Finding]) -> Genesis | None:
    item, path = "ledger", named.genesis
    if path is None:
        return None
    try:
        genesis = decode_genesis(path.read_bytes())
    except OSError as error:
        findings.append(wrong(item, Setup.GENESIS_INVALID, f"{path}: {error.strerror}"))
        return None
    except Malformed as error:
        findings.append(wrong(item, Setup.GENESIS_INVALID, f"{path}: {error}"))
        return None
    ledger_id = genesis.ledger_id.hex()
    value = {"name": genesis.name, "id": ledger_id, "purpose": genesis.purpose}
    findings.append(in_order(item, f"{genesis.name} ({genesis.purpose}), id {ledger_id}", value))
    findings += [
        wrong("configuration", Setup.CONFIG_INVALID, f"sites: {name} does not stand in the genesis file")
        for name in named.sites
        if genesis.site(name) is None
    ]
    return genesis


def _check_institution(place: _Place, genesis: Genesis) -> Finding:
    item, name = "institution", str(place.institution)
    roles = [
        role for role, found in (("author", place.author), ("reader", place.reader)) if found is not None
    ]
    value = {"name": name, "roles": roles}
    if not roles:
        return wrong(
            item, Setup.NOT_ENROLLED, f"{name} is neither author nor reader in {genesis.name}", value
        )
    return in_order(item, f"{name}, {' and '.join(roles)}", value)


# Key files.


def _check_signing(path: Path | None, place: _Place) -> Iterator[Finding]:
    item = "signing key"
    if path is None:
        yield in_order(item, "none: this installation can read and not write", {"key_id": None})
        return
    try:
        key = read_signing_key(path).public_key
    except SetupError as error:
        yield _unreadable(item, error)
        return
    value: dict[str, object] = {"key_id": key.key_id.hex(), "mode": _mode(path), "author": None}
    words = f"key id {key.key_id.hex()}, mode {_mode(path)}"
    if place.genesis is None:
        yield in_order(item, f"{words}; there is no genesis file to compare it with", value)
        return
    owner = next((author.name for author in place.genesis.authors if key in author.keys), None)
    value["author"] = owner
    if owner is None:
        yield wrong(item, Setup.NOT_ENROLLED, f"{words}: no author is enrolled with it", value)
    elif owner != place.institution:
        why = f"{words}: it is enrolled as {owner}, the configuration says {place.institution}"
        yield wrong(item, Setup.NOT_ENROLLED, why, value)
    else:
        yield in_order(item, f"{words}, enrolled as {owner}", value)


def _check_seal_key(path: Path | None, place: _Place, findings: list[Finding]) -> bytes | None:
    """The finding goes to `findings`; returns the secret, for opening seals."""
    item = "seal key"
    if path is None:
        return None
    try:
        secret = read_seal_key(path)
    except SetupError as error:
        findings.append(_unreadable(item, error))
        return None
    public = xwing_public(secret)
    fingerprint = hashlib.sha256(public).digest()[:FINGERPRINT_BYTES].hex()
    value = {"fingerprint": fingerprint, "mode": _mode(path)}
    words = f"public fingerprint {fingerprint}, mode {_mode(path)}"
    enrolled = [found.seal_key for found in (place.author, place.reader) if found is not None]
    if not enrolled:
        findings.append(in_order(item, f"{words}; there is nothing to compare it with", value))
    elif public in enrolled:
        findings.append(in_order(item, f"{words}, enrolled", value))
    else:
        why = f"{words}: it is not the key that is named for {place.institution}"
        findings.append(wrong(item, Setup.NOT_ENROLLED, why, value))
    return secret


def _check_keks(path: Path | None, place: _Place, secret: bytes | None) -> Iterator[Finding]:
    if path is None:
        return
    try:
        seals = read_kek_seals(path)
    except SetupError as error:
        yield _unreadable("KEK seals", error)
        return
    for seal in sorted(seals):
        yield _check_kek(seal, place.genesis, secret)
    author = place.author
    for scope in author.may_write if author is not None else ():
        held = (
            any(
                seal.author == author.name and scope.covers(seal.registry, seal.compartment) for seal in seals
            )
            if author is not None
            else False
        )
        if not held and scope.registry not in CLEAR_CONTENT_REGISTRIES:
            yield wrong(
                "KEK",
                Setup.NO_KEK,
                f"registry {scope.registry}, compartment '{scope.compartment}': none to write with",
                {"registry": scope.registry, "compartment": scope.compartment, "opens": False},
            )


def _check_kek(seal: SealedKek, genesis: Genesis | None, secret: bytes | None) -> Finding:
    words = (
        f"author {seal.author}, registry {seal.registry}, compartment '{seal.compartment}', "
        f"key epoch {seal.key_epoch}"
    )
    value: dict[str, object] = {name: part for name, part in seal._asdict().items() if name != "seal"}
    if genesis is None or secret is None:
        return in_order(
            "KEK", f"{words}: not tried, genesis file or seal key is missing", {**value, "opens": None}
        )
    name = KekName(genesis.ledger_id, seal.author, seal.registry, seal.compartment, seal.key_epoch)
    try:
        open_kek(seal.seal, name, secret)
    except (CannotOpen, Malformed) as error:
        return wrong("KEK", Setup.NO_KEK, f"{words}: {error}", {**value, "opens": False})
    return in_order("KEK", f"{words}: opens", {**value, "opens": True})


def _check_pseudonyms(path: Path | None, place: _Place) -> Iterator[Finding]:
    item = "pseudonym keys"
    if path is None:
        return
    try:
        registries = sorted(read_pseudonyms(path))
    except SetupError as error:
        yield _unreadable(item, error)
        return
    may_read = place.reader.may_read if place.reader is not None else ()
    may_write = place.author.may_write if place.author is not None else ()
    needed = {scope.registry for scope in may_write} - CLEAR_CONTENT_REGISTRIES - set(registries)
    # An auditor reads by position and has no need to find anybody.
    closed = sorted(
        {scope.registry for scope in may_read} - CLEAR_CONTENT_REGISTRIES - set(registries) - needed
    )
    words = f"{', '.join(registries) or 'none'}, mode {_mode(path)}"
    if closed:
        words += f"; nobody can be looked up in {', '.join(closed)}"
    yield in_order(item, words, {"registries": registries, "without": closed, "mode": _mode(path)})
    for registry in sorted(needed):
        yield wrong(
            item, Setup.NO_PSEUDONYM_KEY, f"registry {registry}: none to write with", {"registry": registry}
        )


def _unreadable(item: str, error: SetupError) -> Finding:
    return wrong(item, error.code, "; ".join(error.details))


def _mode(path: Path) -> str:
    try:
        return f"{stat.S_IMODE(path.stat().st_mode):04o}"
    except OSError:
        return "unknown"
