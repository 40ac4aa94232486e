"""All sites gone, and back after minutes, while a program goes on writing: nothing that it was told or that its outbox keeps may be lost or doubled.

The program is `killed_writer`, under its configuration's deadline: in the outage each of its calls ends there, with the word that the outbox keeps the record.
When the sites are back it is waited for until it is answered again; then it is killed, and the ledger is compared with its notes.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from sento_drill import procfs
from sento_drill.client_kills import Noted, Sums, compare_with_ledger, started_writer
from sento_drill.cluster import LocalCluster
from sento_drill.waiting import until

BEFORE_S = 3.0
BACK_DEADLINE_S = 180.0


async def outage(cluster: LocalCluster, config: Path, directory: Path, seconds: float) -> tuple[Sums, float]:
    """The drill on a registry that runs; returns the sums and the program's memory in MiB at the end. Raises TooLate, SentoError."""
    start_s = time.monotonic()
    notes = directory / "life-outage.txt"
    async with started_writer(config, "outage", notes) as writer:
        await asyncio.sleep(BEFORE_S)
        for site in list(cluster.processes):
            await asyncio.to_thread(cluster.kill_site, site)
        await asyncio.sleep(seconds)
        told_before = len(_noted(notes).told)
        cluster.start_all()
        await cluster.wait_serving()

        async def told_again() -> bool:
            return len(_noted(notes).told) > told_before

        await until(told_again, deadline_s=BACK_DEADLINE_S, what="the program was not answered again")
        info = procfs.info_of(writer.pid)
        resident = procfs.resident_bytes(info.id) if info is not None else None
    sums = await compare_with_ledger(config, _noted(notes), 1, start_s)
    return sums, (resident or 0) / 1024**2


def _noted(notes: Path) -> Noted:
    noted = Noted()
    noted.take(notes.read_text(encoding="utf-8"))
    return noted
