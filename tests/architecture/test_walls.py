"""Who may import whom is a test: the contracts in pyproject.toml hold, and one of them is seen to fail on a planted import."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"sento_proto": "proto", "sento_node": "node", "sento_client": "client", "sento_drill": "deploy"}


def _lint(directory: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    path = ":".join(str(directory / folder) for folder in PACKAGES.values())
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path.split(':')!r}; {code}"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_walls_of_the_house_hold() -> None:
    result = _lint(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("proto/sento_proto/wire.py", "import socket"),
        ("client/sento_client/results.py", "import sento_node.site"),
        ("node/sento_node/ledger/apply.py", "import time"),
        ("node/sento_node/intake/queues.py", "import sento_node.runner"),
    ],
)
def test_an_import_through_a_wall_is_found(tmp_path: Path, file: str, line: str) -> None:
    for package, folder in PACKAGES.items():
        shutil.copytree(
            ROOT / folder / package,
            tmp_path / folder / package,
            ignore=shutil.ignore_patterns("__pycache__", "data"),
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    target = tmp_path / file
    target.write_text(target.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    assert _lint(tmp_path).returncode != 0
