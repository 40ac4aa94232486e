"""Seals of any short secret to either kind of key; and HPKE with the private key elsewhere, byte for byte that of `cryptography`.

Source: RFC 9180, appendix A.3.1 (DHKEM over P-256).
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM
from cryptography.hazmat.primitives.hpke import Suite as HpkeSuite

from golden_vectors.ground import digest
from sento_proto.hpke_p256 import key_schedule, open_with, shared_secret
from sento_proto.seal import (
    AlteredSeal,
    P256Opener,
    SealOpener,
    SealParts,
    SealSuite,
    XWingOpener,
    check_recipient_key,
    decode_seal,
    open_seal,
    recipient_key_id,
    seal,
    seal_suite_of,
)
from sento_proto.sealing import CannotOpen
from sento_proto.wire import Malformed

SCALAR = int.from_bytes(digest("p-256 reader"), "big")
PRIVATE = ec.derive_private_key(SCALAR, ec.SECP256R1())
SECRET, INFO = digest("secret"), b"purpose"


def point_of(private: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    return private.public_key().public_bytes(*form)


def ecdh(private: ec.EllipticCurvePrivateKey, point: bytes) -> bytes:
    other = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    return private.exchange(ec.ECDH(), other)


class ElsewhereOpener:
    """A key that gives ECDH alone, as a token does."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        self.public_key = point_of(private)
        self.recipient_key_id = recipient_key_id(SealSuite.P256, self.public_key)

    def open(self, sealed_parts: SealParts, info: bytes) -> bytes:
        return open_with(
            lambda point: ecdh(self._private, point),
            self.public_key,
            sealed_parts.encapsulated,
            sealed_parts.ciphertext,
            info,
        )


OPENERS: dict[str, SealOpener] = {
    "X-Wing": XWingOpener(digest("x-wing reader", 96)),
    "P-256 in memory": P256Opener(PRIVATE),
    "P-256 elsewhere": ElsewhereOpener(PRIVATE),
}


@pytest.mark.parametrize("size_bytes", [16, 32, 33, 128])
@pytest.mark.parametrize("kind", OPENERS)
def test_what_is_sealed_opens_to_itself(kind: str, size_bytes: int) -> None:
    opener, secret = OPENERS[kind], digest("a secret", size_bytes)
    check_recipient_key(opener.public_key)
    sealed = seal(secret, INFO, opener.public_key)
    assert open_seal(sealed, INFO, opener) == secret
    suite = seal_suite_of(opener.public_key)
    assert sealed[:18] == bytes((1, suite)) + opener.recipient_key_id
    assert opener.recipient_key_id == recipient_key_id(suite, opener.public_key)
    assert seal(secret, INFO, opener.public_key) != sealed


@pytest.mark.parametrize("size_bytes", [0, 15, 129])
@pytest.mark.parametrize("kind", OPENERS)
def test_what_is_too_short_or_too_long_is_not_sealed(kind: str, size_bytes: int) -> None:
    with pytest.raises(Malformed, match="16 to 128"):
        seal(bytes(size_bytes), INFO, OPENERS[kind].public_key)


@pytest.mark.parametrize("kind", OPENERS)
def test_a_seal_opens_for_its_purpose_alone(kind: str) -> None:
    sealed = seal(SECRET, INFO, OPENERS[kind].public_key)
    with pytest.raises(AlteredSeal, match="another purpose"):
        open_seal(sealed, INFO + b".", OPENERS[kind])


@pytest.mark.parametrize("kind", OPENERS)
def test_an_altered_or_cut_seal_does_not_open(kind: str) -> None:
    opener = OPENERS[kind]
    sealed = seal(SECRET, INFO, opener.public_key)
    body = 18 + len(decode_seal(sealed).encapsulated)
    for at in (2, 17, 19, body - 1, body, len(sealed) - 1):
        altered = sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :]
        with pytest.raises((CannotOpen, Malformed)):
            open_seal(altered, INFO, opener)
    for cut in (
        sealed[:-17],
        sealed[:18],
        sealed[: body + 31],
        sealed + bytes(97),
        b"\x02" + sealed[1:],
        b"",
    ):
        with pytest.raises(Malformed, match=r"^seal:"):
            open_seal(cut, INFO, opener)
    for cut in (sealed[:-1], sealed + b"\x00"):
        with pytest.raises(AlteredSeal):
            open_seal(cut, INFO, opener)


def test_a_seal_opens_for_no_other_recipient() -> None:
    sealed = seal(SECRET, INFO, OPENERS["X-Wing"].public_key)
    for other in (XWingOpener(digest("another", 96)), P256Opener(PRIVATE)):
        with pytest.raises(CannotOpen, match="another recipient"):
            open_seal(sealed, INFO, other)


@pytest.mark.parametrize(
    "key",
    [
        b"",
        point_of(PRIVATE)[:-1],
        point_of(PRIVATE)[:-1] + bytes((point_of(PRIVATE)[-1] ^ 1,)),
        b"\x06" + point_of(PRIVATE)[1:],
        bytes(65),
        b"\xff" * 1216,
        bytes(1215),
    ],
    ids=[
        "empty",
        "a byte short",
        "off the curve",
        "hybrid form",
        "zeros",
        "X-Wing of ones",
        "X-Wing a byte short",
    ],
)
def test_nothing_is_sealed_to_what_is_no_key(key: bytes) -> None:
    with pytest.raises(Malformed, match=r"^seal:"):
        seal(SECRET, INFO, key)
    with pytest.raises(Malformed, match=r"^seal:"):
        check_recipient_key(key)


def test_a_point_off_the_curve_never_reaches_the_private_key() -> None:
    """Else a false sender learns the key from what its small subgroups answer."""
    asked: list[bytes] = []

    def spy(point: bytes) -> bytes:
        asked.append(point)
        return bytes(32)

    off_curve = point_of(PRIVATE)[:-1] + bytes((point_of(PRIVATE)[-1] ^ 1,))
    for point in (off_curve, bytes(65), b"\x04" + b"\xff" * 64):
        with pytest.raises(Malformed, match="P-256"):
            open_with(spy, point_of(PRIVATE), point, bytes(48), INFO)
    assert asked == []


def test_the_shared_secret_is_the_one_of_the_rfc() -> None:
    ephemeral = int("4995788ef4b9d6132b249ce59a77281493eb39af373d236a1fe415cb0c2d7beb", 16)
    recipient = int("f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2", 16)
    sender = ec.derive_private_key(ephemeral, ec.SECP256R1())
    reader = ec.derive_private_key(recipient, ec.SECP256R1())
    assert (
        point_of(sender)
        .hex()
        .startswith("04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac9")
    )
    dh = ecdh(reader, point_of(sender))
    expected = "c0d26aeab536609a572b07695d933b589dcf363ff9d93c93adea537aeabb8cb8"
    assert shared_secret(dh, point_of(sender), point_of(reader)).hex() == expected


def test_both_directions_agree_with_the_library() -> None:
    library = HpkeSuite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    for n in range(20):
        secret, info = digest(f"secret {n}"), b"info %d" % n * n
        sealed = library.encrypt(secret, PRIVATE.public_key(), info)
        assert (
            open_with(lambda point: ecdh(PRIVATE, point), point_of(PRIVATE), sealed[:65], sealed[65:], info)
            == secret
        )
        sender = ec.generate_private_key(ec.SECP256R1())
        dh = ecdh(sender, point_of(PRIVATE))
        key, nonce = key_schedule(shared_secret(dh, point_of(sender), point_of(PRIVATE)), info)
        ours = point_of(sender) + AESGCM(key).encrypt(nonce, secret, b"")
        assert library.decrypt(ours, PRIVATE, info) == secret


def test_a_token_that_answers_with_another_size_opens_nothing() -> None:
    sealed = decode_seal(seal(SECRET, INFO, point_of(PRIVATE)))
    for answer in (b"", bytes(31), bytes(65)):
        with pytest.raises(CannotOpen, match="shared point"):
            open_with(lambda _, a=answer: a, point_of(PRIVATE), sealed.encapsulated, sealed.ciphertext, INFO)  # type: ignore[misc]


def test_an_opener_of_another_curve_or_length_is_refused() -> None:
    with pytest.raises(Malformed, match="P-256"):
        P256Opener(ec.generate_private_key(ec.SECP384R1()))
    with pytest.raises(Malformed, match="96 bytes"):
        XWingOpener(bytes(95))
