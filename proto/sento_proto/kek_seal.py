"""Sealing a KEK to a reader, for one purpose and no other.

A KEK belongs to (author, registry, compartment, key epoch) and is made by the author; each reader, the author and the recovery key in force hold it sealed
to a key of their own.
The seal (`sento_proto.seal`) is bound to its purpose through HPKE's info: it opens for no other author, registry, compartment, epoch or ledger. A
recipient compares what it opened
with the commitment that the author published once for all of them, so that nobody can be given another KEK than the rest.

    info       = "sento kek v1" || ledger id || u32 key epoch || u8 len, author || u8 len, registry || u8 len, compartment
    kek_commit = SHA-256("sento kek v1" || KEK)

Source: RFC 9180 section 8.1 (info binds a seal to its context).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sento_proto.seal import (
    TAG_BYTES,
    XWING_PUBLIC_BYTES,
    XWING_SECRET_BYTES,
    AlteredSeal,
    P256Opener,
    SealOpener,
    SealSuite,
    XWingOpener,
    decode_seal,
    open_parts,
    open_seal,
    recipient_key_id,
    seal,
    seal_suite_of,
    xwing_public,
)
from sento_proto.sealing import KEK_BYTES, CannotOpen
from sento_proto.wire import Malformed, u8, u32

__all__ = [
    "XWING_PUBLIC_BYTES",
    "XWING_SECRET_BYTES",
    "KekName",
    "P256Opener",
    "SealOpener",
    "SealSuite",
    "XWingOpener",
    "kek_commit",
    "open_kek",
    "open_seal",
    "recipient_key_id",
    "seal",
    "seal_kek",
    "seal_suite_of",
    "xwing_public",
]


@dataclass(frozen=True, slots=True)
class KekName:
    """What a KEK is for. `author` is the institution's name; `compartment` may be empty."""

    ledger_id: bytes
    author: str
    registry: str
    compartment: str
    key_epoch: int

    def info(self) -> bytes:
        """HPKE info: the seal opens for this purpose and no other."""
        names = [name.encode("ascii") for name in (self.author, self.registry, self.compartment)]
        return b"".join(
            (b"sento kek v1", self.ledger_id, u32(self.key_epoch), *(u8(len(name)) + name for name in names))
        )


def kek_commit(kek: bytes) -> bytes:
    """SHA-256("sento kek v1" || KEK), 32 bytes: tells all recipients that they got the same KEK, and nobody else what it is."""
    return hashlib.sha256(b"sento kek v1" + kek).digest()


def seal_kek(kek: bytes, name: KekName, recipient_public: bytes) -> bytes:
    """A seal of `kek` to an X-Wing or P-256 public key. Randomness is HPKE's own. Raises Malformed when the key is not one."""
    if len(kek) != KEK_BYTES:
        raise Malformed("kek seal: a KEK has 32 bytes")
    return seal(kek, name.info(), recipient_public)


def open_kek(sealed: bytes, name: KekName, opener: SealOpener | bytes) -> bytes:
    """The KEK in a seal. `opener`: also a 96-byte X-Wing secret. Raises CannotOpen when it is sealed to another key or for another purpose; Malformed when
    it is no seal;
    what an opener over a token raises."""
    parts = decode_seal(sealed, "kek seal")
    if len(parts.ciphertext) != KEK_BYTES + TAG_BYTES:
        raise Malformed("kek seal: what is sealed is not a KEK of 32 bytes")
    if isinstance(opener, bytes):
        opener = XWingOpener(opener)
    try:
        return open_parts(parts, name.info(), opener)
    except AlteredSeal:
        raise CannotOpen(
            "The seal was altered, or made for another author, registry, compartment or epoch."
        ) from None
