"""`sento receipt`: gives, lists, exports and verifies, with exit codes that a script can rely on; verifying asks no site and needs no configuration."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sento_client import Acknowledgement, Draft, SentoClient
from sento_client.cli.app import App
from sento_client.cli.main import main
from sento_client.governing.following import Followed
from sento_client.governing.trust_file import encode_trust
from sento_client.testing import Registry

TOML = """
genesis = "genesis.json"
institution = "test-ministry"
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
    return Registry(seed=3)


@pytest.fixture
def place(tmp_path: Path, registry: Registry) -> Path:
    (tmp_path / "sento.toml").write_text(TOML)
    genesis_bytes = registry.sites[0].ledger.world.genesis_bytes
    (tmp_path / "genesis.json").write_bytes(genesis_bytes)
    (tmp_path / "given.json").write_bytes(encode_trust(genesis_bytes, Followed.start(registry.genesis)))
    return tmp_path


@pytest.fixture
def done(place: Path, registry: Registry) -> list[Acknowledgement]:
    """Three records with their receipts."""

    async def write() -> list[Acknowledgement]:
        results = []
        async with registry.client(outbox=place / "outbox") as sento:
            for n in range(3):
                draft = Draft("residency", "residence/entry", "900000000115", f"fact {n}", b"1")
                (result,) = await sento.send([sento.compose(draft)])
                assert isinstance(result, Acknowledgement)
                results.append(result)
                await sento.receipt(result)
        return results

    return asyncio.run(write())


def run(place: Path, registry: Registry, *arguments: str, config: str = "sento.toml") -> Result:
    def open_client(_config: Path) -> SentoClient:
        return registry.client(outbox=place / "outbox")

    app = App(open_client=open_client)
    return CliRunner().invoke(main, ["--config", str(place / config), *arguments], obj=app)


def test_receipts_are_listed_and_the_outbox_says_what_they_take(
    place: Path, registry: Registry, done: list[Acknowledgement]
) -> None:
    value = json.loads(run(place, registry, "--json", "receipt", "list").output)
    assert [each["record_id"] for each in value["receipts"]] == [one.record_id.hex() for one in done]
    assert value["store"]["receipts"] == 3
    assert json.loads(run(place, registry, "--json", "outbox").output)["receipts"]["size_bytes"] > 0
    assert "3 receipts are kept" in run(place, registry, "outbox").output
    assert done[2].record_hash.hex()[:8] in run(place, registry, "receipt", "list", "--from", "2").output


@pytest.mark.parametrize("name", ["position", "hash", "id"])
def test_a_receipt_is_given_by_any_of_its_names_and_verified_without_configuration_or_sites(
    place: Path, registry: Registry, done: list[Acknowledgement], name: str
) -> None:
    one = done[1]
    named = {"position": str(one.position), "hash": one.record_hash.hex(), "id": one.record_id.hex()}[name]
    file = place / "one.receipt.json"
    assert run(place, registry, "receipt", "get", named, "--out", str(file)).exit_code == 0
    registry.everywhere.down = True
    trust = ["--trust", str(place / "given.json")]
    good = run(place, registry, "--json", "receipt", "verify", str(file), *trust, config="none.toml")
    assert good.exit_code == 0, good.output
    value = json.loads(good.output)
    assert (value["verified"], value["ledger_known"]) == (True, False)
    assert value["receipts"][0]["record_hash"] == one.record_hash.hex()
    by_own = run(place, registry, "receipt", "verify", str(file))
    assert by_own.exit_code == 0, by_own.output
    assert "good" in by_own.output
    assert "Compare this ledger id" not in by_own.output


def test_a_receipt_with_its_record_names_author_and_kind(
    place: Path, registry: Registry, done: list[Acknowledgement]
) -> None:
    file = place / "one.receipt.json"
    arguments = ["--with-record", "--purpose", "test", "--case", "1", "--out", str(file)]
    assert run(place, registry, "receipt", "get", "0", *arguments).exit_code == 0
    said = run(place, registry, "receipt", "verify", str(file))
    assert "Written by test-ministry: residence/entry in residency" in said.output


def test_a_spoilt_receipt_ends_with_4_and_says_why_and_good_ones_beside_it_are_still_told(
    place: Path, registry: Registry, done: list[Acknowledgement]
) -> None:
    run(place, registry, "receipt", "export", str(place / "out"))
    files = sorted((place / "out").iterdir())
    assert [file.name for file in files] == [f"{n}.receipt.json" for n in range(3)]
    value = json.loads(files[1].read_bytes())
    files[1].write_text(json.dumps(value | {"position": 2}))
    files[2].write_bytes(files[2].read_bytes()[:-30])
    result = run(place, registry, "receipt", "verify", *map(str, files))
    assert result.exit_code == 4
    assert "0.receipt.json: good" in result.output
    assert "1.receipt.json: NOT VERIFIED: inclusion: the record is not shown to stand" in result.output
    assert "2.receipt.json: NOT VERIFIED: receipt: not JSON" in result.output


def test_a_trust_file_of_another_ledger_is_refused_where_the_ledger_is_known(
    place: Path, registry: Registry, done: list[Acknowledgement]
) -> None:
    run(place, registry, "receipt", "export", str(place / "out"))
    file = str(place / "out" / "0.receipt.json")
    other = Registry(seed=4)
    data = encode_trust(other.sites[0].ledger.world.genesis_bytes, Followed.start(other.genesis))
    (place / "other.json").write_bytes(data)
    for arguments in (
        ["--trust", str(place / "other.json")],
        ["--trust", str(place / "given.json"), "--ledger", other.genesis.ledger_id.hex()],
    ):
        result = run(place, registry, "receipt", "verify", file, *arguments)
        assert result.exit_code == 4
        assert "the trust file is of ledger" in result.output
    # Without any knowledge of the ledger, the receipt itself is of another one than the trust file.
    result = run(
        place, registry, "receipt", "verify", file, "--trust", str(place / "other.json"), config="none.toml"
    )
    assert result.exit_code == 4
    assert "it is of ledger" in result.output


def test_a_record_without_a_receipt_takes_a_purpose_and_a_name_that_is_none_is_usage(
    place: Path, registry: Registry, done: list[Acknowledgement]
) -> None:
    assert run(place, registry, "receipt", "get", "77").exit_code == 1
    assert run(place, registry, "receipt", "get", "seventeen").exit_code == 2
    assert run(place, registry, "receipt", "verify", str(place / "nothing.json")).exit_code == 2


def test_a_place_without_receipts_says_so(place: Path, registry: Registry) -> None:
    assert "There are no receipts yet." in run(place, registry, "receipt", "list").output
    assert "0 receipts are in" in run(place, registry, "receipt", "export", str(place / "out")).output
