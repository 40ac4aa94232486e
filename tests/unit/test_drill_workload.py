"""The workload: versions of a fact wait for each other, other facts do not, and a failed write is neither lost sight of nor built upon."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sento_drill.municipality import Fact, municipality
from sento_drill.tally import Acknowledged, Tally
from sento_drill.waiting import until
from sento_drill.workload import FactName, Workload, batches_of
from sento_proto.errors import Code, SentoError


def fact(key: str, version: int = 0) -> Fact:
    return Fact("residency", "basic", "residence/entry", "iizuka-city", "somebody", key, {"version": version})


class Registry:
    """Answers writes when told to, and refuses any version that does not follow the head."""

    def __init__(self) -> None:
        self.heads: dict[FactName, bytes] = {}
        self.in_flight = 0
        self.most_in_flight = 0
        self.open = asyncio.Event()
        self.failing: set[str] = set()
        self.arrived: list[str] = []

    async def write(self, fact: Fact, previous: bytes | None) -> Acknowledged:
        self.arrived.append(fact.natural_key)
        position = len(self.arrived)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await self.open.wait()
        self.in_flight -= 1
        if fact.natural_key in self.failing:
            raise SentoError(Code.NO_ORDERING)
        name = FactName.of(fact)
        if self.heads.get(name) != previous:
            raise SentoError(Code.STALE)
        self.heads[name] = position.to_bytes(32, "big")
        return Acknowledged(fact.author, position.to_bytes(16, "big"), position, self.heads[name], 0.0)


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_versions_of_one_fact_wait_for_each_other_and_other_facts_go_on() -> None:
    registry, tally = Registry(), Tally()
    work = Workload(registry.write, tally, in_flight=10)
    for key in ("a", "a", "b", "a"):
        await work.submit(fact(key))
    await settle()
    assert registry.arrived == ["a", "b"]
    registry.open.set()
    await work.drain()
    assert registry.arrived == ["a", "b", "a", "a"]
    assert (len(tally), work.failures) == (4, [])


async def test_no_more_than_the_given_number_is_on_its_way() -> None:
    registry = Registry()
    work = Workload(registry.write, Tally(), in_flight=3)

    async def write_all() -> None:
        for number in range(9):
            await work.submit(fact(str(number)))
        await work.drain()

    writing = asyncio.create_task(write_all())
    await settle()
    assert registry.in_flight == 3
    registry.open.set()
    await writing
    assert (registry.most_in_flight, len(registry.arrived)) == (3, 9)


async def test_failed_write_is_counted_and_its_fact_is_left_alone() -> None:
    registry, tally = Registry(), Tally()
    registry.open.set()
    registry.failing = {"a"}
    work = Workload(registry.write, tally, in_flight=2)
    for key in ("a", "b", "a", "b"):
        await work.submit(fact(key))
    await work.drain()
    assert registry.arrived.count("a") == 1
    assert len(work.failures) == 1
    assert work.failures[0].startswith("residency: NO_ORDERING")
    assert len(tally) == 2


def test_batches_are_of_one_author_and_registry_and_leave_nothing_out() -> None:
    facts = list(municipality(40, 1).facts())
    batches = list(batches_of(facts, 20))
    assert all(len({(fact.author, fact.registry) for fact in batch}) == 1 for batch in batches)
    assert max(map(len, batches)) == 20
    names = [FactName.of(fact) for batch in batches for fact in batch]
    assert sorted(names) == sorted(FactName.of(fact) for fact in facts)


async def test_load_writes_every_fact_and_events_follow_what_was_loaded() -> None:
    registry, tally = Registry(), Tally()
    registry.open.set()
    registry.failing = {"b"}
    work = Workload(registry.write, tally, in_flight=4)

    async def write_many(facts: Sequence[Fact]) -> list[Acknowledged | SentoError]:
        results = await asyncio.gather(*(registry.write(f, None) for f in facts), return_exceptions=True)
        return [result for result in results if isinstance(result, Acknowledged | SentoError)]

    await work.load([fact("a"), fact("b"), fact("c")], write_many)
    assert (len(tally), len(work.failures)) == (2, 1)
    for key in ("a", "b"):
        await work.submit(fact(key))
    await work.drain()
    assert (len(tally), len(work.failures)) == (3, 1)


async def test_keep_writing_ends_when_told_and_leaves_nothing_on_its_way() -> None:
    registry, tally, stop = Registry(), Tally(), asyncio.Event()
    registry.open.set()
    work = Workload(registry.write, tally, in_flight=4)
    events = (event.fact for event in municipality(5, 1).events())
    writing = asyncio.create_task(work.keep_writing(events, per_s=lambda: 10_000.0, stop=stop))

    async def ten_stand() -> bool:
        return len(tally) >= 10

    await until(ten_stand, deadline_s=10, what="ten acknowledgements", poll_s=0)
    stop.set()
    await writing
    assert registry.in_flight == 0
    assert len(tally) == len(registry.arrived)
