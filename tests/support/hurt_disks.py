"""Disks that fill up and flushes that fail, for one directory or one process of a test. Needs root and loop devices, or strace; says why when it cannot.

A small ext4 file system in a file is mounted where a site keeps its ledger; `fill` leaves so many bytes of it free. A flush that fails is made by strace,
which lets a process's fdatasync on one file answer EIO, as a dying disk does.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sento_drill.waiting import until_now

MIB = 1 << 20
_TOOL_TIMEOUT_S = 30
_BALLAST = "ballast"
_BLOCK_BYTES = 4096


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TOOL_TIMEOUT_S,
    )


class SmallDisk:
    """A mounted file system of `size_bytes`."""

    def __init__(self, mount_point: Path, size_bytes: int) -> None:
        self.mount_point = mount_point
        self._image = Path(tempfile.mkdtemp(prefix="sento-disk-")) / "image"
        with self._image.open("xb") as file:
            file.truncate(size_bytes)

    def mount(self) -> str | None:
        """Make and mount it; why it cannot be, if it cannot."""
        self.mount_point.mkdir(parents=True, exist_ok=True)
        for command in (
            ("mkfs.ext4", "-q", "-F", "-m", "0", self._image),
            ("mount", "-o", "loop", self._image, self.mount_point),
        ):
            try:
                done = _run(*command)
            except FileNotFoundError as error:
                return f"{error.filename} is not installed"
            if done.returncode:
                return f"{command[0]}: {done.stderr.strip()}"
        return None

    def fill(self, leave_bytes: int) -> None:
        """Take space until about so many bytes are free; with 0, until nothing more can be written by anybody."""
        left_bytes = os.statvfs(self.mount_point).f_bavail * os.statvfs(self.mount_point).f_frsize
        with (self.mount_point / _BALLAST).open("wb", buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, max(1, left_bytes - max(leave_bytes, MIB)))
            file.seek(0, os.SEEK_END)
            try:
                while leave_bytes == 0:
                    file.write(bytes(_BLOCK_BYTES))
                    os.fsync(file.fileno())
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        """Give the space back."""
        (self.mount_point / _BALLAST).unlink(missing_ok=True)

    def unmount(self) -> None:
        """Take the file system away; the files on it are gone."""
        _run("umount", self.mount_point)
        shutil.rmtree(self._image.parent)


def why_no_small_disk() -> str | None:
    """None when small disks can be mounted here."""
    if os.geteuid() != 0:
        return "mounting a small file system needs root"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices"
    return None


def why_no_strace() -> str | None:
    """None when flushes can be made to fail here."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    probe = _run("strace", "-qq", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO", "true")
    return None if probe.returncode == 0 else f"strace cannot trace: {probe.stderr.strip()[:100]}"


@contextlib.contextmanager
def flushes_fail(pid: int, path: Path) -> Iterator[None]:
    """Each fdatasync of process `pid` on the file `path` fails with EIO as long as the block lasts or the process lives."""
    command = ["strace", "-qq", "-f", "-p", str(pid), "-P", str(path), "-o", os.devnull]
    command += ["-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO"]
    tracer = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        until_now(lambda: _all_threads_traced(pid), deadline_s=_TOOL_TIMEOUT_S, what="strace does not attach")
        yield
    finally:
        tracer.terminate()
        tracer.communicate(timeout=_TOOL_TIMEOUT_S)


def _all_threads_traced(pid: int) -> bool:
    states = [(task / "status").read_text(encoding="utf-8") for task in Path(f"/proc/{pid}/task").iterdir()]
    return all("TracerPid:\t0\n" not in state for state in states)
