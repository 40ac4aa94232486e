"""The registry in memory as a program's test uses it: real answers and codes, every fault that it promises, nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client_world import NUMBER, WHY, address
from sento_client import (
    Acknowledgement,
    Code,
    Draft,
    Freshness,
    HiddenTally,
    Ports,
    RecordName,
    SentoClient,
    SentoError,
    Setup,
    SetupError,
    WriteError,
)
from sento_client.config import Limits
from sento_client.testing import Budget, Institution, Registry, Scope
from sento_proto.header import ZERO32

CITY = Institution(
    "iizuka-city", writes=["residency", Scope("tax", "open")], reads=["tax"], budget=Budget(20, 3)
)
DESK = Institution("relief-desk", reads=[Scope("residency", "basic")])


def draft(fact: str = "address", content: str = "x", **more: str) -> Draft:
    return Draft(
        "residency",
        "residence/entry",
        more.get("subject", NUMBER),
        fact,
        content,
        None,
        more.get("compartment", ""),
    )


@pytest.fixture
def registry() -> Registry:
    return Registry([CITY, DESK], seed=1, limits=Limits(deadline_ms=3_000))


@pytest.fixture
async def sento(registry: Registry) -> AsyncIterator[SentoClient]:
    async with registry.client() as client:
        yield client


async def write(
    sento: SentoClient, one: Draft, deadline_ms: int | None = None
) -> Acknowledgement | WriteError:
    (result,) = await sento.send([sento.compose(one)], deadline_ms=deadline_ms)
    return result


async def test_registry_without_arguments_takes_a_program_as_it_is() -> None:
    registry = Registry()
    async with registry.client() as sento:
        done = await sento.write(**address(), content={"town": "穂波町"}, compartment="basic")
        assert (await sento.read(done.position, **WHY)).content == '{"town":"穂波町"}'.encode()
        assert (await sento.verify_record(done.record_hash, **WHY)).findings.ok
        assert all(report.serves for report in await sento.status())
    (record,) = registry.records()
    assert (record.author, record.header.compartment, record.header.previous) == (
        "test-ministry",
        "basic",
        ZERO32,
    )
    assert record.content == '{"town":"穂波町"}'.encode()


async def test_same_seed_gives_the_same_ledger_and_another_or_none_another_one() -> None:
    roots, ledger_ids = [], []
    for seed in (7, 7, 8, None, None):
        registry = Registry(seed=seed)
        async with registry.client() as sento:
            for version in ("one", "two"):
                registry.put(draft("phone", version))
                done = await sento.write(**address(version), content=version)
                await sento.read(done.position, **WHY)
        roots.append(registry.root)
        ledger_ids.append(registry.genesis.ledger_id)
    assert roots[0] == roots[1]
    assert len(set(roots)) == len(set(ledger_ids)) == 4


async def test_clock_port_of_the_test_is_in_records_checkpoints_and_answers() -> None:
    registry = Registry(ports=Ports(wall_ms=lambda: 1_900_000_000_123))
    async with registry.client() as sento:
        done = await sento.write(**address(), content=b"x")
        version = await sento.read(done.position, **WHY)
        assert version.header.time_ms == version.as_of.confirmed_at_ms == 1_900_000_000_123


async def test_put_follows_the_standing_version_and_records_are_found_by_person(registry: Registry) -> None:
    first = registry.put(draft(content="one"))
    second = registry.put(draft(content="two"))
    registry.put(draft(subject="somebody else"))
    assert second.header.previous == first.record_hash
    assert [record.content for record in registry.records("residency", NUMBER)] == [b"one", b"two"]
    assert (registry.size, registry.records("tax")) == (3, [])
    with pytest.raises(ValueError, match="another pseudonym in each registry"):
        registry.records(subject=NUMBER)
    registry.put(draft(subject="a third person"))
    with pytest.raises(SentoError) as refused:
        registry.put(draft(subject="a fourth person"))
    assert refused.value.code is Code.HELD
    with pytest.raises(SetupError) as cannot:
        registry.put(draft(), institution="relief-desk")
    assert cannot.value.code is Setup.CANNOT_SIGN


async def test_institution_that_is_not_there_is_named_with_those_that_are(registry: Registry) -> None:
    with pytest.raises(SetupError) as refused:
        registry.client("tax-office")
    assert refused.value.code is Setup.NOT_ENROLLED
    assert "iizuka-city, relief-desk" in str(refused.value)


# Codes.


async def test_stale_version_and_missing_predecessor(registry: Registry, sento: SentoClient) -> None:
    registry.put(draft())
    stale = await write(sento, draft())
    early = await write(sento, draft("phone")._replace(previous=bytes(range(32))), deadline_ms=50)
    assert isinstance(stale, WriteError)
    assert isinstance(early, WriteError)
    assert (stale.code, early.code) == (Code.STALE, Code.PREDECESSOR_MISSING)


async def test_record_id_with_other_content_is_reused_and_the_same_one_known(registry: Registry) -> None:
    ports = Ports(random_bytes=bytes, wall_ms=lambda: 1)
    async with SentoClient(registry.installation(), transport=registry.transport, ports=ports) as sento:
        first = await write(sento, draft("address"))
        again = await write(sento, draft("address"))
        other = await write(sento, draft("phone"))
    assert isinstance(again, Acknowledgement)
    assert isinstance(other, WriteError)
    assert (again.repeated, again._replace(repeated=False), other.code) == (
        True,
        first,
        Code.RECORD_ID_REUSED,
    )


async def test_group_falls_with_its_member(registry: Registry, sento: SentoClient) -> None:
    registry.put(draft())
    results = await sento.send(sento.compose_group([draft("phone"), draft("address")]))
    assert [result.code for result in results if isinstance(result, WriteError)] == [
        Code.GROUP_REFUSED,
        Code.STALE,
    ]
    assert registry.size == 1


async def test_compartment_without_permission_and_subject_beyond_the_budget(
    registry: Registry, sento: SentoClient
) -> None:
    closed = await write(sento, draft()._replace(registry="tax", compartment="closed"), deadline_ms=50)
    for person in ("one", "two", "three"):
        assert isinstance(await write(sento, draft(subject=person)), Acknowledgement)
    held = await write(sento, draft(subject="four"), deadline_ms=50)
    assert isinstance(closed, WriteError)
    assert isinstance(held, WriteError)
    assert (closed.code, held.code) == (Code.NOT_PERMITTED, Code.HELD)


async def test_reader_opens_what_it_was_granted_and_nothing_else(registry: Registry) -> None:
    registry.put(draft("address", "open to the desk", compartment="basic"))
    registry.put(draft("address of refuge", "closed to it", compartment="protected"))
    registry.put(draft()._replace(registry="tax", compartment="open"))
    async with registry.client("relief-desk") as desk:
        assert (await desk.read(0, **WHY)).content == b"open to the desk"
        for position in (1, 2):
            with pytest.raises(SentoError) as refused:
                await desk.read(position, **WHY)
            assert refused.value.code is Code.NOT_PERMITTED
        hidden = HiddenTally()
        history = desk.subject_history(registry="residency", subject=NUMBER, hidden=hidden, **WHY)
        assert [version.content async for version in history] == [b"open to the desk"]
        assert (hidden.count, hidden.words) == (1, "1 record is hidden from this institution.")
        assert [v.position async for v in desk.changes(registry="residency", from_position=0, **WHY)] == [0]
        with pytest.raises(SetupError) as cannot:
            await desk.write(**address(), content=b"x")
        assert cannot.value.code is Setup.CANNOT_SIGN
        with pytest.raises(SentoError) as refused:
            await desk.outcomes([RecordName("iizuka-city", bytes(16))])
        assert refused.value.code is Code.IDENTITY_REFUSED


async def test_authors_of_one_registry_do_not_open_each_others_records() -> None:
    registry = Registry(
        [Institution("one", writes=["residency"]), Institution("other", writes=["residency"])]
    )
    registry.put(draft())
    async with registry.client("other") as other:
        version = await other.read(0, **WHY, header_only=True)
        with pytest.raises(SentoError) as refused:
            await other.read(0, **WHY)
    assert (version.author, version.content) == ("one", None)
    assert refused.value.code is Code.NOT_PERMITTED


async def test_what_was_never_written_is_not_found(sento: SentoClient) -> None:
    for name in (0, bytes(32), RecordName("iizuka-city", bytes(16))):
        with pytest.raises(SentoError) as refused:
            await sento.read(name, **WHY)
        assert refused.value.code is Code.NOT_FOUND


# Faults.


async def test_program_that_is_overtaken_reads_again_and_wins_in_the_end(
    registry: Registry, sento: SentoClient
) -> None:
    registry.put(draft(content="0"))
    registry.overtake(draft(content="between"), times=2)
    seen: list[bytes | None] = []

    def change(content: bytes | None) -> bytes:
        seen.append(content)
        return b"mine"

    await sento.update(
        **address(), change=lambda version: change(None if version is None else version.content), **WHY
    )
    assert seen == [b"0", b"between", b"between"]
    assert [record.content for record in registry.records()] == [b"0", b"between", b"between", b"mine"]


async def test_overtaking_waits_for_the_fact_that_it_names(registry: Registry, sento: SentoClient) -> None:
    registry.overtake(draft("address", "between"))
    assert isinstance(await write(sento, draft("phone")), Acknowledgement)
    stale = await write(sento, draft("address"))
    assert isinstance(stale, WriteError)
    assert stale.code is Code.STALE
    assert registry.everywhere.before_submission == []


async def test_lost_answers_leave_one_record(registry: Registry, sento: SentoClient) -> None:
    registry.everywhere.answers_to_lose = 2
    done = await sento.write(**address(), content=b"x")
    assert (done.repeated, done.site, registry.size) == (True, "site-3", 1)


async def test_outage_of_some_calls_passes_by_itself(registry: Registry, sento: SentoClient) -> None:
    registry.everywhere.calls_to_fail = 2
    done = await sento.write(**address(), content=b"x")
    assert (done.repeated, registry.size) == (False, 1)
    registry.everywhere.calls_to_fail = 4
    assert (await sento.read(done.position, **WHY)).content == b"x"
    assert registry.everywhere.calls_to_fail == 0


async def test_full_queue_is_tried_again_until_it_has_room(registry: Registry, sento: SentoClient) -> None:
    registry.everywhere.refuse(Code.QUEUE_FULL, times=3)
    done = await sento.write(**address(), content=b"x")
    assert (done.position, sum(len(site.submissions) for site in registry.sites)) == (0, 4)


async def test_code_that_lasts_is_told_at_the_deadline(registry: Registry, sento: SentoClient) -> None:
    registry.everywhere.refuse(Code.DISK_LOW)
    refused = await write(sento, draft(), deadline_ms=100)
    assert isinstance(refused, WriteError)
    assert (refused.code, refused.may_stand, registry.size) == (Code.DISK_LOW, False, 0)


async def test_site_that_goes_down_breaks_its_streams_and_is_replaced(
    registry: Registry, sento: SentoClient
) -> None:
    assert (await sento.write(**address(), content=b"x")).site == "site-1"
    registry.site("site-1").mute = True
    registry.site("site-1").received.clear()
    waiting = asyncio.create_task(sento.write(**address("phone"), content=b"y"))
    await registry.site("site-1").received.wait()
    registry.site("site-1").down = True
    assert (await waiting).site == "site-2"


async def test_all_sites_gone_and_back_while_a_write_waits(registry: Registry, sento: SentoClient) -> None:
    registry.everywhere.down = True
    assert not any(report.serves for report in await sento.status())
    waiting = asyncio.create_task(sento.write(**address(), content=b"x"))
    await asyncio.sleep(0)
    registry.everywhere.down = False
    assert (await waiting).position == 0


async def test_minority_that_is_left_takes_no_records_and_reads_only_locally(
    registry: Registry, sento: SentoClient
) -> None:
    registry.put(draft())
    for name in ("site-1", "site-2"):
        registry.site(name).down = True
    result = await write(sento, draft("phone"), deadline_ms=100)
    assert isinstance(result, WriteError)
    assert result.may_stand
    assert "NO_ORDERING" in str(result)
    with pytest.raises(SentoError) as refused:
        await sento.read(0, **WHY, deadline_ms=100)
    assert refused.value.code is Code.NOT_FRESH
    assert (await sento.read(0, **WHY, freshness=Freshness.LOCAL)).as_of.site == "site-3"


async def test_slow_site_costs_its_time_and_one_that_is_too_slow_the_deadline(
    registry: Registry, sento: SentoClient
) -> None:
    registry.everywhere.delay_ms = 20
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    done = await sento.write(**address(), content=b"x")
    await sento.read(done.position, **WHY)
    assert loop.time() - began_s >= 0.04
    registry.everywhere.delay_ms = 10_000
    with pytest.raises(SentoError) as late:
        await sento.read(done.position, **WHY, deadline_ms=30)
    result = await write(sento, draft("phone"), deadline_ms=30)
    assert isinstance(result, WriteError)
    assert (late.value.code, result.code, result.may_stand) == (Code.DEADLINE, Code.DEADLINE, True)


async def test_checkpoints_that_are_held_back_leave_a_record_unproven(
    registry: Registry, sento: SentoClient
) -> None:
    registry.cosigned_size = 0
    done = await sento.write(**address(), content=b"x")
    with pytest.raises(SentoError) as refused:
        await sento.verify_record(done.position, **WHY, deadline_ms=50)
    assert refused.value.code is Code.NOT_FOUND
    registry.cosigned_size = None
    assert (await sento.verify_record(done.position, **WHY)).findings.ok


# Following, and ending.


async def test_follower_is_woken_by_new_records_and_goes_on_elsewhere_when_its_site_goes(
    registry: Registry, sento: SentoClient
) -> None:
    registry.put(draft("a"))
    changes = sento.changes(registry="residency", from_position=0, follow=True, **WHY)
    assert (await anext(changes)).position == 0
    for position, site in ((1, "site-1"), (2, "site-2"), (3, "site-2")):
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        registry.site("site-1").down = site != "site-1"
        # A client in a thread of its own, as an ordinary program has it, wakes the follower as well.
        await asyncio.to_thread(registry.put, draft(f"fact {position}"))
        version = await asyncio.wait_for(waiting, 10)
        assert (version.position, version.as_of.site) == (position, site)
    await changes.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_nothing_is_left_when_the_client_is_closed(registry: Registry) -> None:
    before = asyncio.all_tasks()
    async with registry.client() as sento:
        await sento.write(**address(), content=b"x")
        changes = sento.changes(registry="residency", from_position=0, follow=True, deadline_ms=200, **WHY)
        await anext(changes)
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
    with pytest.raises(SentoError) as ended:
        await asyncio.wait_for(waiting, 10)
    assert ended.value.code is Code.UNREACHABLE
    assert asyncio.all_tasks() == before
    registry.everywhere.down = True
    registry.everywhere.down = False
    registry.put(draft("phone"))


async def test_clients_of_one_registry_share_its_ledger_in_turn_and_at_a_time(registry: Registry) -> None:
    async with registry.client() as one, registry.client() as other:
        first = await one.write(**address(), content=b"1")
        await other.write(**address(), content=b"2", previous=first.record_hash)
    async with registry.client() as later:
        assert (await later.fact(**address(), **WHY)).content == b"2"


async def test_outbox_is_used_only_where_a_directory_is_given(registry: Registry, tmp_path: Path) -> None:
    assert registry.installation().config.outbox is None
    place = registry.installation(outbox=tmp_path / "outbox").config.outbox
    assert place is not None
    assert place.directory == tmp_path / "outbox"
