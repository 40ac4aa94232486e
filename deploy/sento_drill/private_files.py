"""Directories of a world, which only their owner enters, and its files without secrets; key files are `sento_client.keyfiles`' business."""

from __future__ import annotations

from pathlib import Path

_DIRECTORY_MODE = 0o700


def make_directory(path: Path) -> Path:
    """Make `path`, and what is missing above it, for the owner alone."""
    missing = [part for part in (path, *path.parents) if not part.exists()]
    for directory in reversed(missing):
        directory.mkdir(mode=_DIRECTORY_MODE)
    return path


def write_public(path: Path, data: bytes) -> None:
    """A new file. Raises FileExistsError."""
    with path.open("xb") as file:
        file.write(data)
