"""Opening an installation: what does not fit together is found before the first write."""

from __future__ import annotations

from pathlib import Path

import pytest

from client_world import AUTHOR, ClientWorld, build_client_world
from sento_client import keyfiles
from sento_client.opening import open_installation
from sento_client.setup_errors import Setup, SetupError
from sento_client.testing.world import derived


@pytest.fixture
def place(tmp_path: Path) -> ClientWorld:
    return build_client_world(tmp_path)


def refusal(place: ClientWorld) -> SetupError:
    with pytest.raises(SetupError) as refused:
        open_installation(place.config)
    return refused.value


def test_author_and_reader_open(tmp_path: Path, place: ClientWorld) -> None:
    installation = open_installation(place.config)
    assert installation.genesis.ledger_id == place.world.ledger_id
    assert installation.signer is not None
    reader = build_client_world(tmp_path / "reader", "relief-desk")
    assert open_installation(reader.config).signer is None


def test_signing_key_that_is_not_enrolled_is_found(place: ClientWorld) -> None:
    keyfiles.write_signing_key(place.config.parent / "signing.key", bytes(32))
    assert refusal(place).code is Setup.NOT_ENROLLED


def test_seal_key_that_no_kek_is_sealed_to_is_found(place: ClientWorld) -> None:
    keyfiles.write_seal_key(place.config.parent / "seal.key", derived("another", size=96))
    assert refusal(place).code is Setup.NOT_ENROLLED
    assert "keys.seal" in str(refusal(place))


def test_institution_that_nobody_knows_is_found(place: ClientWorld) -> None:
    text = place.config.read_text().replace(AUTHOR, "atlantis").replace('signing = "signing.key"\n', "")
    place.config.write_text(text)
    assert refusal(place).code is Setup.NOT_ENROLLED


def test_site_that_genesis_does_not_know_is_found(place: ClientWorld) -> None:
    place.config.write_text(place.config.read_text().replace("jp-ibaraki", "jp-atlantis"))
    assert refusal(place).details == ("sites: jp-atlantis is no site of sento-test",)


def test_altered_genesis_is_refused(place: ClientWorld) -> None:
    (place.config.parent / "genesis.json").write_bytes(place.world.genesis_bytes[:-3])
    assert refusal(place).code is Setup.GENESIS_INVALID


def test_a_training_ledger_is_refused_where_production_is_meant(place: ClientWorld) -> None:
    text = place.config.read_text()
    place.config.write_text('purpose = "production"\n' + text)
    with pytest.raises(SetupError, match=r"expected a production ledger, and .* is of the TRAINING ledger"):
        open_installation(place.config)
    place.config.write_text('purpose = "training"\n' + text)
    assert open_installation(place.config).config.purpose == "training"


def test_a_purpose_that_does_not_exist_is_a_mistake(place: ClientWorld) -> None:
    place.config.write_text('purpose = "practice"\n' + place.config.read_text())
    with pytest.raises(SetupError, match="purpose: expected production or training"):
        open_installation(place.config)
