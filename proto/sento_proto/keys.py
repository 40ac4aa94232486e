"""Signature suites, key ids, and the two questions asked of every key: is it acceptable, and did it sign this.

A public key is (suite, bytes); its key id is SHA-256(suite || bytes)[:16]. A key of small order would verify signatures that nobody made, and
bytes that are no point of the curve none at all: `check_public_key` refuses both before they can be enrolled. OpenSSL, behind `cryptography`,
refuses non-canonical S and R.

Source: RFC 8032 section 5.1.7; C. Cremers and D. Jackson, "Prime, Order Please!" (small-order points); FIPS 204 for ML-DSA numbers.
"""

from __future__ import annotations

import functools
import hashlib
from enum import IntEnum
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sento_proto.wire import Malformed, u8

KEY_ID_BYTES = 16
ED25519_KEY_BYTES = 32
ED25519_SIGNATURE_BYTES = 64
SIGNATURE_MAX_BYTES = 3400
"""Longest signature of any suite: ML-DSA-65 has 3,309 bytes."""


class Suite(IntEnum):
    """What kind of key signed. Numbers are part of key ids and never change."""

    ED25519 = 1
    ECDSA_P256 = 2
    ML_DSA_65 = 3
    ML_DSA_44 = 4


class PublicKey(NamedTuple):
    """A verification key."""

    suite: int
    data: bytes

    @property
    def key_id(self) -> bytes:
        """SHA-256(suite || public key)[:16]."""
        return key_id_of(self.suite, self.data)


class Signature(NamedTuple):
    """A signature with the suite that made it."""

    suite: int
    data: bytes


class Signer(Protocol):
    """Holds a private key; may be a file, a token or a service."""

    @property
    def public_key(self) -> PublicKey:
        """The key that verifies what this signer signs."""
        ...

    def sign(self, message: bytes) -> Signature:
        """A signature over `message`."""
        ...


@functools.lru_cache(maxsize=4096)
def key_id_of(suite: int, data: bytes) -> bytes:
    """SHA-256(suite || public key)[:16]."""
    return hashlib.sha256(u8(suite) + data).digest()[:KEY_ID_BYTES]


_FIELD_PRIME = 2**255 - 19
_ORDER_8_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER_Y = frozenset({0, 1, _FIELD_PRIME - 1, _ORDER_8_Y, _FIELD_PRIME - _ORDER_8_Y})
"""The y coordinates of the eight points whose order divides 8."""
_CURVE_D = -121665 * pow(121666, -1, _FIELD_PRIME) % _FIELD_PRIME


def _on_curve(y: int) -> bool:
    """Whether some x has -x^2 + y^2 = 1 + d x^2 y^2: else the bytes name no point and nothing could ever verify under them."""
    x_squared = (y * y - 1) * pow(_CURVE_D * y * y + 1, -1, _FIELD_PRIME) % _FIELD_PRIME
    return pow(x_squared, (_FIELD_PRIME - 1) // 2, _FIELD_PRIME) in (0, 1)


def check_public_key(key: PublicKey) -> None:
    """Refuse a key that must never be enrolled. Raises Malformed with the reason."""
    if key.suite != Suite.ED25519:
        raise Malformed(f"public key: suite {key.suite} cannot be enrolled under these rules")
    if len(key.data) != ED25519_KEY_BYTES:
        raise Malformed(f"public key: an Ed25519 key has 32 bytes, this has {len(key.data)}")
    y = int.from_bytes(key.data, "little") & ((1 << 255) - 1)
    if y >= _FIELD_PRIME:
        raise Malformed("public key: not in canonical form")
    if y in _SMALL_ORDER_Y:
        raise Malformed("public key: a point of small order, with which anybody can make signatures")
    if not _on_curve(y):
        raise Malformed("public key: not a point of the curve, so nothing could verify under it")


@functools.lru_cache(maxsize=4096)
def _ed25519(data: bytes) -> Ed25519PublicKey:
    check_public_key(PublicKey(Suite.ED25519, data))
    return Ed25519PublicKey.from_public_bytes(data)


def verifies(key: PublicKey, signature: Signature, message: bytes) -> bool:
    """Whether `key` made `signature` over `message`. A suite that does not match, a suite not known here, or a key that
    `check_public_key` refuses is a no."""
    if key.suite != signature.suite or key.suite != Suite.ED25519:
        return False
    try:
        _ed25519(key.data).verify(signature.data, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class Ed25519Signer:
    """A software signer over a 32-byte seed (RFC 8032)."""

    __slots__ = ("_private", "_public")

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        raw = self._private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        self._public = PublicKey(Suite.ED25519, raw)

    @property
    def public_key(self) -> PublicKey:
        """The matching Ed25519 public key."""
        return self._public

    def sign(self, message: bytes) -> Signature:
        """A deterministic Ed25519 signature, 64 bytes."""
        return Signature(Suite.ED25519, self._private.sign(message))
