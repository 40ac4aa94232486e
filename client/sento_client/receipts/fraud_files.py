"""Proofs of fraud in the directory of receipts: `fraud-<hash>.json`, written whole, named by the hash of their bytes, and never removed by a program.

While one lies there, the site that it names is not trusted (`watch.py`); moving it away is a person's decision, after the officers have dealt with the site.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sento_client.secret_files import write_secret
from sento_client.setup_errors import Setup, SetupError
from sento_proto.fraud import FRAUD_MAX_BYTES

PREFIX = "fraud-"
FILES_MOST = 1_000


def write_fraud(directory: Path, data: bytes) -> Path:
    """Put the proof there, flushed; the same proof has the same name. Raises OSError."""
    path = directory / f"{PREFIX}{hashlib.sha256(data).hexdigest()}.json"
    if not path.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_secret(path, data)
    return path


def read_frauds(directory: Path) -> list[tuple[str, bytes]]:
    """The files by name; nothing is verified. Raises SetupError RECEIPTS_UNUSABLE: what cannot be read may be about a site that this client relies on."""
    found: list[tuple[str, bytes]] = []
    for path in sorted(directory.glob(f"{PREFIX}*.json"))[:FILES_MOST]:
        try:
            with path.open("rb") as file:
                found.append((str(path), file.read(FRAUD_MAX_BYTES + 1)))
        except OSError as error:
            raise SetupError(Setup.RECEIPTS_UNUSABLE, f"{path}: {error.strerror}") from None
    return found
