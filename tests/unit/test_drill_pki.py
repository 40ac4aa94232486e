"""Development certificates: what they say, what they are good for, and when they end."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from sento_drill import pki
from sento_drill.pki import Authority, KeyPair, Validity
from sento_proto.identity import Identity, parse_identity

NOW = datetime(2026, 9, 1, 3, 4, 5, tzinfo=UTC)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("test authority", Validity.around(NOW))


def names_of(pair: KeyPair) -> x509.Extension[x509.SubjectAlternativeName]:
    certificate = x509.load_pem_x509_certificate(pair.certificate_pem)
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def usages_of(pair: KeyPair) -> set[x509.ObjectIdentifier]:
    certificate = x509.load_pem_x509_certificate(pair.certificate_pem)
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_site_certificate_names_the_site_and_serves_and_dials(authority: Authority) -> None:
    pair = pki.issue_site(authority, "jp-fukuoka", Validity.around(NOW))
    names = names_of(pair).value
    identity = parse_identity(names.get_values_for_type(x509.UniformResourceIdentifier))
    assert identity == Identity("site", "jp-fukuoka")
    assert names.get_values_for_type(x509.DNSName) == ["jp-fukuoka.sento.internal"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.0.0.1")]
    assert usages_of(pair) == {SERVER, CLIENT}


def test_ordering_member_certificate_holds_the_name_that_members_demand(authority: Authority) -> None:
    pair = pki.issue_ordering_member(authority, "jp-fukuoka", Validity.around(NOW))
    assert "ordering.sento.internal" in names_of(pair).value.get_values_for_type(x509.DNSName)
    assert usages_of(pair) == {SERVER, CLIENT}


def test_client_certificate_holds_one_uri_and_cannot_serve(authority: Authority) -> None:
    pair = pki.issue_client(authority, Identity("author", "iizuka-city"), Validity.around(NOW))
    assert [name.value for name in names_of(pair).value] == ["spiffe://sento.internal/author/iizuka-city"]
    assert usages_of(pair) == {CLIENT}


def test_subject_is_empty_so_the_alternative_name_is_critical(authority: Authority) -> None:
    pair = pki.issue_client(authority, Identity("reader", "auditor-board"), Validity.around(NOW))
    certificate = x509.load_pem_x509_certificate(pair.certificate_pem)
    assert len(list(certificate.subject)) == 0
    assert names_of(pair).critical


def test_validity_is_the_one_injected(authority: Authority) -> None:
    good, expired = Validity.around(NOW, days=3), Validity.expired(NOW)
    for validity in (good, expired):
        pair = pki.issue_site(authority, "jp-ibaraki", validity)
        certificate = x509.load_pem_x509_certificate(pair.certificate_pem)
        assert certificate.not_valid_before_utc == validity.not_before
        assert certificate.not_valid_after_utc == validity.not_after
    assert good.not_before < NOW < good.not_after
    assert expired.not_before < expired.not_after < NOW - timedelta(minutes=59)


def shake_hands(server: KeyPair, client: KeyPair, trusted: Authority, directory: Path) -> None:
    """A mutual TLS handshake in memory. Raises ssl.SSLError when either side refuses."""
    contexts = []
    for name, pair, purpose in (
        ("server", server, ssl.PROTOCOL_TLS_SERVER),
        ("client", client, ssl.PROTOCOL_TLS_CLIENT),
    ):
        file = directory / name
        file.write_bytes(pair.certificate_pem + pair.key_pem)
        context = ssl.SSLContext(purpose)
        context.load_cert_chain(file)
        context.load_verify_locations(cadata=trusted.certificate_pem.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        contexts.append(context)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        contexts[1].wrap_bio(to_client, to_server, server_hostname="jp-fukuoka.sento.internal"),
        contexts[0].wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(ends)
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                continue
        if not waiting:
            return
    raise AssertionError("the handshake does not end")


@pytest.fixture
def valid() -> Validity:
    """Around the real time, because OpenSSL asks the real clock."""
    return Validity.around(pki.now_utc())


def test_site_and_client_of_one_authority_accept_each_other(valid: Validity, tmp_path: Path) -> None:
    authority = Authority("node", valid)
    client = pki.issue_client(authority, Identity("operator", "drill"), valid)
    shake_hands(pki.issue_site(authority, "jp-fukuoka", valid), client, authority, tmp_path)


@pytest.mark.parametrize("fault", ["expired", "foreign authority", "wrong site", "client as server"])
def test_tls_refuses(fault: str, valid: Validity, tmp_path: Path) -> None:
    authority = Authority("node", valid)
    site = pki.issue_site(authority, "jp-fukuoka", valid)
    operator = Identity("operator", "drill")
    client = pki.issue_client(authority, operator, valid)
    if fault == "expired":
        client = pki.issue_client(authority, operator, Validity.expired(pki.now_utc()))
    elif fault == "foreign authority":
        client = pki.issue_client(Authority("node", valid), operator, valid)
    elif fault == "wrong site":
        site = pki.issue_site(authority, "jp-ibaraki", valid)
    else:
        site = client
    with pytest.raises(ssl.SSLError):
        shake_hands(site, client, authority, tmp_path)
