"""Proofs of fraud on disk: where a client keeps them, and what lies there, each proven anew when it is looked at.

    <receipts directory>/<kind>-<site>-<first 16 digits of the file's SHA-256>.fraud.json

The same proof is written once. A file is put there whole and flushed, and never removed by us. Blocking calls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sento_client.secret_files import write_secret
from sento_proto.fraud import FRAUD_MAX_BYTES, Fraud, KnownSites, NotProven, verify_fraud
from sento_proto.wire import Malformed

SUFFIX = ".fraud.json"


class Look(NamedTuple):
    """One file: what it proves, or why it proves nothing."""

    path: Path
    fraud: Fraud | None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class FraudFiles:
    """The proofs in one directory."""

    directory: Path

    def keep(self, data: bytes, known: KnownSites) -> Path:
        """Where the proof now lies. Raises NotProven, Malformed, OSError."""
        fraud = verify_fraud(data, known)
        name = f"{fraud.kind}-{fraud.site}-{hashlib.sha256(data).hexdigest()[:16]}{SUFFIX}"
        path = self.directory / name
        if not path.exists():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_secret(path, data)
        return path

    def look(self, known: KnownSites) -> Iterator[Look]:
        """Every proof that lies there, by name. Raises OSError."""
        if not self.directory.is_dir():
            return
        for path in sorted(self.directory.glob(f"*{SUFFIX}")):
            yield look_at(path, known)


def look_at(path: Path, known: KnownSites) -> Look:
    """What one file proves. Raises OSError."""
    with path.open("rb") as file:
        data = file.read(FRAUD_MAX_BYTES + 1)
    try:
        return Look(path, verify_fraud(data, known))
    except (Malformed, NotProven) as error:
        return Look(path, None, str(error))
