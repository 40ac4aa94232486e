"""`SentoClient` as a program uses it, over sites in memory: results or errors that say what to do, whatever the sites do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.message import Message

from client_world import AUTHOR, NUMBER, WHY, ClientWorld, address, build_client_world, write_client_files
from genesis_builder import SITES
from sento_client import (
    Acknowledgement,
    Code,
    Draft,
    Freshness,
    RecordName,
    SentoClient,
    SentoError,
    Setup,
    SetupError,
    Version,
    WriteError,
)
from sento_client.verifying import Check
from sento_proto.submission import decode_submission
from sento_proto.v1 import client_pb2


@pytest.fixture
def place(tmp_path: Path) -> ClientWorld:
    return build_client_world(tmp_path)


@pytest.fixture
async def sento(place: ClientWorld) -> AsyncIterator[SentoClient]:
    async with place.client() as client:
        yield client


def draft(fact: str, content: bytes = b"x", previous: bytes | None = None) -> Draft:
    return Draft("residency", "residence/entry", NUMBER, fact, content, previous)


async def versions_of(sento: SentoClient, count: int) -> list[Acknowledgement]:
    done: list[Acknowledgement] = []
    for number in range(count):
        previous = done[-1].record_hash if done else None
        done.append(await sento.write(**address(), content={"version": number}, previous=previous))
    return done


# Writing.


async def test_written_record_reads_back_verified_and_opened(sento: SentoClient) -> None:
    done = await sento.write(**address(), content={"town": "穂波町"})
    assert (done.position, done.epoch, done.site, done.repeated) == (0, 1, SITES[0], False)
    for name in (done.position, done.record_hash, RecordName(AUTHOR, done.record_id)):
        version = await sento.read(name, **WHY)
        assert version.content == '{"town":"穂波町"}'.encode()
        assert (version.author, version.previous, version.as_of.size) == (AUTHOR, None, 1)
        assert version.findings.ok


async def test_concurrent_callers_share_submissions_without_knowing(
    place: ClientWorld, sento: SentoClient
) -> None:
    done = await asyncio.gather(
        *(sento.write(**address(f"fact {n}"), content=bytes(900)) for n in range(200))
    )
    assert sorted(ack.position for ack in done) == list(range(200))
    sizes = [len(decode_submission(data).records) for data in place.sites[0].submissions]
    assert sum(sizes) == 200
    assert len(sizes) <= 6


async def test_batch_is_cut_into_submissions_and_answered_in_order(
    place: ClientWorld, sento: SentoClient
) -> None:
    results = await sento.write_many([draft(f"fact {n}", bytes(900)) for n in range(100)])
    assert [result.position for result in results if isinstance(result, Acknowledgement)] == list(range(100))
    assert len(place.sites[0].submissions) == 3


async def test_lost_answer_leads_to_the_same_position_at_another_site(
    place: ClientWorld, sento: SentoClient
) -> None:
    place.sites[0].answers_to_lose = 1
    done = await sento.write(**address(), content=b"x")
    assert (done.position, done.site, done.repeated) == (0, SITES[1], True)
    assert len(place.ledger.records) == 1
    assert place.sites[0].submissions == place.sites[1].submissions


async def test_site_that_is_gone_is_replaced(place: ClientWorld, sento: SentoClient) -> None:
    place.sites[0].down = True
    assert (await sento.write(**address(), content=b"x")).site == SITES[1]


async def test_all_sites_gone_ends_at_the_deadline_and_says_that_nothing_was_written(
    place: ClientWorld, sento: SentoClient
) -> None:
    for site in place.sites:
        site.down = True
    with pytest.raises(WriteError) as refused:
        await sento.write(**address(), content=b"x", deadline_ms=100)
    assert (refused.value.code, refused.value.may_stand, refused.value.final) == (
        Code.UNREACHABLE,
        False,
        False,
    )
    assert "it does not stand" in str(refused.value)
    for site in place.sites:
        site.down = False
    (result,) = await sento.send([refused.value.record])
    assert isinstance(result, Acknowledgement)


async def test_record_that_is_sent_again_stands_once(place: ClientWorld, sento: SentoClient) -> None:
    record = sento.compose(draft("address"))
    (first,) = await sento.send([record])
    (second,) = await sento.send([record])
    both = await asyncio.gather(sento.send([record]), sento.send([record]))
    assert isinstance(first, Acknowledgement)
    assert second == first._replace(repeated=True)
    assert both[0] == both[1] == [second]
    assert len(place.ledger.records) == 1


async def test_stale_version_is_refused_for_good_and_says_what_to_do(sento: SentoClient) -> None:
    await versions_of(sento, 2)
    with pytest.raises(WriteError) as refused:
        await sento.write(**address(), content=b"too late")
    assert (refused.value.code, refused.value.final) == (Code.STALE, True)
    assert "Read the fact again" in str(refused.value)
    assert NUMBER not in str(refused.value)


async def test_dependents_of_a_refused_record_fail_by_name(sento: SentoClient) -> None:
    await versions_of(sento, 1)
    stale = sento.compose(draft("address"))
    after = sento.compose(draft("address", previous=stale.record_hash))
    other = sento.compose(draft("phone"))
    results = await sento.send([stale, after, other])
    assert isinstance(results[1], WriteError)
    assert (results[1].code, results[1].because) == (Code.PREDECESSOR_MISSING, stale.record_hash)
    assert results[1].final
    assert stale.record_hash.hex() in str(results[1])
    assert isinstance(results[2], Acknowledgement)


async def test_group_stands_all_or_none(place: ClientWorld, sento: SentoClient) -> None:
    await versions_of(sento, 1)
    with pytest.raises(WriteError) as refused:
        await sento.write_group([draft("phone"), draft("address"), draft("mail")])
    assert refused.value.code is Code.STALE
    assert len(place.ledger.records) == 1
    done = await sento.write_group([draft("phone"), draft("mail")])
    assert [ack.position for ack in done] == [1, 2]


async def test_group_that_is_not_whole_is_refused_before_it_is_sent(
    place: ClientWorld, sento: SentoClient
) -> None:
    group = sento.compose_group([draft("phone"), draft("mail")])
    for wrong in (group[:1], group[::-1], [group[0], sento.compose(draft("x")), group[1]]):
        with pytest.raises(SentoError) as refused:
            await sento.send(wrong)
        assert refused.value.code is Code.BAD_REQUEST
    assert place.sites[0].submissions == []


async def test_group_too_large_for_one_submission_is_refused_alone(sento: SentoClient) -> None:
    group = sento.compose_group([draft(f"fact {n}", bytes(20_000)) for n in range(3)])
    *refused, written = await sento.send([*group, sento.compose(draft("small"))])
    assert [r.code for r in refused if isinstance(r, WriteError)] == [Code.TOO_LARGE] * 3
    assert isinstance(written, Acknowledgement)


async def test_cancelled_caller_does_not_disturb_those_in_the_same_submission(
    place: ClientWorld, sento: SentoClient
) -> None:
    cancelled = asyncio.create_task(sento.write(**address(), content=b"x"))
    other = asyncio.create_task(sento.write(**address("phone"), content=b"y"))
    await asyncio.sleep(0)
    cancelled.cancel()
    assert (await other).position == 1
    assert cancelled.cancelled()
    assert len(place.ledger.records) == 2


async def test_leaving_with_an_error_ends_waiting_callers_at_once(place: ClientWorld) -> None:
    place.sites[0].mute = True
    sento = place.client()
    await sento.__aenter__()
    waiting = asyncio.create_task(sento.write(**address(), content=b"x"))
    await place.sites[0].received.wait()
    await sento.__aexit__(ValueError, ValueError(), None)
    with pytest.raises(WriteError) as ended:
        await waiting
    assert (ended.value.code, ended.value.may_stand) == (Code.DEADLINE, True)
    assert place.transport.closed


async def test_held_author_is_told_the_reason_at_the_deadline(tmp_path: Path) -> None:
    place = build_client_world(tmp_path, budgets={AUTHOR: (0, 0)})
    async with place.client() as sento:
        with pytest.raises(WriteError) as refused:
            await sento.write(**address(), content=b"x", deadline_ms=150)
    assert (refused.value.code, refused.value.may_stand) == (Code.HELD, False)


async def test_client_that_is_turned_away_everywhere_is_told_at_once(
    place: ClientWorld, sento: SentoClient
) -> None:
    for site in place.sites:
        site.turn_away = Code.IDENTITY_REFUSED
    with pytest.raises(WriteError) as refused:
        await sento.write(**address(), content=b"x", deadline_ms=60_000)
    assert refused.value.code is Code.IDENTITY_REFUSED


async def test_outcomes_tell_what_stands_and_what_does_not(sento: SentoClient) -> None:
    record = sento.compose(draft("address"))
    await sento.send([record])
    stands, missing = await sento.outcomes(
        [RecordName(AUTHOR, record.header.record_id), RecordName(AUTHOR, bytes(16))]
    )
    assert (stands.code, stands.position, stands.record_hash) == (Code.KNOWN, 0, record.record_hash)
    assert missing.code is Code.NOT_FOUND


async def test_outcomes_of_more_records_than_one_call_takes_come_in_order(sento: SentoClient) -> None:
    record = sento.compose(draft("address"))
    await sento.send([record])
    names = [RecordName(AUTHOR, bytes(16))] * 600 + [RecordName(AUTHOR, record.header.record_id)]
    found = await sento.outcomes(names)
    assert [outcome.code for outcome in found] == [Code.NOT_FOUND] * 600 + [Code.KNOWN]


# Reading.


async def test_purpose_and_case_number_are_required(sento: SentoClient) -> None:
    for purpose, case_number in (("", "1"), ("why", ""), (" ", "1")):
        with pytest.raises(SentoError) as refused:
            await sento.read(0, purpose=purpose, case_number=case_number)
        assert refused.value.code is Code.PURPOSE_MISSING


async def test_site_that_alters_a_payload_is_passed_over(place: ClientWorld, sento: SentoClient) -> None:
    await versions_of(sento, 1)
    place.sites[0].alter = _alter_payload
    version = await sento.read(0, **WHY)
    assert version.as_of.site == SITES[1]
    with pytest.raises(SentoError) as refused:
        await sento.read(0, **WHY, site=SITES[0], deadline_ms=50)
    assert refused.value.code is Code.DAMAGED
    assert SITES[0] in str(refused.value)


def _alter_payload(message: Message) -> None:
    if isinstance(message, client_pb2.ReadReply):
        message.record.payload = message.record.payload[:-1] + b"\0"


async def test_site_that_gives_another_genuine_record_is_passed_over(
    place: ClientWorld, sento: SentoClient
) -> None:
    await versions_of(sento, 2)

    def exchange(message: Message) -> None:
        if isinstance(message, client_pb2.ReadReply):
            message.record.CopyFrom(place.ledger.stored(0))

    place.sites[0].alter = exchange
    assert (await sento.read(1, **WHY)).as_of.site == SITES[1]


async def test_record_that_is_nowhere_is_not_found(sento: SentoClient) -> None:
    with pytest.raises(SentoError) as refused:
        await sento.read(17, **WHY)
    assert refused.value.code is Code.NOT_FOUND


async def test_read_can_be_pinned_to_one_site(place: ClientWorld, sento: SentoClient) -> None:
    await versions_of(sento, 1)
    version = await sento.read(0, **WHY, site=SITES[2], freshness=Freshness.LOCAL)
    assert version.as_of.site == SITES[2]
    with pytest.raises(SentoError) as refused:
        await sento.read(0, **WHY, site="jp-atlantis")
    assert refused.value.code is Code.BAD_REQUEST


async def test_site_that_answered_last_is_asked_first(place: ClientWorld, sento: SentoClient) -> None:
    await versions_of(sento, 1)
    place.sites[0].down = True
    await sento.read(0, **WHY)
    await sento.read(0, **WHY)
    assert place.transport.asked == [SITES[0], SITES[1], SITES[1]]


async def test_header_only_read_says_why_it_is_closed(sento: SentoClient) -> None:
    await versions_of(sento, 1)
    version = await sento.read(0, **WHY, header_only=True)
    assert version.content is None
    assert "not given out" in version.closed_because


async def test_reader_without_the_kek_sees_the_record_closed_and_cannot_write(
    tmp_path: Path, place: ClientWorld, sento: SentoClient
) -> None:
    await versions_of(sento, 1)
    config = write_client_files(tmp_path / "reader", place.world, "relief-desk", dict.fromkeys(SITES, "h:1"))
    (tmp_path / "reader" / "kek-seals.json").write_text('{"format": "sento-kek-seals-1", "seals": []}')
    async with place.client(config) as reader:
        version = await reader.read(0, **WHY)
        assert version.content is None
        assert version.closed_because.startswith("NO_KEK")
        assert version.findings.ok
        with pytest.raises(SetupError) as refused:
            await reader.write(**address(), content=b"x")
        assert refused.value.code is Setup.CANNOT_SIGN


async def test_fact_gives_the_standing_version_or_that_of_an_earlier_size(sento: SentoClient) -> None:
    done = await versions_of(sento, 3)
    assert (await sento.fact(**address(), **WHY)).record_hash == done[2].record_hash
    assert (await sento.fact(**address(), **WHY, as_of_size=2)).record_hash == done[1].record_hash
    with pytest.raises(SentoError) as refused:
        await sento.fact(**address("phone"), **WHY, deadline_ms=50)
    assert refused.value.code is Code.NOT_FOUND


async def test_history_turns_pages_down_to_the_first_version(sento: SentoClient) -> None:
    done = await versions_of(sento, 8)
    found = [version async for version in sento.history(**address(), **WHY)]
    assert [version.record_hash for version in found] == [ack.record_hash for ack in reversed(done)]
    assert found[-1].previous is None


async def test_history_goes_on_at_another_site_when_one_fails_between_pages(
    place: ClientWorld, sento: SentoClient
) -> None:
    await versions_of(sento, 8)
    found: list[Version] = []
    async for version in sento.history(**address(), **WHY):
        found.append(version)
        place.sites[0].down = True
    assert [version.position for version in found] == [7, 6, 5, 4, 3, 2, 1, 0]
    assert {version.as_of.site for version in found} == {SITES[0], SITES[1]}


async def test_history_does_not_shift_when_a_version_is_added_while_it_is_read(sento: SentoClient) -> None:
    done = await versions_of(sento, 5)
    positions: list[int] = []
    async for version in sento.history(**address(), **WHY):
        if not positions:
            await sento.write(**address(), content=b"newer", previous=done[-1].record_hash)
        positions.append(version.position)
    assert positions == [4, 3, 2, 1, 0]


async def test_site_whose_pages_never_end_is_not_followed_for_ever(
    place: ClientWorld, sento: SentoClient
) -> None:
    await versions_of(sento, 2)

    def lead_on(message: Message) -> None:
        if isinstance(message, client_pb2.ListReply):
            del message.records[:]
            message.next_before = 1_000

    for site in place.sites:
        site.alter = lead_on
    with pytest.raises(SentoError) as refused:
        async for _ in sento.history(**address(), **WHY):
            pass
    assert refused.value.code is Code.DAMAGED


@pytest.mark.parametrize("hidden", [0, 1, 2])
async def test_site_that_hides_a_version_is_passed_over(
    place: ClientWorld, sento: SentoClient, hidden: int
) -> None:
    await versions_of(sento, 3)

    def hide(message: Message) -> None:
        if isinstance(message, client_pb2.ListReply):
            del message.records[hidden]

    place.sites[0].alter = hide
    found = [version async for version in sento.history(**address(), **WHY)]
    if hidden == 0:
        # A proof shows that a record stands, not that none came after: this is what head statements will be for.
        assert len(found) == 2
    else:
        assert [version.as_of.site for version in found] == [SITES[1]] * 3


async def test_subject_history_has_all_records_of_the_person(place: ClientWorld, sento: SentoClient) -> None:
    for fact in ("address", "phone", "mail", "school"):
        await sento.write(**address(fact), content=fact)
        await sento.write(**address(fact, "somebody else"), content=fact)
    found = [v async for v in sento.subject_history(registry="residency", subject=NUMBER, **WHY)]
    assert [version.content for version in found] == [b"school", b"mail", b"phone", b"address"]


async def test_changes_go_on_at_another_site_without_a_gap(place: ClientWorld, sento: SentoClient) -> None:
    await versions_of(sento, 6)
    found = []
    async for version in sento.changes(registry="residency", from_position=1, **WHY):
        found.append(version.position)
        if version.position == 3:
            place.sites[0].down = True
    assert found == [1, 2, 3, 4, 5]


# Proofs and state.


async def test_record_is_proven_under_a_checkpoint_from_another_site(
    place: ClientWorld, sento: SentoClient
) -> None:
    await versions_of(sento, 5)
    place.transport.asked.clear()
    verification = await sento.verify_record(3, **WHY)
    assert verification.findings.ok
    assert [f.check for f in verification.findings][-2:] == [Check.CHECKPOINT, Check.INCLUSION]
    assert verification.checkpoint.size == 5
    assert place.transport.asked[:2] == [SITES[0], SITES[1]]


async def test_record_that_no_quorum_has_covered_yet_is_waited_for(
    place: ClientWorld, sento: SentoClient
) -> None:
    await versions_of(sento, 3)
    place.ledger.cosigned_size = 2
    with pytest.raises(SentoError) as refused:
        await sento.verify_record(2, **WHY, deadline_ms=100)
    assert refused.value.code is Code.NOT_FOUND
    verifying = asyncio.create_task(sento.verify_record(2, **WHY))
    await asyncio.sleep(0)
    place.ledger.cosigned_size = 3
    assert (await verifying).findings.ok


async def test_checkpoint_that_contradicts_the_one_seen_before_is_evidence(
    place: ClientWorld, sento: SentoClient
) -> None:
    await versions_of(sento, 3)
    seen = (await sento.verify_checkpoint()).checkpoint
    await sento.write(**address("phone"), content=b"x")
    assert (await sento.verify_checkpoint(seen)).findings.ok
    with pytest.raises(SentoError) as refused:
        await sento.verify_checkpoint(seen._replace(root=bytes(32)), deadline_ms=50)
    assert refused.value.code is Code.DAMAGED
    rolled_back = await sento.verify_checkpoint(seen._replace(size=9))
    assert not rolled_back.findings.ok
    assert "smaller" in rolled_back.findings.why


async def test_checkpoint_without_quorum_is_not_believed(place: ClientWorld, sento: SentoClient) -> None:
    await versions_of(sento, 1)

    def strip(message: Message) -> None:
        if isinstance(message, client_pb2.CheckpointReply):
            message.checkpoint = place.ledger.checkpoint(SITES[:1])

    for site in place.sites:
        site.alter = strip
    with pytest.raises(SentoError) as refused:
        await sento.checkpoint(deadline_ms=50)
    assert refused.value.code is Code.DAMAGED


async def test_status_lists_every_site_also_those_that_do_not_answer(
    place: ClientWorld, sento: SentoClient
) -> None:
    place.sites[1].down = True
    reports = await sento.status()
    assert [report.site for report in reports] == list(SITES)
    assert [report.serves for report in reports] == [True, False, True]
    assert reports[1].trouble.startswith("UNREACHABLE")
