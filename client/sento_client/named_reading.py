"""Reading by names in the ministry's words: the name is found first, with keys here or at the pseudonym service, and then the sites are asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sento_client.asker import Terms
from sento_client.composing import Ports
from sento_client.naming import Asked, Naming, Why
from sento_client.reading import Part, Reader
from sento_client.results import Version


class NamedReader:
    """Questions about persons and facts. What the naming took is taken off the deadline of the question."""

    def __init__(self, reader: Reader, naming: Naming, ports: Ports) -> None:
        self._reader = reader
        self._naming = naming
        self._ports = ports

    async def fact(self, asked: Asked, terms: Terms, as_of_size: int | None) -> Version:
        """The standing version of a fact. Raises SentoError, SetupError NO_PSEUDONYM_KEY."""
        fact, left = await self._fact(asked, terms)
        return await self._reader.fact(asked.registry, fact, left, as_of_size)

    async def history(
        self, asked: Asked, terms: Terms, as_of_size: int | None, part: Part
    ) -> AsyncIterator[Version]:
        """Versions of a fact, newest first. Raises as `fact`, when the first is asked for."""
        fact, left = await self._fact(asked, terms)
        async for version in self._reader.history(asked.registry, fact, left, as_of_size, part):
            yield version

    async def subject(
        self, registry: str, identifier: str, terms: Terms, as_of_size: int | None, part: Part
    ) -> AsyncIterator[Version]:
        """Records about a person, newest first. Raises as `fact`, when the first is asked for."""
        began_ms = self._ports.steady_ms()
        pseudonym = await self._naming.subject(registry, identifier, _why(terms), terms.timeout_ms)
        left = self._left(terms, began_ms)
        async for version in self._reader.subject(registry, pseudonym, left, as_of_size, part):
            yield version

    async def _fact(self, asked: Asked, terms: Terms) -> tuple[bytes, Terms]:
        began_ms = self._ports.steady_ms()
        (named,) = await self._naming.names([asked], _why(terms), terms.timeout_ms)
        return named.fact, self._left(terms, began_ms)

    def _left(self, terms: Terms, began_ms: int) -> Terms:
        took_ms = self._ports.steady_ms() - began_ms
        return terms._replace(timeout_ms=max(1, terms.timeout_ms - took_ms)) if took_ms else terms


def _why(terms: Terms) -> Why:
    return Why(terms.purpose, terms.case_number)
