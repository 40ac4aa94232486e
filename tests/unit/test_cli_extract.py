"""`sento extract open` and `show`: what people and programs see of an extract where no site can be reached, and with which codes it ends."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from extracts_made import HOUR_MS, ExtractMaker
from sento_client import SentoClient
from sento_client.cli.app import App
from sento_client.cli.main import main
from sento_client.testing import Institution, Registry

CITY, CLINIC, PERSON = "iizuka-city", "shelter-clinic", "900000000115"


@pytest.fixture
async def registry() -> Registry:
    registry = Registry(
        [Institution(CITY, writes=["health"]), Institution(CLINIC, reads=["health"])], rules=2
    )
    async with registry.client(CITY) as sento:
        await sento.write(
            registry="health", kind="health/note", subject=PERSON, fact="one", content=b"allergy: penicillin"
        )
    return registry


@pytest.fixture
def made(registry: Registry) -> ExtractMaker:
    return ExtractMaker(registry, CLINIC, made_at_ms=time.time_ns() // 1_000_000 - 2 * HOUR_MS)


def run(registry: Registry, place: Path, *arguments: str) -> Result:
    def open_client(config: Path) -> SentoClient:
        return registry.client(CLINIC, outbox=place / "outbox")

    return CliRunner(env={"SENTO_SUBJECT": PERSON}).invoke(
        main, [*arguments], obj=App(open_client=open_client)
    )


WHY = ("--purpose", "treatment", "--case", "2026-7")


def test_open_says_as_of_when_by_whom_and_how_old_and_that_a_use_waits(
    registry: Registry, made: ExtractMaker, tmp_path: Path
) -> None:
    file = tmp_path / "today.extract"
    file.write_bytes(made.make([PERSON]))
    result = run(registry, tmp_path, "extract", "open", str(file), *WHY)
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    for part in ("by site site-1: 3 hours old", "allergy: penicillin", "1 uses wait to be reported"):
        assert part in words
    assert PERSON not in result.output
    value = json.loads(run(registry, tmp_path, "--json", "extract", "open", str(file), *WHY).stdout)
    assert (value["site"], value["uses_waiting"], len(value["versions"])) == ("site-1", 2, 1)


def test_ended_altered_and_foreign_extracts_end_with_their_code_and_show_nothing(
    registry: Registry, made: ExtractMaker, tmp_path: Path
) -> None:
    file = tmp_path / "today.extract"
    ended = ExtractMaker(registry, CLINIC, made_at_ms=made.made_at_ms - 48 * HOUR_MS).make([PERSON])
    whole = made.make([PERSON])
    for data, code in (
        (ended, "EXTRACT_ENDED"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), "DAMAGED"),
        (ExtractMaker(registry, CITY, made_at_ms=made.made_at_ms).make([PERSON]), "NOT_PERMITTED"),
    ):
        file.write_bytes(data)
        result = run(registry, tmp_path, "--json", "extract", "open", str(file), *WHY)
        assert result.exit_code != 0
        assert json.loads(result.stdout)["error"]["code"] == code
        assert "penicillin" not in result.output


def test_show_needs_no_key_and_opens_nothing(registry: Registry, made: ExtractMaker, tmp_path: Path) -> None:
    file = tmp_path / "today.extract"
    file.write_bytes(made.make([PERSON]))
    result = run(registry, tmp_path, "extract", "show", str(file))
    assert result.exit_code == 0
    assert "for shelter-clinic, by site site-1" in " ".join(result.output.split())
    assert not (tmp_path / "extracts").exists()


@pytest.mark.parametrize("valid", ["24", "h", "-1h", "1.5h", "1w", "٣h"])
def test_a_time_that_is_none_is_refused_before_anything_is_asked(
    registry: Registry, tmp_path: Path, valid: str
) -> None:
    (tmp_path / "persons.txt").write_text(PERSON)
    out = ["--of", str(tmp_path / "persons.txt"), "--out", str(tmp_path / "x")]
    arguments = ["extract", "get", "--registry", "health", *out, "--valid", valid, *WHY]
    assert run(registry, tmp_path, *arguments).exit_code == 2
