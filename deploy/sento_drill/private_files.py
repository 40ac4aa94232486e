"""Files of a world on disk: directories that only their owner enters, keys that only their owner reads."""

from __future__ import annotations

import os
from pathlib import Path

_DIRECTORY_MODE = 0o700
_PRIVATE_MODE = 0o600
_PUBLIC_MODE = 0o644


def make_directory(path: Path) -> Path:
    """Make `path`, and what is missing above it, for the owner alone."""
    missing = [path, *path.parents]
    for directory in reversed([part for part in missing if not part.exists()]):
        directory.mkdir(mode=_DIRECTORY_MODE)
    return path


def write_private(path: Path, data: bytes) -> None:
    """A new file that group and others never could read, not even while it was written. Raises FileExistsError."""
    _write(path, data, _PRIVATE_MODE)


def write_public(path: Path, data: bytes) -> None:
    """A new file without secrets. Raises FileExistsError."""
    _write(path, data, _PUBLIC_MODE)


def _write(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
