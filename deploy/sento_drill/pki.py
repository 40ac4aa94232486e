"""Development certificates: two small authorities and the leaves that sites, institutions and operators show each other.

The node authority vouches for everybody who speaks gRPC; who they are stands in one SPIFFE URI. The ordering authority vouches for ordering members
alone, because a member trusts any certificate of its authority with the whole log. Leaves have an empty subject and a critical alternative name, so
that no program can take a common name for an identity. These keys lie in plain files: they are for drills, tests and demonstrations.

Source: RFC 5280 sections 4.1.2.6 and 4.2.1.6 (empty subject, critical SAN); SPIFFE X509-SVID section 4.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from sento_proto.identity import Identity, agent_host, pseudonyms_host, server_name

ORDERING_SERVER_NAME = "ordering.sento.internal"
"""The host name that every ordering member's certificate carries and that members demand of each other."""
LOOPBACK = "127.0.0.1"
_SERVER = ExtendedKeyUsageOID.SERVER_AUTH
_CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when a certificate holds, both in UTC."""

    not_before: datetime
    not_after: datetime

    @classmethod
    def around(cls, now: datetime, *, days: int = 30) -> Validity:
        """An hour back, for clocks that differ, and so many days forward."""
        return cls(now - timedelta(hours=1), now + timedelta(days=days))

    @classmethod
    def expired(cls, now: datetime) -> Validity:
        """A day that ended an hour ago: for showing that an expired certificate is refused."""
        return cls(now - timedelta(hours=25), now - timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM (PKCS8, not encrypted)."""

    certificate_pem: bytes
    key_pem: bytes


class Authority:
    """One certificate authority with its P-256 key in memory."""

    __slots__ = ("_certificate", "_key", "_name")

    def __init__(self, name: str, validity: Validity) -> None:
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        usage = _key_usage(signs_certificates=True)
        builder = (
            _builder(self._name, self._name, self._key.public_key(), validity)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        )
        self._certificate = builder.sign(self._key, hashes.SHA256())

    @property
    def certificate_pem(self) -> bytes:
        """What everybody who trusts this authority holds."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        identity: Identity,
        validity: Validity,
        *,
        dns_names: tuple[str, ...] = (),
        addresses: tuple[str, ...] = (),
        usages: tuple[ObjectIdentifier, ...] = (_CLIENT,),
    ) -> KeyPair:
        """A leaf for `identity` with a fresh key; `addresses` are IP addresses as text."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity.uri)]
        names += [x509.DNSName(name) for name in dns_names]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        issuer_key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _builder(x509.Name([]), self._name, key.public_key(), validity)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(issuer_key_id, critical=False)
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        return KeyPair(certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key))


def issue_site(authority: Authority, site: str, validity: Validity) -> KeyPair:
    """What a node shows to clients and to other nodes: `<site>.sento.internal` and loopback, server and client."""
    return authority.issue(
        Identity("site", site),
        validity,
        dns_names=(server_name(site),),
        addresses=(LOOPBACK,),
        usages=(_SERVER, _CLIENT),
    )


def issue_ordering_member(authority: Authority, site: str, validity: Validity) -> KeyPair:
    """What a site's ordering member shows to other members; it needs both usages, because members dial each other."""
    return authority.issue(
        Identity("site", site),
        validity,
        dns_names=(ORDERING_SERVER_NAME, server_name(site)),
        addresses=(LOOPBACK,),
        usages=(_SERVER, _CLIENT),
    )


def issue_pseudonyms(authority: Authority, service: str, validity: Validity) -> KeyPair:
    """What a pseudonym service shows to the programs that ask it."""
    return authority.issue(
        Identity("pseudonyms", service),
        validity,
        dns_names=(server_name(pseudonyms_host(service)),),
        addresses=(LOOPBACK,),
        usages=(_SERVER,),
    )


def issue_key_agent(authority: Authority, agent: str, validity: Validity) -> KeyPair:
    """What a key agent shows to the readers that ask it."""
    return authority.issue(
        Identity("key-agent", agent),
        validity,
        dns_names=(server_name(agent_host(agent)),),
        addresses=(LOOPBACK,),
        usages=(_SERVER,),
    )


def issue_client(authority: Authority, identity: Identity, validity: Validity) -> KeyPair:
    """What an author, reader or operator shows: the SPIFFE URI and nothing else."""
    return authority.issue(identity, validity)


def now_utc() -> datetime:
    """The wall clock, for callers at the edge; everything else takes its time as an argument."""
    return datetime.now(UTC).replace(microsecond=0)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, validity: Validity
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
