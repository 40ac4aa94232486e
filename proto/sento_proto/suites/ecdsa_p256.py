"""ECDSA over P-256 with SHA-256, in one form only: keys compressed, signatures 64 bytes r || s with the lower of the two possible s.

ECDSA lets anybody turn a signature (r, s) into (r, n - s), and DER has room for more; with two forms of one signature two sites could hold two
submissions that mean the same. So s must be at most n / 2, and r and s from 1 to n - 1 in 32 bytes each. Signers bring theirs into that form.
The curve's cofactor is 1: every point of it but the one at infinity, which has no compressed form, is a key.

Source: FIPS 186-5 section 6.4; SEC 1 section 2.3.3 (compressed points); BIP 146 (low s) for the reasoning.
"""

from __future__ import annotations

import functools
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)

from sento_proto.wire import Malformed

KEY_BYTES = 33
SIGNATURE_BYTES = 64
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""n, the number of points."""
_FIELD_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
_ALGORITHM = ec.ECDSA(Prehashed(hashes.SHA256()))


def check_key(data: bytes) -> None:
    """Refuse what is no compressed point of P-256. Raises Malformed."""
    key_of(data)


@functools.lru_cache(maxsize=4096)
def key_of(data: bytes) -> ec.EllipticCurvePublicKey:
    """The parsed key. Raises Malformed."""
    if len(data) != KEY_BYTES:
        raise Malformed(f"public key: a compressed P-256 key has 33 bytes, this has {len(data)}")
    if data[0] not in (2, 3):
        raise Malformed("public key: a compressed P-256 key begins with 02 or 03")
    if int.from_bytes(data[1:], "big") >= _FIELD_PRIME:
        raise Malformed("public key: not in canonical form")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data)
    except ValueError:
        raise Malformed("public key: not a point of the curve, so nothing could verify under it") from None


def verify(data: bytes, signature: bytes, message: bytes) -> None:
    """Raises InvalidSignature, or ValueError, when it does not count."""
    key = key_of(data)
    if len(signature) != SIGNATURE_BYTES:
        raise InvalidSignature
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not (1 <= r < ORDER and 1 <= s <= ORDER // 2):
        raise InvalidSignature
    key.verify(encode_dss_signature(r, s), hashlib.sha256(message).digest(), _ALGORITHM)


def low_s(r: int, s: int) -> bytes:
    """The 64 bytes of a signature with the lower of the two s."""
    return r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")


def low_s_of_raw(signature: bytes) -> bytes:
    """The same of 64 bytes r || s as a token gives them. Raises Malformed on another length."""
    if len(signature) != SIGNATURE_BYTES:
        raise Malformed(f"signature: ECDSA over P-256 has 64 bytes, this has {len(signature)}")
    return low_s(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))


def low_s_of_der(signature: bytes) -> bytes:
    """The same of a DER signature as OpenSSL gives it."""
    return low_s(*decode_dss_signature(signature))
