"""The shell of the person's view: lists the person's chain by headers alone, opens the access records in it one by one, and has each proven.

By headers alone, because asking who read a person's records must not itself give them out. Payloads are asked for access records only, which is not recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from sento_client.asker import Terms
from sento_client.composing import Ports
from sento_client.confirming.confirmed_reading import ConfirmedReader
from sento_client.confirming.values import Confirming
from sento_client.naming import Naming, Why
from sento_client.proving import Prover
from sento_client.read_log.values import ReadEntry, ReadLog, delays_of, entry_of, is_access_record
from sento_client.reading import Part, Reader
from sento_client.results import HiddenTally, Version
from sento_client.verifying import Finding
from sento_proto.checkpoint import Checkpoint
from sento_proto.errors import SentoError
from sento_proto.governance.state import Governance

AT_ONCE = 8
"""Records read and proven at a time."""


class ReadLogReader:
    """Read logs of persons, for one institution."""

    def __init__(
        self, reader: Reader, confirmed: ConfirmedReader, prover: Prover, naming: Naming, ports: Ports
    ) -> None:
        self._reader = reader
        self._confirmed = confirmed
        self._prover = prover
        self._naming = naming
        self._ports = ports

    async def of(
        self,
        governance: Governance,
        registry: str,
        identifier: str,
        terms: Terms,
        limit: int | None,
        told: Confirming | None,
    ) -> ReadLog:
        """The newest `limit` entries (None: all). `told`: a receipt quorum must stand behind the list. Raises SentoError, SetupError NO_PSEUDONYM_KEY."""
        why = Why(terms.purpose, terms.case_number)
        subject = await self._naming.subject(registry, identifier, why, terms.timeout_ms)
        hidden = HiddenTally()
        found = await self._recorded(registry, subject, terms, limit, told, hidden)
        released, in_force = delays_of(governance, registry)
        for delay in released:
            within = None if told is None else Confirming()
            found += await self._recorded(registry, delay.subject, terms, None, within, HiddenTally())
        opened = await self._opened(found, terms)
        checkpoint = await self._checkpoint(opened, terms)
        entries = [] if checkpoint is None else await self._proven(opened, subject, checkpoint, terms)
        entries.sort(key=lambda entry: -entry.position)
        return ReadLog(
            tuple(entries[:limit]),
            checkpoint,
            hidden.count,
            None if told is None else told.word,
            tuple(delay.name for delay in released),
            in_force,
        )

    async def _recorded(
        self,
        registry: str,
        subject: bytes,
        terms: Terms,
        limit: int | None,
        told: Confirming | None,
        hidden: HiddenTally,
    ) -> list[Version]:
        """Headers of the access records of one chain, newest first."""
        terms = terms._replace(header_only=True)
        part = Part(hidden=hidden)
        found: list[Version] = []
        async for version in self._listed(registry, subject, terms, part, told):
            if is_access_record(version):
                found.append(version)
                if len(found) == limit:
                    break
        return found

    def _listed(
        self, registry: str, subject: bytes, terms: Terms, part: Part, told: Confirming | None
    ) -> AsyncIterator[Version]:
        if told is None:
            return self._reader.subject(registry, subject, terms, None, part)
        return self._confirmed.about(registry, subject, terms, part, told)

    async def _opened(self, listed: list[Version], terms: Terms) -> list[Version]:
        terms = terms._replace(header_only=False)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(version: Version) -> Version:
            async with gate:
                try:
                    return await self._reader.read(version.record_hash, terms)
                except SentoError as error:
                    return _closed(version, str(error))

        return list(await asyncio.gather(*map(one, listed)))

    async def _checkpoint(self, versions: list[Version], terms: Terms) -> Checkpoint | None:
        """One that covers them all, from another site than the newest where there is one."""
        if not versions:
            return None
        newest = max(versions, key=lambda version: version.position)
        return await self._prover.checkpoint(newest.position + 1, terms.timeout_ms, newest.as_of.site)

    async def _proven(
        self, versions: list[Version], subject: bytes, checkpoint: Checkpoint, terms: Terms
    ) -> list[ReadEntry]:
        quorum = self._prover.checked(checkpoint)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(version: Version) -> ReadEntry | None:
            async with gate:
                proof: Finding = await self._prover.prove_inclusion(
                    version.stored, checkpoint, terms.timeout_ms
                )
            return entry_of(version, subject, (quorum, proof))

        entries = await asyncio.gather(*map(one, versions))
        return [entry for entry in entries if entry is not None]


def _closed(version: Version, why: str) -> Version:
    return replace(version, content=None, closed_because=why)
