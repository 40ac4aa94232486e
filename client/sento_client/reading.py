"""Reading: questions to the sites whose answers are checked before they are believed, and opened with the institution's keys.

An answer that does not verify counts as that site's failure (DAMAGED), and the next site is asked: any copy is as good as any other, once it is proven.
Lists come page by page, newest first, each below the last one given, so that they do not shift while records are added.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from sento_client.asker import Asker, Terms, damaged, must_hold
from sento_client.confirming.anchoring import Anchor, ListPart
from sento_client.key_agent.asking import ToOpen
from sento_client.keyring import Keyring
from sento_client.messages import as_of_of, freshness_of, outcome_of, purpose_of, record_name_of, stored_of
from sento_client.payload_opening import PayloadOpener
from sento_client.results import AsOf, HiddenTally, Outcome, RecordName, Version
from sento_client.transport import CHANGES, FACT, OUTCOMES, READ, SUBJECT, Method, RequestT
from sento_client.trust import Trust
from sento_client.verifying import (
    Asked,
    Finding,
    Stored,
    check_fact_chain,
    check_hidden,
    check_record,
    check_subject_chain,
)
from sento_proto.errors import Code, SentoError
from sento_proto.governance.gaps import as_of_ms
from sento_proto.limits import LIST_PAGE_MAX
from sento_proto.v1 import client_pb2, common_pb2

Name = int | bytes | RecordName
"""A record by position, by record hash (32 bytes), or by (author, record id)."""
PAGE = 64
"""As many as one access record names: a key agent unwraps what is named."""
_NO_ACCESS = client_pb2.AccessProof()
HELD_MS = 5_000
"""A followed stream that held so long was a good one: when it breaks, the search for the next site has the whole deadline again."""


class Part(NamedTuple):
    """Which part of a list is wanted: from the first entry below position `before` on (None: from the newest), at most `limit` (None: all)."""

    before: int | None = None
    limit: int | None = None
    hidden: HiddenTally | None = None
    """Where entries are counted that this institution may not see; they count towards `limit`."""
    anchor: Anchor | None = None
    """What several sites confirmed, which the list must go with."""


class Entry(NamedTuple):
    """One entry of a list: a version that was checked, or None for one that is hidden from this institution."""

    stored: Stored
    version: Version | None


WHOLE = Part()


class Reader:
    """Questions of one institution. Nothing here writes. `trust`: what is believed now, asked anew for each answer. `keep_up`: told of each answer's
    site, epoch and time left, so that governance is no older than the answer's readers may rely on."""

    def __init__(
        self,
        asker: Asker,
        trust: Callable[[], Trust],
        keyring: Keyring,
        keep_up: Callable[[str, int, int], Awaitable[None]],
    ) -> None:
        self._asker = asker
        self._trust = trust
        self._keep_up = keep_up
        self.opener = PayloadOpener(trust, keyring)

    async def read(self, name: Name, terms: Terms) -> Version:
        """One record. Raises SentoError, among others NOT_FOUND and, when no site's answer verifies, DAMAGED."""
        request = client_pb2.ReadRequest(
            purpose=purpose_of(terms.purpose, terms.case_number),
            freshness=freshness_of(terms.freshness),
            header_only=terms.header_only,
        )
        asked = _name_into(request, name)
        began_ms = self._asker.now_ms
        version, given = await self._asker.ask(
            READ,
            request,
            lambda site, reply: (
                self._version(site, reply.record, as_of_of(reply.as_of), asked),
                ToOpen(reply.record, reply.access),
            ),
            terms,
        )
        return await self._given(version, given, self._rest_of(terms, began_ms))

    async def fact(self, registry: str, fact: bytes, terms: Terms, as_of_size: int | None = None) -> Version:
        """The standing version of a fact, or as of a ledger of that size. Raises SentoError NOT_FOUND."""
        request = self._fact_request(registry, fact, terms, as_of_size, limit=1)
        asked = Asked(registry=registry, fact=fact)

        def accept(site: str, reply: client_pb2.ListReply) -> tuple[Version, ToOpen]:
            if not reply.records:
                raise SentoError(Code.NOT_FOUND, f"{site}: nothing stands under this fact")
            if reply.records[0].hidden:
                raise SentoError(
                    Code.NOT_PERMITTED, f"{site}: this institution may not see the standing version"
                )
            version = self._version(site, reply.records[0], as_of_of(reply.as_of), asked)
            return version, ToOpen(reply.records[0], reply.access)

        began_ms = self._asker.now_ms
        version, given = await self._asker.ask(FACT, request, accept, terms)
        return await self._given(version, given, self._rest_of(terms, began_ms))

    async def history(
        self,
        registry: str,
        fact: bytes,
        terms: Terms,
        as_of_size: int | None = None,
        part: Part = WHOLE,
    ) -> AsyncIterator[Version]:
        """Versions of a fact, newest first; each follows the one that comes after it, down to the first unless `part` ends before."""
        request = self._fact_request(registry, fact, terms, as_of_size, limit=PAGE)
        asked = Asked(registry=registry, fact=fact)

        def check(entries: list[Entry], complete: bool) -> Finding:
            headers = (entry.version.header if entry.version else None for entry in entries)
            given = zip((entry.stored for entry in entries), headers, strict=True)
            return check_fact_chain(given, complete=complete)

        async for version in self._pages(FACT, request, asked, terms, check, part):
            yield version

    async def subject(
        self,
        registry: str,
        subject: bytes,
        terms: Terms,
        as_of_size: int | None = None,
        part: Part = WHOLE,
    ) -> AsyncIterator[Version]:
        """Records about a subject in a registry, newest first; their links leave none out."""
        request = client_pb2.SubjectRequest(
            purpose=purpose_of(terms.purpose, terms.case_number),
            freshness=freshness_of(terms.freshness),
            registry=registry,
            subject=subject,
            as_of_size=as_of_size,
            limit=PAGE,
            header_only=terms.header_only,
        )
        asked = Asked(registry=registry, subject=subject)

        def check(entries: list[Entry], complete: bool) -> Finding:
            return check_subject_chain((entry.stored for entry in entries), complete=complete)

        async for version in self._pages(SUBJECT, request, asked, terms, check, part):
            yield version

    async def changes(
        self, registry: str, from_position: int, terms: Terms, *, follow: bool, limit: int | None = None
    ) -> AsyncIterator[Version]:
        """Records of a registry in the order of the ledger, at most `limit`; without `follow` it ends at the ledger's end as it stood at the start.

        A site that fails is replaced by the next one, from where the list had come to."""
        request = client_pb2.ChangesRequest(
            purpose=purpose_of(terms.purpose, terms.case_number),
            registry=registry,
            from_position=from_position,
            follow=follow,
            header_only=terms.header_only,
        )
        asked = Asked(registry=registry or None)
        plan = self._asker.plan(terms)
        given = 0
        while limit is None or given < limit:
            site = await self._asker.next_site(plan)
            opened_ms = self._asker.now_ms
            try:
                async for message in self._asker.stream(site, CHANGES, request, endless=follow):
                    version = await self._asker.taken(
                        site,
                        message,
                        lambda site, given: self._version(site, given, AsOf(0, 0, 0, site), asked),
                    )
                    if version.position < request.from_position:
                        raise damaged(site, f"position {version.position} comes out of order")
                    request.from_position = version.position + 1
                    yield await self._given(version, ToOpen(message, _NO_ACCESS), terms)
                    given += 1
                    if given == limit:
                        return
                    plan = self._asker.plan(terms)
            except SentoError as error:
                if follow and self._asker.now_ms - opened_ms >= HELD_MS:
                    plan = self._asker.plan(terms)
                plan.failed(error)
                continue
            if not follow:
                return

    async def outcomes(self, names: Sequence[RecordName], timeout_ms: int) -> list[Outcome]:
        """What became of records by (author, record id); NOT_FOUND where none stands at the moment of the answer."""
        terms = Terms("", "", timeout_ms=timeout_ms)
        found: list[Outcome] = []
        for start in range(0, len(names), LIST_PAGE_MAX):
            found += await self._outcomes(names[start : start + LIST_PAGE_MAX], terms)
        return found

    async def _outcomes(self, names: Sequence[RecordName], terms: Terms) -> list[Outcome]:
        def accept(site: str, reply: client_pb2.OutcomesReply) -> list[Outcome]:
            if len(reply.outcomes) != len(names):
                raise damaged(site, "it answered for another number of records")
            return [outcome_of(name, outcome) for name, outcome in zip(names, reply.outcomes, strict=True)]

        request = client_pb2.OutcomesRequest(records=[record_name_of(name) for name in names])
        return await self._asker.ask(OUTCOMES, request, accept, terms)

    # How it is done.

    def _fact_request(
        self, registry: str, fact: bytes, terms: Terms, as_of_size: int | None, limit: int
    ) -> client_pb2.FactRequest:
        return client_pb2.FactRequest(
            purpose=purpose_of(terms.purpose, terms.case_number),
            freshness=freshness_of(terms.freshness),
            registry=registry,
            fact=fact,
            as_of_size=as_of_size,
            limit=limit,
            header_only=terms.header_only,
        )

    async def _pages(
        self,
        method: Method[RequestT, client_pb2.ListReply],
        request: RequestT,
        asked: Asked,
        terms: Terms,
        check: Callable[[list[Entry], bool], Finding],
        part: Part,
    ) -> AsyncIterator[Version]:
        last: list[Entry] = []
        left = part.limit
        fields: client_pb2.FactRequest | client_pb2.SubjectRequest = request  # type: ignore[assignment]
        if part.before is not None:
            fields.before = part.before

        def accept(site: str, reply: client_pb2.ListReply) -> tuple[list[Entry], client_pb2.ListReply]:
            if len(reply.records) > LIST_PAGE_MAX:
                raise damaged(site, "the page is over the limit")
            as_of = as_of_of(reply.as_of)
            page = [self._entry(site, message, as_of, asked) for message in reply.records]
            if part.before is not None and page and page[0].stored.position >= part.before:
                raise damaged(site, f"position {page[0].stored.position} is not below {part.before}")
            must_hold(site, check([*last, *page], not reply.HasField("next_before")))
            if part.anchor is not None:
                entries = [entry.stored for entry in (*last, *page)]
                piece = ListPart(entries, not last, not reply.HasField("next_before"), as_of)
                must_hold(site, part.anchor.check(piece))
            return page, reply

        while left is None or left > 0:
            # No more is asked for than is wanted: each payload given out is a release.
            fields.limit = PAGE if left is None else min(PAGE, left)
            page, reply = await self._asker.ask(method, request, accept, terms)
            if not page:
                # Where nothing stands, something may be missing: that must be known, too.
                await self._keep_up(reply.as_of.site, reply.as_of.epoch, terms.timeout_ms)
            for entry, message in zip(page[:left], reply.records, strict=False):
                if entry.version is not None:
                    yield await self._given(entry.version, ToOpen(message, reply.access), terms)
                elif part.hidden is not None:
                    part.hidden.count += 1
                    part.hidden.oldest = entry.stored
            if not reply.HasField("next_before"):
                return
            left = None if left is None else left - len(page)
            if not page or (fields.HasField("before") and reply.next_before >= fields.before):
                raise damaged(reply.as_of.site, "its pages do not come to an end")
            last = page[-1:]
            fields.before = reply.next_before

    def _entry(self, site: str, message: common_pb2.StoredRecord, as_of: AsOf, asked: Asked) -> Entry:
        """One entry of a list, checked. Raises SentoError DAMAGED."""
        if not message.hidden:
            version = self._version(site, message, as_of, asked)
            return Entry(version.stored, version)
        stored = stored_of(message)
        must_hold(site, check_hidden(stored))
        return Entry(stored, None)

    def _version(self, site: str, message: common_pb2.StoredRecord, as_of: AsOf, asked: Asked) -> Version:
        """The record checked and opened. Raises SentoError DAMAGED."""
        stored = stored_of(message)
        trust = self._trust()
        header, findings = check_record(stored, trust, asked)
        if header is None or not findings.ok:
            raise damaged(site, findings.why)
        order = trust.governance.withheld_by(
            stored.record_hash, header.registry, header.subject, stored.position
        )
        if stored.payload and order is not None and order < as_of.size:
            raise damaged(site, f"it gives out a payload that officers ordered erased at position {order}")
        author = trust.author_name(header.author_key_id)
        content, closed_because = self.opener.open(author, header, stored)
        return Version(
            stored.position,
            author,
            header,
            stored,
            as_of,
            findings,
            content,
            closed_because,
        )

    async def _given(self, version: Version, given: ToOpen, terms: Terms) -> Version:
        """As it is given out: opened, and with the date that it has by the newest governance, which may be newer than what it was checked by."""
        opened = await self.opener.opened(version, given, terms)
        await self._keep_up(version.as_of.site, version.as_of.epoch, terms.timeout_ms)
        dated = as_of_ms(self._trust().governance, version.position)
        return opened if dated is None else replace(opened, as_of_ms=dated)

    def _rest_of(self, terms: Terms, began_ms: int) -> Terms:
        """The terms with what is left of their time."""
        return terms._replace(timeout_ms=max(1, terms.timeout_ms - (self._asker.now_ms - began_ms)))


def _name_into(request: client_pb2.ReadRequest, name: Name) -> Asked:
    if isinstance(name, int):
        request.position = name
        return Asked(position=name)
    if isinstance(name, RecordName):
        request.record.CopyFrom(record_name_of(name))
        return Asked(author=name.author, record_id=name.record_id)
    request.record_hash = name
    return Asked(record_hash=name)
