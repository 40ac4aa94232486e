"""Orphans of a former epoch: listed with what speaks against them, offered again once, conflicts left to people, nothing dropped."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from orphaned_site import OrphanedSite
from sento_node.erasure.set_aside import remove_from_aside
from sento_node.service.orphan_service import OrphanService
from sento_node.service.standing import standing
from sento_proto.errors import Code, SentoError
from sento_proto.record import Record
from sento_proto.v1 import admin_pb2


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OrphanedSite]:
    made = OrphanedSite(tmp_path)
    yield made
    made.close()


def listed(site: OrphanedSite, epoch: int = 0) -> dict[bytes, admin_pb2.Orphan]:
    async def work() -> list[admin_pb2.Orphan]:
        service = OrphanService(site.node)
        return [one async for one in service.orphans(admin_pb2.OrphansRequest(epoch=epoch))]

    found = asyncio.run(work())
    assert len({one.record_hash for one in found}) == len(found), "each once"
    return {one.record_hash: one for one in found}


def readmitted(site: OrphanedSite, records: Sequence[Record]) -> dict[bytes, admin_pb2.Readmitted]:
    async def work() -> list[admin_pb2.Readmitted]:
        service = OrphanService(site.node)
        hashes = [one.record_hash for one in records]
        request = admin_pb2.ReadmitRequest(epoch=0, record_hashes=hashes)
        return [one async for one in service.readmit(request)]

    found = asyncio.run(work())
    assert sorted(one.record_hash for one in found) == sorted(one.record_hash for one in records)
    return {one.record_hash: one for one in found}


def codes(site: OrphanedSite, records: Sequence[Record]) -> list[Code]:
    answers = readmitted(site, records)
    return [Code(answers[one.record_hash].code) for one in records]


def test_every_record_that_the_new_epoch_lacks_is_listed_and_no_other(site: OrphanedSite) -> None:
    found = listed(site)
    orphans = [*site.lawful, *site.chain, site.late, *site.together, site.half]
    assert list(found) == [one.record_hash for one in orphans], "oldest first"
    for one in orphans:
        told = found[one.record_hash]
        assert (told.registry, told.kind, told.fact) == (
            one.header.registry,
            one.header.kind,
            one.header.fact,
        )
        assert (told.author, told.record_id, told.time_ms) == (
            "kaga-city",
            one.header.record_id,
            one.header.time_ms,
        )


def test_records_of_one_submission_have_one_number(site: OrphanedSite) -> None:
    found = listed(site)
    numbers = [found[one.record_hash].submission for one in (*site.lawful, *site.chain, *site.together)]
    assert numbers == [1, 1, 2, 3, 5, 5]


def test_a_record_stands_against_the_version_that_the_new_epoch_has_meanwhile(site: OrphanedSite) -> None:
    found = listed(site)
    against = {one: each.stands_against for one, each in found.items() if each.HasField("stands_against")}
    fork = site.plan.parent.size
    assert against == {site.late.record_hash: fork + 1, site.together[0].record_hash: fork + 2}


def test_a_version_on_an_orphan_stands_against_nothing_by_itself(site: OrphanedSite) -> None:
    found = listed(site)
    assert not found[site.chain[1].record_hash].HasField("stands_against")


def test_a_submission_of_which_a_record_was_refused_says_why_it_cannot_come_back(site: OrphanedSite) -> None:
    found = listed(site)
    assert "was refused" in found[site.half.record_hash].why_not
    assert [one for one, each in found.items() if each.why_not] == [site.half.record_hash]
    assert codes(site, [site.half]) == [Code.BAD_REQUEST]
    assert site.offered == []


def test_reviewed_orphans_come_to_stand_under_their_own_hashes_and_are_orphans_no_more(
    site: OrphanedSite,
) -> None:
    back = [*site.lawful, *site.chain]
    answers = readmitted(site, back)
    for one in back:
        answer = answers[one.record_hash]
        assert Code(answer.code) is Code.ACCEPTED
        assert answer.position == site.position(one)
    assert set(listed(site)) == {one.record_hash for one in (site.late, *site.together, site.half)}


def test_readmitting_twice_changes_nothing(site: OrphanedSite) -> None:
    back = [*site.lawful, *site.chain]
    first = readmitted(site, back)
    size = site.store.tip.size
    second = readmitted(site, back)
    assert site.store.tip.size == size
    assert {Code(one.code) for one in second.values()} == {Code.KNOWN}
    assert {one: each.position for one, each in first.items()} == {
        one: each.position for one, each in second.items()
    }


def test_what_the_author_sent_again_meanwhile_is_known_and_stands_once(site: OrphanedSite) -> None:
    """The outbox was faster: the very same submission stands already, whoever offers it next."""
    readmitted(site, site.lawful)
    (data,) = site.offered
    size = site.store.tip.size
    told = asyncio.run(site.node.running().submit(data))
    assert [one.code for one in told.outcomes] == [Code.KNOWN, Code.KNOWN]
    assert site.store.tip.size == size


def test_a_conflict_that_is_offered_all_the_same_is_refused_by_the_ledger_and_stays_an_orphan(
    site: OrphanedSite,
) -> None:
    assert codes(site, [site.late]) == [Code.STALE]
    assert site.late.record_hash in listed(site)


def test_a_submission_that_was_not_reviewed_whole_is_not_offered(site: OrphanedSite) -> None:
    assert codes(site, site.together[1:]) == [Code.BAD_REQUEST]
    assert site.offered == []
    assert codes(site, site.together) == [Code.STALE, Code.ACCEPTED]


def test_a_record_that_is_no_orphan_here_is_said_to_be_none(site: OrphanedSite) -> None:
    assert codes(site, [site.below[0]]) == [Code.KNOWN]
    stranger = site.driver.record("stranger", author="kaga-city")
    assert codes(site, [stranger]) == [Code.NOT_FOUND]


def test_an_erased_payload_does_not_come_back(site: OrphanedSite) -> None:
    """An erasure takes from what was set aside, too: its submission is named with the reason, and nothing of it is offered."""
    removed = remove_from_aside(site.data_dir, (), [site.lawful[0].payload_hash])
    assert removed
    found = listed(site)
    assert found[site.lawful[0].record_hash].why_not
    assert codes(site, site.lawful) == [Code.BAD_REQUEST, Code.BAD_REQUEST]
    assert site.offered == []


def test_an_epoch_that_has_not_ended_has_no_orphans(site: OrphanedSite) -> None:
    with pytest.raises(SentoError) as refused:
        listed(site, epoch=1)
    assert refused.value.code is Code.BAD_REQUEST


def test_a_ledger_set_aside_twice_lists_each_record_once(site: OrphanedSite) -> None:
    """A second fork from one parent: two directories of one epoch, with the same records in both."""
    first = site.data_dir / "epoch-0000-orphans"
    before = listed(site)
    shutil.copytree(first, site.data_dir / "epoch-0000-orphans-2")
    assert listed(site) == before


def test_standing_tells_places_in_the_order_asked(site: OrphanedSite) -> None:
    asked = [site.lawful[0].record_hash, site.below[1].record_hash, bytes(32)]
    told = asyncio.run(standing(site.node, admin_pb2.StandingRequest(record_hashes=asked)))
    assert [(one.stands, one.position) for one in told.places] == [(False, 0), (True, 1), (False, 0)]
    assert (told.epoch, told.size) == (1, site.store.tip.size)


@pytest.mark.parametrize("hashes", [[bytes(31)], [bytes(32)] * 1_001], ids=["short", "too many"])
def test_standing_refuses_what_is_no_list_of_hashes(site: OrphanedSite, hashes: list[bytes]) -> None:
    with pytest.raises(SentoError) as refused:
        asyncio.run(standing(site.node, admin_pb2.StandingRequest(record_hashes=hashes)))
    assert refused.value.code is Code.BAD_REQUEST
