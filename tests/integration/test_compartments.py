"""Clinics of one registry at a real site: neither sees what the other wrote about a patient of both, and an auditor sees headers alone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from live_sites import ONE_SITE, LiveSites, running_sites
from raw_calls import PURPOSE, Caller, WriteStream, all_records, codes, refusal_of
from sento_drill.plan import AuthorPlan, ReaderPlan
from sento_proto import header as header_layout
from sento_proto.chain import FIRST_LINK, next_link
from sento_proto.errors import Code
from sento_proto.genesis import Scope
from sento_proto.governance.state import ACCESS_COMPARTMENT
from sento_proto.v1 import client_pb2, common_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

A, B, AUDITOR, OUTSIDER = "clinic-a", "clinic-b", "auditor-board", "tax-office"
HEALTH = Scope("health", "*")
PATIENT = os.urandom(32)
FACTS = [os.urandom(16) for _ in range(4)]
WROTE = [A, B, B, A]
"""Who wrote each record about the patient, in order."""


def clinic(name: str) -> AuthorPlan:
    own = (Scope("health", name),)
    return AuthorPlan(name, may_write=own, keks=own)


PLAN = replace(
    ONE_SITE,
    name="sento-clinics",
    authors=(clinic(A), clinic(B)),
    readers=(
        ReaderPlan(AUDITOR, may_read=(), opens=(), may_see=(HEALTH,)),
        ReaderPlan(OUTSIDER, may_read=(Scope("tax", "*"),), opens=()),
    ),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites() -> AsyncIterator[tuple[LiveSites, list[int]]]:
    """The site, and the positions of the records about the patient."""
    async with running_sites(PLAN) as running:
        positions = []
        for name, fact in zip(WROTE, FACTS, strict=True):
            author = running.author(name)
            record = author.record(
                registry="health", compartment=name, kind="prescription", subject=PATIENT, fact=fact
            )
            async with running.caller(name) as caller, WriteStream(caller) as stream:
                outcomes = await stream.outcomes(author.submission(record))
            assert codes(outcomes) == [Code.ACCEPTED]
            positions.append(outcomes[0][1])
        last = positions[-1]
        await running.wait_status(running.names[0], lambda s: s.flushed_size > last, "the flush")
        yield running, positions


Sites = tuple[LiveSites, list[int]]


async def subject(caller: Caller, **fields: Any) -> list[common_pb2.StoredRecord]:
    """All records about the patient, newest first."""
    request = client_pb2.SubjectRequest(
        purpose=PURPOSE, freshness=common_pb2.LOCAL, registry="health", subject=PATIENT, limit=50, **fields
    )
    reply = await caller.registry.Subject(request, timeout=10)
    return list(reply.records)


def compartment(record: common_pb2.StoredRecord) -> str:
    return header_layout.decode(record.header).compartment


async def test_a_clinic_gets_its_own_records_and_hidden_entries_that_keep_the_chain_whole(
    sites: Sites,
) -> None:
    running, positions = sites
    async with running.caller(A) as caller:
        records = await subject(caller)
    assert [(record.position, record.hidden) for record in records] == [
        (position, name != A) for position, name in zip(reversed(positions), reversed(WROTE), strict=True)
    ]
    link = FIRST_LINK
    for record in reversed(records):
        link = next_link(link, record.record_hash)
        assert record.link == link
        if record.hidden:
            bare = common_pb2.StoredRecord(
                position=record.position, record_hash=record.record_hash, link=record.link, hidden=True
            )
            if record.HasField("previous_of_subject"):
                bare.previous_of_subject = record.previous_of_subject
            assert record == bare
        else:
            assert (compartment(record), bool(record.payload)) == (A, True)


async def test_a_clinic_cannot_read_another_clinics_prescription_by_any_name(sites: Sites) -> None:
    running, positions = sites
    async with running.caller(B) as caller:
        (theirs,) = [record for record in await subject(caller) if record.position == positions[1]]
    record_id = header_layout.decode(theirs.header).record_id
    names: list[dict[str, Any]] = [
        {"position": positions[1]},
        {"record_hash": theirs.record_hash},
        {"record": client_pb2.RecordName(author=B, record_id=record_id)},
    ]
    async with running.caller(A) as caller:
        for name in names:
            for header_only in (False, True):
                request = client_pb2.ReadRequest(
                    purpose=PURPOSE, freshness=common_pb2.LOCAL, header_only=header_only, **name
                )
                assert (
                    await refusal_of(caller.registry.Read(request, timeout=10))
                ).code is Code.NOT_PERMITTED


async def test_versions_of_a_fact_of_another_clinic_are_hidden(sites: Sites) -> None:
    running, positions = sites
    request = client_pb2.FactRequest(
        purpose=PURPOSE, freshness=common_pb2.LOCAL, registry="health", fact=FACTS[1], limit=5
    )
    async with running.caller(A) as caller:
        (record,) = (await caller.registry.Fact(request, timeout=10)).records
    assert (record.position, record.hidden, record.header) == (positions[1], True, b"")


async def test_changes_pass_over_what_is_hidden_and_show_headers_of_what_may_be_seen(sites: Sites) -> None:
    running, positions = sites
    mine = {position for position, name in zip(positions, WROTE, strict=True) if name == A}
    async with running.caller(A) as caller:
        assert set(await all_records(caller)) & set(positions) == mine
    async with running.caller(AUDITOR) as caller:
        request = client_pb2.ChangesRequest(purpose=PURPOSE, registry="health", from_position=0)
        seen = [
            record
            async for record in caller.registry.Changes(request, timeout=30)
            if compartment(record) != ACCESS_COMPARTMENT
        ]
    assert [record.position for record in seen] == positions
    assert [compartment(record) for record in seen] == WROTE
    assert all(record.payload_withheld and not record.payload for record in seen)


async def test_with_hidden_entries_changes_leave_no_position_out_and_show_nothing_more(sites: Sites) -> None:
    running, positions = sites
    theirs = {position for position, name in zip(positions, WROTE, strict=True) if name == B}
    async with running.caller(A) as caller:
        request = client_pb2.ChangesRequest(purpose=PURPOSE, header_only=True, with_hidden=True)
        seen = [record async for record in caller.registry.Changes(request, timeout=30)]
    assert [record.position for record in seen] == list(range(len(seen)))
    hidden = [record for record in seen if record.hidden]
    assert theirs <= {record.position for record in hidden}
    assert not any(record.header or record.payload or record.payload_hash for record in hidden)
    assert all(record.record_hash and record.link for record in hidden)


async def test_an_auditor_sees_every_header_and_gets_no_payload(sites: Sites) -> None:
    running, positions = sites
    async with running.caller(AUDITOR) as caller:
        for header_only in (False, True):
            records = await subject(caller, header_only=header_only)
            written = [record for record in records if compartment(record) != ACCESS_COMPARTMENT]
            assert [compartment(record) for record in written] == WROTE[::-1]
            assert not any(record.hidden or record.payload for record in records)
        read = client_pb2.ReadRequest(
            purpose=PURPOSE, freshness=common_pb2.LOCAL, position=positions[0], header_only=True
        )
        reply = await caller.registry.Read(read, timeout=10)
        assert (compartment(reply.record), reply.record.payload) == (A, b"")
        read.header_only = False
        assert (await refusal_of(caller.registry.Read(read, timeout=10))).code is Code.NOT_PERMITTED


async def test_an_institution_that_may_see_nothing_of_the_registry_is_refused_its_lists(sites: Sites) -> None:
    running, _ = sites
    async with running.caller(OUTSIDER) as caller:
        assert (await refusal_of(subject(caller))).code is Code.NOT_PERMITTED
        assert (await refusal_of(subject(caller, header_only=True))).code is Code.NOT_PERMITTED
