"""Erasure certificates: what a site signs is read back, and nothing that is altered, foreign or half-signed holds."""

from __future__ import annotations

import base64
import json

import pytest

from sento_proto.checkpoint import SiteKeys, SiteSigners
from sento_proto.erasure_certificate import (
    ErasureCertificate,
    Volume,
    certificate_holds,
    check_volume,
    decode_certificate,
    sign_certificate,
)
from sento_proto.keys import Ed25519Signer
from sento_proto.software_signers import MlDsa44Signer
from sento_proto.wire import Malformed

LEDGER = bytes(range(32))
ED = Ed25519Signer(b"\1" * 32)
OTHER = Ed25519Signer(b"\2" * 32)
ML = MlDsa44Signer(b"\3" * 32)
CONTENT = ErasureCertificate(
    LEDGER, 0, "jp-fukuoka", 118, 140, (b"\5" * 32, b"\6" * 32), 2, 1, "trimmed", (Volume("V-17 本", "courier", "made", 400),), 1_800_000_000,
)  # fmt: skip
KEYS, BOTH = SiteKeys(ED.public_key), SiteKeys(ED.public_key, ML.public_key)


def test_what_was_signed_is_read_back_and_holds_under_the_sites_keys_alone() -> None:
    signed = decode_certificate(sign_certificate(CONTENT, SiteSigners(ED)))
    assert signed.content == CONTENT
    assert certificate_holds(signed, LEDGER, [SiteKeys(OTHER.public_key), KEYS])
    assert not certificate_holds(signed, LEDGER, [SiteKeys(OTHER.public_key)])
    assert not certificate_holds(signed, bytes(32), [KEYS])
    assert not certificate_holds(signed, LEDGER, [BOTH]), "the second signature was left out"


def test_a_site_with_two_keys_signs_with_both() -> None:
    signed = decode_certificate(sign_certificate(CONTENT, SiteSigners(ED, ML)))
    assert certificate_holds(signed, LEDGER, [BOTH])
    assert not certificate_holds(signed, LEDGER, [KEYS])


@pytest.mark.parametrize("at", range(0, 400, 23))
def test_no_altered_byte_of_the_body_holds(at: int) -> None:
    value = json.loads(sign_certificate(CONTENT, SiteSigners(ED)))
    body = bytearray(base64.b64decode(value["body"]))
    body[at % len(body)] ^= 1
    value["body"] = base64.b64encode(bytes(body)).decode()
    try:
        signed = decode_certificate(json.dumps(value).encode())
    except Malformed:
        return
    assert not certificate_holds(signed, LEDGER, [KEYS])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("site", "jp-ishikawa"),
        ("format", "sento-erasure-certificate-2"),
        ("signatures", []),
        ("more", 1),
        ("body", "e30="),
    ],
)
def test_another_site_form_or_field_is_refused(name: str, value: object) -> None:
    file = json.loads(sign_certificate(CONTENT, SiteSigners(ED)))
    file[name] = value
    with pytest.raises(Malformed):
        decode_certificate(json.dumps(file).encode())


@pytest.mark.parametrize(
    "volume",
    [
        Volume("", "courier", "made", 1),
        Volume("V", "tape", "made", 1),
        Volume("V", "courier", "lost", 1),
        Volume("V\n", "courier", "made", 1),
    ],
)
def test_a_volume_that_could_not_stand_in_a_certificate_is_refused(volume: Volume) -> None:
    with pytest.raises(Malformed):
        check_volume(volume)
