"""A site hands out sealed extracts under the rules of reads: recorded before they leave, also on an island; and each reported use stands once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from genesis_builder import build_genesis
from lone_runner import SITE, LoneSite
from releasing_site import AUTHOR, OTHER_AUTHOR, RULES, WHY, ReleasingSite, context_of
from sento_drill.waiting import until
from sento_node.ledger import reading
from sento_node.releases.making import sign_together
from sento_node.releases.spool import Spool
from sento_node.service import extract_service, extracting
from sento_proto.access_record import AccessRecord
from sento_proto.checkpoint import Checkpoint, SiteSigners, cosign, encode_checkpoint, merge_signatures
from sento_proto.errors import Code, SentoError
from sento_proto.extract import (
    VALID_MAX_S,
    ExtractBody,
    SealedExtract,
    decode_extract,
    extract_holds,
    open_extract,
)
from sento_proto.merkle import verify_inclusion
from sento_proto.seal import XWingOpener
from sento_proto.sealing import seal_record
from sento_proto.v1 import client_pb2, common_pb2

pytestmark = pytest.mark.asyncio
SUBJECT, OTHER_SUBJECT, UNKNOWN = (bytes([number]) * 32 for number in (7, 8, 9))
OTHER_SITE = "jp-ishikawa"
WHILE_TREATING = common_pb2.Purpose(purpose="treatment", case_number="T-1")


@pytest.fixture
def island(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReleasingSite:
    """The site; its newest checkpoint is over all that is flushed, because nobody cosigns for one alone."""
    site = ReleasingSite(tmp_path)

    def note(store: object) -> bytes:
        world, kept = site.world, site.lone.store
        size = kept.tip.size
        checkpoint = Checkpoint(world.ledger_id, kept.tip.epoch, size, reading.root_at(kept, size))
        return encode_checkpoint(
            merge_signatures(checkpoint, [cosign(checkpoint, SITE, world.site_signers[SITE], 1)])
        )

    monkeypatch.setattr(extract_service, "kept_checkpoint", note)
    return site


async def extract(
    site: ReleasingSite,
    subjects: Sequence[bytes] = (SUBJECT,),
    who: str = AUTHOR,
    *,
    purpose: common_pb2.Purpose = WHY,
    valid_s: int = 3_600,
    registry: str = "residency",
) -> bytes:
    site.node.signers = SiteSigners(site.world.site_signers[SITE])
    request = client_pb2.ExtractRequest(
        purpose=purpose, registry=registry, subjects=subjects, valid_s=valid_s
    )
    reply = await site.service.Extract(request, context_of(who))
    return reply.extract


def opened(site: ReleasingSite, data: bytes, who: str = AUTHOR) -> tuple[SealedExtract, ExtractBody]:
    sealed = decode_extract(data)
    assert extract_holds(sealed, site.node.governance.site_keys[SITE])
    return sealed, open_extract(sealed, XWingOpener(site.world.seal_secrets[who]))


def use_of(data: bytes, number: int = 1, subject: bytes = SUBJECT) -> client_pb2.ExtractUse:
    return client_pb2.ExtractUse(
        use_id=bytes([number]) * 16,
        extract_id=decode_extract(data).header.extract_id,
        subject=subject,
        purpose=WHILE_TREATING,
        opened_at_ms=1_767_225_600_000,
        records=1,
    )


async def report(
    site: ReleasingSite, *uses: client_pb2.ExtractUse, who: str = AUTHOR, registry: str = "residency"
) -> list[bytes]:
    request = client_pb2.ReportExtractUseRequest(registry=registry, uses=uses)
    reply = await site.service.ReportExtractUse(request, context_of(who))
    return list(reply.recorded)


async def cut_off(site: ReleasingSite) -> None:
    site.lone.log.cut_off()
    await site.wait_state("no-majority")


async def healed(site: ReleasingSite) -> None:
    site.lone.log.heal()
    await site.wait_state("serving")

    async def empty() -> bool:
        await site.log.drain_once()
        return not len(site.log.spool)

    await until(empty, deadline_s=15, what="the spool is not ordered")
    await site.all_flushed()


def by_method(site: ReleasingSite, method: str) -> list[AccessRecord]:
    return [access for access in site.accesses() if access.method == method]


# Handed out.


async def test_extract_holds_each_persons_records_with_proofs_and_is_recorded_once_a_person(
    island: ReleasingSite,
) -> None:
    async with island.running() as site:
        await site.stand(site.record(SUBJECT), site.record(OTHER_SUBJECT))
        sealed, body = opened(site, await extract(site, [SUBJECT, OTHER_SUBJECT, UNKNOWN]))
        note = sealed.header.checkpoint
        assert [len(person.entries) for person in body.subjects] == [1, 1, 0]
        for person in body.subjects:
            for entry in person.entries:
                assert entry.record.payload
                assert verify_inclusion(
                    entry.record.record_hash, entry.record.position, note.size, entry.path, note.root
                )
        await site.all_flushed()
        found = by_method(site, "extract")
        assert [access.extract for access in found] == [sealed.header.extract_id] * 2
        assert {access.reader for access in found} == {AUTHOR}
        assert sealed.header.ends_at_ms - sealed.header.made_at_ms == 3_600_000


async def test_on_an_island_the_release_lies_flushed_before_the_extract_leaves_and_stands_once_after(
    island: ReleasingSite, tmp_path: Path
) -> None:
    async with island.running() as site:
        await site.stand(site.record(SUBJECT))
        await cut_off(site)
        assert opened(site, await extract(site))[1].subjects[0].entries
        assert len(Spool(tmp_path).oldest(9)) == 1
        await healed(site)
        assert len(by_method(site, "extract")) == 1


async def test_a_disk_that_takes_no_more_hands_nothing_out(
    island: ReleasingSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_spool: Spool, _records: object) -> None:
        raise OSError(28, "No space left on device")

    async with island.running() as site:
        await site.stand(site.record(SUBJECT))
        await cut_off(site)
        monkeypatch.setattr(Spool, "append", full)
        with pytest.raises(SentoError) as refused:
            await extract(site)
        assert refused.value.code is Code.ACCESS_NOT_RECORDED


async def test_without_a_case_number_it_is_refused_and_the_attempt_is_listed(island: ReleasingSite) -> None:
    async with island.running() as site:
        await site.stand(site.record(SUBJECT))
        with pytest.raises(SentoError) as refused:
            await extract(site, purpose=common_pb2.Purpose(purpose="curious"))
        assert refused.value.code is Code.PURPOSE_MISSING
        await site.all_flushed()
        assert [access.outcome for access in by_method(site, "extract")] == ["PURPOSE_MISSING"]


async def test_what_an_institution_may_not_read_is_in_it_as_nowhere_else(island: ReleasingSite) -> None:
    async with island.running() as site:
        await site.stand(site.record(SUBJECT))
        body = opened(site, await extract(site, who=OTHER_AUTHOR), OTHER_AUTHOR)[1]
        assert [entry.record.payload for entry in body.subjects[0].entries] == [None]
        await site.all_flushed()
        assert by_method(site, "extract") == []


@pytest.mark.parametrize(
    ("subjects", "valid_s", "registry"),
    [
        ([bytes([1, number]) + bytes(30) for number in range(65)], 60, "residency"),
        ([SUBJECT, SUBJECT], 60, "residency"),
        ([bytes(31)], 60, "residency"),
        ([], 60, "residency"),
        ([SUBJECT], VALID_MAX_S + 1, "residency"),
        ([SUBJECT], 60, "keys"),
    ],
)
async def test_requests_beyond_the_bounds_are_refused(
    island: ReleasingSite, subjects: list[bytes], valid_s: int, registry: str
) -> None:
    async with island.running() as site:
        with pytest.raises(SentoError) as refused:
            await extract(site, subjects, valid_s=valid_s, registry=registry)
        assert refused.value.code is Code.BAD_REQUEST


async def test_too_many_records_are_refused_in_words_and_not_cut(
    island: ReleasingSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extracting, "RECORDS_MAX", 2)
    async with island.running() as site:
        await site.stand(*(site.record(SUBJECT) for _ in range(3)))
        with pytest.raises(SentoError, match="fewer persons") as refused:
            await extract(site)
        assert refused.value.code is Code.BAD_REQUEST


async def test_one_reader_cannot_have_the_whole_registry_in_a_minute(island: ReleasingSite) -> None:
    async with island.running() as site:
        await site.stand(site.record(SUBJECT))
        for _ in range(extract_service.EXTRACTS_MAX):
            await extract(site, [UNKNOWN])
        with pytest.raises(SentoError) as refused:
            await extract(site, [UNKNOWN])
        assert refused.value.code is Code.RATE_LIMITED
        await extract(site, [UNKNOWN], who=OTHER_AUTHOR)
        site.clock.ahead_ms += extract_service.EXTRACTS_WITHIN_MS
        await extract(site, [UNKNOWN])


# Reported.


async def test_a_use_stands_once_however_often_it_is_reported(island: ReleasingSite) -> None:
    async with island.running() as site:
        await site.stand(site.record(SUBJECT))
        data = await extract(site)
        await site.all_flushed()
        first, second = use_of(data, 1), use_of(data, 2)
        assert await report(site, first, first) == [first.use_id]
        assert await report(site, first, second) == [first.use_id, second.use_id]
        await site.all_flushed()
        lie = use_of(data, 1)
        lie.purpose.purpose = "something else"
        lie.opened_at_ms += 1
        assert await report(site, lie) == [first.use_id]
        await site.all_flushed()
        found = by_method(site, "extract-opened")
        assert [(access.purpose, access.case_number, access.more) for access in found] == [
            ("treatment", "T-1", 1)
        ] * 2
        assert {access.extract for access in found} == {decode_extract(data).header.extract_id}


async def test_uses_reported_on_the_island_and_again_after_it_stand_once(island: ReleasingSite) -> None:
    async with island.running() as site:
        await site.stand(site.record(SUBJECT))
        await cut_off(site)
        data = await extract(site)
        assert await report(site, use_of(data, 1)) == [use_of(data, 1).use_id]
        assert await report(site, use_of(data, 1)) == [use_of(data, 1).use_id]
        assert len(site.log.spool) == 2
    async with island.running(serving=False) as site:  # killed meanwhile
        site.lone.log.heal()
        await site.wait_state("serving")
        await site.log.keys.settle()
        assert await report(site, use_of(data, 1)) == [use_of(data, 1).use_id]
        await healed(site)
        assert await report(site, use_of(data, 1)) == [use_of(data, 1).use_id]
        await site.all_flushed()
        assert len(by_method(site, "extract-opened")) == 1
        assert len(by_method(site, "extract")) == 1


async def test_a_use_that_another_site_recorded_meanwhile_leaves_the_islands_spool_without_a_second_record(
    island: ReleasingSite,
) -> None:
    """Two sites that were told of one use: the ledger takes the first record of it, and the other site is done with its own."""
    island.world = build_genesis(sites=(SITE, OTHER_SITE), rules=RULES)
    island.lone = LoneSite(island.world)
    async with island.running() as site:
        await site.stand(site.record(SUBJECT))
        data = await extract(site)
        await site.all_flushed()
        await cut_off(site)
        assert await report(site, use_of(data)) == [use_of(data).use_id]
        (spooled,) = site.log.spool.oldest(9)
        site.lone.log.heal()
        await site.wait_state("serving")
        signer = site.world.site_signers[OTHER_SITE]
        header = spooled.header._replace(author_key_id=signer.public_key.key_id)
        theirs = seal_record(header, b"theirs", dek=bytes(32), kek=bytes(32))
        assert site.node.runner is not None
        reply = await site.node.runner.submit(sign_together(site.world.ledger_id, [theirs], signer).data)
        assert [outcome.code for outcome in reply.outcomes] == [Code.ACCEPTED]
        await healed(site)
        assert "access-record-refused" not in site.lone.condition.alarms
        facts = [one.fact for one in site.headers()]
        assert facts.count(header.fact) == 1


@pytest.mark.parametrize("lie", ["another reader", "another person", "another extract", "another registry"])
async def test_only_the_reader_it_was_made_for_can_report_it_and_only_of_persons_in_it(
    island: ReleasingSite, lie: str
) -> None:
    async with island.running() as site:
        await site.stand(site.record(SUBJECT), site.record(OTHER_SUBJECT))
        data = await extract(site)
        await site.all_flushed()
        use = use_of(data, subject=OTHER_SUBJECT if lie == "another person" else SUBJECT)
        if lie == "another extract":
            use.extract_id = use.extract_id[:-1] + bytes([use.extract_id[-1] ^ 1])
        who = OTHER_AUTHOR if lie == "another reader" else AUTHOR
        registry = "tax" if lie == "another registry" else "residency"
        assert await report(site, use, who=who, registry=registry) == []
        await site.all_flushed()
        assert by_method(site, "extract-opened") == []


async def test_a_use_without_purpose_or_of_two_lines_is_refused(island: ReleasingSite) -> None:
    async with island.running() as site:
        await site.stand(site.record(SUBJECT))
        data = await extract(site)
        for purpose, code in (("", Code.PURPOSE_MISSING), ("two\nlines", Code.BAD_REQUEST)):
            use = use_of(data)
            use.purpose.purpose = purpose
            with pytest.raises(SentoError) as refused:
                await report(site, use)
            assert refused.value.code is code
