"""Sealing a short secret to one recipient: HPKE in base mode, the suite chosen by the recipient's key.

Software keys use X-Wing (ML-KEM-768 with X25519), so that what is recorded abroad today stays closed to tomorrow's machines; keys that live in an HSM are
P-256. `info`
binds a seal to its purpose: it opens for no other. KEKs, shares of a recovery key and pseudonym keys are sealed so.

    seal = u8 1 || u8 suite || recipient key id 16 || encapsulated key || ciphertext (plaintext + 16)

| suite | recipient's key | encapsulated key |
|---|---|---|
| XWING | 1,216 bytes, ML-KEM-768 1,184 || X25519 32 | 1,120 bytes |
| P256 | 65 bytes, SEC 1 uncompressed | 65 bytes |

A seal is opened by a `SealOpener`: a secret in memory (here), or a key on a token (in the client). GCM does not commit to its key, so whoever must know
that all recipients got
the same secret carries a commitment to it beside the seals (`kek_seal.kek_commit`).

Source: RFC 9180 (HPKE); draft-connolly-cfrg-xwing-kem. KDF HKDF-SHA-256, AEAD AES-256-GCM.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
)
from cryptography.hazmat.primitives.hpke import Suite as HpkeSuite

from sento_proto.hpke_p256 import POINT_BYTES, AlteredSeal, check_point
from sento_proto.sealing import CannotOpen
from sento_proto.wire import Malformed, Reader, u8

__all__ = [
    "P256_PUBLIC_BYTES",
    "XWING_PUBLIC_BYTES",
    "XWING_SECRET_BYTES",
    "AlteredSeal",
    "P256Opener",
    "SealOpener",
    "SealParts",
    "SealSuite",
    "XWingOpener",
    "check_recipient_key",
    "decode_seal",
    "open_parts",
    "open_seal",
    "recipient_key_id",
    "seal",
    "seal_suite_of",
    "xwing_public",
]

FORMAT_SEAL = 1
RECIPIENT_KEY_ID_BYTES = 16
PLAINTEXT_MIN_BYTES, PLAINTEXT_MAX_BYTES = 16, 128
TAG_BYTES = 16
XWING_SECRET_BYTES = 64 + 32
XWING_PUBLIC_BYTES = 1184 + 32
P256_PUBLIC_BYTES = POINT_BYTES


class SealSuite(IntEnum):
    """How a secret is sealed. Numbers are part of recipient key ids and never change."""

    XWING = 1
    P256 = 2


_SUITE_OF_LENGTH = {XWING_PUBLIC_BYTES: SealSuite.XWING, P256_PUBLIC_BYTES: SealSuite.P256}
_ENCAPSULATED_BYTES = {SealSuite.XWING: 1120, SealSuite.P256: P256_PUBLIC_BYTES}


class SealParts(NamedTuple):
    """A seal, taken apart."""

    suite: SealSuite
    recipient_key_id: bytes
    encapsulated: bytes
    ciphertext: bytes


class SealOpener(Protocol):
    """Opens seals made to one key. One that waits for hardware has an attribute `blocking`, True (see `keys.is_blocking`)."""

    @property
    def public_key(self) -> bytes:
        """The key that seals are made to: X-Wing or P-256 by its length."""
        ...

    @property
    def recipient_key_id(self) -> bytes:
        """`recipient_key_id` of that key."""
        ...

    def open(self, sealed_parts: SealParts, info: bytes) -> bytes:
        """The plaintext. Raises CannotOpen; Malformed when the encapsulated key is none."""
        ...


def seal_suite_of(public_key: bytes) -> SealSuite:
    """The suite of a recipient's key, which follows from its length. Raises Malformed when there is none."""
    suite = _SUITE_OF_LENGTH.get(len(public_key))
    if suite is None:
        raise Malformed(
            f"seal: a recipient's key has 1,216 bytes (X-Wing) or 65 (P-256), this has {len(public_key):,}"
        )
    return suite


_ANY_X25519 = X25519PrivateKey.from_private_bytes(bytes(range(32)))


def check_recipient_key(public_key: bytes) -> None:
    """Refuse what nothing can be sealed to, before it is enrolled: one such recipient would keep an author from sealing to all others. Raises Malformed."""
    suite = seal_suite_of(public_key)
    _hpke_public(suite, public_key)
    if suite is SealSuite.XWING:
        try:  # HPKE refuses the shared secret of a point of small order, whatever the private key is
            _ANY_X25519.exchange(X25519PublicKey.from_public_bytes(public_key[1184:]))
        except ValueError:
            raise Malformed("seal: a point of small order, to which nothing can be sealed") from None


def recipient_key_id(suite: int, public_key: bytes) -> bytes:
    """SHA-256("sento recipient v1" || suite || public key)[:16]."""
    return hashlib.sha256(b"sento recipient v1" + u8(suite) + public_key).digest()[:RECIPIENT_KEY_ID_BYTES]


def _hpke(suite: SealSuite) -> HpkeSuite:
    kem = KEM.MLKEM768_X25519 if suite is SealSuite.XWING else KEM.P256
    return HpkeSuite(kem, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def _hpke_public(suite: SealSuite, data: bytes) -> MLKEM768X25519PublicKey | ec.EllipticCurvePublicKey:
    if suite is SealSuite.P256:
        return check_point(data, "seal")
    try:
        x25519 = X25519PublicKey.from_public_bytes(data[1184:])
        return MLKEM768X25519PublicKey(MLKEM768PublicKey.from_public_bytes(data[:1184]), x25519)
    except ValueError as error:
        raise Malformed(f"seal: not a public key ({error})") from None


def seal(plaintext: bytes, info: bytes, recipient_public: bytes) -> bytes:
    """A seal of 16 to 128 bytes to an X-Wing or P-256 public key. Randomness is HPKE's own. Raises Malformed when the key is not one."""
    if not PLAINTEXT_MIN_BYTES <= len(plaintext) <= PLAINTEXT_MAX_BYTES:
        raise Malformed(f"seal: {PLAINTEXT_MIN_BYTES} to {PLAINTEXT_MAX_BYTES} bytes can be sealed")
    suite = seal_suite_of(recipient_public)
    public = _hpke_public(suite, recipient_public)
    try:
        sealed = _hpke(suite).encrypt(plaintext, public, info)
    except ValueError as error:
        raise Malformed(f"seal: not a public key ({error})") from None
    return u8(FORMAT_SEAL) + u8(suite) + recipient_key_id(suite, recipient_public) + sealed


def decode_seal(data: bytes, what: str = "seal") -> SealParts:
    """The parts of a seal. Raises Malformed."""
    reader = Reader(data, what)
    form, number = reader.u8("format"), reader.u8("suite")
    if form != FORMAT_SEAL or number not in _ENCAPSULATED_BYTES:
        raise Malformed(f"{what}: unknown format or suite")
    suite = SealSuite(number)
    recipient = reader.take(RECIPIENT_KEY_ID_BYTES, "recipient key id")
    encapsulated = reader.take(_ENCAPSULATED_BYTES[suite], "encapsulated key")
    ciphertext = reader.take(len(data) - reader.at, "ciphertext")
    if not PLAINTEXT_MIN_BYTES <= len(ciphertext) - TAG_BYTES <= PLAINTEXT_MAX_BYTES:
        raise Malformed(f"{what}: the ciphertext has {len(ciphertext)} bytes")
    return SealParts(suite, recipient, encapsulated, ciphertext)


def open_seal(sealed: bytes, info: bytes, opener: SealOpener) -> bytes:
    """The plaintext of a seal. Raises CannotOpen when it is sealed to another key, its subclass AlteredSeal when it was altered or is for another purpose,
    Malformed
    when it is no seal, and what an opener over a token raises when the token does not work."""
    return open_parts(decode_seal(sealed), info, opener)


def open_parts(parts: SealParts, info: bytes, opener: SealOpener) -> bytes:
    """The same of a seal that was taken apart."""
    if parts.recipient_key_id != opener.recipient_key_id or parts.suite != seal_suite_of(opener.public_key):
        raise CannotOpen("The key is sealed to another recipient.")
    return opener.open(parts, info)


def xwing_public(secret: bytes) -> bytes:
    """Public key of a 96-byte X-Wing secret (ML-KEM-768 seed 64 || X25519 key 32). Raises Malformed on another length."""
    mlkem, x25519 = _xwing_private(secret)
    return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()


def _xwing_private(secret: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    if len(secret) != XWING_SECRET_BYTES:
        raise Malformed("seal: an X-Wing secret has 96 bytes")
    return MLKEM768PrivateKey.from_seed_bytes(secret[:64]), X25519PrivateKey.from_private_bytes(secret[64:])


class _SoftwareOpener:
    """What both forms share: HPKE of `cryptography` over a private key in memory."""

    __slots__ = ("_private", "_public", "_recipient_key_id", "_suite")

    def __init__(
        self, suite: SealSuite, private: MLKEM768X25519PrivateKey | ec.EllipticCurvePrivateKey, public: bytes
    ) -> None:
        self._suite, self._private, self._public = suite, private, public
        self._recipient_key_id = recipient_key_id(suite, public)

    @property
    def public_key(self) -> bytes:
        """The key that seals are made to."""
        return self._public

    @property
    def recipient_key_id(self) -> bytes:
        """Names it in seals."""
        return self._recipient_key_id

    def open(self, sealed_parts: SealParts, info: bytes) -> bytes:
        """The plaintext. Raises AlteredSeal."""
        try:
            return _hpke(self._suite).decrypt(
                sealed_parts.encapsulated + sealed_parts.ciphertext, self._private, info
            )
        except (InvalidTag, ValueError):
            raise AlteredSeal("The seal was altered, or made for another purpose.") from None


class XWingOpener(_SoftwareOpener):
    """Opens seals to a 96-byte X-Wing secret in memory. Raises Malformed on another length."""

    __slots__ = ()

    def __init__(self, secret: bytes) -> None:
        super().__init__(
            SealSuite.XWING, MLKEM768X25519PrivateKey(*_xwing_private(secret)), xwing_public(secret)
        )


class P256Opener(_SoftwareOpener):
    """Opens seals to a P-256 private key in memory. Raises Malformed on a key of another curve."""

    __slots__ = ()

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        if private.curve.name != ec.SECP256R1.name:
            raise Malformed("seal: the key is not of the curve P-256")
        uncompressed = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        super().__init__(SealSuite.P256, private, private.public_key().public_bytes(*uncompressed))
