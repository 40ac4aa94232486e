"""The machine that was measured on: cores, memory, kernel, disk with its flush latency, and the version of everything that ran.

Figures without it cannot be compared with anybody else's. Nothing here names the machine or its owner.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from sento_drill.bench.etcd_members import etcd_version

FLUSHES = 200
FLUSH_BYTES = 4096
_PACKAGES = ("sento", "grpcio", "protobuf", "cryptography", "lmdb", "uvloop")


def describe(directory: Path, postgresql: Path | None) -> dict[str, object]:
    """For bench.json. `directory`: where all sides keep their data; `postgresql`: its programs, if it is installed."""
    return {
        "cpu": _first(r"model name\s*:\s*(.+)", "/proc/cpuinfo") or platform.machine(),
        "cores": os.cpu_count(),
        "memory_mib": int(_first(r"MemTotal:\s*(\d+)", "/proc/meminfo") or 0) // 1024,
        "kernel": platform.release(),
        "system": _first(r'PRETTY_NAME="?([^"\n]+)', "/etc/os-release"),
        "load_average_before": [round(load, 2) for load in os.getloadavg()],
        "disk": {**_disk(directory), **flush_latency(directory)},
        "versions": _versions(postgresql),
    }


def flush_latency(directory: Path) -> dict[str, float]:
    """How long a 4 KiB append with fdatasync takes in `directory`, in microseconds."""
    path = directory / "flush-latency"
    took_us: list[float] = []
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        block = os.urandom(FLUSH_BYTES)
        for _ in range(FLUSHES):
            start_s = time.perf_counter()
            os.write(descriptor, block)
            os.fdatasync(descriptor)
            took_us.append((time.perf_counter() - start_s) * 1e6)
    finally:
        os.close(descriptor)
        path.unlink()
    in_order = sorted(took_us)
    return {
        "flush_4k_p50_us": round(median(in_order), 1),
        "flush_4k_p99_us": round(in_order[FLUSHES * 99 // 100 - 1], 1),
    }


def _disk(directory: Path) -> dict[str, str]:
    """The file system that holds `directory`: the mount with the longest path above it. Source: proc(5), /proc/mounts."""
    here = directory.resolve()
    above = {str(here), *map(str, here.parents)}
    mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    device, _, kind = max((mount[:3] for mount in mounts if mount[1] in above), key=lambda m: len(m[1]))
    return {"device": device, "file_system": kind}


def _versions(postgresql: Path | None) -> dict[str, str]:
    found = {package: importlib.metadata.version(package) for package in _PACKAGES}
    found["python"] = platform.python_version()
    found["etcd"] = etcd_version()
    found["postgresql"] = _said([str(postgresql / "postgres"), "--version"]) if postgresql else ""
    found["pgbench"] = _said([str(postgresql / "pgbench"), "--version"]) if postgresql else ""
    found["go"] = _said(["go", "version"]) if shutil.which("go") else ""
    return found


def _said(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    return done.stdout.strip()


def _first(pattern: str, path: str) -> str:
    try:
        found = re.search(pattern, Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    return found[1].strip() if found else ""
