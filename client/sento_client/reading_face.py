"""Reading, as a program calls it: records, facts, histories and changes, each verified before it is given out."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sento_client.confirming.values import Confirming
from sento_client.naming import Asked
from sento_client.reading import Name, Part
from sento_client.results import Freshness, HiddenTally, Version
from sento_client.session import Session
from sento_proto.errors import Code, SentoError


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
        confirmed: bool | Confirming = False,
    ) -> Version:
        """One record by position, record hash or RecordName, verified and opened. Purpose and case number are shown to the person concerned.

        `confirmed`: a receipt quorum of sites signs which record about the subject is the last, and the record is shown to stand in that chain:
        `Version.confirmed` says as of when, and which later version there is. Raises SentoError NOT_CONFIRMED. It is None where the record is newer than what
        was confirmed."""
        terms = self._terms(purpose, case_number, freshness, header_only, site, deadline_ms)
        if confirmed is not False:
            version = await self._confirmed.read(name, terms)
            _told(confirmed).word = version.confirmed
            return version
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
        confirmed: bool | Confirming = False,
    ) -> Version:
        """The standing version of a fact, or the one of a ledger of `as_of_size`. Raises SentoError NOT_FOUND. `confirmed` as in `history`."""
        terms = self._terms(purpose, case_number, freshness, header_only, site, deadline_ms)
        if confirmed is not False:
            _require_now(as_of_size)
            return await self._confirmed.fact(Asked(registry, subject, kind, fact), terms, _told(confirmed))
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
        confirmed: bool | Confirming = False,
    ) -> AsyncIterator[Version]:
        """Versions of a fact, newest first, each naming the next; fetched page by page as they are asked for.

        `before`: only those below this position, to go on where another list ended; `limit`: at most so many, and no more is asked of a site. `hidden`: counts
        entries in compartments that this institution may not see, which are never given out; they count towards `limit`.

        `confirmed`: a receipt quorum of sites signs which record about the subject is the last, and none of the list is left out below it; `Version.confirmed`
        is None for what is newer. Pass a `Confirming` to be told of it also where nothing stands. Raises SentoError NOT_CONFIRMED."""
        terms = self._terms(purpose, case_number, freshness, header_only, site, deadline_ms)
        asked = Asked(registry, subject, kind, fact)
        if confirmed is not False:
            _require_now(as_of_size)
            return self._confirmed.history(asked, terms, Part(before, limit, hidden), _told(confirmed))
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
        confirmed: bool | Confirming = False,
    ) -> AsyncIterator[Version]:
        """Records about a person in one registry, newest first; their links show that none is left out between them.

        `before`, `limit`, `hidden` and `confirmed` as in `history`."""
        terms = self._terms(purpose, case_number, freshness, header_only, site, deadline_ms)
        if confirmed is not False:
            _require_now(as_of_size)
            part = Part(before, limit, hidden)
            return self._confirmed.subject(registry, subject, terms, part, _told(confirmed))
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


def _told(confirmed: bool | Confirming) -> Confirming:
    return confirmed if isinstance(confirmed, Confirming) else Confirming()


def _require_now(as_of_size: int | None) -> None:
    """Raises SentoError BAD_REQUEST: what is confirmed is the newest, and sites sign it for recent checkpoints alone."""
    if as_of_size is not None:
        raise SentoError(Code.BAD_REQUEST, "as_of_size and confirmed do not go together")
