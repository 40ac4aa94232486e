"""The offices: one client for each institution of a world, writing what the municipality has to say and reading it back as that office may.

Everything goes through `sento_client`'s public names, as a ministry's own program would do it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType

from sento_client import Draft, SentoClient, SentoError, Version
from sento_drill.municipality import Fact
from sento_drill.tally import Acknowledged
from sento_drill.world import World

PURPOSE = "disaster drill"
CASE_NUMBER = "drill-1"
WRITE_DEADLINE_MS = 240_000
"""Longer than the capital is lost."""


class Offices:
    """Clients by institution, opened together and closed together."""

    def __init__(self, world: World) -> None:
        institutions = [author.name for author in world.genesis.authors]
        institutions += [reader.name for reader in world.genesis.readers]
        self._world = world
        self._institutions = institutions
        self._clients: dict[str, SentoClient] = {}

    async def __aenter__(self) -> Offices:
        for name in self._institutions:
            await self.open(name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with AsyncExitStack() as closing:
            for name in [*self._clients]:
                closing.push_async_callback(self.close, name)

    async def open(self, institution: str) -> None:
        """Open an institution's client, also one that was closed."""
        client = SentoClient.open(self._world.institution(institution).config)
        await client.__aenter__()
        self._clients[institution] = client

    async def close(self, institution: str) -> None:
        """Close it; what its outbox keeps waits for the next one."""
        await self._clients.pop(institution).__aexit__(None, None, None)

    def __getitem__(self, institution: str) -> SentoClient:
        return self._clients[institution]

    async def write(self, fact: Fact, previous: bytes | None) -> Acknowledged:
        """Write a fact's next version as its author. Raises SentoError when it is not acknowledged within a minute."""
        (result,) = await self.write_many([fact], previous)
        if isinstance(result, SentoError):
            raise result
        return result

    async def write_many(
        self, facts: Sequence[Fact], previous: bytes | None = None
    ) -> list[Acknowledged | SentoError]:
        """Write facts of one author, each as a first version or after `previous`; a result for each, in order."""
        author = facts[0].author
        drafts = [
            Draft(
                registry=fact.registry,
                compartment=fact.compartment,
                kind=fact.kind,
                subject=fact.identifier,
                fact=fact.natural_key,
                content=fact.content,
                previous=previous,
            )
            for fact in facts
        ]
        results = await self._clients[author].write_many(drafts, deadline_ms=WRITE_DEADLINE_MS)
        now_s = time.monotonic()
        return [
            result
            if isinstance(result, SentoError)
            else Acknowledged(author, result.record_id, result.position, result.record_hash, now_s)
            for result in results
        ]

    async def read(self, institution: str, fact: Fact) -> Version:
        """The standing version of a fact, verified, as that institution sees it. Raises SentoError."""
        return await self._clients[institution].fact(
            registry=fact.registry,
            kind=fact.kind,
            subject=fact.identifier,
            fact=fact.natural_key,
            purpose=PURPOSE,
            case_number=CASE_NUMBER,
        )

    async def read_position(self, institution: str, position: int) -> Version:
        """The record at that position, verified, as that institution sees it. Raises SentoError."""
        client = self._clients[institution]
        return await client.read(position, purpose=PURPOSE, case_number=CASE_NUMBER)
