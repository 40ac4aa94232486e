"""`--abroad` on the command line: two facts in words and for programs, pending ends with 0, and the outbox says since when it waits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sento_client import SentoClient
from sento_client.cli.app import App
from sento_client.cli.main import main
from sento_client.testing import Registry

EMBASSY, PERSON = "lu-betzdorf", "900000000115"
CONFIG = """
genesis = "genesis.json"
institution = "ministry"
[tls]
ca = "ca"
certificate = "certificate"
key = "key"
[keys]
seal = "seal"
pseudonyms = "pseudonyms"
[[sites]]
name = "site-1"
address = "127.0.0.1:1"
"""


@pytest.fixture
def registry() -> Registry:
    return Registry(abroad=[EMBASSY])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "sento.toml").write_text(CONFIG)
    (tmp_path / "entry.json").write_text("{}")
    return tmp_path


def run(place: Path, registry: Registry, *arguments: str) -> Result:
    def open_client(config: Path) -> SentoClient:
        return registry.client(outbox=place / "outbox")

    return CliRunner(env={"SENTO_SUBJECT": PERSON}).invoke(
        main, ["--config", str(place / "sento.toml"), *arguments], obj=App(open_client=open_client)
    )


def write(place: Path, *more: str, fact: str = "address") -> list[str]:
    content = ["--fact", fact, "--content", str(place / "entry.json")]
    return ["write", "residency", "residence/entry", *content, "--abroad", *more]


def test_a_record_that_stands_abroad_says_where(place: Path, registry: Registry) -> None:
    result = run(place, registry, *write(place))
    assert (result.exit_code, "It stands abroad: lu-betzdorf" in result.output) == (0, True)
    value = json.loads(run(place, registry, "--json", *write(place, fact="other")).stdout)
    assert value["abroad"] == {"state": "stands", "site": EMBASSY, "size": registry.size}


def test_pending_abroad_ends_with_0_and_the_outbox_shows_since_when_until_it_is_over(
    place: Path, registry: Registry
) -> None:
    registry.site(EMBASSY).down = True
    result = run(place, registry, *write(place, "--deadline", "0.5"))
    assert (result.exit_code, "Abroad it is pending" in result.output) == (0, True)
    value = json.loads(run(place, registry, "--json", "outbox").stdout)
    (kept,) = value["kept_records"]
    assert kept["abroad"]
    if not kept[
        "abroad_pending_since_ms"
    ]:  # it ended before its home receipt was stored: the next program stores it
        registry.site(EMBASSY).down = True
    registry.site(EMBASSY).down = False
    sent = run(place, registry, "outbox", "send")
    assert sent.exit_code == 0, sent.output
    assert json.loads(run(place, registry, "--json", "outbox").stdout)["records"] == 0


def test_outbox_send_does_not_wait_for_a_lost_embassy_and_says_so(
    place: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sento_client.cli.outbox.ABROAD_PATIENCE_S", 0.3)
    registry.site(EMBASSY).down = True
    run(place, registry, *write(place, "--deadline", "0.5"))
    result = run(place, registry, "outbox", "send")
    assert result.exit_code == 0, result.output
    assert "1 submissions wait for a site abroad" in result.output
    shown = run(place, registry, "outbox")
    assert "wait for a site abroad alone" in shown.output
    (kept,) = json.loads(run(place, registry, "--json", "outbox").stdout)["kept_records"]
    assert kept["abroad_pending_since_ms"] > 0
    assert registry.size == 1


def test_a_bulk_load_waits_for_a_lost_embassy_once_and_not_for_every_part(
    place: Path, registry: Registry
) -> None:
    lines = [
        {"registry": "residency", "kind": "k", "subject": PERSON, "fact": f"f{n}", "content": {}}
        for n in range(300)
    ]
    (place / "lines.jsonl").write_text("\n".join(map(json.dumps, lines)))
    arguments = ["--json", "write", "--lines", str(place / "lines.jsonl"), "--abroad"]
    registry.site(EMBASSY).down = True
    result = run(place, registry, *arguments, "--deadline", "5")
    *each, last = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 0
    assert {one["abroad"]["state"] for one in each} == {"pending"}
    assert (last["stand"], last["stand_abroad"]) == (300, 0)


def test_ledger_without_a_site_abroad_says_so_and_writes_nothing(place: Path) -> None:
    registry = Registry()
    result = run(place, registry, *write(place))
    assert (result.exit_code, registry.size) == (1, 0)
    assert "stands abroad" in result.output
