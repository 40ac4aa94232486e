"""Identifiers made from time and randomness that come from outside: record ids.

Source: RFC 9562 section 5.7 (UUID version 7). Time-ordered ids keep a store's index local; 74 random bits keep authors apart.
"""

from __future__ import annotations

RANDOM_BYTES = 10


def uuid7(time_ms: int, random: bytes) -> bytes:
    """A UUIDv7 of 16 bytes from milliseconds since 1970 and 10 random bytes. Raises ValueError on other sizes."""
    if len(random) != RANDOM_BYTES or not 0 <= time_ms < 1 << 48:
        raise ValueError("a UUIDv7 takes 48 bits of time and 10 random bytes")
    high = 0x70 | (random[0] & 0x0F)
    low = 0x80 | (random[2] & 0x3F)
    return time_ms.to_bytes(6, "big") + bytes((high, random[1], low)) + random[3:]
