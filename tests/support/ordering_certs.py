"""Peer certificates for tests: one throw-away CA of an ordering log and its members' leaves."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sento_node.ordering.etcd.settings import PeerTls

_LIFETIME = dt.timedelta(days=1)


class OrderingCa:
    """A P-256 CA that lives in memory; `issue` writes what a member needs into a directory."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ordering log of a test")])
        self._certificate = (
            _builder(name, name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self, directory: Path, site: str, *, hostname: str = "ordering.sento.internal") -> PeerTls:
        """A leaf without a common name, for both ends of a connection, and where its files are."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(
            [
                x509.UniformResourceIdentifier(f"spiffe://sento.test/ordering/{site}"),
                x509.DNSName(hostname),
                x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            ]
        )
        uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        leaf = (
            _builder(x509.Name([]), self._certificate.subject, key.public_key())
            .add_extension(names, critical=True)
            .add_extension(uses, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        tls = PeerTls(directory / "ca.pem", directory / "member.pem", directory / "member.key")
        tls.ca_file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        tls.cert_file.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
        tls.key_file.touch(mode=0o600)
        tls.key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return tls


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + _LIFETIME)
    )
