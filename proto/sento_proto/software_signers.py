"""Software signers of the suites beside Ed25519, and the one that signs with two keys: private keys in this process's memory.

`Ed25519Signer` is in `sento_proto.keys`, because sites and nearly all authors use it. A `HybridSigner` stands for a key and its ML-DSA-65 companion, so
that a signature
forged with a machine that does not exist yet is not enough.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from sento_proto.keys import PublicKey, Signature, Signer, Suite, is_blocking
from sento_proto.suites.ecdsa_p256 import low_s_of_der

ML_DSA_SEED_BYTES = 32


class EcdsaP256Signer:
    """A software signer over a P-256 private key, given as `cryptography` has it."""

    __slots__ = ("_private", "_public")

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        if private.curve.name != ec.SECP256R1.name:
            raise ValueError("a P-256 signer needs a key of the curve P-256")
        self._private = private
        point = private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
        )
        self._public = PublicKey(Suite.ECDSA_P256, point)

    @classmethod
    def from_scalar(cls, scalar: bytes) -> EcdsaP256Signer:
        """From a 32-byte big-endian scalar in 1..n-1. Raises ValueError outside of it."""
        return cls(ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP256R1()))

    @property
    def public_key(self) -> PublicKey:
        """The matching key, a compressed point."""
        return self._public

    def sign(self, message: bytes) -> Signature:
        """64 bytes r || s over SHA-256 of `message`, with the lower s; not the same each time."""
        digest = hashlib.sha256(message).digest()
        return Signature(
            Suite.ECDSA_P256, low_s_of_der(self._private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
        )


class MlDsa65Signer:
    """A software signer over a 32-byte seed (FIPS 204 xi)."""

    __slots__ = ("_private", "_public")

    def __init__(self, seed: bytes) -> None:
        self._private = MLDSA65PrivateKey.from_seed_bytes(seed)
        self._public = PublicKey(Suite.ML_DSA_65, self._private.public_key().public_bytes_raw())

    @property
    def public_key(self) -> PublicKey:
        """The matching key, 1,952 bytes."""
        return self._public

    def sign(self, message: bytes) -> Signature:
        """3,309 bytes, hedged: not the same each time."""
        return Signature(Suite.ML_DSA_65, self._private.sign(message))


class MlDsa44Signer:
    """A software signer over a 32-byte seed (FIPS 204 xi), for checkpoints."""

    __slots__ = ("_private", "_public")

    def __init__(self, seed: bytes) -> None:
        self._private = MLDSA44PrivateKey.from_seed_bytes(seed)
        self._public = PublicKey(Suite.ML_DSA_44, self._private.public_key().public_bytes_raw())

    @property
    def public_key(self) -> PublicKey:
        """The matching key, 1,312 bytes."""
        return self._public

    def sign(self, message: bytes) -> Signature:
        """2,420 bytes, hedged: not the same each time."""
        return Signature(Suite.ML_DSA_44, self._private.sign(message))


class HybridSigner:
    """A key and its companion. `sign` is the primary's alone and does not count where the ledger knows the companion: use `sign_all`."""

    __slots__ = ("_companion", "_primary")

    def __init__(self, primary: Signer, companion: Signer) -> None:
        if companion.public_key.suite != Suite.ML_DSA_65 or primary.public_key.suite == Suite.ML_DSA_65:
            raise ValueError("a companion is an ML-DSA-65 key beside a key of another suite")
        self._primary = primary
        self._companion = companion

    @property
    def public_key(self) -> PublicKey:
        """The primary's: the key that headers name."""
        return self._primary.public_key

    @property
    def companion_key(self) -> PublicKey:
        """The companion's, 1,952 bytes."""
        return self._companion.public_key

    @property
    def blocking(self) -> bool:
        """Whether either waits for hardware."""
        return is_blocking(self._primary) or is_blocking(self._companion)

    def sign(self, message: bytes) -> Signature:
        """The primary's signature alone."""
        return self._primary.sign(message)

    def sign_all(self, message: bytes) -> list[Signature]:
        """Both signatures over `message`, suites rising. When one fails none is given."""
        return sorted((self._primary.sign(message), self._companion.sign(message)))
