"""A ciphertext that AES-GCM opens under two keys: why a header commits to its DEK.

The tag of GCM is a polynomial over GF(2^128) in a key-dependent point, plus a key-dependent mask. Demanding the same tag under two keys leaves one
linear equation, and one free ciphertext block solves it. Whoever can choose both keys can so give two readers two texts from one payload.

Source: NIST SP 800-38D section 6.3 and 6.4 (multiplication, GHASH); P. Grubbs, J. Lu, T. Ristenpart, "Message Franking via Committing
Authenticated Encryption" (the attack).
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK = 16
_REDUCTION = 0xE1 << 120
_ONE = 1 << 127


def _multiply(left: int, right: int) -> int:
    """In GF(2^128) with GCM's bit order: the first bit is the coefficient of 1."""
    product = 0
    for bit in range(127, -1, -1):
        if left >> bit & 1:
            product ^= right
        right = right >> 1 ^ (_REDUCTION if right & 1 else 0)
    return product


def _power(base: int, exponent: int) -> int:
    result = _ONE
    while exponent:
        if exponent & 1:
            result = _multiply(result, base)
        base = _multiply(base, base)
        exponent >>= 1
    return result


def _inverse(value: int) -> int:
    return _power(value, 2**128 - 2)


def _blocks(data: bytes) -> list[int]:
    padded = data + bytes(-len(data) % _BLOCK)
    return [int.from_bytes(padded[at : at + _BLOCK], "big") for at in range(0, len(padded), _BLOCK)]


def _ghash(point: int, blocks: Sequence[int]) -> int:
    total = 0
    for block in blocks:
        total = _multiply(total ^ block, point)
    return total


class _Key:
    """What GCM under one key and the nonce of zeros comes down to."""

    def __init__(self, key: bytes) -> None:
        self._aes = Cipher(algorithms.AES(key), modes.ECB())
        self.point = int.from_bytes(self._encrypt(bytes(16)), "big")
        self.mask = int.from_bytes(self._encrypt(bytes(12) + (1).to_bytes(4, "big")), "big")

    def _encrypt(self, block: bytes) -> bytes:
        encryptor = self._aes.encryptor()
        return encryptor.update(block) + encryptor.finalize()

    def keystream(self, size_bytes: int) -> bytes:
        counters = range(2, 2 + -(-size_bytes // _BLOCK))
        return b"".join(self._encrypt(bytes(12) + n.to_bytes(4, "big")) for n in counters)[:size_bytes]


def ciphertext_under_two_keys(first: bytes, second: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Ciphertext and tag that open under both 32-byte keys; under `first` to `plaintext`, except for its last 16 bytes, which come out as
    they must. `plaintext` is a multiple of 16 bytes."""
    one, two = _Key(first), _Key(second)
    stream = one.keystream(len(plaintext))
    ciphertext = bytearray(a ^ b for a, b in zip(plaintext, stream, strict=True))
    ciphertext[-_BLOCK:] = bytes(_BLOCK)
    lengths = int.from_bytes(
        (len(aad) * 8).to_bytes(8, "big") + (len(ciphertext) * 8).to_bytes(8, "big"), "big"
    )
    blocks = [*_blocks(aad), *_blocks(bytes(ciphertext)), lengths]
    difference = one.mask ^ two.mask ^ _ghash(one.point, blocks) ^ _ghash(two.point, blocks)
    weight = _power(one.point, 2) ^ _power(two.point, 2)
    free = _multiply(difference, _inverse(weight))
    ciphertext[-_BLOCK:] = free.to_bytes(_BLOCK, "big")
    blocks[-2] = free
    tag = one.mask ^ _ghash(one.point, blocks)
    return bytes(ciphertext) + tag.to_bytes(_BLOCK, "big")
