"""A member's two directories: claimed by one supervisor, private, and cleared of what a killed member left behind.

Each is locked with flock on the directory itself, and the locks are handed down to etcd: so they are held for as long as anybody uses the
directories, also by a member that outlives its killed node by a second. A second etcd on the same data would otherwise hang without a word.

The member's socket lies in the run directory, which nobody else may enter. A unix socket's path is limited to 107 bytes; where the directory's
path is longer, the socket is dialled through /proc/self/fd and the open directory, which is short wherever the directory lies.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from sento_node.ordering.etcd.settings import CLIENT_SOCKET

SOCKET_PATH_BYTES_MAX: Final = 107  # sun_path holds 108 bytes, the last of them zero (unix(7))


class DirectoryTaken(Exception):
    """Another process uses the directory; the text says which and what to do."""


class DirectoryUnsafe(Exception):
    """The directory belongs to somebody else."""


class MemberDirectories:
    """Made, locked and cleared on construction; `release` gives them back. Raises DirectoryTaken, DirectoryUnsafe, OSError."""

    def __init__(self, data_dir: Path, run_dir: Path) -> None:
        self._run_dir = run_dir.absolute()
        self._fds: list[int] = []
        try:
            for directory in (data_dir, run_dir):
                self._fds.append(_claim(directory))
        except BaseException:
            self.release()
            raise
        self._data_fd, self._run_fd = self._fds

    @property
    def locks(self) -> tuple[int, ...]:
        """Descriptors that the member must inherit, so that the locks live as long as it does."""
        return tuple(self._fds)

    def client_target(self) -> str:
        """The gRPC target of the member's socket; valid in this process until `release`."""
        path = str(self._run_dir / CLIENT_SOCKET)
        if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
            path = f"/proc/self/fd/{self._run_fd}/{CLIENT_SOCKET}"
        return f"unix:{path}"

    def remove_stale_socket(self) -> None:
        """Remove the socket that a killed member left; etcd refuses to start on it. Safe, because we hold the lock."""
        try:
            os.unlink(CLIENT_SOCKET, dir_fd=self._run_fd)
        except FileNotFoundError:
            return

    def release(self) -> None:
        """Give the directories back. Safe to repeat."""
        while self._fds:
            os.close(self._fds.pop())


def _claim(directory: Path) -> int:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _make_private(fd, directory)
        _lock(fd, directory)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _make_private(fd: int, directory: Path) -> None:
    if os.fstat(fd).st_uid != os.geteuid():
        raise DirectoryUnsafe(
            f"{directory} belongs to another user, who could read and replace what the ordering member keeps there. "
            "Give it to the node's user, or choose another directory."
        )
    os.fchmod(fd, 0o700)


def _lock(fd: int, directory: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DirectoryTaken(
            f"Another ordering member already runs on {directory}. Stop the other node, or give this one its own directory; "
            "two members on one directory would destroy it."
        ) from error
