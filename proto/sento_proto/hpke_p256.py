"""HPKE over P-256 whose private key is elsewhere: the shared point comes from a token, the key schedule is here.

`cryptography` opens HPKE only with a private key in memory. A token gives no more than the x coordinate of an ECDH with a point that it is handed; from
there on
everything is hashing, and this module does it: base mode, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, one message under each key.

    dh            = x coordinate of (private key) · (encapsulated point)
    shared secret = Extract-and-Expand(dh, encapsulated || recipient public key)
    key, nonce    = key schedule(shared secret, info)                            the first message uses the base nonce as it is

Source: RFC 9180 sections 4.1 (DHKEM), 5.1 (key schedule), 7.1 (encodings), 7.1.4 (the point must be validated).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from sento_proto.sealing import CannotOpen
from sento_proto.wire import Malformed, u16

POINT_BYTES = 65
"""A point of P-256, SEC 1 uncompressed: 04 || x || y."""
SHARED_X_BYTES = 32
KEY_BYTES, NONCE_BYTES = 32, 12
_KEM_ID = u16(0x0010)
_KEM_SUITE = b"KEM" + _KEM_ID
_HPKE_SUITE = b"HPKE" + _KEM_ID + u16(0x0001) + u16(0x0002)
_MODE_BASE = b"\x00"


class AlteredSeal(CannotOpen):
    """The seal is to this recipient and does not open: altered, or made for another purpose."""


Ecdh = Callable[[bytes], bytes]
"""From an uncompressed point of another to the 32-byte x coordinate of the shared point."""


def check_point(data: bytes, what: str) -> ec.EllipticCurvePublicKey:
    """The key at an uncompressed point. Raises Malformed when it is not on the curve: a token that multiplies such a point gives its key away."""
    if len(data) != POINT_BYTES or data[0] != 4:
        raise Malformed(f"{what}: a P-256 point has 65 bytes and begins with 04")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data)
    except ValueError:
        raise Malformed(f"{what}: not a point of P-256") from None


def _extract(salt: bytes, suite: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + material, "sha256")


def _expand(key: bytes, suite: bytes, label: bytes, info: bytes, size_bytes: int) -> bytes:
    labeled = u16(size_bytes) + b"HPKE-v1" + suite + label + info
    return HKDFExpand(hashes.SHA256(), size_bytes, labeled).derive(key)


def shared_secret(dh: bytes, encapsulated: bytes, recipient_public: bytes) -> bytes:
    """DHKEM's 32 bytes from the shared x coordinate and the two points."""
    extracted = _extract(b"", _KEM_SUITE, b"eae_prk", dh)
    return _expand(extracted, _KEM_SUITE, b"shared_secret", encapsulated + recipient_public, 32)


def key_schedule(secret: bytes, info: bytes) -> tuple[bytes, bytes]:
    """AES-256 key and base nonce in base mode (no pre-shared key)."""
    psk_id_hash = _extract(b"", _HPKE_SUITE, b"psk_id_hash", b"")
    info_hash = _extract(b"", _HPKE_SUITE, b"info_hash", info)
    context = _MODE_BASE + psk_id_hash + info_hash
    scheduled = _extract(secret, _HPKE_SUITE, b"secret", b"")
    key = _expand(scheduled, _HPKE_SUITE, b"key", context, KEY_BYTES)
    return key, _expand(scheduled, _HPKE_SUITE, b"base_nonce", context, NONCE_BYTES)


def open_with(
    ecdh: Ecdh, recipient_public: bytes, encapsulated: bytes, ciphertext: bytes, info: bytes
) -> bytes:
    """The message sealed to `recipient_public`. Raises Malformed when `encapsulated` is no point, AlteredSeal when it does not open, and whatever `ecdh`
    raises."""
    check_point(encapsulated, "seal")
    dh = ecdh(encapsulated)
    if len(dh) != SHARED_X_BYTES:
        raise CannotOpen("The token gave no shared point of P-256.")
    key, nonce = key_schedule(shared_secret(dh, encapsulated, recipient_public), info)
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, b"")
    except InvalidTag:
        raise AlteredSeal("The seal was altered, or made for another purpose.") from None
