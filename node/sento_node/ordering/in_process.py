"""The ordering log in one process: the in-memory engine shared by several sites, with asyncio around it.

For tests, the simulator's neighbours and the single process. Nothing is written to disk: "durable at a majority" means here "in this process",
and the log lives as long as its `InProcessLog`. Faults (lost answers, a lost majority, broken followers) are not known here; tests wrap an
access in one that has them.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Mapping
from typing import Final

from sento_node.ordering.engine import OrderEngine
from sento_node.ordering.port import (
    Appended,
    FollowBroken,
    Head,
    LogEvent,
    OrderingMember,
    OrderingRefused,
    OrderingStatus,
)

QUOTA_BYTES_DEFAULT: Final = 2 * 1024**3
FOLLOW_EVENTS_PER_STEP: Final = 1_000


class InProcessLog:
    """One log for the named sites, the first of which leads at first. `access(site)` gives each its own door."""

    def __init__(self, sites: tuple[str, ...], *, quota_bytes: int = QUOTA_BYTES_DEFAULT) -> None:
        if not sites or len(set(sites)) != len(sites):
            raise ValueError("An in-process ordering log needs at least one site, and each site once.")
        self.engine = OrderEngine(quota_bytes=quota_bytes)
        self.sites = sites
        self.lead_site = sites[0]
        self.term = 1
        self._grown = asyncio.Event()

    def access(self, site: str) -> InProcessAccess:
        """The log as `site` sees it; a site may have several accesses, one after another or at once."""
        if site not in self.sites:
            raise ValueError(
                f"{site} is not a site of this ordering log; its sites are {', '.join(self.sites)}."
            )
        return InProcessAccess(self, site)

    def wake_followers(self) -> None:
        """Let every follower look again; called after each change."""
        self._grown.set()
        self._grown = asyncio.Event()

    async def changed(self) -> None:
        """Return after the next `wake_followers`."""
        await self._grown.wait()


class InProcessAccess:
    """One site's `OrderingLog` on a shared `InProcessLog`. Deadlines are accepted and never reached: every call is immediate."""

    def __init__(self, log: InProcessLog, site: str) -> None:
        self._log = log
        self._site = site
        self._closed = False

    async def append(self, lane: str, seq: int, data: bytes, *, timeout_ms: int) -> Appended:
        """See `OrderingLog.append`; never raises OutcomeUnknown."""
        self._check_open()
        appended = self._log.engine.append(lane, seq, data)
        self._log.wake_followers()
        return appended

    async def follow(self, after: Head) -> AsyncGenerator[LogEvent, None]:
        """See `OrderingLog.follow`; ends with FollowBroken when this access is closed, and OrderingRefused for a place beyond the end."""
        revision = after.revision
        while True:
            if self._closed:
                raise FollowBroken(
                    "This access to the ordering log was closed. Follow again through a new one."
                )
            events = self._log.engine.events_after(revision, limit=FOLLOW_EVENTS_PER_STEP)
            if not events:
                await self._log.changed()
                continue
            for event in events:
                yield event
            revision = events[-1].revision

    async def head(self, *, timeout_ms: int) -> Head:
        """See `OrderingLog.head`."""
        self._check_open()
        return self._log.engine.head

    async def trim(self, through_seq: Mapping[str, int], through_revision: int, *, timeout_ms: int) -> None:
        """See `OrderingLog.trim`; also raises OrderingRefused for a revision beyond the log's end."""
        self._check_open()
        self._log.engine.trim(through_seq, through_revision)
        self._log.wake_followers()

    async def status(self, *, timeout_ms: int) -> OrderingStatus:
        """See `OrderingLog.status`; sizes are those of the blocks alone."""
        self._check_open()
        log = self._log
        return OrderingStatus(
            engine="in-process",
            version="1",
            cluster_id=_stable_id(",".join(log.sites)),
            member_id=_stable_id(self._site),
            lead_site=log.lead_site,
            is_lead=log.lead_site == self._site,
            term=log.term,
            size_bytes=log.engine.in_use_bytes,
            in_use_bytes=log.engine.in_use_bytes,
            quota_bytes=log.engine.quota_bytes,
            resident_bytes=0,
            alarms=(),
            members=tuple(OrderingMember(_stable_id(site), site, votes=True) for site in log.sites),
        )

    async def hand_over_lead(self, to_site: str, *, timeout_ms: int) -> None:
        """See `OrderingLog.hand_over_lead`."""
        self._check_open()
        log = self._log
        if to_site not in log.sites:
            raise OrderingRefused(
                f"{to_site} is not a member of this ordering log. Hand the lead to one of {', '.join(log.sites)}."
            )
        if log.lead_site == self._site and to_site != self._site:
            log.lead_site = to_site
            log.term += 1

    async def close(self) -> None:
        """Close this access and end its followers; the log and the other sites go on. Safe to repeat."""
        self._closed = True
        self._log.wake_followers()

    def _check_open(self) -> None:
        if self._closed:
            raise OrderingRefused("This access to the ordering log was closed. Open a new one.")


def _stable_id(name: str) -> int:
    return zlib.crc32(name.encode()) + 1
