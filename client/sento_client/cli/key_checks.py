"""What keys this installation has, and whether each is in order: every file is looked at by itself, so that one mistake hides no other.

The client refuses to open at the first thing that does not fit. This goes on: a configuration with mistakes still names files, a genesis file that is
lost leaves the key files to be read. Nothing secret comes into a finding: key ids, fingerprints of public keys, names of scopes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sento_client.cli.findings import Finding, in_order, wrong
from sento_client.cli.kept_keys import file_mode, fingerprint_of, how_kept, unreadable
from sento_client.cli.named_files import NamedFiles, read_named
from sento_client.cli.officer_checks import check_officer
from sento_client.cli.tls_checks import check_tls
from sento_client.config import KeyFiles, load_config
from sento_client.governing.fitting import check_sites
from sento_client.governing.following import Followed
from sento_client.governing.sections import key_state
from sento_client.governing.trust_file import NAME, trust_path
from sento_client.keyfiles import SealedKek, read_kek_seals, read_pseudonyms
from sento_client.opening import open_trust_file
from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.opening import KeySource
from sento_client.signers.passphrases import Ask
from sento_proto.governance.parts import Reader
from sento_proto.governance.state import AuthorRights, Governance
from sento_proto.kek_seal import KekName, SealOpener, open_kek
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.sealing import CannotOpen
from sento_proto.wire import Malformed


@dataclass(frozen=True, slots=True)
class _Place:
    """The institution in the ledger; either part may be unknown."""

    institution: str | None
    governance: Governance | None

    @property
    def author(self) -> AuthorRights | None:
        return None if self.governance is None else self.governance.authors.get(str(self.institution))

    @property
    def reader(self) -> Reader | None:
        return None if self.governance is None else self.governance.readers.get(str(self.institution))


def check_installation(path: Path, now: dt.datetime, *, ask: Ask | None = None) -> list[Finding]:
    """Findings on the configuration at `path` and on all that it names; `ask` asks a person for a passphrase or PIN. Never raises for what it finds."""
    findings: list[Finding] = []
    named = read_named(path.absolute(), findings)
    if named is None:
        return findings
    followed = check_ledger(named, path.absolute(), findings)
    governance = None if followed is None else followed.governance
    source = key_source(named, ask)
    if named.officer is not None:
        return findings + check_officer(named, named.officer, followed, source, now)
    place = _Place(named.institution, governance)
    if governance is not None and named.institution is not None:
        findings.append(_check_institution(place, governance))
    findings += check_tls(named.tls, named.institution, now)
    findings += _check_signing(named, source, place)
    findings += _check_companion(named.companion, source)
    opener = _check_seal_key(named, source, place, findings)
    findings += _check_keks(named.kek_seals, place, opener)
    findings += _check_pseudonyms(named.pseudonyms, place)
    return findings


# The configuration and the ledger.


def check_ledger(named: NamedFiles, config: Path, findings: list[Finding]) -> Followed | None:
    """Governance as far as this installation has followed it; a damaged trust.json leaves the genesis file."""
    item, path = "ledger", named.genesis
    if path is None:
        return None
    try:
        trust_file = open_trust_file(path, _trust_path(config))
    except SetupError as error:
        findings.append(wrong(item, error.code, "; ".join(error.details)))
        return None
    genesis = trust_file.genesis
    ledger_id = genesis.ledger_id.hex()
    value = {"name": genesis.name, "id": ledger_id, "purpose": genesis.purpose}
    findings.append(in_order(item, f"{genesis.name} ({genesis.purpose}), id {ledger_id}", value))
    try:
        followed = trust_file.read()
    except SetupError as error:
        findings.append(wrong("governance", error.code, "; ".join(error.details)))
        followed = Followed.start(genesis)
    if followed.steps:
        words = f"followed up to position {followed.position}, {followed.governance.acts} acts"
        findings.append(in_order("governance", words, {"followed_to": followed.position}))
    try:
        check_sites(followed.governance, named.sites)
    except SetupError as error:
        findings += [wrong("configuration", error.code, detail) for detail in error.details]
    return followed


def _trust_path(config: Path) -> Path:
    try:
        return trust_path(load_config(config))
    except SetupError:
        return config.parent / NAME


def _check_institution(place: _Place, governance: Governance) -> Finding:
    item, name = "institution", str(place.institution)
    roles = [
        role for role, found in (("author", place.author), ("reader", place.reader)) if found is not None
    ]
    value = {"name": name, "roles": roles}
    if not roles:
        return wrong(
            item, Setup.NOT_ENROLLED, f"{name} is neither author nor reader in {governance.name}", value
        )
    return in_order(item, f"{name}, {' and '.join(roles)}", value)


# Key files.


def key_source(named: NamedFiles, ask: Ask | None) -> KeySource:
    """Opens the keys that are named."""
    keys = KeyFiles(  # KEK seals and pseudonyms are looked at by themselves
        signing=named.signing,
        seal=named.seal,
        kek_seals=None,
        pseudonyms=None,
        companion=named.companion,
        passphrase_file=named.passphrase_file,
        token=named.token,
    )
    return KeySource(keys, ask=ask)


def _check_signing(named: NamedFiles, source: KeySource, place: _Place) -> Iterator[Finding]:
    item = "signing key"
    try:
        signer = source.primary()
    except SetupError as error:
        yield unreadable(item, error)
        return
    if signer is None:
        yield in_order(item, "none: this installation can read and not write", {"key_id": None})
        return
    key = signer.public_key
    kept, how = how_kept(named.signing, named.token, None if named.token is None else named.token.key_label)
    value: dict[str, object] = {"key_id": key.key_id.hex(), "author": None, **how}
    words = f"key id {key.key_id.hex()}, {kept}"
    if place.governance is None:
        yield in_order(item, f"{words}; there is no genesis file to compare it with", value)
        return
    known = place.governance.author_keys.get(key.key_id)
    owner = None if known is None else known.author
    value["author"] = owner
    if owner is None:
        yield wrong(item, Setup.NOT_ENROLLED, f"{words}: no author is enrolled with it", value)
    elif owner != place.institution:
        why = f"{words}: it is enrolled as {owner}, the configuration says {place.institution}"
        yield wrong(item, Setup.NOT_ENROLLED, why, value)
    elif known is not None and known.ended_at is not None:
        yield wrong(item, Setup.NOT_ENROLLED, f"{words}: of {owner}, {key_state(known)}", value)
    else:
        yield in_order(item, f"{words}, enrolled as {owner}", value)


def _check_companion(path: Path | None, source: KeySource) -> Iterator[Finding]:
    if path is None:
        return
    try:
        companion = source.companion()
    except SetupError as error:
        yield unreadable("companion key", error)
        return
    if companion is not None:
        kept, how = how_kept(path, None, None)
        key_id = companion.public_key.key_id.hex()
        yield in_order("companion key", f"key id {key_id}, {kept}", {"key_id": key_id, **how})


def _check_seal_key(
    named: NamedFiles, source: KeySource, place: _Place, findings: list[Finding]
) -> SealOpener | None:
    """The finding goes to `findings`; returns the opener, for opening seals."""
    item = "seal key"
    label = None if named.token is None else named.token.seal_label
    if named.seal is None and label is None:
        return None
    try:
        opener = source.seal_opener()
    except SetupError as error:
        findings.append(unreadable(item, error))
        return None
    public = opener.public_key
    fingerprint = fingerprint_of(public)
    kept, how = how_kept(named.seal, named.token, label)
    value = {"fingerprint": fingerprint, **how}
    words = f"public fingerprint {fingerprint}, {kept}"
    enrolled = [found.seal_key for found in (place.author, place.reader) if found is not None]
    if not enrolled:
        findings.append(in_order(item, f"{words}; there is nothing to compare it with", value))
    elif public in enrolled:
        findings.append(in_order(item, f"{words}, enrolled", value))
    else:
        why = f"{words}: it is not the key that is named for {place.institution}"
        findings.append(wrong(item, Setup.NOT_ENROLLED, why, value))
    return opener


def _check_keks(path: Path | None, place: _Place, opener: SealOpener | None) -> Iterator[Finding]:
    if path is None:
        return
    try:
        seals = read_kek_seals(path)
    except SetupError as error:
        yield unreadable("KEK seals", error)
        return
    for seal in sorted(seals):
        yield _check_kek(seal, place.governance, opener)
    author = place.author
    for scope in author.may_write if author is not None else ():
        held = (
            any(
                seal.author == place.institution and scope.covers(seal.registry, seal.compartment)
                for seal in seals
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


def _check_kek(seal: SealedKek, governance: Governance | None, opener: SealOpener | None) -> Finding:
    words = (
        f"author {seal.author}, registry {seal.registry}, compartment '{seal.compartment}', "
        f"key epoch {seal.key_epoch}"
    )
    value: dict[str, object] = {name: part for name, part in seal._asdict().items() if name != "seal"}
    if governance is None or opener is None:
        return in_order(
            "KEK", f"{words}: not tried, genesis file or seal key is missing", {**value, "opens": None}
        )
    name = KekName(governance.ledger_id, seal.author, seal.registry, seal.compartment, seal.key_epoch)
    try:
        open_kek(seal.seal, name, opener)
    except (CannotOpen, Malformed) as error:
        return wrong("KEK", Setup.NO_KEK, f"{words}: {error}", {**value, "opens": False})
    except SetupError as error:
        return wrong("KEK", error.code, f"{words}: {'; '.join(error.details)}", {**value, "opens": None})
    return in_order("KEK", f"{words}: opens", {**value, "opens": True})


def _check_pseudonyms(path: Path | None, place: _Place) -> Iterator[Finding]:
    item = "pseudonym keys"
    if path is None:
        return
    try:
        registries = sorted(read_pseudonyms(path))
    except SetupError as error:
        yield unreadable(item, error)
        return
    may_read = place.reader.may_read if place.reader is not None else ()
    may_write = place.author.may_write if place.author is not None else ()
    needed = {scope.registry for scope in may_write} - CLEAR_CONTENT_REGISTRIES - set(registries)
    # An auditor reads by position and has no need to find anybody.
    closed = sorted(
        {scope.registry for scope in may_read} - CLEAR_CONTENT_REGISTRIES - set(registries) - needed
    )
    words = f"{', '.join(registries) or 'none'}, mode {file_mode(path)}"
    if closed:
        words += f"; nobody can be looked up in {', '.join(closed)}"
    yield in_order(item, words, {"registries": registries, "without": closed, "mode": file_mode(path)})
    for registry in sorted(needed):
        yield wrong(
            item, Setup.NO_PSEUDONYM_KEY, f"registry {registry}: none to write with", {"registry": registry}
        )
