"""ML-DSA-65 and ML-DSA-44: pure, with an empty context; the lengths are the standard's, and the one weak key that costs nothing to see is refused.

A key is rho (32 bytes) and t1. With t1 all zeros the signature of zeros whose challenge is the hash of the message verifies, so anybody can sign: the
counterpart of a point of small order. `cryptography` checks the norms and the one encoding of the hint, and with them that a signature has one form.

Source: FIPS 204, sections 5.3 (verifying), 7.2 (encodings) and table 2 (lengths).
"""

from __future__ import annotations

import functools

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey

from sento_proto.wire import Malformed

KEY_65_BYTES, SIGNATURE_65_BYTES = 1952, 3309
KEY_44_BYTES, SIGNATURE_44_BYTES = 1312, 2420
_RHO_BYTES = 32


def _check(name: str, data: bytes, size_bytes: int) -> None:
    if len(data) != size_bytes:
        raise Malformed(f"public key: an {name} key has {size_bytes:,} bytes, this has {len(data):,}")
    if not any(data[_RHO_BYTES:]):
        raise Malformed("public key: its vector is zero, so anybody can make signatures with it")


def check_key_65(data: bytes) -> None:
    """Refuse what is no ML-DSA-65 key. Raises Malformed."""
    _check("ML-DSA-65", data, KEY_65_BYTES)


def check_key_44(data: bytes) -> None:
    """Refuse what is no ML-DSA-44 key. Raises Malformed."""
    _check("ML-DSA-44", data, KEY_44_BYTES)


@functools.lru_cache(maxsize=1024)
def _key_65(data: bytes) -> MLDSA65PublicKey:
    check_key_65(data)
    return MLDSA65PublicKey.from_public_bytes(data)


@functools.lru_cache(maxsize=1024)
def _key_44(data: bytes) -> MLDSA44PublicKey:
    check_key_44(data)
    return MLDSA44PublicKey.from_public_bytes(data)


def verify_65(data: bytes, signature: bytes, message: bytes) -> None:
    """Raises InvalidSignature, or ValueError, when it does not count."""
    _key_65(data).verify(signature, message)


def verify_44(data: bytes, signature: bytes, message: bytes) -> None:
    """Raises InvalidSignature, or ValueError, when it does not count."""
    _key_44(data).verify(signature, message)
