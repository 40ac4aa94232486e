"""The sites as a relocation asks them: governance through the officers' client, everything else over Admin, and the growth of the ledger beside it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sento_client.composing import Ports
from sento_client.config import SiteAddress, TlsFiles
from sento_client.governing.client import GoverningClient
from sento_client.governing.following import Followed
from sento_client.governing.place import GoverningPlace
from sento_client.governing.proposal import Proposal
from sento_client.placement.round_trips import round_trips_of
from sento_client.relocating.journal import Stand, stand_of
from sento_client.relocating.looking import lead_of
from sento_client.relocating.measuring import POLL_MS, Growth
from sento_client.site_status.report import SiteReport
from sento_client.transport import HAND_OVER_LEAD, REMOVE_MEMBER, STATUS
from sento_proto.errors import Code, SentoError
from sento_proto.relocation_plan import RelocationPlan, Step, act_of
from sento_proto.v1 import admin_pb2

STATUS_TIMEOUT_MS = 3_000
GROWTH_TIMEOUT_MS = 1_000
HAND_OVER_TIMEOUT_MS = 15_000
REMOVE_TIMEOUT_MS = 15_000


@dataclass(slots=True)
class LiveWorld:
    """A `World` over an open `GoverningClient` whose certificate is an operator's; what only looks may be an officer's too."""

    client: GoverningClient

    async def follow(self) -> Followed:
        """Governance as the sites know it."""
        return await self.client.follow()

    async def reports(self, timeout_ms: int = STATUS_TIMEOUT_MS) -> list[SiteReport]:
        """What each site says of itself, or why it does not; never raises for a site."""

        async def ask(site: str) -> SiteReport:
            asked_ns = time.monotonic_ns()

            def took_ms() -> int:
                return (time.monotonic_ns() - asked_ns) // 1_000_000

            try:
                status = await self.client.call_site(
                    site, STATUS, admin_pb2.StatusRequest(), timeout_ms=timeout_ms
                )
            except SentoError as error:
                words = error.detail.removeprefix(site).removeprefix(": ")
                trouble = f"{error.code.name} ({words})" if words else error.code.name
                return SiteReport(site, None, trouble, error.code, took_ms())
            return SiteReport(site, status, "", took_ms=took_ms())

        return list(await asyncio.gather(*map(ask, self.client.sites)))

    async def statuses(self) -> dict[str, admin_pb2.StatusReply]:
        """Of those that answer. Raises SentoError IDENTITY_REFUSED where sites turn this certificate away."""
        reports = await self.reports()
        found = {report.site: report.status for report in reports if report.status is not None}
        if not found and any(report.code is Code.IDENTITY_REFUSED for report in reports):
            raise SentoError(
                Code.IDENTITY_REFUSED,
                "no site tells this certificate how it stands; use an officer's sento.toml, or name an operator's certificate with --operator",
            )
        return found

    async def submit(self, plan: RelocationPlan, step: Step) -> None:
        """Order one of the plan's acts; a repetition stands once."""
        await self.client.submit(Proposal(plan.ledger_id, plan.epoch, act_of(plan, step), plan.signed(step)))

    async def hand_over_lead(self, from_site: str, to_site: str) -> None:
        """Asked of the site that leads: nobody else can."""
        request = admin_pb2.HandOverLeadRequest(to_site=to_site)
        await self.client.call_site(from_site, HAND_OVER_LEAD, request, timeout_ms=HAND_OVER_TIMEOUT_MS)

    async def remove_member(self, by_site: str, site: str) -> None:
        """Asked of a voter."""
        request = admin_pb2.RemoveMemberRequest(site=site)
        await self.client.call_site(by_site, REMOVE_MEMBER, request, timeout_ms=REMOVE_TIMEOUT_MS)

    async def stand(self, wall_ms: int) -> Stand:
        """How the ledger stands now, to be kept. Raises SentoError."""
        _, checkpoint = await self.client.newest_proven()
        answers = await self.statuses()
        trips = {
            " - ".join(sorted(pair)): trip_us for pair, trip_us in round_trips_of(answers).shortest_us.items()
        }
        sizes = {site: status.flushed_size for site, status in answers.items()}
        return stand_of(wall_ms, checkpoint, sizes, trips, lead_of(answers))


def with_operator(client: GoverningClient, operator: Path | None) -> GoverningClient:
    """The client, not open yet, with an operator's certificate if one is named, and with the addresses that governance knows of sites that sento.toml does not
    name. Raises SetupError."""
    place: GoverningPlace = client.place
    governance = place.trust_file.read().governance
    named = {site.name for site in place.sites}
    more = tuple(
        SiteAddress(site.name, site.address)
        for site in governance.sites.values()
        if site.address and site.name not in named
    )
    tls = place.tls
    if operator is not None:
        tls = TlsFiles(tls.ca, operator / "client.pem", operator / "client.key")
    client.place = replace(place, tls=tls, sites=(*place.sites, *more))
    return client


@contextlib.asynccontextmanager
async def watching(
    client: GoverningClient, ports: Ports, told: Callable[[Growth], None] = lambda _: None
) -> AsyncIterator[Callable[[], Growth]]:
    """While inside, each site is asked ten times a second how many records it has applied; what comes is a function that says what was seen so far."""
    growth = Growth()

    async def watch(site: str) -> None:
        nonlocal growth
        while True:
            with contextlib.suppress(SentoError):
                status = await client.call_site(
                    site, STATUS, admin_pb2.StatusRequest(), timeout_ms=GROWTH_TIMEOUT_MS
                )
                growth = growth.seen(ports.steady_ms(), status.applied_size)
                told(growth)
            await asyncio.sleep(POLL_MS / 1000)

    tasks = [asyncio.create_task(watch(site)) for site in client.sites]
    try:
        yield lambda: growth
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
