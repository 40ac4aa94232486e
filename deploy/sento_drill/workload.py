"""The workload: a municipality's facts and events as writes, many at a time, each fact's versions in order.

First versions are loaded in batches by several callers at once, as a ministry takes over an old system; events come one by one, as counters write.
A version names the record hash of the one before it, so two events on one fact wait for each other and all others do not. What is acknowledged goes
into the tally with its time; a write that fails is counted, and its fact is left alone from then on, because nobody knows what its head is.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from sento_drill.municipality import Fact
from sento_drill.tally import Acknowledged, Tally
from sento_proto.errors import SentoError

Write = Callable[[Fact, bytes | None], Awaitable[Acknowledged]]
"""Write a fact's next version after the record hash given (None: its first). Raises SentoError when it is not acknowledged."""

WriteMany = Callable[[Sequence[Fact]], Awaitable[list[Acknowledged | SentoError]]]
"""Write first versions of facts of one author and registry; a result for each, in order."""
LOAD_CALLERS = 8
LOAD_BATCH = 100


class FactName(NamedTuple):
    """What all versions of one fact share."""

    registry: str
    identifier: str
    natural_key: str

    @classmethod
    def of(cls, fact: Fact) -> FactName:
        """The name of that fact."""
        return cls(fact.registry, fact.identifier, fact.natural_key)


class Standing(NamedTuple):
    """A fact's newest acknowledged version: what was written, and where it stands."""

    fact: Fact
    acknowledged: Acknowledged


class Workload:
    """Writes facts through `write`, at most `in_flight` at a time."""

    def __init__(self, write: Write, tally: Tally, *, in_flight: int) -> None:
        self._write = write
        self._tally = tally
        self._slots = asyncio.Semaphore(in_flight)
        self._turns: dict[FactName, asyncio.Lock] = {}
        self._given_up: set[FactName] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way: Counter[str] = Counter()
        self.standing: dict[FactName, Standing] = {}
        """The newest acknowledged version of each fact."""
        self.failures: list[str] = []
        """Error of each write that was not acknowledged."""

    async def load(self, facts: Iterable[Fact], write_many: WriteMany) -> None:
        """Write first versions in batches of 100 from 8 callers, and wait for every answer."""
        batches = iter(batches_of(facts, LOAD_BATCH))

        async def caller() -> None:
            for batch in batches:
                for fact, result in zip(batch, await write_many(batch), strict=True):
                    self._settle(fact, result)

        await asyncio.gather(*(caller() for _ in range(LOAD_CALLERS)))

    async def keep_writing(
        self, facts: Iterable[Fact], *, per_s: Callable[[], float], stop: asyncio.Event
    ) -> None:
        """Write at most so many facts a second until `stop` is set, then wait for what is on its way."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        for fact in facts:
            due_s = max(due_s + 1 / per_s(), loop.time() - 1)
            await asyncio.sleep(due_s - loop.time())
            if stop.is_set():
                break
            await self.submit(fact)
        await self.drain()

    async def submit(self, fact: Fact) -> None:
        """Put one write on its way as soon as there is room for it."""
        self._under_way[fact.author] += 1
        await self._slots.acquire()
        task = asyncio.create_task(self._write_one(fact))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def under_way(self, author: str) -> int:
        """How many writes of that author are not answered yet."""
        return self._under_way[author]

    async def drain(self) -> None:
        """Wait for the answers to everything on its way."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def _write_one(self, fact: Fact) -> None:
        name = FactName.of(fact)
        try:
            # A lock wakes its waiters in the order in which they came: the versions' order.
            async with self._turns.setdefault(name, asyncio.Lock()):
                if name not in self._given_up:
                    await self._write_next(name, fact)
        finally:
            self._slots.release()
            self._under_way[fact.author] -= 1

    async def _write_next(self, name: FactName, fact: Fact) -> None:
        before = self.standing.get(name)
        try:
            result = await self._write(fact, before.acknowledged.record_hash if before else None)
        except SentoError as error:
            self._settle(fact, error)
        else:
            self._settle(fact, result)

    def _settle(self, fact: Fact, result: Acknowledged | SentoError) -> None:
        name = FactName.of(fact)
        if isinstance(result, SentoError):
            self.failures.append(f"{fact.registry}: {result}")
            self._given_up.add(name)
        else:
            self._tally.note(result)
            self.standing[name] = Standing(fact, result)


def batches_of(facts: Iterable[Fact], size: int) -> Iterator[list[Fact]]:
    """Facts gathered by author and registry, up to `size` together; within these in their order."""
    gathered: dict[tuple[str, str], list[Fact]] = {}
    for fact in facts:
        batch = gathered.setdefault((fact.author, fact.registry), [])
        batch.append(fact)
        if len(batch) == size:
            yield gathered.pop((fact.author, fact.registry))
    yield from gathered.values()
