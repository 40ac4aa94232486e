"""Ed25519 signatures and keys at the edges of the standard: forms that a lax verifier takes, and keys that must never be enrolled.

Source: RFC 8032 section 5.1.7 (S below the order) and 7.1 (test vectors); K. Chalkias, F. Garillot, V. Nikolaenko, "Taming the many EdDSAs"
(small order and non-canonical encodings).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from golden_vectors.ground import AUTHOR, Group, Vector, digest

ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19


def with_order_added(signature: bytes) -> bytes:
    """The same signature with S + L for S: a lax verifier takes both, and the bytes have two forms."""
    s = int.from_bytes(signature[32:], "little") + ORDER
    return signature[:32] + s.to_bytes(32, "little")


def _challenge(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little")


def _root(square: int) -> int | None:
    """A square root modulo PRIME, which is 5 modulo 8; None where there is none."""
    for factor in (1, pow(2, (PRIME - 1) // 4, PRIME)):
        candidate = pow(square, (PRIME + 3) // 8, PRIME) * factor % PRIME
        if candidate * candidate % PRIME == square % PRIME:
            return candidate
    return None


def _order_8_ys() -> list[int]:
    """The y of points that double to one with y = 0: there x^2 = -y^2, so that the curve says d y^4 + 2 y^2 = 1."""
    d = -121665 * pow(121666, -1, PRIME) % PRIME
    middle = _root(1 + d)
    assert middle is not None
    roots = [_root((sign * middle - 1) * pow(d, -1, PRIME) % PRIME) for sign in (1, -1)]
    return sorted(y for root in roots if root is not None for y in (root, PRIME - root))


def _small_order_keys() -> Iterator[tuple[str, bytes]]:
    """All encodings, canonical and not, of the eight points whose order divides 8: name, 32 bytes."""
    order_8 = _order_8_ys()
    forms = (
        ("the neutral point", 1, 0),
        ("the point of order 2", PRIME - 1, 0),
        ("a point of order 4", 0, 0),
        ("the other point of order 4", 0, 1),
        ("first point of order 8", order_8[0], 0),
        ("second point of order 8", order_8[0], 1),
        ("third point of order 8", order_8[1], 0),
        ("fourth point of order 8", order_8[1], 1),
        ("the neutral point with a sign", 1, 1),
        ("the point of order 2 with a sign", PRIME - 1, 1),
        ("a point of order 4, y = p", PRIME, 0),
        ("the other point of order 4, y = p", PRIME, 1),
        ("the neutral point, y = p + 1", PRIME + 1, 0),
        ("the neutral point with a sign, y = p + 1", PRIME + 1, 1),
    )
    for name, y, sign in forms:
        yield name, (y | sign << 255).to_bytes(32, "little")


def _forged_for(key: bytes) -> Vector:
    """A message and a signature that a verifier without a check on keys takes as made by `key`: R neutral, S zero, a challenge of 0 mod 8."""
    r = (1).to_bytes(32, "little")
    message = next(m for m in map(b"forged %d".__mod__, range(10_000)) if _challenge(r, key, m) % 8 == 0)
    return {"message": message.hex(), "signature": (r + bytes(32)).hex()}


def refused_keys() -> Group:
    """Ed25519 keys that must never be enrolled; those of small order with a forgery under them."""
    group: Group = [
        {"name": name, "suite": 1, "public_key": key.hex(), "forged": _forged_for(key)}
        for name, key in _small_order_keys()
    ]
    good = AUTHOR.public_key.data
    for name, suite, key in (
        ("not reduced: y = p + 3", 1, (PRIME + 3).to_bytes(32, "little")),
        ("not reduced: y = 2^255 - 1", 1, (2**255 - 1).to_bytes(32, "little")),
        ("no point of the curve: y = 2", 1, (2).to_bytes(32, "little")),
        ("no point of the curve: y = 2 with a sign", 1, (2 | 1 << 255).to_bytes(32, "little")),
        ("31 bytes", 1, good[:31]),
        ("33 bytes", 1, good + b"\x00"),
        ("empty", 1, b""),
        ("suite 0", 0, good),
        ("suite 2, not yet under these rules", 2, good),
        ("suite 255", 255, good),
    ):
        group.append({"name": name, "suite": suite, "public_key": key.hex(), "forged": None})
    return group


def _secret_scalar(seed: bytes) -> int:
    half = bytearray(hashlib.sha512(seed).digest()[:32])
    half[0] &= 248
    half[31] = half[31] & 127 | 64
    return int.from_bytes(half, "little")


def raw_signatures() -> Group:
    """Ed25519 signatures alone, good and odd. The first two are from RFC 8032 section 7.1."""
    key, message = AUTHOR.public_key.data, b"message"
    good = AUTHOR.sign(message).data
    order_2 = PRIME - 1
    scalar = _secret_scalar(digest("author"))

    def neutral_r(encoded: int) -> bytes:
        r = encoded.to_bytes(32, "little")
        s = _challenge(r, key, message) * scalar % ORDER
        return r + s.to_bytes(32, "little")

    cases = [
        (
            "RFC 8032 test 1",
            bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
            b"",
            bytes.fromhex(
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
                "d25bf5f0595bbe24655141438e7a100b"
            ),
            True,
        ),
        (
            "RFC 8032 test 2",
            bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
            b"\x72",
            bytes.fromhex(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
                "387b2eaeb4302aeeb00d291612bb0c00"
            ),
            True,
        ),
        ("good", key, message, good, True),
        ("another message", key, message + b".", good, False),
        ("S + L for S", key, message, with_order_added(good), False),
        ("S of 2^256 - 1", key, message, good[:32] + b"\xff" * 32, False),
        ("S equal to the order", key, message, good[:32] + ORDER.to_bytes(32, "little"), False),
        ("R not reduced: the neutral point as p + 1", key, message, neutral_r(PRIME + 1), False),
        ("R not reduced: the neutral point with a sign", key, message, neutral_r(1 | 1 << 255), False),
        ("R of order 2 that does not fit", key, message, neutral_r(order_2), False),
        ("empty", key, message, b"", False),
        ("63 bytes", key, message, good[:63], False),
        ("65 bytes", key, message, good + b"\x00", False),
    ]
    return [
        {
            "name": name,
            "public_key": public_key.hex(),
            "message": signed.hex(),
            "signature": signature.hex(),
            "holds": holds,
        }
        for name, public_key, signed, signature, holds in cases
    ]
