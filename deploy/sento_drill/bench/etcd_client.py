"""Which client loads etcd: the native one, built here from `etcdload/` when Go is installed, otherwise Python processes with raw gRPC calls.

Both take the same arguments and print the same figures. The native one is kept in the user's cache under the hash of its sources.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sento_drill.bench.programs import run_tool

NATIVE = "native: Go, one writer a connection that gathers all callers' frames"
PYTHON = "python: {processes} processes with grpc.aio; Go is not installed, so etcd's figures are held down by its client"
_SOURCES = Path(__file__).parent / "etcdload"
_MOST_PROCESSES = 2


@dataclass(frozen=True, slots=True)
class EtcdClient:
    """`program`: what is started; `processes`: among how many the callers are divided; `words`: for bench.json."""

    program: Sequence[str]
    processes: int
    words: str

    def commands(self, callers: int, arguments: Mapping[str, object]) -> list[list[str]]:
        """The programs that make so many callers together."""
        n = min(self.processes, callers)
        shares = [callers // n + (1 if index < callers % n else 0) for index in range(n)]
        words = [word for name, value in arguments.items() for word in (f"-{name}", str(value))]
        return [[*self.program, "-callers", str(share), *words] for share in shares]


async def find_client() -> EtcdClient:
    """The best client that can be had here. Raises LoadFailed when Go is installed and cannot build it."""
    if shutil.which("go") is None:
        processes = min(_MOST_PROCESSES, os.cpu_count() or 1)
        program = [sys.executable, "-m", "sento_drill.bench.etcd_load"]
        return EtcdClient(program, processes, PYTHON.format(processes=processes))
    return EtcdClient([str(await _build())], 1, NATIVE)


async def _build() -> Path:
    sources = sorted(path for path in _SOURCES.iterdir() if path.suffix in (".go", ".mod"))
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sento"
    built = cache / f"etcdload-{digest}"
    if not built.exists():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = cache / f".{built.name}-{os.getpid()}"
        await run_tool(
            ["env", "GOTOOLCHAIN=local", "go", "build", "-C", str(_SOURCES), "-o", str(fresh), "."]
        )
        fresh.replace(built)
    return built
