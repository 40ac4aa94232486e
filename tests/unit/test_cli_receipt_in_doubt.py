"""`sento receipt verify` of receipts from before a recovery that went on from another copy: not proven by the file alone, and with --ask a site tells which."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from client_world import address
from recovered_registry import recover
from sento_client import Acknowledgement
from sento_client.cli.app import App
from sento_client.cli.main import main
from sento_client.governing.trust_file import encode_trust
from sento_client.testing import Institution, Registry
from sento_proto.checkpoint import Checkpoint, cosign
from sento_proto.merkle import inclusion_proof, root_of, subtree_reader
from sento_proto.receipt import Receipt, encode_receipt

CITY = "iizuka-city"
TIME_S = 1_800_000_000


@dataclass
class Place:
    """A registry of two records that a recovery took over without knowing what a quorum had agreed on."""

    directory: Path
    registry: Registry
    done: list[Acknowledgement]

    def receipt_of_epoch_0(self, record_hash: bytes | None = None) -> Path:
        """A receipt of the last record written before the recovery, or of another one in its place, that all sites vouched for then."""
        world, position = self.registry._world, self.done[-1].position
        hashes = [one.record_hash for one in self.registry.records()][: position + 1]
        hashes[position] = record_hash or self.done[-1].record_hash
        bare = Checkpoint(world.ledger_id, 0, len(hashes), root_of(hashes))
        lines = tuple(cosign(bare, site, signer, TIME_S) for site, signer in world.site_signers.items())
        path = inclusion_proof(subtree_reader(hashes), position, len(hashes))
        made = Receipt(
            world.ledger_id, position, hashes[position], tuple(path), bare._replace(signatures=lines)
        )
        file = self.directory / f"{position}.receipt.json"
        file.write_bytes(encode_receipt(made))
        return file

    def verify(self, *arguments: str) -> Result:
        app = App(open_client=lambda _: self.registry.client())
        given = ["--config", str(self.directory / "none.toml"), "--json", "receipt", "verify"]
        trust = ["--trust", str(self.directory / "trust.json")]
        return CliRunner().invoke(main, [*given, *arguments, *trust], obj=app)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    institution = Institution(CITY, writes=["residency"], reads=["residency"])
    registry = Registry([institution], seed=5, rules=5)

    async def write() -> list[Acknowledgement]:
        async with registry.client() as sento:
            return [await sento.write(**address(f"fact-{n}"), content=b"1") for n in range(2)]

    async def follow() -> bytes:
        async with registry.client() as sento:
            await sento.governance()
            return encode_trust(registry._world.genesis_bytes, sento._follower.followed)

    done = asyncio.run(write())
    recover(registry)
    (tmp_path / "trust.json").write_bytes(asyncio.run(follow()))
    return Place(tmp_path, registry, done)


def told(result: Result) -> dict[str, object]:
    (receipt,) = json.loads(result.output)["receipts"]
    assert isinstance(receipt, dict)
    return receipt


def test_by_its_file_alone_it_is_neither_good_nor_lost(place: Place) -> None:
    file = place.receipt_of_epoch_0()
    result = place.verify(str(file))
    assert result.exit_code == 4, result.output
    receipt = told(result)
    assert (receipt["verified"], receipt["in_doubt"]) == (False, True)
    assert "not proven by this file alone" in str(receipt["why"])
    assert "LOST" not in str(receipt["why"])


def test_a_site_that_proves_the_same_record_there_makes_it_good(place: Place) -> None:
    file = place.receipt_of_epoch_0()
    result = place.verify(str(file), "--ask")
    assert result.exit_code == 0, result.output
    assert told(result)["verified"] is True


def test_a_site_that_proves_another_record_there_makes_it_lost_with_its_epoch(place: Place) -> None:
    """The capital was cut off only, and its quorum acknowledged another record at that position."""
    file = place.receipt_of_epoch_0(record_hash=b"\7" * 32)
    result = place.verify(str(file), "--ask")
    assert result.exit_code == 4, result.output
    receipt = told(result)
    assert (receipt["verified"], receipt["in_doubt"]) == (False, False)
    assert "LOST WITH EPOCH 0" in str(receipt["why"])


def test_when_no_site_answers_it_stays_unproven_with_an_error(place: Place) -> None:
    file = place.receipt_of_epoch_0()
    place.registry.everywhere.down = True
    result = place.verify(str(file), "--ask")
    assert result.exit_code not in (0, 4), result.output
    assert '"verified": true' not in result.output
