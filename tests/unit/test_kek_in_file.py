"""KEKs that an author has only in its file: put into the ledger as they are, so that what was written under them can be recovered; never written over."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace

import pytest
from click.testing import CliRunner

from sento_client.asker import Terms
from sento_client.cli.app import App
from sento_client.cli.exits import Exit
from sento_client.cli.main import main
from sento_client.client import SentoClient
from sento_client.keyfiles import SealedKek
from sento_client.keyring import Keyring
from sento_client.recovery.ceremony import Plan, hold
from sento_client.recovery.proposal import change_of
from sento_client.recovery.reconstruct import reconstruct
from sento_client.recovery.standing import KekScope
from sento_client.setup_errors import Setup, SetupError
from sento_client.testing import Institution, Registry, Scope
from sento_proto.governance.parts import Officer
from sento_proto.kek_record import REGISTRY, decode_kek_seals
from sento_proto.kek_seal import KekName, kek_commit, open_kek, seal_kek
from sento_proto.seal import XWingOpener, decode_seal
from sento_proto.sealing import open_payload

HOSPITAL, PHARMACY = "iizuka-hospital", "pharmacy-desk"
PRESCRIPTION = "prescription"
SCOPE = KekScope(HOSPITAL, "health", PRESCRIPTION, 1)
TERMS = Terms("opening keys", "keys")
KEK = bytes(range(32))


@pytest.fixture
def registry() -> Registry:
    scope = Scope("health", PRESCRIPTION)
    return Registry((Institution(HOSPITAL, writes=(scope,)), Institution(PHARMACY, reads=(scope,))), rules=2)


def with_file(
    registry: Registry, kek: bytes = KEK, *, sealed_to: str = HOSPITAL, scope: KekScope = SCOPE
) -> SentoClient:
    """The hospital's client, whose file has one KEK."""
    installation = registry.installation(HOSPITAL)
    ledger_id = registry.genesis.ledger_id
    seal = seal_kek(kek, KekName(ledger_id, *scope), registry.seal_public(sealed_to))
    keyring = Keyring(
        ledger_id,
        installation.keyring.opener,
        [SealedKek(*scope, seal)],
        registry._cabinet.pseudonym_keys(HOSPITAL),
    )
    return SentoClient(
        replace(installation, keyring=keyring), transport=registry.transport, ports=registry.ports
    )


def desk(open_client: Callable[[], SentoClient], *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(
        main, list(words), obj=App(open_client=lambda _: open_client()), env={"COLUMNS": "240"}
    )
    return result.exit_code, result.output


async def prescribe(sento: SentoClient, fact: str = "1") -> int:
    done = await sento.write(
        registry="health",
        compartment=PRESCRIPTION,
        kind="prescription",
        subject="a patient",
        fact=fact,
        content="aspirin",
    )
    return done.position


async def content_at(registry: Registry, position: int) -> bytes | None:
    async with registry.client(PHARMACY) as sento:
        return (await sento.read(position, purpose="dispensing", case_number="1")).content


async def test_record_written_under_a_key_of_the_file_is_recovered_with_the_recovery_key_after_reseal(
    registry: Registry,
) -> None:
    # Three officers hold a ceremony; the act makes its key the one in force.
    secret_of = {name: secrets.token_bytes(96) for name in registry.genesis.officers.people}
    people = tuple(
        Officer(one.name, one.key, XWingOpener(secret_of[one.name]).public_key)
        for one in registry.genesis.officers.people.values()
    )
    held = hold(Plan(registry.genesis.ledger_id, "2027", 2, people), secrets.token_bytes)
    registry.act(change_of(held.ceremony))
    async with with_file(registry) as sento:
        await prescribe(sento)
        await sento.governance()
        assert not registry.records(REGISTRY), "writing took the key of the file"
        (only_here,) = (await sento.keks.in_file(await sento.keks.survey(TERMS))).only_here
        sealed = await sento.keks.reseal(only_here, TERMS)
    assert [one.words for one in sealed] == [HOSPITAL, "recovery key 2027", PHARMACY]
    recovered = XWingOpener(reconstruct(held.shares[:2], held.ceremony).secret)
    (record,) = registry.records(REGISTRY)
    seals = decode_kek_seals(record.header.content)
    (seal,) = [one for one in seals.seals if decode_seal(one).recipient_key_id == recovered.recipient_key_id]
    kek = open_kek(seal, KekName(registry.genesis.ledger_id, *SCOPE), recovered)
    assert kek_commit(kek) == seals.commitment
    (written,) = [one.record for one in registry._ledger.records if one.record.header.registry == "health"]
    assert open_payload(written.header_bytes, written.header, written.payload, kek=kek) == b"aspirin"


async def test_prepare_and_make_publish_the_key_of_the_file_and_make_no_other(registry: Registry) -> None:
    async with with_file(registry) as sento:
        before = await prescribe(sento)
        assert await sento.keks.make(SCOPE, TERMS)
        assert not await sento.keks.make(SCOPE, TERMS)
        after = await prescribe(sento, "2")
    async with with_file(registry) as other:
        assert not await other.keks.make(SCOPE, TERMS), "another program finds it standing"
    assert len(registry.records(REGISTRY)) == 1
    assert [await content_at(registry, at) for at in (before, after)] == [b"aspirin", b"aspirin"]


def test_show_and_reseal_say_that_a_key_is_only_in_a_file_and_then_that_nobody_lacks_a_seal(
    registry: Registry,
) -> None:
    def opened() -> SentoClient:
        return with_file(registry)

    _, said = desk(opened, "keys", "show")
    assert "only in a file of this computer: run sento keys reseal" in said
    assert "0 keys stand" in said
    _, said = desk(opened, "keys", "reseal", "--dry-run")
    assert f"{PHARMACY} opens all that {HOSPITAL} wrote in prescription of health in key epoch 1" in said
    assert not registry.records(REGISTRY)
    code, said = desk(opened, "keys", "reseal")
    assert (code, "1 keys looked at, 2 seals made" in said) == (Exit.OK, True)
    assert "Nobody lacks a seal." in desk(opened, "keys", "reseal")[1]
    _, said = desk(opened, "keys", "show")
    assert "only in a file" not in said
    assert "1 keys stand" in said


def test_make_publishes_a_key_of_the_file_even_for_a_compartment_that_no_record_of_keys_names(
    registry: Registry,
) -> None:
    code, said = desk(lambda: with_file(registry), "keys", "make")
    assert (code, ": made" in said) == (Exit.OK, True)
    (record,) = registry.records(REGISTRY)
    assert decode_kek_seals(record.header.content).commitment == kek_commit(KEK)


async def test_other_key_that_stands_for_the_name_is_told_and_nothing_is_written_over(
    registry: Registry,
) -> None:
    async with registry.client(HOSPITAL) as sento:
        await sento.keks.make(SCOPE, TERMS)
    size = registry.size
    async with with_file(registry) as sento:
        with pytest.raises(SetupError) as differs:
            await sento.keks.make(SCOPE, TERMS)
        assert (await sento.keks.in_file(await sento.keks.survey(TERMS))).other == (SCOPE,)
    assert differs.value.code is Setup.KEK_DIFFERS
    assert SCOPE.words in str(differs.value)
    assert registry.size == size


@pytest.mark.parametrize("command", ["show", "reseal", "make"])
def test_commands_tell_of_the_other_key_that_stands(registry: Registry, command: str) -> None:
    desk(lambda: registry.client(HOSPITAL), "keys", "make")
    size = registry.size
    code, said = desk(lambda: with_file(registry), "keys", command)
    assert "The ledger has another key for this scope than the file keys.kek_seals" in said
    assert code == (Exit.USAGE if command == "make" else Exit.OK)
    assert registry.size == size


async def test_seal_of_the_file_that_does_not_open_keeps_another_key_from_being_made(
    registry: Registry,
) -> None:
    async with with_file(registry, sealed_to=PHARMACY) as sento:
        with pytest.raises(SetupError) as closed:
            await sento.keks.make(SCOPE, TERMS)
        assert (await sento.keks.in_file(())).closed == (SCOPE,)
    assert closed.value.code is Setup.NO_KEK
    assert "another key is not made beside it" in str(closed.value)
    assert not registry.records(REGISTRY)


def test_show_names_the_key_of_the_file_that_does_not_open(registry: Registry) -> None:
    _, said = desk(lambda: with_file(registry, sealed_to=PHARMACY), "keys", "show")
    assert f"{SCOPE.words}: the seal in keys.kek_seals does not open" in said


async def test_readers_copies_of_an_authors_keys_are_not_taken_for_its_own(registry: Registry) -> None:
    async with with_file(registry, scope=SCOPE._replace(author="another-hospital")) as sento:
        assert await sento.keks.in_file(()) == ((), (), ())
