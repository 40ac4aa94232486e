"""A real ordering log for tests: etcd members under the production supervisor, in one directory, on free ports of 127.0.0.1.

Short election times keep fail-over tests quick. Everything that was started is ended by `stop`, by the process ids that were started.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from ordering_certs import OrderingCa
from sento_node.ordering.etcd.follow import FollowTimes
from sento_node.ordering.etcd.log import EtcdLog
from sento_node.ordering.etcd.member import STOP_GRACE_MS, EtcdMember
from sento_node.ordering.etcd.member_process import MemberEvent
from sento_node.ordering.etcd.settings import MemberSettings
from sento_node.ordering.etcd.supervision import SupervisionPolicy
from sento_node.ordering.etcd.version import find_etcd
from sento_node.ordering.port import Appended, Head, OrderingLog, OutcomeUnknown

T = TypeVar("T")

READY_TIMEOUT_MS = 20_000
CALL_TIMEOUT_MS = 3_000
QUICK_FOLLOW = FollowTimes(quiet_ms=300, head_timeout_ms=700)
QUICK_RESTARTS = SupervisionPolicy(back_off_first_ms=100)


class TestMember:
    """One site's member, its supervisor's reports, and the log through it."""

    __test__ = False

    def __init__(self, settings: MemberSettings, policy: SupervisionPolicy = QUICK_RESTARTS) -> None:
        self.settings = settings
        self.policy = policy
        self.events: list[MemberEvent] = []
        self.member = EtcdMember(settings, find_etcd(), policy=policy, on_event=self.events.append)
        self._log: EtcdLog | None = None

    @property
    def site(self) -> str:
        return self.settings.site

    @property
    def log(self) -> EtcdLog:
        if self._log is None:
            self._log = EtcdLog(
                self.member.client_target,
                quota_bytes=self.settings.quota_bytes,
                resident_bytes=self.member.resident_bytes,
                follow_times=QUICK_FOLLOW,
            )
        return self._log

    def signal(self, number: int) -> None:
        """Send a signal to this member's process alone."""
        os.kill(self.member.pid, number)

    async def start(self) -> None:
        await self.member.start()

    async def ready(self) -> None:
        await self.member.wait_ready(timeout_ms=READY_TIMEOUT_MS)

    async def stop(self, *, grace_ms: int = STOP_GRACE_MS) -> None:
        """Stop this member and close the log through it; the member can be made anew on the same directories."""
        if self._log is not None:
            await self._log.close()
        await self.member.stop(grace_ms=grace_ms)

    async def renew(self, **changes: object) -> TestMember:
        """Stop, and make (not start) a member with changed settings on the same directories."""
        await self.stop()
        return TestMember(dataclasses.replace(self.settings, **changes), self.policy)  # type: ignore[arg-type]


class EtcdCluster:
    """Members of one ordering log."""

    def __init__(self, directory: Path, members: list[TestMember], ca: OrderingCa) -> None:
        self.directory = directory
        self.members = members
        self.ca = ca

    @classmethod
    def make(
        cls, directory: Path, sites: tuple[str, ...], *, quota_bytes: int = 256 * 1024**2
    ) -> EtcdCluster:
        """Settings, certificates and ports for a new cluster of these sites; nothing runs yet."""
        ca = OrderingCa()
        urls = dict(zip(sites, free_peer_urls(len(sites)), strict=True))
        members = [
            TestMember(
                MemberSettings(
                    site=site,
                    data_dir=directory / site / "data",
                    run_dir=directory / site / "run",
                    peer_listen_url=urls[site],
                    peer_url=urls[site],
                    members=urls,
                    cluster_token=f"test-{directory.name}",
                    tls=ca.issue(directory / site / "tls", site),
                    heartbeat_ms=50,
                    election_ms=500,
                    quota_bytes=quota_bytes,
                )
            )
            for site in sites
        ]
        return cls(directory, members, ca)

    async def start(self) -> None:
        for member in self.members:
            await member.start()
        await asyncio.gather(*(member.ready() for member in self.members))

    async def stop(self) -> None:
        # The last to stop has nobody to hand the lead to and would wait for that: the data is thrown away, so do not let it.
        await asyncio.gather(*(member.stop(grace_ms=200) for member in self.members))

    async def lead(self) -> TestMember:
        """The member that leads, once all agree."""

        async def agreed() -> TestMember | None:
            states = [await member.log.status(timeout_ms=CALL_TIMEOUT_MS) for member in self.members]
            names = {state.lead_site for state in states}
            return next((m for m in self.members if names == {m.site}), None)

        return await until(agreed, "all members agree on the lead")

    @asynccontextmanager
    async def frozen(self, *members: TestMember) -> AsyncIterator[None]:
        """These members stand still for the duration; afterwards all members are ready again."""
        try:
            for member in members:
                member.signal(signal.SIGSTOP)
            for member in members:
                await until(lambda pid=member.member.pid: stands_still(pid), f"{member.site} stands still")  # type: ignore[misc]
            yield
        finally:
            for member in members:
                member.signal(signal.SIGCONT)
            for member in self.members:
                await read_head(member.log)


@asynccontextmanager
async def running_cluster(
    directory: Path, *sites: str, quota_bytes: int = 256 * 1024**2
) -> AsyncIterator[EtcdCluster]:
    """A ready cluster of these sites, stopped at the end whatever happens."""
    cluster = EtcdCluster.make(directory, sites, quota_bytes=quota_bytes)
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()


async def until(condition: Callable[[], Awaitable[T | None]], what: str, timeout_s: float = 20.0) -> T:
    """What `condition` returns once it is true; fails after `timeout_s` naming `what` was waited for."""
    loop = asyncio.get_running_loop()
    ends_at_s = loop.time() + timeout_s
    while not (found := await condition()):
        if loop.time() >= ends_at_s:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        await asyncio.sleep(0.02)
    return found


async def append_surely(
    log: OrderingLog, lane: str, seq: int, data: bytes, *, timeout_ms: int = 400
) -> Appended:
    """Append with the retry that the port allows, as a node does: the same call after every unknown outcome."""

    async def tried() -> Appended | None:
        try:
            return await log.append(lane, seq, data, timeout_ms=timeout_ms)
        except OutcomeUnknown:
            return None

    return await until(tried, f"block {seq} of lane {lane} is ordered")


async def stands_still(pid: int) -> bool:
    """True once every thread has stopped: the first to take the signal may be inside a flush, and the others go on until it is out."""
    states = [
        (task / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
        for task in Path(f"/proc/{pid}/task").iterdir()
    ]
    return set(states) == {"T"}


async def read_head(log: OrderingLog) -> Head:
    """The head, asked again while the lead changes."""

    async def read() -> tuple[Head] | None:
        try:
            return (await log.head(timeout_ms=500),)
        except OutcomeUnknown:
            return None

    return (await until(read, "the head can be read"))[0]


def free_peer_urls(count: int) -> list[str]:
    """Peer URLs on ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"https://127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    finally:
        for each in sockets:
            each.close()
