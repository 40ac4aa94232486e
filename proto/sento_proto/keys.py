"""Signature suites, key ids, and the two questions asked of every key: is it one at all, and did it sign this.

A public key is (suite, bytes); its key id is SHA-256(suite || bytes)[:16]. `check_public_key` refuses bytes under which nothing could verify and keys under
which anybody could sign, before they can be enrolled. `verifies` answers for every suite and never raises. Which suites may sign what is the business of the
rules number and of an author's policy, not of this module.

| suite | key | signature |
|---|---|---|
| ED25519 | 32 bytes, canonical, not of small order | 64 bytes |
| ECDSA_P256 | 33 bytes, compressed point | 64 bytes r, s, with s at most n / 2, over SHA-256 of the message |
| ML_DSA_65 | 1,952 bytes | 3,309 bytes, pure, empty context |
| ML_DSA_44 | 1,312 bytes | 2,420 bytes, pure, empty context |

A key may have a *companion* of another suite: then every submission under it carries both signatures over the same message, suites rising (`sign_all`).

Source: `sento_proto.suites`, one module a suite.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import NamedTuple, Protocol, runtime_checkable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sento_proto.suites import ecdsa_p256, ed25519, ml_dsa
from sento_proto.wire import Malformed, u8

KEY_ID_BYTES = 16
ED25519_KEY_BYTES = ed25519.KEY_BYTES
ED25519_SIGNATURE_BYTES = ed25519.SIGNATURE_BYTES
SIGNATURE_MAX_BYTES = 3400
"""Longest signature of any suite: ML-DSA-65 has 3,309 bytes."""


class Suite(IntEnum):
    """What kind of key signed. Numbers are part of key ids and never change."""

    ED25519 = 1
    ECDSA_P256 = 2
    ML_DSA_65 = 3
    ML_DSA_44 = 4


class PublicKey(NamedTuple):
    """A verification key."""

    suite: int
    data: bytes

    @property
    def key_id(self) -> bytes:
        """SHA-256(suite || public key)[:16]."""
        return key_id_of(self.suite, self.data)


class Signature(NamedTuple):
    """A signature with the suite that made it."""

    suite: int
    data: bytes


class Signer(Protocol):
    """Holds a private key; may be a file, a token or a service.

    One that waits for hardware has an attribute `blocking`, True (`is_blocking`): its `sign` belongs on a thread of its own and not on an event loop."""

    @property
    def public_key(self) -> PublicKey:
        """The key that verifies what this signer signs."""
        ...

    def sign(self, message: bytes) -> Signature:
        """A signature over `message`."""
        ...


@runtime_checkable
class CompanionSigner(Protocol):
    """A signer whose key has a companion: what it signs counts with both signatures only."""

    @property
    def companion_key(self) -> PublicKey:
        """The key that verifies the second signature."""
        ...

    def sign_all(self, message: bytes) -> list[Signature]:
        """Both signatures over `message`, suites rising."""
        ...


def sign_all(signer: Signer, message: bytes) -> list[Signature]:
    """Every signature that `signer` puts under `message`, suites rising: one, or two where its key has a companion."""
    if isinstance(signer, CompanionSigner):
        return signer.sign_all(message)
    return [signer.sign(message)]


def is_blocking(signer: object) -> bool:
    """Whether `sign` (or, of a seal opener, `open`) waits for hardware, so that an event loop must call it on a thread (`asyncio.to_thread`)."""
    return bool(getattr(signer, "blocking", False))


@functools.lru_cache(maxsize=4096)
def key_id_of(suite: int, data: bytes) -> bytes:
    """SHA-256(suite || public key)[:16]."""
    return hashlib.sha256(u8(suite) + data).digest()[:KEY_ID_BYTES]


_CHECKS: Mapping[int, Callable[[bytes], None]] = {
    Suite.ED25519: ed25519.check_key,
    Suite.ECDSA_P256: ecdsa_p256.check_key,
    Suite.ML_DSA_65: ml_dsa.check_key_65,
    Suite.ML_DSA_44: ml_dsa.check_key_44,
}
_VERIFIERS: Mapping[int, Callable[[bytes, bytes, bytes], None]] = {
    Suite.ED25519: ed25519.verify,
    Suite.ECDSA_P256: ecdsa_p256.verify,
    Suite.ML_DSA_65: ml_dsa.verify_65,
    Suite.ML_DSA_44: ml_dsa.verify_44,
}


def check_public_key(key: PublicKey) -> None:
    """Refuse bytes that are no key of any suite, and keys that must never be enrolled. Raises Malformed with the reason."""
    check = _CHECKS.get(key.suite)
    if check is None:
        raise Malformed(f"public key: suite {key.suite} is none that this release knows")
    check(key.data)


def verifies(key: PublicKey, signature: Signature, message: bytes) -> bool:
    """Whether `key` made `signature` over `message`. A suite that does not match, a suite not known here, a form that is not the one accepted, or a key that
    `check_public_key` refuses is a no."""
    if key.suite != signature.suite:
        return False
    verify = _VERIFIERS.get(key.suite)
    if verify is None:
        return False
    try:
        verify(key.data, signature.data, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class Ed25519Signer:
    """A software signer over a 32-byte seed (RFC 8032)."""

    __slots__ = ("_private", "_public")

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        raw = self._private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        self._public = PublicKey(Suite.ED25519, raw)

    @property
    def public_key(self) -> PublicKey:
        """The matching Ed25519 public key."""
        return self._public

    def sign(self, message: bytes) -> Signature:
        """A deterministic Ed25519 signature, 64 bytes."""
        return Signature(Suite.ED25519, self._private.sign(message))
