"""The read log, as a program calls it."""

from __future__ import annotations

from sento_client.confirming.values import Confirming
from sento_client.read_log.reader import ReadLogReader
from sento_client.read_log.values import ReadLog
from sento_client.results import Freshness
from sento_client.session import Session


class ReadLogFace(Session):
    """The call that asks who read."""

    async def reads_of(
        self,
        identifier: str,
        *,
        registry: str,
        purpose: str,
        case_number: str,
        limit: int | None = None,
        confirmed: bool = False,
        freshness: Freshness = Freshness.LINEARIZABLE,
        site: str | None = None,
        deadline_ms: int | None = None,
    ) -> ReadLog:
        """Who was given what of a person's records in a registry, newest first, each entry proven to stand under a quorum's checkpoint.

        For institutions that may read the access records of the registry: readers of (registry, `access`). `limit`: the newest so many; `confirmed`: a receipt
        quorum must sign that no later one is left out. What the list holds and what it cannot hold is in `values.COMPLETE_FOR`. Nothing of the person's own
        records is asked for. Raises SentoError, NOT_CONFIRMED among others; SetupError NO_PSEUDONYM_KEY."""
        terms = self._terms(purpose, case_number, freshness, True, site, deadline_ms)
        followed = await self._follower.refresh(terms.timeout_ms, freshness=freshness)
        reader = ReadLogReader(self._reader, self._confirmed, self._prover, self._naming, self._ports)
        told = Confirming() if confirmed else None
        return await reader.of(followed.governance, registry, identifier, terms, limit, told)
