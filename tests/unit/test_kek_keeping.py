"""KEKs in the ledger: made by whoever writes, opened by whoever may read, sealed again for whoever comes later, and nothing beyond that."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping

import pytest

from sento_client.asker import Terms
from sento_client.client import SentoClient
from sento_client.composing import Draft
from sento_client.kek_keeping.keeper import TRIES
from sento_client.kek_keeping.recipients import recipients_of
from sento_client.kek_keeping.seal_records import seal_record_of, sealed_parts
from sento_client.kek_keeping.standing_kek import StandingKek, subject_of_scope
from sento_client.recovery.standing import KekScope
from sento_client.results import Version
from sento_client.setup_errors import Setup, SetupError
from sento_client.testing import Institution, Registry, Scope
from sento_proto.errors import Code, SentoError
from sento_proto.ids import uuid7
from sento_proto.kek_record import REGISTRY, KekSeals, decode_kek_seals, seals_that_fit
from sento_proto.kek_seal import KekName, kek_commit, seal_kek
from sento_proto.record import Record
from sento_proto.submission import decode_submission, sign_submission

HOSPITAL, CLINIC, PHARMACY, LATER = "iizuka-hospital", "kaga-clinic", "pharmacy-desk", "relief-desk"
PRESCRIPTION = "prescription"
TERMS = Terms("opening keys", "keys")
FIRST = KekScope(HOSPITAL, "health", PRESCRIPTION, 1)
SECOND = FIRST._replace(key_epoch=2)


def registry_of_health(rules: int = 2) -> Registry:
    """Two that write prescriptions, one that reads them, one that may do nothing yet."""
    scope = Scope("health", PRESCRIPTION)
    return Registry(
        (
            Institution(HOSPITAL, writes=(scope,)),
            Institution(CLINIC, writes=(scope,)),
            Institution(PHARMACY, reads=(scope,)),
            Institution(LATER),
        ),
        rules=rules,
    )


def enrolled(registry: Registry, reader: str) -> Mapping[str, object]:
    return {
        "do": "enrol-reader",
        "name": reader,
        "may_read": [{"registry": "health", "compartment": PRESCRIPTION}],
        "seal_key": base64.b64encode(registry.seal_public(reader)).decode(),
    }


def started(key_epoch: int, previous: str = "closed") -> Mapping[str, object]:
    return {"do": "start-key-epoch", "registry": "health", "key_epoch": key_epoch, "previous": previous}


async def prescribe(sento: SentoClient, what: str, fact: str = "1") -> int:
    acknowledged = await sento.write(
        registry="health",
        compartment=PRESCRIPTION,
        kind="prescription",
        subject="a patient",
        fact=fact,
        content=what,
    )
    return acknowledged.position


async def read(registry: Registry, institution: str, position: int) -> Version:
    async with registry.client(institution) as sento:
        return await sento.read(position, purpose="dispensing", case_number="1")


async def standing(sento: SentoClient, scope: KekScope) -> StandingKek:
    found = await sento.keks.look(scope, TERMS)
    assert found is not None
    return found


async def test_first_write_makes_the_key_and_reader_opens_with_its_seal_from_the_ledger() -> None:
    registry = registry_of_health()
    async with registry.client(HOSPITAL) as sento:
        position = await prescribe(sento, "aspirin")
    (made,) = registry.records(REGISTRY)
    assert made.position < position, "the key stands before anything is sealed under it"
    assert (await read(registry, PHARMACY, position)).content == b"aspirin"
    assert (await read(registry, HOSPITAL, position)).content == b"aspirin", "the author opens its own seal"


async def test_second_program_of_the_author_takes_the_key_that_stands() -> None:
    registry = registry_of_health()
    for fact in ("1", "2"):
        async with registry.client(HOSPITAL) as sento:
            await prescribe(sento, "aspirin", fact)
    assert len(registry.records(REGISTRY)) == 1


def reading_clinic(registry: Registry) -> dict[str, object]:
    """The change by which the clinic may read what others write in the compartment."""
    return {
        "do": "enrol-reader",
        "name": CLINIC,
        "may_read": [{"registry": "health", "compartment": PRESCRIPTION}],
        "seal_key": base64.b64encode(registry.seal_public(CLINIC)).decode(),
    }


async def test_clinic_that_writes_the_same_compartment_is_not_given_what_another_clinic_wrote() -> None:
    registry = registry_of_health()
    async with registry.client(HOSPITAL) as sento:
        position = await prescribe(sento, "aspirin")
    with pytest.raises(SentoError) as refused:
        await read(registry, CLINIC, position)
    assert refused.value.code is Code.NOT_PERMITTED


async def test_reader_to_whom_nothing_was_sealed_yet_cannot_open_what_it_is_given() -> None:
    registry = registry_of_health()
    async with registry.client(HOSPITAL) as sento:
        position = await prescribe(sento, "aspirin")
    registry.act(reading_clinic(registry))
    version = await read(registry, CLINIC, position)
    assert version.content is None
    assert version.closed_because.startswith("NO_KEK")
    assert (
        f"author {HOSPITAL}, registry health, compartment '{PRESCRIPTION}', key epoch 1"
        in version.closed_because
    )


async def test_clinic_is_not_given_the_payload_of_a_compartment_that_it_may_not_write() -> None:
    registry = Registry(
        (
            Institution(HOSPITAL, writes=(Scope("health", "iizuka"),)),
            Institution(CLINIC, writes=(Scope("health", "kaga"),)),
        ),
        rules=2,
    )
    async with registry.client(HOSPITAL) as sento:
        done = await sento.write(
            registry="health", compartment="iizuka", kind="note", subject="a patient", fact="1", content="x"
        )
    with pytest.raises(SentoError) as refused:
        await read(registry, CLINIC, done.position)
    assert refused.value.code is Code.NOT_PERMITTED


async def test_reader_that_came_later_opens_old_records_of_the_epoch_once_the_author_sealed_to_it() -> None:
    registry = registry_of_health()
    async with registry.client(HOSPITAL) as sento:
        position = await prescribe(sento, "aspirin")
        registry.act(enrolled(registry, LATER))
        assert (await read(registry, LATER, position)).content is None
        await sento.governance()
        (kek,) = await sento.keks.survey(TERMS)
        assert [one.name for one in sento.keks.lacking(kek)] == [LATER]
        assert [one.name for one in await sento.keks.reseal(kek, TERMS)] == [LATER]
        assert await sento.keks.reseal(kek, TERMS) == (), "doing it again does nothing"
    assert (await read(registry, LATER, position)).content == b"aspirin"
    assert len(registry.records(REGISTRY)) == 2


async def test_revoked_reader_opens_copies_of_the_former_epoch_and_nothing_of_the_new_one() -> None:
    registry = registry_of_health()
    async with registry.client(HOSPITAL) as sento, registry.client(PHARMACY) as pharmacy:
        before = await prescribe(sento, "aspirin")
        copy = await pharmacy.read(before, purpose="dispensing", case_number="1")
        registry.act({"do": "revoke-reader", "name": PHARMACY}, started(2))
        after = await prescribe(sento, "morphine", "2")
        new = await standing(sento, SECOND)
        kept = registry.installation(PHARMACY).keyring
        opener = kept.opener
        assert opener is not None
        assert opener.recipient_key_id in (await standing(sento, FIRST)).seals, "old copies stay readable"
        assert opener.recipient_key_id not in new.seals
        with pytest.raises(SentoError) as refused:
            await pharmacy.read(after, purpose="dispensing", case_number="2")
    assert copy.content == b"aspirin"
    assert refused.value.code is Code.NOT_PERMITTED, "and no site releases anything further"


async def test_act_that_revokes_a_reader_without_a_new_epoch_is_refused() -> None:
    registry = registry_of_health()
    with pytest.raises(SentoError) as refused:
        registry.act({"do": "revoke-reader", "name": PHARMACY})
    assert refused.value.code is Code.ACT_REFUSED


@pytest.mark.parametrize("previous", ["accepted", "closed"])
async def test_writing_goes_on_by_itself_when_officers_start_a_key_epoch(previous: str) -> None:
    registry = registry_of_health()
    async with registry.client(HOSPITAL) as sento:
        await prescribe(sento, "aspirin")
        registry.act(started(2, previous))
        await prescribe(sento, "aspirin", "2")
    async with registry.client(HOSPITAL) as sento:
        last = await prescribe(sento, "aspirin", "3")
    epochs = [one.header.key_epoch for one in registry.records("health")]
    assert epochs == ([1, 1, 2] if previous == "accepted" else [1, 2, 2])
    assert (await read(registry, PHARMACY, last)).content == b"aspirin"


async def test_list_and_group_are_composed_anew_under_the_epoch_that_was_started_meanwhile() -> None:
    registry = registry_of_health()
    drafts = [
        Draft("health", "prescription", "a patient", fact, "aspirin", compartment=PRESCRIPTION)
        for fact in ("a", "b", "c", "d")
    ]
    async with registry.client(HOSPITAL) as sento:
        await prescribe(sento, "aspirin")
        registry.act(started(2))
        await sento.write_many(drafts[:2])
        registry.act(started(3))
        await sento.write_group(drafts[2:])
    assert [one.header.key_epoch for one in registry.records("health")] == [1, 2, 2, 3, 3]


async def test_two_programs_that_make_the_same_key_at_once_end_with_one() -> None:
    registry = registry_of_health()
    async with registry.client(HOSPITAL) as one, registry.client(HOSPITAL) as other:
        positions = await asyncio.gather(prescribe(one, "one", "1"), prescribe(other, "other", "2"))
    async with registry.client(PHARMACY) as pharmacy:
        contents = {(await pharmacy.read(at, purpose="p", case_number="1")).content for at in positions}
    assert contents == {b"one", b"other"}, "whoever lost sealed under the key that stands"
    assert len(registry.records(REGISTRY)) == 1


async def test_program_that_was_beaten_between_looking_and_writing_takes_the_other_key() -> None:
    registry = registry_of_health()
    raced: list[Code] = []

    def beat(data: bytes) -> None:
        if not raced:
            raced.append(plant(registry, FIRST, b"\x11" * 32))

    async with registry.client(HOSPITAL) as sento:
        registry.everywhere.before_submission.append(beat)
        position = await prescribe(sento, "aspirin")
    assert raced == [Code.ACCEPTED]
    assert (await read(registry, PHARMACY, position)).content == b"aspirin"
    assert len(registry.records(REGISTRY)) == 1


async def test_nothing_is_sealed_under_a_key_whose_record_was_not_acknowledged() -> None:
    registry = registry_of_health()
    registry.everywhere.refuse_with = Code.NO_ORDERING
    installation = registry.installation(HOSPITAL)
    async with SentoClient(installation, transport=registry.transport) as sento:
        with pytest.raises(SentoError):
            await sento.keks.make(FIRST, TERMS._replace(timeout_ms=300))
        assert not installation.keyring.holds(*FIRST)
        with pytest.raises(SentoError):
            await prescribe(sento, "aspirin")
    sent = [decode_submission(data) for site in registry.sites for data in site.submissions]
    assert {submission.records[0].header.registry for submission in sent} == {REGISTRY}
    registry.everywhere.refuse_with = None
    async with registry.client(HOSPITAL) as sento:
        position = await prescribe(sento, "aspirin")
    assert (await read(registry, PHARMACY, position)).content == b"aspirin"


# Seals that are wrong.


def plant(
    registry: Registry,
    scope: KekScope,
    kek: bytes,
    *,
    part: int = 0,
    commitment: bytes | None = None,
    seals: tuple[bytes, ...] | None = None,
    signer_of: str | None = None,
) -> Code:
    """A record of KEK seals as its author could sign it, right or wrong; what became of it."""
    world = registry._world
    recipients = recipients_of(registry.governance, scope.author, scope.registry, scope.compartment)
    (good,) = sealed_parts(world.ledger_id, scope, kek, recipients, part)
    planted = good._replace(
        commitment=commitment or good.commitment, seals=good.seals if seals is None else seals
    )
    signer = world.author_signers[signer_of or scope.author]
    record = record_of(planted, scope.author, signer.public_key.key_id)
    return Code(registry._ledger.take(sign_submission(world.ledger_id, [record], signer)).outcomes[0].code)


def record_of(seals: KekSeals, author: str, key_id: bytes) -> Record:
    record_id = uuid7(1_767_225_600_000 + seals.part, seals.commitment[:10])
    return seal_record_of(author, key_id, record_id, 1_767_225_600_000, seals)


async def closed_because(registry: Registry, institution: str = PHARMACY) -> str:
    async with registry.client(institution) as sento:
        with pytest.raises(SetupError) as missing:
            await sento.keks.fetch(FIRST, TERMS)
    return str(missing.value)


async def test_seals_of_another_key_than_the_one_committed_to_are_named_with_their_author() -> None:
    registry = registry_of_health()
    assert plant(registry, FIRST, b"\x11" * 32, commitment=b"\x22" * 32) is Code.ACCEPTED
    words = await closed_because(registry)
    assert words.startswith(Setup.KEK_SEAL_WRONG)
    assert "opens to another key than the one that all others got" in words
    assert FIRST.words in words
    assert "Tell the author" in words


async def test_seal_that_carries_the_readers_key_id_and_was_made_to_another_key_is_named() -> None:
    registry = registry_of_health()
    world = registry._world
    name = KekName(world.ledger_id, *FIRST)
    right = seal_kek(b"\x11" * 32, name, registry.seal_public(PHARMACY))
    foreign = seal_kek(b"\x11" * 32, name, registry.seal_public(LATER))
    assert plant(registry, FIRST, b"\x11" * 32, seals=(right[:18] + foreign[18:],)) is Code.ACCEPTED
    words = await closed_because(registry)
    assert words.startswith(Setup.KEK_SEAL_WRONG)
    assert FIRST.words in words


async def test_wrong_seal_is_put_right_by_sealing_again() -> None:
    registry = registry_of_health()
    world, name = registry._world, KekName(registry._world.ledger_id, *FIRST)
    own = seal_kek(b"\x11" * 32, name, registry.seal_public(HOSPITAL))
    right = seal_kek(b"\x11" * 32, name, registry.seal_public(PHARMACY))
    assert plant(registry, FIRST, b"\x11" * 32, seals=(own, right[:18] + own[18:])) is Code.ACCEPTED
    assert (await closed_because(registry)).startswith(Setup.KEK_SEAL_WRONG)
    async with registry.client(HOSPITAL) as sento:
        kek = await standing(sento, FIRST)
        assert await sento.keks.reseal(kek, TERMS) == (), "from outside it cannot be seen"
        done = await sento.keks.reseal(kek, TERMS, again=[right[2:18]])
        assert [one.name for one in done] == [PHARMACY]
        position = await prescribe(sento, "aspirin")
    assert world.genesis is registry.genesis
    assert (await read(registry, PHARMACY, position)).content == b"aspirin"


async def test_later_record_of_another_key_under_the_same_name_counts_for_nothing() -> None:
    registry = registry_of_health()
    async with registry.client(HOSPITAL) as sento:
        position = await prescribe(sento, "aspirin")
        assert plant(registry, FIRST, b"\x33" * 32, part=1) is Code.ACCEPTED
        found = await standing(sento, FIRST)
    assert found.strays == (registry.size - 1,)
    assert (await read(registry, PHARMACY, position)).content == b"aspirin"


async def test_seals_that_another_author_signs_do_not_stand() -> None:
    registry = registry_of_health()
    assert plant(registry, FIRST, b"\x11" * 32, signer_of=CLINIC) is Code.MALFORMED
    assert not registry.records(REGISTRY)


async def test_seals_for_what_the_author_may_not_write_do_not_stand() -> None:
    registry = registry_of_health()
    assert plant(registry, FIRST._replace(compartment="other"), b"\x11" * 32) is Code.NOT_PERMITTED
    assert plant(registry, SECOND, b"\x11" * 32) is Code.NOT_PERMITTED


async def test_a_thief_of_the_signing_key_cannot_make_the_key_of_the_epoch_that_officers_start_against_it() -> (
    None
):
    """Revoked and a new key epoch in one act: what the thief tried to put there before does not stand, and the author's own key does."""
    registry = registry_of_health()
    assert plant(registry, SECOND, b"\x66" * 32) is Code.NOT_PERMITTED
    async with registry.client(HOSPITAL) as sento:
        registry.act(started(2))
        await sento.governance()
        await prescribe(sento, "aspirin")
    (made,) = registry.records(REGISTRY)
    found = decode_kek_seals(made.header.content)
    assert (found.key_epoch, found.commitment == kek_commit(b"\x66" * 32)) == (2, False)


async def test_rotation_of_the_readers_seal_key_needs_seals_again_and_touches_no_record() -> None:
    registry = registry_of_health()
    async with registry.client(HOSPITAL) as sento:
        position = await prescribe(sento, "aspirin")
        root_hash = registry.records("health")[0].record_hash
        registry.act(
            {
                "do": "replace-seal-key",
                "institution": PHARMACY,
                "seal_key": base64.b64encode(registry.seal_public(LATER)).decode(),
            }
        )
        await sento.governance()
        (done,) = await sento.keks.reseal(await standing(sento, FIRST), TERMS)
    assert done.public_key == registry.seal_public(LATER)
    assert registry.records("health")[0].record_hash == root_hash
    assert registry.records("health")[0].position == position


async def test_more_seals_than_fit_one_record_go_into_further_parts_under_one_subject() -> None:
    scope = Scope("health", PRESCRIPTION)
    readers = [f"reader-{number}" for number in range(seals_that_fit(1186))]
    registry = Registry(
        (Institution(HOSPITAL, writes=(scope,)), *(Institution(name, reads=(scope,)) for name in readers)),
        rules=2,
    )
    async with registry.client(HOSPITAL) as sento:
        position = await prescribe(sento, "aspirin")
    parts = [decode_kek_seals(one.header.content) for one in registry.records(REGISTRY)]
    assert [part.part for part in parts] == [0, 1]
    assert {one.header.subject for one in registry.records(REGISTRY)} == {subject_of_scope(FIRST)}
    assert (await read(registry, readers[-1], position)).content == b"aspirin"


async def test_list_of_many_closed_records_asks_for_the_missing_key_once() -> None:
    registry = registry_of_health()
    async with registry.client(HOSPITAL) as sento:
        for number in range(6):
            await prescribe(sento, "aspirin", str(number))
    registry.act(reading_clinic(registry))
    installation = registry.installation(CLINIC)
    transport = registry.transport(installation)
    async with SentoClient(installation, transport=lambda _: transport) as clinic:
        await clinic.governance()
        transport.asked.clear()
        found = [
            version
            async for version in clinic.subject_history(
                registry="health", subject="a patient", purpose="p", case_number="1"
            )
        ]
    assert [version.content for version in found] == [None] * 6
    assert len(transport.asked) == 2, "one page of records, one list of seals"


async def test_client_that_may_not_sign_reads_and_says_that_it_cannot_make_keys() -> None:
    registry = registry_of_health()
    async with registry.client(PHARMACY) as pharmacy:
        with pytest.raises(SetupError) as refused:
            await pharmacy.keks.make(FIRST._replace(author=PHARMACY), TERMS)
    assert refused.value.code is Setup.CANNOT_SIGN
    assert TRIES > 1
