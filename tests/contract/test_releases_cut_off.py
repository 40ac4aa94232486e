"""A site that is cut off: what it releases lies flushed on its disk first, and stands in the ledger once, whenever the node dies in between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acts import close_key_epoch, start_key_epoch
from lone_runner import SITE
from releasing_site import AUTHOR, OTHER_AUTHOR, ReleasingSite
from sento_drill.waiting import until
from sento_node.metrics import metrics_page
from sento_node.releases import kek_file, spool
from sento_node.releases.kek_file import read_keks
from sento_node.releases.spool import Spool
from sento_node.service.admin_service import status_of
from sento_proto.access_record import KIND_REFUSED
from sento_proto.errors import Code, SentoError

pytestmark = pytest.mark.asyncio
SUBJECT = bytes([7]) * 32


async def cut_off(site: ReleasingSite) -> None:
    site.lone.log.cut_off()
    await site.wait_state("no-majority")


async def healed(site: ReleasingSite) -> None:
    site.lone.log.heal()
    await site.wait_state("serving")


async def drained(site: ReleasingSite) -> None:
    """Until the spool is empty: the site may still be told that a submission's outcome is unknown."""

    async def empty() -> bool:
        await site.log.drain_once()
        return not len(site.log.spool)

    await until(empty, deadline_s=15, what="the spool is not ordered")
    await site.all_flushed()


async def test_an_island_spools_before_it_releases_and_orders_once_after(tmp_path: Path) -> None:
    island = ReleasingSite(tmp_path)
    async with island.running() as site:
        (position,) = await site.stand(site.record(SUBJECT))
        await cut_off(site)
        reply = await site.read(position)
        assert reply.record.payload
        assert not reply.access.record.submission.count
        assert [one.record_hash for one in Spool(tmp_path).oldest(9)] == [reply.access.record.record_hash]
        assert status_of(site.node).access_records_spooled == 1
        page = (await metrics_page(site.node)()).decode()
        assert "sento_access_records_spooled 1.0" in page
        assert 'sento_access_records_total{way="spooled"} 1.0' in page
        await healed(site)
        await drained(site)
        assert (len(site.headers()), status_of(site.node).access_records_spooled) == (1, 0)
        assert not (tmp_path / spool.NAME).exists()
        assert [access.reader for access in site.accesses()] == [AUTHOR]


async def test_an_island_refuses_a_linearizable_read_and_releases_nothing(tmp_path: Path) -> None:
    async with ReleasingSite(tmp_path).running() as site:
        (position,) = await site.stand(site.record(SUBJECT))
        site.lone.log.requests_to_lose = 10_000
        with pytest.raises(SentoError) as refused:
            await site.read(position, local=False)
        assert refused.value.code in (Code.ACCESS_NOT_RECORDED, Code.NOT_FRESH)
        assert not (tmp_path / spool.NAME).exists()


async def test_a_node_killed_between_spool_and_order_orders_it_in_its_next_life(tmp_path: Path) -> None:
    island = ReleasingSite(tmp_path)
    async with island.running() as site:
        (position,) = await site.stand(site.record(SUBJECT))
        await cut_off(site)
        await site.read(position)
        site.lone.log.heal()
    async with island.running() as site:
        assert len(site.log.spool) == 1
        await drained(site)
        assert len(site.headers()) == 1


async def test_a_node_killed_between_order_and_removal_orders_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    island = ReleasingSite(tmp_path)

    def dies(_spool: Spool, _ids: object) -> None:
        raise OSError("killed here")

    async with island.running() as site:
        (position,) = await site.stand(site.record(SUBJECT))
        await cut_off(site)
        await site.read(position)
        await healed(site)
        with monkeypatch.context() as patch:
            patch.setattr(Spool, "ordered", dies)
            with pytest.raises(OSError, match="killed here"):
                await drained(site)
        await site.all_flushed()
        assert len(site.headers()) == 1, "it stands, and the file does not know"
    async with island.running() as site:
        assert len(site.log.spool) == 1
        await drained(site)
        assert len(site.headers()) == 1


async def test_a_local_read_whose_record_is_not_answered_in_time_stands_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sento_node.releases.access_log.ISLAND_AFTER_MS", 50)
    async with ReleasingSite(tmp_path).running() as site:
        (position,) = await site.stand(site.record(SUBJECT))
        site.lone.log.answers_to_lose = 2
        site.lone.log.cut_off()
        site.lone.condition.state = "serving"
        assert (await site.read(position)).record.payload
        assert len(site.log.spool) == 1
        await healed(site)
        await drained(site)
        assert len(site.headers()) == 1


async def test_a_disk_that_takes_no_more_releases_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_spool: Spool, _records: object) -> None:
        raise OSError(28, "No space left on device")

    async with ReleasingSite(tmp_path).running() as site:
        (position,) = await site.stand(site.record(SUBJECT))
        await cut_off(site)
        monkeypatch.setattr(Spool, "append", full)
        with pytest.raises(SentoError) as refused:
            await site.read(position)
        assert refused.value.code is Code.ACCESS_NOT_RECORDED
        assert "access-spool" in site.lone.condition.alarms


async def test_a_key_epoch_closed_meanwhile_has_the_record_sealed_anew_under_its_id(tmp_path: Path) -> None:
    async with ReleasingSite(tmp_path).running() as site:
        (position,) = await site.stand(site.record(SUBJECT))
        site.lone.condition.state = "no-majority"  # it thinks so; its watch finds out that it has one
        await site.read(position)
        (waiting,) = site.log.spool.oldest(9)
        await site.act(start_key_epoch("residency", 2))
        await site.act(close_key_epoch("residency", 1))
        await site.wait_state("serving")
        await site.log.keys.settle()
        await drained(site)
        (header,) = site.headers()
        assert (header.record_id, header.key_epoch) == (waiting.header.record_id, 2)
        assert [access.reader for access in site.accesses()] == [AUTHOR]


async def test_refused_attempts_at_an_island_are_spooled_too(tmp_path: Path) -> None:
    async with ReleasingSite(tmp_path).running() as site:
        (position,) = await site.stand(site.record(SUBJECT))
        await cut_off(site)
        with pytest.raises(SentoError):
            await site.read(position, OTHER_AUTHOR)
        await healed(site)
        await drained(site)
        assert [header.kind for header in site.headers()] == [KIND_REFUSED]


async def test_a_site_that_lost_its_key_file_releases_nothing_and_says_so(tmp_path: Path) -> None:
    lost = ReleasingSite(tmp_path)
    async with lost.running() as site:
        (position,) = await site.stand(site.record(SUBJECT))
    (tmp_path / kek_file.NAME).unlink()
    async with lost.running() as site:
        with pytest.raises(SentoError) as refused:
            await site.read(position)
        assert (refused.value.code, "key epoch" in refused.value.detail) == (Code.ACCESS_NOT_RECORDED, True)
        assert "access-key-lost" in site.lone.condition.alarms
        await site.act(start_key_epoch("residency", 2))
        assert (await site.read(position)).record.payload


async def test_a_damaged_key_file_releases_nothing_and_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / kek_file.NAME
    site_of = ReleasingSite(tmp_path)
    async with site_of.running() as site:
        (position,) = await site.stand(site.record(SUBJECT))
    damaged = path.read_bytes()[:-20]
    path.write_bytes(damaged)
    async with site_of.running() as site:
        with pytest.raises(SentoError) as refused:
            await site.read(position)
        assert refused.value.code is Code.ACCESS_NOT_RECORDED
        assert "access-keys-unusable" in site.lone.condition.alarms
    assert path.read_bytes() == damaged


async def test_keys_are_on_disk_for_their_owner_alone_before_their_seals_stand(tmp_path: Path) -> None:
    fresh = ReleasingSite(tmp_path)
    async with fresh.running(serving=False) as site:
        await site.wait_state("serving")
        site.lone.log.requests_to_lose = 1_000
        with pytest.raises(SentoError):
            await site.log.keys.settle()
        assert {own.sealed for own in read_keks(tmp_path).values()} == {False}
        assert site.log.keys.usable("residency") is None, (
            "no record is sealed under a key whose seals do not stand"
        )
        assert (tmp_path / kek_file.NAME).stat().st_mode & 0o077 == 0
        site.lone.log.requests_to_lose = 0

        async def sealed() -> bool:
            await site.log.keys.settle()
            return all(own.sealed for own in read_keks(tmp_path).values())

        await until(sealed, deadline_s=15, what="the seals do not stand")
    kept = json.loads((tmp_path / kek_file.NAME).read_text())
    assert {entry["registry"] for entry in kept["keks"]} == {"residency", "tax", "health"}
    assert SITE not in (tmp_path / kek_file.NAME).read_text()
