"""Ed25519 keys: a canonical point of the curve whose order is not small.

A key of small order would verify signatures that nobody made, and bytes that are no point of the curve none at all. OpenSSL, behind `cryptography`,
refuses non-canonical S and R.

Source: RFC 8032 section 5.1.7; C. Cremers and D. Jackson, "Prime, Order Please!" (small-order points).
"""

from __future__ import annotations

import functools

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sento_proto.wire import Malformed

KEY_BYTES = 32
SIGNATURE_BYTES = 64

_FIELD_PRIME = 2**255 - 19
_ORDER_8_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER_Y = frozenset({0, 1, _FIELD_PRIME - 1, _ORDER_8_Y, _FIELD_PRIME - _ORDER_8_Y})
"""The y coordinates of the eight points whose order divides 8."""
_CURVE_D = -121665 * pow(121666, -1, _FIELD_PRIME) % _FIELD_PRIME


def _on_curve(y: int) -> bool:
    """Whether some x has -x^2 + y^2 = 1 + d x^2 y^2: else the bytes name no point and nothing could ever verify under them."""
    x_squared = (y * y - 1) * pow(_CURVE_D * y * y + 1, -1, _FIELD_PRIME) % _FIELD_PRIME
    return pow(x_squared, (_FIELD_PRIME - 1) // 2, _FIELD_PRIME) in (0, 1)


def check_key(data: bytes) -> None:
    """Refuse what is no Ed25519 key. Raises Malformed."""
    if len(data) != KEY_BYTES:
        raise Malformed(f"public key: an Ed25519 key has 32 bytes, this has {len(data)}")
    y = int.from_bytes(data, "little") & ((1 << 255) - 1)
    if y >= _FIELD_PRIME:
        raise Malformed("public key: not in canonical form")
    if y in _SMALL_ORDER_Y:
        raise Malformed("public key: a point of small order, with which anybody can make signatures")
    if not _on_curve(y):
        raise Malformed("public key: not a point of the curve, so nothing could verify under it")


@functools.lru_cache(maxsize=4096)
def key_of(data: bytes) -> Ed25519PublicKey:
    """The parsed key. Raises Malformed."""
    check_key(data)
    return Ed25519PublicKey.from_public_bytes(data)


def verify(data: bytes, signature: bytes, message: bytes) -> None:
    """Raises InvalidSignature, or ValueError, when it does not count."""
    key_of(data).verify(signature, message)
