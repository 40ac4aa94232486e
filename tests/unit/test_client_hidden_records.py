"""Records in compartments that an institution may not see: counted, never shown, and the chains around them still verify."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.protobuf.message import Message

from client_world import NUMBER, WHY
from sento_client import Code, Draft, HiddenTally, SentoClient, SentoError, Version
from sento_client.config import Limits
from sento_client.testing import Institution, Registry, Scope
from sento_proto.v1 import client_pb2, common_pb2

PRESCRIPTIONS = {"registry": "health", "subject": NUMBER}


def draft(fact: str, compartment: str, content: str = "x") -> Draft:
    return Draft("health", "prescription", NUMBER, fact, content, None, compartment)


@pytest.fixture
def registry() -> Registry:
    """Clinic a wrote at 0, 2 and 5; clinic b at 1, 3 and 4."""
    return clinics(rules=1)


def clinics(rules: int) -> Registry:
    registry = Registry(
        [
            Institution("clinic-a", writes=[Scope("health", "clinic-a")]),
            Institution("clinic-b", writes=[Scope("health", "clinic-b")]),
            Institution("auditor", reads=[Scope("tax", "open")]),
            Institution("city", writes=["tax"]),
        ],
        seed=1,
        limits=Limits(deadline_ms=1_000),
        rules=rules,
    )
    for fact, clinic in (("1", "a"), ("2", "b"), ("3", "a"), ("4", "b"), ("5", "b"), ("6", "a")):
        registry.put(draft(fact, f"clinic-{clinic}", f"by {clinic}"), institution=f"clinic-{clinic}")
    return registry


async def listed(client: SentoClient, **part: int) -> tuple[list[Version], HiddenTally]:
    hidden = HiddenTally()
    history = client.subject_history(registry="health", subject=NUMBER, hidden=hidden, **part, **WHY)  # type: ignore[arg-type]
    return [version async for version in history], hidden


async def test_a_clinic_sees_its_own_records_and_how_many_are_hidden(registry: Registry) -> None:
    async with registry.client("clinic-a") as clinic:
        versions, hidden = await listed(clinic)
        assert [(version.position, version.content) for version in versions] == [
            (5, b"by a"),
            (2, b"by a"),
            (0, b"by a"),
        ]
        assert (hidden.count, hidden.words) == (3, "3 records are hidden from this institution.")
        assert hidden.oldest is not None
        assert (hidden.oldest.position, hidden.oldest.header_bytes) == (1, b"")


async def test_hidden_records_count_towards_the_limit_and_the_list_goes_on_below_them(
    registry: Registry,
) -> None:
    async with registry.client("clinic-a") as clinic:
        versions, hidden = await listed(clinic, limit=2)
        assert ([version.position for version in versions], hidden.count) == ([5], 1)
        assert hidden.oldest is not None
        versions, hidden = await listed(clinic, before=hidden.oldest.position)
        assert ([version.position for version in versions], hidden.count) == ([2, 0], 2)


async def test_a_clinic_cannot_read_another_clinics_prescription_by_any_name(registry: Registry) -> None:
    record_hash = registry.records("health")[1].record_hash
    async with registry.client("clinic-a") as clinic:
        for name in (1, record_hash):
            for header_only in (False, True):
                with pytest.raises(SentoError) as refused:
                    await clinic.read(name, header_only=header_only, **WHY)
                assert refused.value.code is Code.NOT_PERMITTED
        with pytest.raises(SentoError) as refused:
            await clinic.fact(kind="prescription", fact="2", **PRESCRIPTIONS, **WHY)  # type: ignore[arg-type]
        assert refused.value.code is Code.NOT_PERMITTED


async def test_changes_pass_over_what_is_hidden(registry: Registry) -> None:
    async with registry.client("clinic-b") as clinic:
        changes = clinic.changes(registry="health", from_position=0, **WHY)
        assert [version.position async for version in changes] == [1, 3, 4]


async def test_an_auditor_that_may_see_gets_headers_and_no_payload() -> None:
    registry = clinics(rules=2)
    at = registry.records("health")[0].position
    async with registry.client("auditor") as auditor:
        with pytest.raises(SentoError) as refused:
            await auditor.read(at, header_only=True, **WHY)
        assert refused.value.code is Code.NOT_PERMITTED
        registry.act(
            {
                "do": "permit",
                "institution": "auditor",
                "may": "see",
                "scopes": [{"registry": "health", "compartment": "*"}],
            }
        )
        changes = [version async for version in auditor.changes(registry="health", from_position=0, **WHY)]
        assert [(v.author, v.content) for v in changes][:2] == [("clinic-a", None), ("clinic-b", None)]
        assert {version.closed_because for version in changes} == {"held back by the site"}
        assert (await auditor.read(at, header_only=True, **WHY)).header.compartment == "clinic-a"
        with pytest.raises(SentoError) as refused:
            await auditor.read(at, **WHY)
        assert refused.value.code is Code.NOT_PERMITTED


Alter = Callable[[common_pb2.StoredRecord], None]


def show_header(record: common_pb2.StoredRecord) -> None:
    record.header = b"\1"


def other_hash(record: common_pb2.StoredRecord) -> None:
    record.record_hash = bytes(32)


def other_link(record: common_pb2.StoredRecord) -> None:
    record.link = bytes(32)


def other_position(record: common_pb2.StoredRecord) -> None:
    record.previous_of_subject = 0


@pytest.mark.parametrize("alter", [show_header, other_hash, other_link, other_position])
async def test_a_hidden_entry_that_does_not_fit_its_chain_is_not_believed(
    registry: Registry, alter: Alter
) -> None:
    def spoil(message: Message) -> None:
        if isinstance(message, client_pb2.ListReply):
            for record in message.records:
                if record.hidden:
                    alter(record)

    for site in registry.sites:
        site.alter = spoil
    async with registry.client("clinic-a") as clinic:
        with pytest.raises(SentoError) as refused:
            await listed(clinic)
        assert refused.value.code is Code.DAMAGED


async def test_a_hidden_record_that_is_left_out_is_missed(registry: Registry) -> None:
    def leave_out(message: Message) -> None:
        if isinstance(message, client_pb2.ListReply):
            kept = [record for record in message.records if not record.hidden]
            del message.records[:]
            message.records.extend(kept)

    for site in registry.sites:
        site.alter = leave_out
    async with registry.client("clinic-a") as clinic:
        with pytest.raises(SentoError) as refused:
            await listed(clinic)
        assert refused.value.code is Code.DAMAGED
