"""Reading, as a program calls it: records, facts, histories and changes, each verified before it is given out."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sento_client.naming import Asked
from sento_client.reading import Name, Part
from sento_client.results import Freshness, HiddenTally, Version
from sento_client.session import Session


class ReadingFace(Session):
    """The calls that read and list."""

    async def read(
        self,
        name: Name,
        *,
        purpose: str,
        case_number: str,
        freshness: Freshness = Freshness.LINEARIZABLE,
        header_only: bool = False,
        site: str | None = None,
        deadline_ms: int | None = None,
    ) -> Version:
        """One record by position, record hash or RecordName, verified and opened. Purpose and case number are shown to the person concerned."""
        terms = self._terms(purpose, case_number, freshness, header_only, site, deadline_ms)
        return await self._reader.read(name, terms)

    async def fact(
        self,
        *,
        registry: str,
        kind: str,
        subject: str,
        fact: str,
        purpose: str,
        case_number: str,
        freshness: Freshness = Freshness.LINEARIZABLE,
        as_of_size: int | None = None,
        header_only: bool = False,
        site: str | None = None,
        deadline_ms: int | None = None,
    ) -> Version:
        """The standing version of a fact, or the one of a ledger of `as_of_size`. Raises SentoError NOT_FOUND."""
        terms = self._terms(purpose, case_number, freshness, header_only, site, deadline_ms)
        return await self._by_name.fact(Asked(registry, subject, kind, fact), terms, as_of_size)

    def history(
        self,
        *,
        registry: str,
        kind: str,
        subject: str,
        fact: str,
        purpose: str,
        case_number: str,
        freshness: Freshness = Freshness.LINEARIZABLE,
        as_of_size: int | None = None,
        before: int | None = None,
        limit: int | None = None,
        hidden: HiddenTally | None = None,
        header_only: bool = False,
        site: str | None = None,
        deadline_ms: int | None = None,
    ) -> AsyncIterator[Version]:
        """Versions of a fact, newest first, each naming the next; fetched page by page as they are asked for.

        `before`: only those below this position, to go on where another list ended; `limit`: at most so many, and no more is asked of a site. `hidden`: counts
        entries in compartments that this institution may not see, which are never given out; they count towards `limit`."""
        terms = self._terms(purpose, case_number, freshness, header_only, site, deadline_ms)
        asked = Asked(registry, subject, kind, fact)
        return self._by_name.history(asked, terms, as_of_size, Part(before, limit, hidden))

    def subject_history(
        self,
        *,
        registry: str,
        subject: str,
        purpose: str,
        case_number: str,
        freshness: Freshness = Freshness.LINEARIZABLE,
        as_of_size: int | None = None,
        before: int | None = None,
        limit: int | None = None,
        hidden: HiddenTally | None = None,
        header_only: bool = False,
        site: str | None = None,
        deadline_ms: int | None = None,
    ) -> AsyncIterator[Version]:
        """Records about a person in one registry, newest first; their links show that none is left out between them.

        `before`, `limit` and `hidden` as in `history`."""
        terms = self._terms(purpose, case_number, freshness, header_only, site, deadline_ms)
        return self._by_name.subject(registry, subject, terms, as_of_size, Part(before, limit, hidden))

    def changes(
        self,
        *,
        registry: str,
        from_position: int,
        purpose: str,
        case_number: str,
        follow: bool = False,
        limit: int | None = None,
        header_only: bool = False,
        site: str | None = None,
        deadline_ms: int | None = None,
    ) -> AsyncIterator[Version]:
        """Records of a registry in the ledger's order; with `follow` it goes on with what comes. The deadline is for each silence."""
        terms = self._terms(purpose, case_number, Freshness.LINEARIZABLE, header_only, site, deadline_ms)
        return self._reader.changes(registry, from_position, terms, follow=follow, limit=limit)
