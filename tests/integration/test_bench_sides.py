"""The bench as a person runs it, as short as it can be: every side that is installed here comes to figures, and nothing of it stays behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sento_drill import procfs

pytestmark = pytest.mark.long
RUN_TIMEOUT_S = 120
ARGUMENTS = ("--pairs", "1", "--seconds", "0.5", "--warm-up", "0.2", "--only", "1x1", "--json")
SERVERS = {
    "sento": {
        f"{role} {site}"
        for role in ("node", "ordering")
        for site in ("jp-fukuoka", "jp-ishikawa", "jp-ibaraki")
    },
    "etcd": {"member 1", "member 2", "member 3"},
    "postgresql": {"primary", "s1", "s2"},
}


@pytest.fixture(scope="module")
def above() -> Iterator[Path]:
    """A directory that the user of PostgreSQL's servers may enter too."""
    made = Path(tempfile.mkdtemp(prefix="sento-test-", dir="/var/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def bench(above: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What one short run printed, as decoded JSON."""
    output = tmp_path_factory.mktemp("bench") / "bench.json"
    command = [sys.executable, "-m", "sento_drill.cli", "bench", *ARGUMENTS]
    command += ["--directory", str(above), "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    assert json.loads(output.read_text(encoding="utf-8")) == json.loads(done.stdout)
    return json.loads(done.stdout)


@pytest.mark.parametrize("side", SERVERS)
def test_side_comes_to_figures_with_all_its_processes(bench: Any, side: str) -> None:
    skipped = bench["settings"]["skipped"]
    if side in skipped:
        pytest.skip(skipped[side])
    (run,) = [run for run in bench["runs"] if run["side"] == side]
    assert run["records"] > 0
    assert run["failed"] == 0
    assert run["p50_ms"] <= run["p99_ms"]
    assert set(run["cpu_s"]) == set(run["peak_rss_mib"]) == SERVERS[side] | {"client"}
    assert sum(run["cpu_s"].values()) > 0
    assert all(mib > 0 for mib in run["peak_rss_mib"].values())


def test_every_side_has_a_run_or_a_reason_and_every_peer_with_a_run_a_ratio(bench: Any) -> None:
    measured = {run["side"] for run in bench["runs"]}
    assert bench["complete"] is True
    assert measured | set(bench["settings"]["skipped"]) == set(SERVERS)
    assert set(bench["ratios"]["1x1"]) == measured - {"sento"}
    assert bench["machine"]["disk"]["flush_4k_p50_us"] > 0


def test_no_process_and_no_file_of_the_bench_is_left(bench: Any, above: Path) -> None:
    assert bench["complete"] is True
    assert list(above.iterdir()) == []
    assert [info.command for info in procfs.processes_in(above)] == []
