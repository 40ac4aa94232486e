"""How a cluster on this machine stands, judged as `sento status` judges it: sites asked with the operator's certificate, votes as an officer follows them."""

from __future__ import annotations

import asyncio
import time

from sento_client import SentoError, SetupError
from sento_client.governing.client import GoverningClient
from sento_client.site_status import Judgement, SiteReport, judge
from sento_client.site_status.governed import governed
from sento_drill.cluster import CONNECT_TIMEOUT_MS, STATUS_TIMEOUT_S, LocalCluster
from sento_drill.world import World
from sento_proto.governance.gaps import open_gaps
from sento_proto.governance.state import Governance, from_genesis

_SILENT = f"no answer within {STATUS_TIMEOUT_S:g} s"


async def standing(cluster: LocalCluster) -> Judgement:
    """One look at all sites. A second look is the caller's to take."""
    asked_at_ms, began_ns = time.time_ns() // 1_000_000, time.monotonic_ns()
    statuses, governance = await asyncio.gather(cluster.statuses(), _governance(cluster.world))
    took_ms = (time.monotonic_ns() - began_ns) // 1_000_000
    reports = [
        SiteReport(site, status, "" if status is not None else _SILENT, took_ms=took_ms)
        for site, status in statuses.items()
    ]
    genesis = governed(cluster.world.genesis, governance)
    return judge(genesis, reports, asked_at_ms, gaps=open_gaps(governance))


async def _governance(world: World) -> Governance:
    """Who votes by now, as any site knows it. Where none tells, what the officer followed before; that sites are silent is told by their reports."""
    officer = next(iter(world.genesis.officers.people), None)
    if officer is None:
        return from_genesis(world.genesis)
    async with GoverningClient.open(world.officer(officer).config) as client:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_MS / 1000):
                return (await client.follow(local=True)).governance
        except (SentoError, SetupError, TimeoutError):
            return client.place.trust_file.read().governance
