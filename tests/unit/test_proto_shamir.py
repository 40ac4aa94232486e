"""Any k shares give the secret back, fewer say nothing, and the field is the one that the paper names."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery_world import derived
from sento_proto.shamir import combine, inverse, multiply, split


def slow_product(a: int, b: int) -> int:
    """By shifting and reducing, one bit at a time."""
    product = 0
    for bit in range(8):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(14, 7, -1):
        if product >> bit & 1:
            product ^= 0x11B << (bit - 8)
    return product


def test_the_field_multiplies_as_polynomials_modulo_0x11b() -> None:
    assert all(multiply(a, b) == slow_product(a, b) for a in range(256) for b in range(256))
    assert (multiply(0x57, 0x83), multiply(0x57, 0x13)) == (0xC1, 0xFE)  # FIPS 197, section 4.2


def test_every_value_but_zero_has_an_inverse() -> None:
    assert all(multiply(a, inverse(a)) == 1 for a in range(1, 256))
    with pytest.raises(ZeroDivisionError):
        inverse(0)


@given(
    secret=st.binary(min_size=1, max_size=40),
    shape=st.integers(1, 6).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))),
    seed=st.integers(0, 1000),
)
def test_every_set_of_k_shares_gives_the_secret(secret: bytes, shape: tuple[int, int], seed: int) -> None:
    threshold, count = shape
    shares = split(secret, threshold, count, derived(f"{seed}", (threshold - 1) * len(secret)))
    for size in range(threshold, count + 1):
        for chosen in combinations(range(count), size):
            assert combine({index + 1: shares[index] for index in chosen}) == secret


def test_two_of_three_shares_fit_every_secret_equally_well() -> None:
    # For any two shares and any claimed secret there is exactly one third share that agrees: so two shares rule out no secret.
    shares = split(b"\x2a", 3, 3, b"\x07\x99")
    thirds = {
        next(
            third
            for third in range(256)
            if combine({1: shares[0], 2: shares[1], 3: bytes((third,))})[0] == claimed
        )
        for claimed in range(256)
    }
    assert len(thirds) == 256


def test_a_known_polynomial_has_the_values_worked_out_by_hand() -> None:
    # f(x) = 0x2a + 3 x, so f(1) = 0x29, f(2) = 0x2a ^ 6 and f(3) = 0x2a ^ 5.
    assert split(b"\x2a", 2, 3, b"\x03") == (b"\x29", b"\x2c", b"\x2f")


@pytest.mark.parametrize(("threshold", "count"), [(0, 3), (4, 3), (2, 17), (-1, 5)])
def test_an_impossible_threshold_is_refused(threshold: int, count: int) -> None:
    with pytest.raises(ValueError, match="1 <= k <= n <= 16"):
        split(bytes(32), threshold, count, bytes(max(0, threshold - 1) * 32))


def test_too_little_randomness_is_refused() -> None:
    with pytest.raises(ValueError, match="takes 64 random bytes, not 63"):
        split(bytes(32), 3, 5, bytes(63))


@pytest.mark.parametrize("shares", [{}, {0: b"a"}, {17: b"a"}, {1: b"a", 2: b"bb"}])
def test_points_that_cannot_be_shares_are_refused(shares: dict[int, bytes]) -> None:
    with pytest.raises(ValueError):
        combine(shares)
