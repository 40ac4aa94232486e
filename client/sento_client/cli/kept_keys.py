"""What is said of any private key without showing it: where it is kept, whether encrypted, and the fingerprint of its public half."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from sento_client.cli.findings import Finding, wrong
from sento_client.config import TokenPlace
from sento_client.keyfiles import is_encrypted, read_secret
from sento_client.setup_errors import SetupError

FINGERPRINT_BYTES = 16


def fingerprint_of(public_key: bytes) -> str:
    """The beginning of SHA-256 over a public key, in hexadecimal digits."""
    return hashlib.sha256(public_key).digest()[:FINGERPRINT_BYTES].hex()


def how_kept(path: Path | None, token: TokenPlace | None, label: str | None) -> tuple[str, dict[str, object]]:
    """How a private key is kept, in words and for programs. Never raises: who opens the key tells what is wrong."""
    if token is not None and label is not None:
        words = f"on token {token.token_label} as {label}"
        return words, {"token": token.token_label, "label": label, "encrypted": None, "mode": None}
    assert path is not None, "the key is in a file or on a token"
    try:
        encrypted = is_encrypted(read_secret(path))
    except SetupError:
        encrypted = False
    words = f"mode {file_mode(path)}, {'encrypted' if encrypted else 'not encrypted'}"
    return words, {"mode": file_mode(path), "encrypted": encrypted}


def unreadable(item: str, error: SetupError) -> Finding:
    """A key that cannot be opened."""
    return wrong(item, error.code, "; ".join(error.details))


def file_mode(path: Path) -> str:
    """The permissions of a file, as chmod has them."""
    try:
        return f"{stat.S_IMODE(path.stat().st_mode):04o}"
    except OSError:
        return "unknown"
