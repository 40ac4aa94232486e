"""Composing records: what is sealed opens again with the right keys only, and what cannot be a record is refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from client_world import AUTHOR, NUMBER, build_client_world
from sento_client import keyfiles
from sento_client.composing import Composer, Draft, Ports
from sento_client.keyring import Keyring
from sento_client.opening import open_installation
from sento_client.setup_errors import Setup, SetupError
from sento_client.testing.world import Numbers, derived
from sento_proto import header as header_layout
from sento_proto.errors import Code, SentoError
from sento_proto.keys import Ed25519Signer
from sento_proto.pseudonyms import fact_of, subject_of
from sento_proto.sealing import CannotOpen, open_payload
from sento_proto.submission import sign_submission

DRAFT = Draft("residency", "residence/entry", NUMBER, "address", {"town": "穂波町"})


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return open_installation(build_client_world(tmp_path_factory.mktemp("client")).config).keyring


def composer_of(keyring: Keyring, seed: int = 1) -> Composer:
    numbers = Numbers(seed)
    ports = Ports(wall_ms=numbers.next_time_ms, random_bytes=numbers.take)
    return Composer(AUTHOR, bytes(range(16)), keyring, ports)


def test_record_opens_with_its_kek_and_no_other(keyring: Keyring) -> None:
    record = composer_of(keyring).compose(DRAFT)
    kek = keyring.kek_for(AUTHOR, "residency", "", record.header.key_epoch)
    content = open_payload(record.header_bytes, record.header, record.payload, kek=kek)
    assert content.decode() == '{"town":"穂波町"}'
    with pytest.raises(CannotOpen):
        open_payload(
            record.header_bytes,
            record.header,
            record.payload,
            kek=keyring.kek_for(AUTHOR, "residency", "", 1),
        )


def test_header_names_person_and_fact_by_pseudonyms_alone(keyring: Keyring) -> None:
    record = composer_of(keyring).compose(DRAFT)
    key = derived("pseudonym", "residency")
    assert record.header.subject == subject_of(key, NUMBER)
    assert record.header.fact == fact_of(key, record.header.subject, "residence/move", "address")
    assert NUMBER.encode() not in record.header_bytes + record.payload
    assert header_layout.decode(record.header_bytes) == record.header


def test_newest_key_epoch_is_written_under(keyring: Keyring) -> None:
    assert composer_of(keyring).compose(DRAFT).header.key_epoch == 2


def test_same_ports_give_the_same_bytes_and_other_chance_another_id(keyring: Keyring) -> None:
    one, again = (composer_of(keyring, 1).compose(DRAFT) for _ in range(2))
    assert one == again
    assert composer_of(keyring, 2).compose(DRAFT).header.record_id != one.header.record_id


def test_group_makes_one_valid_submission(keyring: Keyring) -> None:
    signer = Ed25519Signer(bytes(32))
    composer = Composer(AUTHOR, signer.public_key.key_id, keyring, Ports())
    records = composer.compose_group([DRAFT, Draft("residency", "residence/entry", NUMBER, "phone", b"x")])
    assert len({record.header.group for record in records}) == 1
    assert sign_submission(bytes(32), records, signer)


@pytest.mark.parametrize(
    ("draft", "code"),
    [
        (Draft("residency", "Residence", NUMBER, "address", b""), Code.BAD_REQUEST),
        (Draft("residency", "", NUMBER, "address", b""), Code.BAD_REQUEST),
        (Draft("residency", "住所", NUMBER, "address", b""), Code.BAD_REQUEST),
        (Draft("residency", "k", "\udc80", "address", b""), Code.BAD_REQUEST),
        (Draft("residency", "k", NUMBER, "address", b"", previous=b"short"), Code.BAD_REQUEST),
        (Draft("residency", "k", NUMBER, "address", {"x": object()}), Code.BAD_REQUEST),
        (Draft("residency", "k", NUMBER, "address", {"x": float("nan")}), Code.BAD_REQUEST),
        (Draft("residency", "k", NUMBER, "address", bytes(30 * 1024)), Code.TOO_LARGE),
    ],
)
def test_what_cannot_be_a_record_is_refused_without_quoting_it(
    keyring: Keyring, draft: Draft, code: Code
) -> None:
    with pytest.raises(SentoError) as refused:
        composer_of(keyring).compose(draft)
    assert refused.value.code is code
    assert NUMBER not in str(refused.value)


@pytest.mark.parametrize(
    ("registry", "compartment", "code"),
    [("residency", "secret", Setup.NO_KEK), ("health", "", Setup.NO_KEK), ("land", "", Setup.NO_KEK)],
)
def test_scope_without_key_is_named(keyring: Keyring, registry: str, compartment: str, code: Setup) -> None:
    with pytest.raises(SetupError) as refused:
        composer_of(keyring).compose(Draft(registry, "k", NUMBER, "address", b"", None, compartment))
    assert refused.value.code is code
    assert registry in str(refused.value)


def test_registry_without_pseudonym_key_is_named(keyring: Keyring) -> None:
    with pytest.raises(SetupError) as refused:
        keyring.subject("land", NUMBER)
    assert refused.value.code is Setup.NO_PSEUDONYM_KEY
    assert NUMBER not in str(refused.value)


def test_seal_that_was_made_for_another_scope_does_not_open(tmp_path: Path) -> None:
    installation = open_installation(build_client_world(tmp_path).config)
    assert installation.config.keys.kek_seals is not None
    seals = keyfiles.read_kek_seals(installation.config.keys.kek_seals)
    swapped = [
        seal._replace(registry="tax" if seal.registry == "residency" else "residency") for seal in seals
    ]
    assert installation.config.keys.seal is not None
    opener = keyfiles.read_seal_opener(installation.config.keys.seal)
    keyring = Keyring(installation.genesis.ledger_id, opener, swapped, {})
    with pytest.raises(SetupError) as refused:
        keyring.kek_for(AUTHOR, "tax", "", 1)
    assert refused.value.code is Setup.NO_KEK
