"""Sealing a KEK to a reader: HPKE in base mode, suite by recipient.

A KEK belongs to (author, registry, compartment, key epoch) and is made by the author; each reader, and the author, holds it sealed to a key of
their own. Software keys use X-Wing (ML-KEM-768 with X25519), so that what is recorded abroad today stays closed to tomorrow's machines.
The seal is bound to its purpose through HPKE's info: it opens for no other author, registry, compartment, epoch or ledger.

    seal = u8 1 || u8 suite || recipient key id 16 || encapsulated key || ciphertext (32 + 16)
    info = "sento kek v1" || ledger id || u32 key epoch || u8 len, author || u8 len, registry || u8 len, compartment

Source: RFC 9180 (HPKE); draft-connolly-cfrg-xwing-kem. KDF HKDF-SHA-256, AEAD AES-256-GCM.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
)
from cryptography.hazmat.primitives.hpke import Suite as HpkeSuite

from sento_proto.sealing import KEK_BYTES, CannotOpen
from sento_proto.wire import Malformed, Reader, u8, u32

FORMAT_KEK_SEAL = 1
XWING_SECRET_BYTES = 64 + 32
XWING_PUBLIC_BYTES = 1184 + 32
_SEALED_BYTES = 1120 + KEK_BYTES + 16


class SealSuite(IntEnum):
    """How a KEK is sealed. Numbers are part of recipient key ids and never change."""

    XWING = 1
    P256 = 2


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


def recipient_key_id(suite: int, public_key: bytes) -> bytes:
    """SHA-256("sento recipient v1" || suite || public key)[:16]."""
    return hashlib.sha256(b"sento recipient v1" + u8(suite) + public_key).digest()[:16]


def _xwing_suite() -> HpkeSuite:
    return HpkeSuite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def xwing_public(secret: bytes) -> bytes:
    """Public key of a 96-byte X-Wing secret (ML-KEM-768 seed 64 || X25519 key 32). Raises Malformed on another length."""
    if len(secret) != XWING_SECRET_BYTES:
        raise Malformed("kek seal: an X-Wing secret has 96 bytes")
    mlkem = MLKEM768PrivateKey.from_seed_bytes(secret[:64]).public_key().public_bytes_raw()
    return mlkem + X25519PrivateKey.from_private_bytes(secret[64:]).public_key().public_bytes_raw()


def seal_kek(kek: bytes, name: KekName, recipient_public: bytes) -> bytes:
    """A seal of `kek` to an X-Wing public key. Randomness is HPKE's own. Raises Malformed when the key is not one."""
    if len(kek) != KEK_BYTES or len(recipient_public) != XWING_PUBLIC_BYTES:
        raise Malformed("kek seal: a KEK has 32 bytes and an X-Wing public key 1,216")
    try:
        public = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(recipient_public[:1184]),
            X25519PublicKey.from_public_bytes(recipient_public[1184:]),
        )
        sealed = _xwing_suite().encrypt(kek, public, name.info())
    except ValueError as error:
        raise Malformed(f"kek seal: not a public key ({error})") from None
    head = u8(FORMAT_KEK_SEAL) + u8(SealSuite.XWING) + recipient_key_id(SealSuite.XWING, recipient_public)
    return head + sealed


def open_kek(seal: bytes, name: KekName, secret: bytes) -> bytes:
    """The KEK in `seal`. Raises CannotOpen when it is sealed to another key or for another purpose; Malformed when it is no seal."""
    reader = Reader(seal, "kek seal")
    if reader.u8("format") != FORMAT_KEK_SEAL or reader.u8("suite") != SealSuite.XWING:
        raise Malformed("kek seal: unknown format or suite")
    recipient = reader.take(16, "recipient key id")
    sealed = reader.take(_SEALED_BYTES, "sealed key")
    reader.end()
    if recipient != recipient_key_id(SealSuite.XWING, xwing_public(secret)):
        raise CannotOpen("The key is sealed to another recipient.")
    private = MLKEM768X25519PrivateKey(
        MLKEM768PrivateKey.from_seed_bytes(secret[:64]), X25519PrivateKey.from_private_bytes(secret[64:])
    )
    try:
        return _xwing_suite().decrypt(sealed, private, name.info())
    except InvalidTag:
        raise CannotOpen(
            "The seal was altered, or made for another author, registry, compartment or epoch."
        ) from None
