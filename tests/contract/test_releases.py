"""What a site promises of releases, at its real Registry service: no payload leaves before its record is safe, and whoever may look finds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from lone_runner import SITE
from releasing_site import AUTHOR, OTHER_AUTHOR, READER, WHY, ReleasingSite, context_of
from sento_proto import header as header_layout
from sento_proto.access_record import KIND_DELAYED, KIND_REFUSED, KIND_RELEASED, decode_access
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import delayed_case, subject_of_delay
from sento_proto.sealing import open_with_dek
from sento_proto.v1 import client_pb2, common_pb2

pytestmark = pytest.mark.asyncio
SUBJECT, OTHER = bytes([7]) * 32, bytes([8]) * 32
SALT = bytes(16)


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[ReleasingSite]:
    async with ReleasingSite(tmp_path).running() as running:
        yield running


async def refusal(call: object) -> SentoError:
    with pytest.raises(SentoError) as refused:
        await call  # type: ignore[misc]
    return refused.value


async def test_a_read_is_recorded_under_the_same_pseudonym_before_the_payload_leaves(
    site: ReleasingSite,
) -> None:
    (position,) = await site.stand(site.record(SUBJECT))
    reply = await site.read(position)
    assert reply.record.payload
    await site.all_flushed()
    (header,) = site.headers()
    assert (header.registry, header.subject, header.kind) == ("residency", SUBJECT, KIND_RELEASED)
    (access,) = site.accesses()
    assert (access.site, access.reader, access.role, access.method) == (SITE, AUTHOR, "author", "read")
    assert (access.purpose, access.case_number) == (WHY.purpose, WHY.case_number)
    assert (access.records, access.more, access.outcome) == ((reply.record.record_hash,), 0, "released")


async def test_the_reader_gets_its_access_record_and_the_key_that_opens_it_alone(site: ReleasingSite) -> None:
    (position,) = await site.stand(site.record(SUBJECT))
    proof = (await site.read(position)).access
    header = header_layout.decode(proof.record.header)
    content = open_with_dek(proof.record.header, header, proof.record.payload, dek=proof.dek)
    assert decode_access(content).reader == AUTHOR
    await site.all_flushed()
    assert site.lone.store.record_hash_at(proof.record.position) == proof.record.record_hash
    assert proof.record.submission.count == 1


async def test_no_payload_leaves_while_its_record_cannot_be_ordered(site: ReleasingSite) -> None:
    (position,) = await site.stand(site.record(SUBJECT))
    site.lone.log.requests_to_lose = 1_000
    site.node.condition.state = "serving"
    refused = await refusal(site.read(position, local=False))
    assert refused.code is Code.ACCESS_NOT_RECORDED
    site.lone.log.requests_to_lose = 0


async def test_a_list_of_three_makes_one_access_record_that_names_them(site: ReleasingSite) -> None:
    await site.stand(*(site.record(SUBJECT) for _ in range(3)))
    reply = await site.subject(SUBJECT)
    hashes = {record.record_hash for record in reply.records if record.payload}
    assert len(hashes) == 3
    await site.all_flushed()
    (access,) = site.accesses()
    assert (set(access.records), access.method) == (hashes, "subject")
    assert header_layout.decode(reply.access.record.header).subject == SUBJECT


async def test_a_list_of_more_than_64_names_64_and_how_many_more(site: ReleasingSite) -> None:
    await site.stand(*(site.record(SUBJECT) for _ in range(70)))
    await site.subject(SUBJECT)
    await site.all_flushed()
    (access,) = site.accesses()
    assert (len(access.records), access.more) == (64, 6)


async def test_changes_make_one_access_record_for_each_person_of_a_page(site: ReleasingSite) -> None:
    await site.stand(*(site.record(subject) for subject in (SUBJECT, OTHER, SUBJECT)))
    given = [record for record in await site.changes() if record.payload]
    await site.all_flushed()
    found = {header.subject: access for header, access in zip(site.headers(), site.accesses(), strict=True)}
    assert {subject: len(access.records) for subject, access in found.items()} == {SUBJECT: 2, OTHER: 1}
    assert sum(header_layout.decode(one.header).compartment != "access" for one in given) == 3
    assert {access.method for access in found.values()} == {"changes"}


async def test_headers_alone_and_access_records_themselves_are_not_recorded(site: ReleasingSite) -> None:
    (position,) = await site.stand(site.record(SUBJECT))
    assert not (await site.read(position, header_only=True)).HasField("access")
    assert not (await site.subject(SUBJECT, header_only=True)).HasField("access")
    proof = (await site.read(position)).access
    await site.all_flushed()
    seen = await site.read(proof.record.position, READER, role="reader")
    assert seen.record.payload
    assert not seen.HasField("access")
    await site.all_flushed()
    assert len(site.headers()) == 1


async def test_who_may_not_read_access_records_gets_none_of_them(site: ReleasingSite) -> None:
    (position,) = await site.stand(site.record(SUBJECT))
    proof = (await site.read(position)).access
    await site.all_flushed()
    assert (await refusal(site.read(proof.record.position, AUTHOR))).code is Code.NOT_PERMITTED
    listed = {record.position: record for record in (await site.subject(SUBJECT)).records}
    assert listed[proof.record.position].hidden
    assert not listed[proof.record.position].payload
    with pytest.raises(LookupError):
        site.kek(header_layout.decode(proof.record.header), AUTHOR)


async def test_a_refused_attempt_is_recorded_with_its_code(site: ReleasingSite) -> None:
    (position,) = await site.stand(site.record(SUBJECT))
    assert (await refusal(site.read(position, OTHER_AUTHOR))).code is Code.NOT_PERMITTED
    nothing = common_pb2.Purpose()
    assert (await refusal(site.subject(SUBJECT, purpose=nothing))).code is Code.PURPOSE_MISSING
    await site.all_flushed()
    assert [header.kind for header in site.headers()] == [KIND_REFUSED] * 2
    found = {(access.reader, access.outcome, access.method) for access in site.accesses()}
    assert found == {(OTHER_AUTHOR, "NOT_PERMITTED", "read"), (AUTHOR, "PURPOSE_MISSING", "subject")}


@pytest.mark.parametrize("text", ["a\x00b", "two\nlines", "\u2028|", "\x85|"])
async def test_a_refused_attempt_is_recorded_whatever_its_caller_says_for_a_purpose(
    site: ReleasingSite, text: str
) -> None:
    (position,) = await site.stand(site.record(SUBJECT))
    twisted = common_pb2.Purpose(purpose=text, case_number="2026-118")
    assert (await refusal(site.read(position, OTHER_AUTHOR, purpose=twisted))).code is Code.NOT_PERMITTED
    await site.all_flushed()
    (access,) = site.accesses()
    assert (access.reader, access.purpose, access.case_number) == (OTHER_AUTHOR, "", "2026-118")


async def test_an_attempt_at_what_nobody_has_is_not_recorded(site: ReleasingSite) -> None:
    await site.stand(site.record(SUBJECT))
    assert (await refusal(site.subject(OTHER, purpose=common_pb2.Purpose()))).code is Code.PURPOSE_MISSING
    assert (await refusal(site.read(10_000))).code is Code.NOT_FOUND
    await site.all_flushed()
    assert not site.headers()


async def test_repeated_attempts_are_counted_in_the_readers_next_record(site: ReleasingSite) -> None:
    (position,) = await site.stand(site.record(SUBJECT))
    for _ in range(5):
        await refusal(site.read(position, OTHER_AUTHOR))
    site.clock.ahead_ms += 61_000
    await refusal(site.read(position, OTHER_AUTHOR))
    await site.all_flushed()
    assert [access.refused_before for access in site.accesses()] == [0, 4]


async def test_readers_at_once_share_submissions(site: ReleasingSite) -> None:
    positions = await site.stand(*(site.record(bytes([nth]) * 32) for nth in range(1, 41)))
    replies = await asyncio.gather(*(site.read(position) for position in positions))
    assert len({reply.access.record.record_hash for reply in replies}) == 40
    assert max(reply.access.record.submission.count for reply in replies) >= 20
    assert {access.more for access in site.accesses()} <= {0}


async def test_a_purpose_of_two_lines_is_refused_and_nothing_leaves(site: ReleasingSite) -> None:
    (position,) = await site.stand(site.record(SUBJECT))
    twisted = common_pb2.Purpose(purpose="address\nproof", case_number="1")
    assert (await refusal(site.read(position, purpose=twisted))).code is Code.BAD_REQUEST


async def test_a_delayed_case_is_recorded_apart_and_shown_to_nobody_until_released(
    site: ReleasingSite,
) -> None:
    (position,) = await site.stand(site.record(SUBJECT))
    case = delayed_case(SALT, WHY.case_number).hex()
    await site.act(
        {
            "do": "delay-read-log",
            "name": "inv-7",
            "registries": ["residency"],
            "salt": SALT.hex(),
            "cases": [case],
        }
    )
    proof = (await site.read(position)).access
    await site.all_flushed()
    (header,) = site.headers()
    assert (header.kind, header.subject) == (KIND_DELAYED, subject_of_delay("inv-7"))
    place = proof.record.position
    refused = await refusal(site.read(place, READER, role="reader"))
    assert (refused.code, "delay" in refused.detail) == (Code.NOT_PERMITTED, True)
    assert not any(one.payload for one in await site.changes() if one.position == place)
    await site.act({"do": "release-read-log", "name": "inv-7"})
    assert (await site.read(place, READER, role="reader")).record.payload
    delayed = {one.method: one for one in site.accesses()}
    assert {(one.subject, one.delay) for one in delayed.values()} == {(SUBJECT, "inv-7")}
    assert delayed.keys() == {"read", "changes"}


async def test_under_rules_without_a_read_log_nothing_is_recorded(tmp_path: Path) -> None:
    from genesis_builder import build_genesis

    old = ReleasingSite(tmp_path, build_genesis(sites=(SITE,), rules=3))
    async with old.running() as site:
        (position,) = await site.stand(site.record(SUBJECT))
        assert not (await site.read(position)).HasField("access")
        await site.all_flushed()
        assert not site.headers()


async def test_a_fact_is_recorded_with_its_method(site: ReleasingSite) -> None:
    record = site.record(SUBJECT)
    await site.stand(record)
    request = client_pb2.FactRequest(
        registry="residency", fact=record.header.fact, purpose=WHY, freshness=common_pb2.LOCAL, limit=1
    )
    reply = await site.service.Fact(request, context_of(AUTHOR))
    assert reply.HasField("access")
    await site.all_flushed()
    assert [access.method for access in site.accesses()] == ["fact"]


async def test_who_may_write_everywhere_in_a_registry_does_not_thereby_see_who_reads_there(
    site: ReleasingSite,
) -> None:
    governance = site.node.governance
    assert governance.may_see("iizuka-hospital", "health", "prescription")
    assert not governance.may_see("iizuka-hospital", "health", "access", f"/sites/{SITE}")
    assert governance.may_see(READER, "health", "access", f"/sites/{SITE}")
