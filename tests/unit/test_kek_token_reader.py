"""A reader whose seal key is a P-256 key on a token: authors seal their KEKs to it, through the ledger, and only the token opens them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from genesis_builder import READERS, build_genesis
from sento_client.asker import Terms
from sento_client.client import SentoClient
from sento_client.kek_keeping.recipients import recipients_of
from sento_client.kek_keeping.seal_records import sealed_parts
from sento_client.keyring import Keyring
from sento_client.recovery.standing import KekScope
from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.token_keys import TokenSealOpener
from sento_client.testing import Institution, Registry, Scope
from sento_proto.genesis import decode_genesis
from sento_proto.governance.state import from_genesis
from sento_proto.kek_record import decode_kek_seals
from sento_proto.kek_seal import KekName, open_kek
from sento_proto.seal import SealSuite, decode_seal
from softhsm import SoftToken, soft_token

HOSPITAL, PHARMACY, ON_TOKEN = "iizuka-hospital", "pharmacy-desk", "relief-desk"
PRESCRIPTION = Scope("health", "prescription")
TERMS = Terms("opening keys", "keys")


@pytest.fixture
def soft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftToken]:
    with soft_token(tmp_path, monkeypatch) as token:
        token.make_key("seal")
        yield token


@pytest.fixture
def opener(soft: SoftToken) -> TokenSealOpener:
    return TokenSealOpener(soft.token(), "seal")


def registry_of_health() -> Registry:
    return Registry(
        (
            Institution(HOSPITAL, writes=(PRESCRIPTION,)),
            Institution(PHARMACY, reads=(PRESCRIPTION,)),
            Institution(ON_TOKEN),
        ),
        rules=2,
    )


def enrol(registry: Registry, opener: TokenSealOpener) -> None:
    """The officers name the token's public key, 65 bytes, in an act."""
    assert len(opener.public_key) == 65
    scopes = [{"registry": "health", "compartment": "prescription"}]
    registry.act(
        {
            "do": "enrol-reader",
            "name": ON_TOKEN,
            "may_read": scopes,
            "seal_key": base64.b64encode(opener.public_key).decode(),
        }
    )


def reader(registry: Registry, opener: TokenSealOpener) -> SentoClient:
    """The reader's client: its keyring has the token and nothing else."""
    keyring = Keyring(registry.genesis.ledger_id, opener, (), registry._cabinet.pseudonym_keys(ON_TOKEN))
    installation = replace(registry.installation(ON_TOKEN), keyring=keyring, seal_public=opener.public_key)
    return SentoClient(installation, transport=registry.transport, ports=registry.ports)


async def prescribe(sento: SentoClient, fact: str) -> int:
    done = await sento.write(
        registry="health",
        compartment="prescription",
        kind="prescription",
        subject="a patient",
        fact=fact,
        content=f"aspirin {fact}",
    )
    return done.position


async def test_reader_with_its_seal_key_on_a_token_opens_what_was_written_before_and_after_its_enrolment(
    soft: SoftToken, opener: TokenSealOpener
) -> None:
    registry = registry_of_health()
    async with registry.client(HOSPITAL) as sento:
        before = await prescribe(sento, "1")
        enrol(registry, opener)
        await sento.governance()
        (kek,) = await sento.keks.survey(TERMS)
        assert [one.name for one in await sento.keks.reseal(kek, TERMS)] == [ON_TOKEN]
        registry.act({"do": "start-key-epoch", "registry": "health", "key_epoch": 2, "previous": "closed"})
        after = await prescribe(sento, "2")
    seals = [decode_kek_seals(one.header.content).seals for one in registry.records("keys")]
    suites = [[decode_seal(seal).suite for seal in each] for each in seals]
    assert suites == [[SealSuite.XWING] * 2, [SealSuite.P256], [SealSuite.XWING] * 2 + [SealSuite.P256]]
    async with reader(registry, opener) as desk:
        for position, content in ((before, b"aspirin 1"), (after, b"aspirin 2")):
            read = await desk.read(position, purpose="dispensing", case_number="1")
            assert read.content == content
    # Without the token nothing opens, and what is missing is said.
    soft.unplug()
    async with reader(registry, opener) as desk:
        with pytest.raises(SetupError) as missing:
            await desk.keks.fetch(KekScope(HOSPITAL, "health", "prescription", 2), TERMS)
    assert missing.value.code is Setup.TOKEN_MISSING
    soft.plug_in()


def test_reader_whose_65_byte_key_stands_in_the_genesis_file_gets_a_seal_that_the_token_opens(
    opener: TokenSealOpener,
) -> None:
    document = json.loads(build_genesis(rules=2).genesis_bytes)
    (entry,) = [one for one in document["readers"] if one["name"] == READERS[0]]
    entry["seal_key"] = base64.b64encode(opener.public_key).decode()
    genesis = decode_genesis(json.dumps(document).encode())
    scope = KekScope(HOSPITAL, "health", "prescription", 1)
    recipients = recipients_of(from_genesis(genesis), *scope[:3])
    (part,) = sealed_parts(genesis.ledger_id, scope, bytes(range(32)), recipients, 0)
    (seal,) = [one for one in part.seals if decode_seal(one).recipient_key_id == opener.recipient_key_id]
    assert open_kek(seal, KekName(genesis.ledger_id, *scope), opener) == bytes(range(32))
