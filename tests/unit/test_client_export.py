"""`sento export` and its call: the file proves itself to the audit kit, hides what it must, and is not there when a site lies."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest
from google.protobuf.message import Message

from audit_files import run_kit
from cli_terminal import WHY, Terminal
from client_world import NUMBER, build_client_world
from sento_client import Code, Draft, SentoError
from sento_client.cli.exits import Exit
from sento_client.config import Limits
from sento_client.exporting.face import Wanted
from sento_client.testing import Institution, Registry, Scope
from sento_proto.v1 import common_pb2

AUDIT = Wanted("yearly audit", "2026-9")
CERTIFICATE = {"format": "sento-erasure-certificate-1"}


@pytest.fixture
def registry() -> Registry:
    """Clinic a wrote at 0 and 2, clinic b at 1 and 3, the city at 4."""
    registry = Registry(
        [
            Institution("clinic-a", writes=[Scope("health", "clinic-a")]),
            Institution("clinic-b", writes=[Scope("health", "clinic-b")]),
            Institution("city", writes=["tax"], reads=["tax"]),
            Institution("auditor", reads=["health", "tax"]),
        ],
        seed=1,
        limits=Limits(deadline_ms=1_000),
        rules=3,
    )
    for fact, clinic in (("1", "a"), ("2", "b"), ("1", "a"), ("4", "b")):
        draft = Draft("health", "prescription", NUMBER, fact, "x", None, f"clinic-{clinic}")
        registry.put(draft, institution=f"clinic-{clinic}")
    registry.put(Draft("tax", "assessment", NUMBER, "2026", "x"), institution="city")
    return registry


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def exported(registry: Registry, institution: str, path: Path, wanted: Wanted = AUDIT) -> list[int]:
    """The positions that stand hidden in the file, which the kit must find to be the registry's ledger."""
    async with registry.client(institution) as client:
        done = await client.export_ledger(path, wanted)
    rows = lines_of(path)[1:-1]
    assert [row["position"] for row in rows] == list(range(registry.size))
    hidden = [at for at, row in enumerate(rows) if "hidden" in row]
    assert done.hidden == len(hidden)
    kit = run_kit(path.parent, "--json", "--ledger-id", registry.genesis.ledger_id.hex(), path.name)
    assert (kit.code, kit.of("sento-export-1"), kit.stderr) == (0, ["ok"], ""), kit.stdout
    return hidden


async def test_an_export_holds_what_its_maker_may_see_and_the_hashes_of_all_else(
    registry: Registry, tmp_path: Path
) -> None:
    assert await exported(registry, "auditor", tmp_path / "a.sento-export") == []
    hidden = await exported(registry, "clinic-a", tmp_path / "b.sento-export")
    others = [one.position for one in registry.records() if one.header.registry in ("health", "tax")]
    own = [one.position for one in registry.records("health") if one.author == "clinic-a"]
    assert hidden == [at for at in others if at not in own]


async def test_only_the_named_registries_are_shown(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "a.sento-export"
    await exported(registry, "auditor", path, Wanted("a", "b", ("tax",)))
    headers = [base64.b64decode(str(row["header"])) for row in lines_of(path)[1:-1] if "hidden" not in row]
    assert {header[181 : 181 + header[180]] for header in headers} == {b"tax", b"keys"}
    async with registry.client("auditor") as client:
        with pytest.raises(SentoError) as raised:
            await client.export_ledger(path, Wanted("a", "b", ("no-such",)))
    assert raised.value.code is Code.BAD_REQUEST


async def test_payloads_come_only_when_asked_for_and_prove_themselves(
    registry: Registry, tmp_path: Path
) -> None:
    plain, whole = tmp_path / "plain.sento-export", tmp_path / "whole.sento-export"
    await exported(registry, "auditor", plain)
    assert not any("payload" in row for row in lines_of(plain))
    await exported(registry, "auditor", whole, Wanted("a", "b", with_payloads=True))
    assert any("payload" in row for row in lines_of(whole))


async def test_a_compressed_export_is_the_same_export(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "a.sento-export.gz"
    async with registry.client("auditor") as client:
        await client.export_ledger(path, AUDIT)
    kit = run_kit(tmp_path, "--json", "--ledger-id", registry.genesis.ledger_id.hex(), path.name)
    assert kit.code == 0, kit.stdout
    rows = gzip.decompress(path.read_bytes()).splitlines()
    assert len(rows) == registry.size + 2
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("lie", ["leaves one out", "changes a link", "changes a header", "exchanges a hash"])
async def test_sites_that_all_lie_make_no_file(registry: Registry, tmp_path: Path, lie: str) -> None:
    def alter(reply: Message) -> None:
        if not isinstance(reply, common_pb2.StoredRecord) or reply.position != 2:
            return
        if lie == "leaves one out":
            reply.position = 3
        elif lie == "changes a header":
            reply.header = reply.header[:-1] + bytes([reply.header[-1] ^ 1])
        elif lie == "exchanges a hash":
            reply.Clear()
            reply.position, reply.hidden, reply.record_hash, reply.link = 2, True, bytes(32), bytes(32)
        else:
            reply.record_hash = bytes(32)

    for site in registry.sites:
        site.alter = alter
    path = tmp_path / "a.sento-export"
    async with registry.client("auditor") as client:
        with pytest.raises(SentoError) as raised:
            await client.export_ledger(path, AUDIT)
    assert raised.value.code is Code.DAMAGED
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(build_client_world(tmp_path))


def test_the_command_writes_the_file_and_says_how_to_prove_it(terminal: Terminal, tmp_path: Path) -> None:
    terminal.write()
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    (certificates / "one.json").write_text(json.dumps(CERTIFICATE))
    out = tmp_path / "all.sento-export"
    done = terminal.value("export", "--out", str(out), "--certificates", str(certificates), *WHY)
    assert (done["records"], done["erasure_certificates"]) == (1, 1)
    assert lines_of(out)[-1]["erasure_certificates"] == [CERTIFICATE]
    people = terminal.run("export", "--out", str(out), *WHY)
    assert people.exit_code == Exit.OK
    assert f"--ledger-id {done['ledger_id']}" in people.stdout


def test_the_command_refuses_a_place_and_certificates_that_are_none(
    terminal: Terminal, tmp_path: Path
) -> None:
    terminal.write()
    assert terminal.run("export", "--out", str(tmp_path / "no" / "a"), *WHY).exit_code == Exit.USAGE
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    (certificates / "one.json").write_text("{}")
    out = ["export", "--out", str(tmp_path / "a"), "--certificates", str(certificates), *WHY]
    refused = terminal.run(*out)
    assert refused.exit_code == Exit.USAGE
    assert "no erasure certificate" in refused.stderr
