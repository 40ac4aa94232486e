"""How a record that was given out is opened: with a KEK of the keyring, with one that the ledger has sealed to us, or by the compartment's key agent.

A record that does not open is still a record: it is given out as it is, with the reason why it stays closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from sento_client.asker import Terms
from sento_client.key_agent.asking import ToOpen
from sento_client.keyring import Keyring
from sento_client.recovery.standing import KekScope
from sento_client.results import Version
from sento_client.setup_errors import SetupError
from sento_client.trust import Trust
from sento_client.verifying import Stored
from sento_proto.errors import SentoError
from sento_proto.header import Header
from sento_proto.sealing import CannotOpen, open_payload, open_with_dek
from sento_proto.wire import Malformed

FetchKek = Callable[[KekScope, Terms], Awaitable[None]]
"""Puts a KEK into the keyring. Raises SetupError, SentoError."""

News = Callable[[], Awaitable[object]]
"""Follows governance on."""


class Agents(Protocol):
    """The key agents that can be asked."""

    async def dek(self, agent: str, asked: ToOpen, timeout_ms: int) -> bytes:
        """One record's DEK. Raises SentoError."""
        ...


class PayloadOpener:
    """Opens payloads for one institution. `trust`: what is believed now."""

    def __init__(self, trust: Callable[[], Trust], keyring: Keyring) -> None:
        self._trust = trust
        self._keyring = keyring
        self._fetch_kek: FetchKek | None = None
        self._agents: Agents | None = None
        self._news: News | None = None

    def find_keks_by(self, fetch: FetchKek) -> None:
        """Let a KEK that is missing be looked for in the ledger."""
        self._fetch_kek = fetch

    def ask_agents(self, agents: Agents, news: News) -> None:
        """Let keys of compartments that governance leaves to an agent be unwrapped by it. `news`: follows governance on, where an act may not be known yet."""
        self._agents, self._news = agents, news

    async def opened(self, version: Version, given: ToOpen, terms: Terms) -> Version:
        """The version, opened with a KEK from the ledger or by an agent where the keyring lacked it; else as it is, with the reason."""
        header = version.header
        if version.content is not None or not version.stored.payload:
            return version
        scope = KekScope(version.author, header.registry, header.compartment, header.key_epoch)
        if self._keyring.holds(*scope):
            return version
        agent: str | None = None
        try:
            async with asyncio.timeout(terms.timeout_ms / 1000):
                agent = await self._agent_of(header, given)
                if agent is not None and self._agents is not None:
                    dek = await self._agents.dek(agent, given, terms.timeout_ms)
                    stored = version.stored
                    content = open_with_dek(stored.header_bytes, header, stored.payload, dek=dek)
                    return replace(version, content=content, closed_because="")
                if self._fetch_kek is None:
                    return version
                await self._fetch_kek(scope, terms)
        except TimeoutError:
            who = f"key agent {agent}" if agent else "no site"
            gave = "gave no key" if agent else "gave the seals of its key"
            return replace(version, closed_because=f"{who} {gave} in time: {scope.words}")
        except (SetupError, SentoError, CannotOpen, Malformed) as error:
            return replace(version, closed_because=str(error))
        found, closed_because = self.open(version.author, header, version.stored)
        return replace(version, content=found, closed_because=closed_because)

    async def _agent_of(self, header: Header, given: ToOpen) -> str | None:
        """Who unwraps this record's key, if not we ourselves. Only a client with agents asks, and only for a record that came with its release."""
        if self._agents is None or not given.access.HasField("record"):
            return None
        place = header.registry, header.compartment
        agent = self._trust().governance.key_agent_of(*place)
        if agent is None and self._news is not None:
            await self._news()
            agent = self._trust().governance.key_agent_of(*place)
        return agent

    def open(self, author: str, header: Header, stored: Stored) -> tuple[bytes | None, str]:
        """The content by the keys at hand, or None and why not."""
        if not header.payload_bytes:
            return header.content, ""
        if not stored.payload:
            return (
                None,
                "held back by the site" if stored.payload_withheld else "the payload was not given out",
            )
        try:
            kek = self._keyring.kek_for(author, header.registry, header.compartment, header.key_epoch)
            return open_payload(stored.header_bytes, header, stored.payload, kek=kek), ""
        except (SetupError, CannotOpen, Malformed) as error:
            return None, str(error)
