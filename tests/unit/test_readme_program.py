"""The program on README's first pages runs as it is printed, and prints what README says it prints; in at most fifteen lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sento_client import SyncSentoClient
from sento_client.testing import Registry

ROOT = Path(__file__).resolve().parents[2]


def program(readme: str) -> str:
    (first, *_) = re.findall(r"```python\n(.*?)```", (ROOT / readme).read_text(encoding="utf-8"), re.DOTALL)
    return str(first)


@pytest.mark.parametrize("readme", ["README.md", "client/README.md"])
def test_first_program_runs_as_printed(
    readme: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = Registry()
    monkeypatch.setattr(SyncSentoClient, "open", lambda path: SyncSentoClient(registry.client()))
    exec(compile(program(readme), readme, "exec"), {})
    stands, version = capsys.readouterr().out.splitlines()
    assert stands == "stands at 0"
    assert re.fullmatch(r"0 \S+ b'\{\"town\":\"Honamimachi\"\}'", version)
    assert registry.size == 1


@pytest.mark.parametrize("readme", ["README.md", "client/README.md"])
def test_first_program_has_at_most_fifteen_lines(readme: str) -> None:
    assert len(program(readme).splitlines()) <= 15
