"""Which etcd may be driven: find it, read its version, refuse what loses data or lacks learners, and say how to get a good one.

Refused are releases before 3.4.23 (older ones have no learners, or could acknowledge before flushing) and 3.5.0 to 3.5.7 (members could come to
hold different data: etcd's own post-mortem of 2022 and the fixes up to 3.5.8).
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_VERSION: Final = re.compile(r"etcd Version: (\d+)\.(\d+)\.(\d+)")
_OTHER_PLACES: Final = ("/usr/sbin/etcd", "/usr/local/bin/etcd", "/opt/homebrew/bin/etcd")
_ASK_TIMEOUT_S: Final = 10


class EtcdUnusable(Exception):
    """There is no etcd that Sento can use; the text says why and how to get one."""


@dataclass(frozen=True, slots=True, order=True)
class EtcdVersion:
    """A release of etcd; compares by number."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True, slots=True)
class EtcdBinary:
    """A usable etcd program."""

    path: str
    version: EtcdVersion


_OLDEST: Final = EtcdVersion(3, 4, 23)
_DIVERGING: Final = (EtcdVersion(3, 5, 0), EtcdVersion(3, 5, 8))
_WANTED: Final = "Sento needs etcd 3.4.23 or later in 3.4, 3.5.8 or later in 3.5, or 3.6 and later"


def parse_version(output: str) -> EtcdVersion | None:
    """The release named in the output of `etcd --version`, or None when that is not etcd's."""
    match = _VERSION.search(output)
    return EtcdVersion(*(int(part) for part in match.groups())) if match else None


def why_refused(version: EtcdVersion) -> str | None:
    """Why this release must not hold an ordering log, in a clause; None for a good one."""
    if version < _OLDEST:
        return "is too old: it lacks learners or may acknowledge before it has flushed"
    if _DIVERGING[0] <= version < _DIVERGING[1]:
        return "has defects by which members come to hold different data"
    return None


def how_to_install(system: str, os_release: str) -> str:
    """How to get etcd on this system, in words: `system` as platform.system() names it, `os_release` the text of /etc/os-release."""
    if system == "Darwin":
        return "install it with: brew install etcd"
    fields = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    families = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".replace('"', "").split()
    if "debian" in families or "ubuntu" in families:
        return (
            "install it with: sudo apt-get install etcd-server (and stop the service that the package starts: "
            "sudo systemctl disable --now etcd); where the distribution's etcd is too old, as on Ubuntu 22.04, take the release archive"
        )
    if "fedora" in families or "rhel" in families:
        return "install it with: sudo dnf install etcd, where packaged, or from the release archive"
    return "install it from the etcd project's release archive"


def find_etcd(path: str | None = None) -> EtcdBinary:
    """The etcd at `path`, or else on PATH, or in a usual place. Runs `etcd --version`. Raises EtcdUnusable."""
    found = (
        shutil.which(path)
        if path
        else shutil.which("etcd") or next(filter(shutil.which, _OTHER_PLACES), None)
    )
    if found is None:
        where = f"at {path}" if path else "on PATH"
        raise EtcdUnusable(f"There is no etcd {where}. {_WANTED}; {_how_here()}.")
    version = parse_version(_ask_version(found))
    if version is None:
        raise EtcdUnusable(f"{found} does not answer --version as etcd does. {_WANTED}; {_how_here()}.")
    reason = why_refused(version)
    if reason is not None:
        raise EtcdUnusable(f"etcd {version} at {found} {reason}. {_WANTED}; {_how_here()}.")
    return EtcdBinary(found, version)


def _ask_version(path: str) -> str:
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_ASK_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EtcdUnusable(f"{path} --version cannot be run ({error}). {_WANTED}; {_how_here()}.") from error
    return answer.stdout


def _how_here() -> str:
    try:
        os_release = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        os_release = ""
    return how_to_install(platform.system(), os_release)
