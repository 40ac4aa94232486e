"""Shamir's secret sharing over GF(256): any k of n points give a secret back, and fewer say nothing about it.

Each byte of the secret is the constant term of a polynomial of degree k - 1 whose other coefficients are random; a share is the polynomials' values at
x = its index. Multiplication goes by logarithm tables with room for the logarithm of zero, so that no branch depends on a secret byte. Python gives
no promise about time; this runs in offline ceremonies and nowhere where somebody could measure it.

Neither function can tell a wrong share from a right one: interpolation through any points gives something. `recovery.py` has commitments for that.

Source: A. Shamir, "How to share a secret", CACM 22 (1979). Field: FIPS 197 section 4.2, polynomial 0x11b, generator 3.
"""

from __future__ import annotations

from collections.abc import Mapping

SHARES_MAX = 16
"""Most shares of one secret: paper words have four bits for the index."""
_POLYNOMIAL = 0x11B
_LOG_OF_ZERO = 512
"""Two logarithms below this sum to at most 508; any sum with it lands where `_EXP` is all zeros."""


def _tables() -> tuple[bytes, tuple[int, ...]]:
    exp = bytearray(2 * _LOG_OF_ZERO + 1)
    log = [_LOG_OF_ZERO] * 256
    value = 1
    for power in range(255):
        exp[power] = exp[power + 255] = value
        log[value] = power
        doubled = value << 1
        value ^= doubled ^ (_POLYNOMIAL if doubled & 0x100 else 0)
    return bytes(exp), tuple(log)


_EXP, _LOG = _tables()


def multiply(a: int, b: int) -> int:
    """Product in GF(256)."""
    return _EXP[_LOG[a] + _LOG[b]]


def inverse(a: int) -> int:
    """1 / a in GF(256). Raises ZeroDivisionError for 0; callers invert differences of indices, which are no secret."""
    if a == 0:
        raise ZeroDivisionError("0 has no inverse in GF(256)")
    return _EXP[255 - _LOG[a]]


def split(secret: bytes, threshold: int, count: int, random: bytes) -> tuple[bytes, ...]:
    """Shares 1..count of `secret`, each as long as it; any `threshold` of them give it back.

    `random`: (threshold - 1) * len(secret) bytes, secret, uniform, and used for nothing else. Raises ValueError on another length, and
    unless 1 <= threshold <= count <= 16."""
    if not 1 <= threshold <= count <= SHARES_MAX:
        raise ValueError(f"a threshold of {threshold} of {count} shares: needs 1 <= k <= n <= {SHARES_MAX}")
    size = len(secret)
    if len(random) != (threshold - 1) * size:
        raise ValueError(f"sharing takes {(threshold - 1) * size} random bytes, not {len(random)}")
    # Highest power first, the secret last: the order in which Horner's rule takes them.
    rows = [random[at : at + size] for at in range(0, len(random), size)] + [secret] if size else [secret]
    return tuple(_value_at(index, rows) for index in range(1, count + 1))


def _value_at(x: int, rows: list[bytes]) -> bytes:
    value = bytearray(len(rows[0]))
    for row in rows:
        for at, coefficient in enumerate(row):
            value[at] = multiply(value[at], x) ^ coefficient
    return bytes(value)


def combine(shares: Mapping[int, bytes]) -> bytes:
    """The polynomials' value at 0 through the points (index, share): the secret, when at least k right shares are given.

    Raises ValueError for no share, an index outside 1..16, or shares of different lengths."""
    if not shares or len({len(value) for value in shares.values()}) != 1:
        raise ValueError("shares must be at least one and of one length")
    if not all(1 <= index <= SHARES_MAX for index in shares):
        raise ValueError(f"an index must be from 1 to {SHARES_MAX}")
    secret = bytearray(len(next(iter(shares.values()))))
    for index, value in shares.items():
        weight = _weight_at_zero(index, [other for other in shares if other != index])
        for at, byte in enumerate(value):
            secret[at] ^= multiply(weight, byte)
    return bytes(secret)


def _weight_at_zero(index: int, others: list[int]) -> int:
    """Lagrange's coefficient at x = 0; in this field minus is exclusive or."""
    weight = 1
    for other in others:
        weight = multiply(weight, multiply(other, inverse(other ^ index)))
    return weight
