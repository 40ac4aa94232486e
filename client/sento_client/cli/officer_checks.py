"""What `sento keys` says in an officer's directory: who is in office by the governance followed so far, and how keys are kept.

An officer's `sento.toml` names an officer in place of an institution; it has neither KEKs nor pseudonyms. A deputy has an own directory, and signs for the
officer's office.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from sento_client.cli.findings import Finding, in_order, wrong
from sento_client.cli.kept_keys import fingerprint_of, how_kept, unreadable
from sento_client.cli.named_files import NamedFiles
from sento_client.cli.tls_checks import check_tls
from sento_client.governing.following import Followed
from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.opening import KeySource
from sento_proto.governance.parts import Deputy, Officer
from sento_proto.governance.state import Governance

ROLES = ("officer",)


def check_officer(
    named: NamedFiles, officer: str, followed: Followed | None, source: KeySource, now: dt.datetime
) -> list[Finding]:
    """Findings on an officer's person, certificate and keys. Never raises for what it finds; `followed` is None where there is no genesis file."""
    governance = None if followed is None else followed.governance
    findings = [] if followed is None else [_check_person(officer, followed)]
    findings += check_tls(named.tls, officer, now, ROLES)
    findings += _check_signing(named, officer, source, governance)
    findings += _check_seal_key(named, officer, source, governance)
    return findings


def _check_person(name: str, followed: Followed) -> Finding:
    item, governance = "officer", followed.governance
    known_by = (
        f"by trust.json up to position {followed.position}" if followed.steps else "by the genesis file"
    )
    found = _person(governance, name)
    value: dict[str, object] = {"name": name, "office": None if found is None else found[0].name}
    if found is None:
        why = f"{name} is neither officer nor deputy in {governance.name}, {known_by}"
        return wrong(item, Setup.NOT_ENROLLED, why, value)
    office, person = found
    place = "in office" if person is office else f"in office as deputy of {office.name}"
    return in_order(item, f"{name}, {place}, {known_by}", value)


def _check_signing(
    named: NamedFiles, officer: str, source: KeySource, governance: Governance | None
) -> Iterator[Finding]:
    item = "signing key"
    try:
        signer = source.primary()
    except SetupError as error:
        yield unreadable(item, error)
        return
    if signer is None:
        yield wrong(item, Setup.CANNOT_SIGN, "none: keys.signing or keys.token is missing", {"key_id": None})
        return
    key = signer.public_key
    kept, how = how_kept(named.signing, named.token, None if named.token is None else named.token.key_label)
    words = f"key id {key.key_id.hex()}, {kept}"
    value: dict[str, object] = {"key_id": key.key_id.hex(), "in_office": None, **how}
    if governance is None:
        yield in_order(item, f"{words}; there is no genesis file to compare it with", value)
        return
    found = _person(governance, officer)
    value["in_office"] = found is not None and found[1].key == key
    if value["in_office"]:
        yield in_order(item, f"{words}, in office", value)
        return
    office = governance.office_of_key(key.key_id)
    if office is not None:
        why = f"it signs for {office}, and is not the key of {officer}"
    elif key.key_id in governance.officer_keys_ever:
        why = "it was in office and is not any more: nothing that it signs counts"
    else:
        why = "it was never in office"
    yield wrong(item, Setup.NOT_ENROLLED, f"{words}: {why}", value)


def _check_seal_key(
    named: NamedFiles, officer: str, source: KeySource, governance: Governance | None
) -> Iterator[Finding]:
    """The key that shares of the recovery key are sealed to; it may be kept elsewhere."""
    item, label = "seal key", None if named.token is None else named.token.seal_label
    if named.seal is None and label is None:
        return
    try:
        public = source.seal_opener().public_key
    except SetupError as error:
        yield unreadable(item, error)
        return
    fingerprint = fingerprint_of(public)
    kept, how = how_kept(named.seal, named.token, label)
    words, value = f"public fingerprint {fingerprint}, {kept}", {"fingerprint": fingerprint, **how}
    found = None if governance is None else _person(governance, officer)
    if found is None or not found[1].seal_key:
        yield in_order(item, f"{words}; there is nothing to compare it with", value)
    elif found[1].seal_key == public:
        yield in_order(item, f"{words}, shares are sealed to it", value)
    else:
        why = f"{words}: shares for {officer} are sealed to another key"
        yield wrong(item, Setup.NOT_ENROLLED, why, value)


def _person(governance: Governance, name: str) -> tuple[Officer, Officer | Deputy] | None:
    """The office in which somebody of this name is, and the person."""
    for office in governance.officers.people.values():
        for person in (office, office.deputy):
            if person is not None and person.name == name:
                return office, person
    return None
