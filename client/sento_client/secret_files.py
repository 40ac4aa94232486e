"""Files that only their owner may read: refused when others can, written whole and under mode 0600 from their first byte.

A key that others could read may be theirs as well. What counts is the file at the end of a symbolic link, and that nobody else can exchange it: a
directory that everybody
may write to, without the sticky bit, is refused, too. Errors name the file, never its content.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from sento_client.setup_errors import Setup, SetupError

FILE_MAX_BYTES = 64 * 1024 * 1024
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_secret(path: Path) -> bytes:
    """The bytes of a file that only its owner can read. Raises SetupError KEY_FILE_MISSING, KEY_FILE_OPEN, KEY_FILE_INVALID."""
    try:
        # Permissions are asked of the opened file: the path could name another one a moment later.
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & _OPEN_TO_OTHERS:
                raise SetupError(Setup.KEY_FILE_OPEN, f"{path} has mode {stat.S_IMODE(mode):04o}")
            _check_directory(path)
            data = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise SetupError(Setup.KEY_FILE_MISSING, f"{path}: {error.strerror}") from None
    if len(data) > FILE_MAX_BYTES:
        raise SetupError(Setup.KEY_FILE_INVALID, f"{path}: it is over {FILE_MAX_BYTES} bytes")
    return data


def _check_directory(path: Path) -> None:
    """Refuse directories in which anybody could put another file in place of this one: the name's own and, behind a symbolic link, the file's."""
    for directory in {path.parent, path.resolve().parent}:
        mode = directory.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise SetupError(Setup.KEY_FILE_OPEN, f"{path} is in {directory}, which everybody may write to")


def write_secret(path: Path, data: bytes) -> None:
    """Put `data` at `path` with mode 0600, whole or not at all, flushed. Replaces what was there. Raises OSError."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
