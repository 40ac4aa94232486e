"""The seal key that opens sealed volumes, from a file that its owner alone can read: an X-Wing secret in one line, or a P-256 key in PEM.

    sento-seal-key-1 <base64 of 96 bytes>

A key under a passphrase is not opened here: a restore may run without a terminal, and for hours. Whoever keeps it writes it out for the time of the restore.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sento_node.config_mistake import ConfigMistake
from sento_node.keyfile import read_private
from sento_proto.seal import XWING_SECRET_BYTES, P256Opener, SealOpener, XWingOpener

_LINE = b"sento-seal-key-1 "
_ENCRYPTED = (b"sento-seal-key-2 ", b"-----BEGIN ENCRYPTED")


def read_seal_key(path: Path) -> SealOpener:
    """What opens seals made to the key in the file. Raises ConfigMistake with the remedy; never shows what the file holds."""
    data = read_private("--key", path).strip()
    if data.startswith(_ENCRYPTED):
        raise ConfigMistake(
            f"--key: {path} is under a passphrase, which is not asked for here. Write the key out without one for the restore, and destroy that file after it."
        )
    if data.startswith(_LINE):
        try:
            secret = base64.b64decode(data.removeprefix(_LINE), validate=True)
        except binascii.Error:
            secret = b""
        if len(secret) == XWING_SECRET_BYTES:
            return XWingOpener(secret)
    elif data.startswith(b"-----BEGIN "):
        try:
            key = serialization.load_pem_private_key(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == ec.SECP256R1.name:
            return P256Opener(key)
    raise ConfigMistake(
        f"--key: {path} is no seal key: one line that begins with sento-seal-key-1, or a P-256 key in PEM."
    )
