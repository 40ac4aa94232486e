"""How a cluster on this machine stands, judged as `sento status` judges it, with the operator's certificate."""

from __future__ import annotations

import time

from sento_client.site_status import Judgement, SiteReport, judge
from sento_drill.cluster import STATUS_TIMEOUT_S, LocalCluster

_SILENT = f"no answer within {STATUS_TIMEOUT_S:g} s"


async def standing(cluster: LocalCluster) -> Judgement:
    """One look at all sites. A second look is the caller's to take."""
    asked_at_ms, began_ns = time.time_ns() // 1_000_000, time.monotonic_ns()
    statuses = await cluster.statuses()
    took_ms = (time.monotonic_ns() - began_ns) // 1_000_000
    reports = [
        SiteReport(site, status, "" if status is not None else _SILENT, took_ms=took_ms)
        for site, status in statuses.items()
    ]
    return judge(cluster.world.genesis, reports, asked_at_ms)
