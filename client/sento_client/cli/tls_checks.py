"""What `sento keys` finds about the TLS files: whom the certificate names, who issued it, how long it holds, whether its key is there.

A node judges a client by the same rules: one SPIFFE URI of ours, issued by the authority, valid now.

Source: RFC 5280 section 6.1 for the dates and the issuer; SPIFFE X509-SVID section 4 for the identity.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from sento_client.cli.findings import Finding, in_order, soon, wrong
from sento_client.keyfiles import read_secret
from sento_client.setup_errors import Setup, SetupError
from sento_proto.identity import Identity, parse_identity

NEAR_END_DAYS = 14
INSTITUTIONS = ("author", "reader")
_CERTIFICATE, _AUTHORITY, _KEY = "TLS certificate", "TLS authority", "TLS key"
_RENEW = "Ask the authority for a new certificate and put it in place of this one; nothing needs a restart."


@dataclass(frozen=True, slots=True)
class TlsPaths:
    """The three files, each None when the configuration does not name it."""

    ca: Path | None
    certificate: Path | None
    key: Path | None


def check_tls(
    paths: TlsPaths, who: str | None, now: dt.datetime, roles: tuple[str, ...] = INSTITUTIONS
) -> list[Finding]:
    """Findings on the three files and on how they fit together; a file that is not named is not looked at. `who`: by the configuration, in one of `roles`."""
    findings: list[Finding] = []
    authorities = _read_certificates(paths.ca, _AUTHORITY, findings)
    leaves = _read_certificates(paths.certificate, _CERTIFICATE, findings)
    if leaves:
        leaf = leaves[0]
        findings.append(_check_leaf(leaf, who, roles, now))
        if authorities:
            findings.append(_check_issuer(leaf, authorities, now))
    if paths.key is not None:
        findings.append(_check_key(paths.key, leaves[0] if leaves else None))
    return findings


def _read_certificates(path: Path | None, item: str, findings: list[Finding]) -> list[x509.Certificate]:
    if path is None:
        return []
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        findings.append(wrong(item, Setup.TLS_INVALID, f"{path}: {error.strerror}"))
    except ValueError:
        findings.append(wrong(item, Setup.TLS_INVALID, f"{path} holds no PEM certificate"))
    return []


def _check_leaf(leaf: x509.Certificate, who: str | None, roles: tuple[str, ...], now: dt.datetime) -> Finding:
    identity = _identity_of(leaf)
    value: dict[str, object] = {
        "identity": None if identity is None else identity.uri,
        "issuer": leaf.issuer.rfc4514_string(),
        "expires_at": leaf.not_valid_after_utc.isoformat(),
        "expires_in_days": _days(leaf.not_valid_after_utc, now),
    }
    if identity is None:
        why = "it has not exactly one URI of the form spiffe://sento.internal/<role>/<name>"
        return wrong(_CERTIFICATE, Setup.TLS_INVALID, why, value)
    if who is not None and (identity.name != who or identity.role not in roles):
        what = "institution" if roles == INSTITUTIONS else roles[0]
        why = f"it names {identity.role} {identity.name}, the configuration {what} {who}"
        return wrong(_CERTIFICATE, Setup.TLS_INVALID, why, value)
    return _check_dates(_CERTIFICATE, leaf, now, f"{identity.role} {identity.name}", value)


def _check_issuer(leaf: x509.Certificate, authorities: list[x509.Certificate], now: dt.datetime) -> Finding:
    for authority in authorities:
        try:
            leaf.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        name = authority.subject.rfc4514_string()
        return _check_dates(_AUTHORITY, authority, now, name, {"subject": name})
    return wrong(
        _AUTHORITY,
        Setup.TLS_INVALID,
        f"the certificate of {leaf.issuer.rfc4514_string()} is not issued by it",
    )


def _check_dates(
    item: str, certificate: x509.Certificate, now: dt.datetime, who: str, value: dict[str, object]
) -> Finding:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        why = f"{who}: it is not valid before {begin:%Y-%m-%d %H:%M} UTC; is this computer's clock right?"
        return wrong(item, Setup.TLS_INVALID, why, value)
    if now >= end:
        return wrong(item, Setup.TLS_INVALID, f"{who}: it expired on {end:%Y-%m-%d %H:%M} UTC", value, _RENEW)
    days = _days(end, now)
    if days < NEAR_END_DAYS:
        return soon(item, f"{who}: it expires in {days} days, on {end:%Y-%m-%d %H:%M} UTC", _RENEW, value)
    return in_order(item, f"{who}, {days} days left", value)


def _check_key(path: Path, leaf: x509.Certificate | None) -> Finding:
    try:
        key = serialization.load_pem_private_key(read_secret(path), password=None)
    except SetupError as error:
        return wrong(_KEY, error.code, "; ".join(error.details))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return wrong(_KEY, Setup.TLS_INVALID, f"{path} is not an unencrypted PEM key")
    if leaf is None:
        return in_order(_KEY, "readable; there is no certificate to compare it with")
    if key.public_key() != leaf.public_key():
        return wrong(_KEY, Setup.TLS_INVALID, f"{path} is not the key of the certificate")
    return in_order(_KEY, "belongs to the certificate")


def _identity_of(certificate: x509.Certificate) -> Identity | None:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    return parse_identity(names.get_values_for_type(x509.UniformResourceIdentifier))


def _days(end: dt.datetime, now: dt.datetime) -> int:
    return (end - now).days
