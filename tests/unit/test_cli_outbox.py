"""`sento outbox`: what waits and what was refused is shown to people and programs, sent when asked for, and discarded only by name."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sento_client import Code, Draft, SentoClient, SentoError
from sento_client.cli.app import App
from sento_client.cli.main import main
from sento_client.outbox import inspecting
from sento_client.testing import Registry


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def place(tmp_path: Path, registry: Registry) -> Path:
    """A configuration whose outbox is the one that the registry's clients use."""
    text = """
genesis = "genesis.json"
institution = "ministry"
[tls]
ca = "ca"
certificate = "certificate"
key = "key"
[keys]
seal = "seal"
kek_seals = "seals"
pseudonyms = "pseudonyms"
[[sites]]
name = "site-1"
address = "127.0.0.1:1"
"""
    (tmp_path / "sento.toml").write_text(text)
    return tmp_path


def run(place: Path, registry: Registry, *arguments: str) -> Result:
    def open_client(config: Path) -> SentoClient:
        return registry.client(outbox=place / "outbox")

    app = App(open_client=open_client)
    return CliRunner().invoke(main, ["--config", str(place / "sento.toml"), *arguments], obj=app)


def write_in_vain(place: Path, registry: Registry, fact: str, deadline_ms: int = 100) -> str:
    """A write that no site answers; returns the record's id."""

    async def write() -> str:
        async with registry.client(outbox=place / "outbox") as sento:
            record = sento.compose(Draft("residency", "residence/entry", "900000000115", fact, b"1"))
            (result,) = await sento.send([record], deadline_ms=deadline_ms)
            assert isinstance(result, SentoError)
            return record.header.record_id.hex()

    return asyncio.run(write())


def test_empty_outbox_is_said_to_be_empty(place: Path, registry: Registry) -> None:
    result = run(place, registry, "outbox")
    assert (result.exit_code, result.output) == (
        0,
        "The outbox is empty: everything that was handed over has its end.\n",
    )


def test_what_waits_is_listed_with_whole_ids_and_sent_when_asked_for(place: Path, registry: Registry) -> None:
    registry.everywhere.down = True
    ids = [write_in_vain(place, registry, fact) for fact in ("one", "two")]
    shown = run(place, registry, "outbox")
    assert shown.exit_code == 0
    assert shown.output.startswith("2 records wait")
    assert all(record_id in shown.output for record_id in ids)
    assert "900000000115" not in shown.output
    left = run(place, registry, "outbox", "send", "--timeout", "0.3")
    assert (left.exit_code, "2 submissions are left" in left.output) == (6, True)
    registry.everywhere.down = False
    assert run(place, registry, "outbox", "send").exit_code == 0
    assert sorted(record.header.record_id.hex() for record in registry.records()) == sorted(ids)
    assert run(place, registry, "outbox").output.startswith("The outbox is empty")


def test_limit_says_how_many_more_there_are(place: Path, registry: Registry) -> None:
    registry.everywhere.down = True
    for fact in ("one", "two", "three"):
        write_in_vain(place, registry, fact)
    result = run(place, registry, "outbox", "--limit", "1")
    assert "2 more: sento outbox --limit 3" in result.output
    value = json.loads(run(place, registry, "--json", "outbox", "--limit", "1").output)
    assert (value["records"], len(value["kept_records"]), value["needs_people"]) == (3, 1, False)


def test_record_refused_with_nobody_there_needs_people_until_it_is_discarded(
    place: Path, registry: Registry
) -> None:
    registry.everywhere.down = True
    record_id = write_in_vain(place, registry, "one")
    registry.everywhere.down = False
    registry.put(Draft("residency", "residence/entry", "900000000115", "one", b"another was faster"))
    assert run(place, registry, "outbox", "send").exit_code == 0
    shown = run(place, registry, "outbox")
    assert (shown.exit_code, Code.STALE.name in shown.output, record_id in shown.output) == (5, True, True)
    gone = run(place, registry, "--json", "outbox", "discard", record_id, "00" * 16)
    assert gone.exit_code == 1
    assert json.loads(gone.output) == {"discarded": [record_id], "not_found": ["00" * 16]}
    assert run(place, registry, "outbox").exit_code == 0


def test_what_waits_is_discarded_only_when_that_is_said_twice(place: Path, registry: Registry) -> None:
    registry.everywhere.down = True
    record_id = write_in_vain(place, registry, "one")
    assert run(place, registry, "outbox", "discard", record_id).exit_code == 1
    assert run(place, registry, "outbox", "discard", "--unsent", record_id).exit_code == 130
    assert len(list(inspecting.kept_records(place / "outbox"))) == 1
    assert run(place, registry, "outbox", "discard", "--unsent", "--yes", record_id).exit_code == 0
    assert not list(inspecting.kept_records(place / "outbox"))


def test_damaged_file_is_named_and_needs_people(place: Path, registry: Registry) -> None:
    (place / "outbox").mkdir()
    (place / "outbox" / "0001-abcd.outbox").write_bytes(
        b"not a database, and long enough to be read as one" * 40
    )
    result = run(place, registry, "outbox")
    assert result.exit_code == 5
    assert "0001-abcd.outbox cannot be read" in result.output


def test_outbox_that_is_switched_off_is_said_to_be(place: Path, registry: Registry) -> None:
    with (place / "sento.toml").open("a") as config:
        config.write("[outbox]\nenabled = false\n")
    result = run(place, registry, "outbox")
    assert result.exit_code == 2
    assert "switched the outbox off" in result.output


def test_id_that_is_none_is_refused_with_the_form_it_has(place: Path, registry: Registry) -> None:
    result = run(place, registry, "outbox", "discard", "12")
    assert result.exit_code == 2
    assert "32 hexadecimal digits" in result.output
