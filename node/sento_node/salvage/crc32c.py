"""CRC-32C over whole records in a few steps of C instead of one step of Python for each byte.

A CRC is linear: the upper half of a message may be moved onto its lower half, each 32-bit word multiplied by the power of x that lies between them, and what
is left has the same remainder. One such fold is sixteen `bytes.translate` and one exclusive or of two long numbers, whatever the length; what is left at the
end is taken byte by byte. Pure.

Source: polynomial 0x1EDC6F41, reflected, RFC 3720 (12.1); the seed goes in as the former checksum, as Go's hash/crc32.Update takes it.
"""

from __future__ import annotations

import functools
from typing import Final

_POLYNOMIAL: Final = 0x82F63B78
_ALL_ONES: Final = 0xFFFFFFFF
_BYTEWISE_BYTES: Final = 128
"""Up to here byte by byte is quicker."""
_WORD_BYTES: Final = 4


def _byte_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)  # noqa: PLW2901 - one register, shifted eight times
        table.append(value)
    return tuple(table)


_TABLE: Final = _byte_table()


def crc32c(data: bytes, seed: int = 0) -> int:
    """The checksum of what had the checksum `seed` with `data` behind it."""
    register = seed ^ _ALL_ONES
    if len(data) > _BYTEWISE_BYTES:
        data, register = _folded(data, register), 0
    table = _TABLE
    for byte in data:
        register = register >> 8 ^ table[register & 0xFF ^ byte]
    return register ^ _ALL_ONES


def _folded(data: bytes, register: int) -> bytes:
    """A short message that leaves an empty register as the long one leaves this register."""
    first = int.from_bytes(data[:_WORD_BYTES], "little") ^ register
    size = 1 << (len(data) - 1).bit_length()
    # An empty register stays empty over zeros, so that they may be put before it up to a power of two.
    data = bytes(size - len(data)) + first.to_bytes(_WORD_BYTES, "little") + data[_WORD_BYTES:]
    while size > _BYTEWISE_BYTES:
        size //= 2
        data = _moved(data[:size], data[size:])
    return data


def _moved(upper: bytes, lower: bytes) -> bytes:
    """The upper half moved onto the lower one, whose length it is moved by."""
    size = len(lower)
    moved = bytearray(size)
    planes = [upper[at::_WORD_BYTES] for at in range(_WORD_BYTES)]
    for out, tables in enumerate(_tables(size)):
        total = 0
        for plane, table in zip(planes, tables, strict=True):
            total ^= int.from_bytes(plane.translate(table), "little")
        moved[out::_WORD_BYTES] = total.to_bytes(size // _WORD_BYTES, "little")
    return (int.from_bytes(moved, "little") ^ int.from_bytes(lower, "little")).to_bytes(size, "little")


@functools.cache
def _tables(size: int) -> tuple[tuple[bytes, ...], ...]:
    """For each byte of the result, and each byte of a word, what that byte adds when the word is moved over `size` zero bytes."""
    images = [_over_zeros(1 << bit, size) for bit in range(32)]
    words: list[list[int]] = []
    for byte in range(_WORD_BYTES):
        values = [0]
        for value in range(1, 256):
            low = value & -value
            values.append(values[value ^ low] ^ images[8 * byte + low.bit_length() - 1])
        words.append(values)
    return tuple(
        tuple(bytes(value >> 8 * out & 0xFF for value in values) for values in words)
        for out in range(_WORD_BYTES)
    )


def _over_zeros(register: int, size: int) -> int:
    """The register behind `size` zero bytes, a power of two: the square of the step over half of them."""
    images = _step_over(size)
    result = 0
    while register:
        low = register & -register
        result ^= images[low.bit_length() - 1]
        register ^= low
    return result


@functools.cache
def _step_over(size: int) -> tuple[int, ...]:
    """Where each of the register's bits goes over `size` zero bytes, a power of two."""
    if size == 1:
        return tuple((1 << bit) >> 8 ^ _TABLE[(1 << bit) & 0xFF] for bit in range(32))
    half = size // 2
    return tuple(_over_zeros(_over_zeros(1 << bit, half), half) for bit in range(32))
