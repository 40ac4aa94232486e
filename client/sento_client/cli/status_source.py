"""Whom `sento status` asks, and as who: an institution's client, or, on an officer's computer or with an operator's certificate, the one that governs.

On the day of a disaster it is officers and operators who look, and their computers have no institution's keys.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sento_client.governing.client import GoverningClient
from sento_client.governing.following import Followed
from sento_client.governing.place import open_place
from sento_client.relocating.live_world import LiveWorld
from sento_client.results import Freshness
from sento_client.setup_errors import SetupError
from sento_client.site_status.report import SiteReport
from sento_proto.errors import Code, SentoError
from sento_proto.genesis import Genesis
from sento_proto.governance.state import Governance


class StatusSource(Protocol):
    """What a look needs. `status` never raises for a site; `governance` raises SentoError, SetupError."""

    @property
    def genesis(self) -> Genesis:
        """The ledger's genesis file."""
        ...

    @property
    def sites(self) -> tuple[str, ...]:
        """Sites that this computer has an address of."""
        ...

    @property
    def followed(self) -> Followed:
        """Governance as it was followed before."""
        ...

    async def status(self, *, timeout_ms: int) -> list[SiteReport]:
        """What each site says of itself, or why it does not."""
        ...

    async def governance(self, *, freshness: Freshness, deadline_ms: int | None) -> Governance:
        """Governance as sites know it now."""
        ...


@dataclass(frozen=True, slots=True)
class GoverningSource:
    """A `StatusSource` over an open client that governs."""

    client: GoverningClient

    @property
    def genesis(self) -> Genesis:
        """See `StatusSource.genesis`."""
        return self.client.place.trust_file.genesis

    @property
    def sites(self) -> tuple[str, ...]:
        """See `StatusSource.sites`."""
        return self.client.sites

    @property
    def followed(self) -> Followed:
        """See `StatusSource.followed`."""
        return self.client.place.trust_file.read()

    async def status(self, *, timeout_ms: int) -> list[SiteReport]:
        """See `StatusSource.status`."""
        return await LiveWorld(self.client).reports(timeout_ms)

    async def governance(self, *, freshness: Freshness, deadline_ms: int | None) -> Governance:
        """See `StatusSource.governance`."""
        patience_ms = self.client.place.deadline_ms if deadline_ms is None else deadline_ms
        try:
            async with asyncio.timeout(patience_ms / 1000):
                return (await self.client.follow(local=freshness is Freshness.LOCAL)).governance
        except TimeoutError:
            raise SentoError(Code.DEADLINE, "no site told governance in time") from None


def governs(config: Path, operator: Path | None) -> bool:
    """Whether the one that governs is to be asked: an operator's certificate is named, or the configuration is an officer's. One that cannot be read is left to
    who opens it, with its mistakes."""
    if operator is not None:
        return True
    try:
        return open_place(config).officer is not None
    except SetupError:
        return False
