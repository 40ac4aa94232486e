"""Private keys from files that their owner alone can read: the site's signing keys (PKCS#8 PEM: Ed25519, and ML-DSA-44 for checkpoints), and the keys of its
certificates."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from sento_node.config_mistake import ConfigMistake
from sento_proto.keys import Ed25519Signer, Signer
from sento_proto.software_signers import MlDsa44Signer

_OTHERS = 0o077


def read_private(field: str, path: Path) -> bytes:
    """The bytes of a file that nobody else can read. Raises ConfigMistake with the remedy."""
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()
    except OSError as error:
        raise ConfigMistake(f"{field}: {path} cannot be read ({error.strerror}).") from error
    if mode & _OTHERS:
        raise ConfigMistake(f"{field}: others can read {path}; run: chmod 600 {path}")
    return data


def read_signer(path: Path) -> Signer:
    """The Ed25519 signer in the file. Raises ConfigMistake with the remedy; never shows what the file holds."""
    key = _private_key("signing_key", path)
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigMistake(f"signing_key: {path} is not an Ed25519 key.")
    return Ed25519Signer(key.private_bytes_raw())


def read_ml_dsa_44_signer(path: Path) -> Signer:
    """The ML-DSA-44 signer in the file. Raises ConfigMistake with the remedy."""
    key = _private_key("ml_dsa_key", path)
    if not isinstance(key, MLDSA44PrivateKey):
        raise ConfigMistake(f"ml_dsa_key: {path} is not an ML-DSA-44 key.")
    return MlDsa44Signer(key.private_bytes_raw())


def _private_key(field: str, path: Path) -> PrivateKeyTypes:
    data = read_private(field, path)
    try:
        return serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigMistake(f"{field}: {path} is not an unencrypted PKCS#8 PEM key.") from error
