"""Confirmed reading by names in the ministry's words: first the sites' word on the subject, then the list, held against it page by page.

A fact's versions are confirmed by way of its subject: no site signs about facts, and a version that were left out would be missing in the subject's chain. So
the subject's headers are listed too, which releases nothing. Versions in compartments that this institution may not see cannot be told to be of the fact.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from sento_client.asker import Terms, damaged
from sento_client.composing import Ports
from sento_client.confirming.anchoring import FactAnchor, SubjectAnchor
from sento_client.confirming.confirmer import Confirmer
from sento_client.confirming.values import Confirmed, Confirming
from sento_client.naming import Asked, Naming, Why
from sento_client.reading import Name, Part, Reader
from sento_client.results import Version
from sento_proto.errors import Code, SentoError


class ConfirmedReader:
    """Questions whose answers a receipt quorum stands behind. Each raises SentoError NOT_CONFIRMED where none does."""

    def __init__(self, confirmer: Confirmer, reader: Reader, naming: Naming, ports: Ports) -> None:
        self._confirmer, self._reader, self._naming, self._ports = confirmer, reader, naming, ports

    async def read(self, name: Name, terms: Terms) -> Version:
        """One record, shown to stand in its subject's confirmed chain; as it is, `confirmed` None, where it is newer than what is confirmed."""
        began_ms = self._ports.steady_ms()
        version = await self._reader.read(name, terms)
        header, left = version.header, self._left(terms, began_ms)
        word = await self._confirmer.confirm(header.registry, header.subject, left)
        if version.position >= word.size:
            return version
        newest_of_fact: int | None = None
        async for other in self._headers(header.registry, header.subject, word, left):
            if other.position == version.position and other.record_hash == version.record_hash:
                return replace(version, confirmed=word._replace(superseded_by=newest_of_fact))
            if other.position < version.position:
                break
            if other.header.fact == header.fact and newest_of_fact is None and other.position < word.size:
                newest_of_fact = other.position
        raise damaged(version.as_of.site, "the record is not in its subject's chain as sites confirmed it")

    async def fact(self, asked: Asked, terms: Terms, told: Confirming) -> Version:
        """The standing version of a fact. Raises SentoError NOT_FOUND."""
        async for version in self.history(asked, terms, Part(limit=1), told):
            return version
        raise SentoError(Code.NOT_FOUND, "nothing stands under this fact that this institution may see")

    async def history(
        self, asked: Asked, terms: Terms, part: Part, told: Confirming
    ) -> AsyncIterator[Version]:
        """Versions of a fact, newest first; `confirmed` is None for those that are newer than what was confirmed."""
        _require_from_newest(part)
        began_ms = self._ports.steady_ms()
        (named,) = await self._naming.names([asked], _why(terms), terms.timeout_ms)
        left = self._left(terms, began_ms)
        told.word = word = await self._confirmer.confirm(asked.registry, named.subject, left)
        standing = tuple(
            [
                version.record_hash
                async for version in self._headers(asked.registry, named.subject, word, left)
                if version.position < word.size and version.header.fact == named.fact
            ]
        )
        anchored = part._replace(anchor=FactAnchor(word.size, standing))
        given = 0
        async for version in self._reader.history(asked.registry, named.fact, left, None, anchored):
            below = version.position < word.size
            given += below
            yield replace(version, confirmed=word) if below else version
        if part.limit is None and given < len(standing):
            raise SentoError(Code.DAMAGED, "the list of versions ended before the confirmed chain's does")

    async def subject(
        self, registry: str, identifier: str, terms: Terms, part: Part, told: Confirming
    ) -> AsyncIterator[Version]:
        """Records about a person, newest first, complete up to the confirmed last one; `confirmed` as in `history`."""
        _require_from_newest(part)
        began_ms = self._ports.steady_ms()
        pseudonym = await self._naming.subject(registry, identifier, _why(terms), terms.timeout_ms)
        async for version in self.about(registry, pseudonym, self._left(terms, began_ms), part, told):
            yield version

    async def about(
        self, registry: str, pseudonym: bytes, terms: Terms, part: Part, told: Confirming
    ) -> AsyncIterator[Version]:
        """The same of a 32-byte pseudonym."""
        _require_from_newest(part)
        began_ms = self._ports.steady_ms()
        told.word = word = await self._confirmer.confirm(registry, pseudonym, terms)
        left = self._left(terms, began_ms)
        anchored = part._replace(anchor=SubjectAnchor(word.size, word.head))
        async for version in self._reader.subject(registry, pseudonym, left, None, anchored):
            yield replace(version, confirmed=word) if version.position < word.size else version

    def _headers(
        self, registry: str, subject: bytes, word: Confirmed, terms: Terms
    ) -> AsyncIterator[Version]:
        part = Part(anchor=SubjectAnchor(word.size, word.head))
        return self._reader.subject(registry, subject, terms._replace(header_only=True), None, part)

    def _left(self, terms: Terms, began_ms: int) -> Terms:
        took_ms = self._ports.steady_ms() - began_ms
        return terms._replace(timeout_ms=max(1, terms.timeout_ms - took_ms))


def _require_from_newest(part: Part) -> None:
    """Raises SentoError BAD_REQUEST: below the newest a list has nothing that it could be held against."""
    if part.before is not None:
        raise SentoError(
            Code.BAD_REQUEST, "a confirmed list begins with the newest: leave out before, raise limit"
        )


def _why(terms: Terms) -> Why:
    return Why(terms.purpose, terms.case_number)
