"""The forms of the ordering log as its contract sees them: three sites' accesses, one of them without a majority on request, and a small log to fill."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from etcd_cluster import EtcdCluster, running_cluster
from faulty_ordering import FaultyOrderingLog
from sento_node.ordering.etcd.log import EtcdLog
from sento_node.ordering.in_process import InProcessLog
from sento_node.ordering.port import OrderingLog

SITES = ("north", "east", "south")

Opens = Callable[[], AbstractAsyncContextManager[OrderingLog]]


@dataclass(frozen=True)
class Form:
    """One form of the log: its access at three sites, an access without a majority, and a small log to fill."""

    logs: tuple[OrderingLog, ...]
    cut_off: Opens
    small: Opens
    another_access: Callable[[], OrderingLog]

    @property
    def log(self) -> OrderingLog:
        return self.logs[0]


def in_process_form() -> Form:
    shared = InProcessLog(SITES)
    logs = tuple(FaultyOrderingLog(shared.access(site)) for site in SITES)

    @asynccontextmanager
    async def cut_off() -> AsyncIterator[OrderingLog]:
        logs[0].cut_off()
        try:
            yield logs[0]
        finally:
            logs[0].heal()

    @asynccontextmanager
    async def small() -> AsyncIterator[OrderingLog]:
        yield InProcessLog(("alone",), quota_bytes=8 * 1024**2).access("alone")

    return Form(logs, cut_off, small, lambda: shared.access(SITES[0]))


def etcd_form(cluster: EtcdCluster, small_directory: Path) -> Form:
    @asynccontextmanager
    async def cut_off() -> AsyncIterator[OrderingLog]:
        async with cluster.frozen(*cluster.members[1:]):
            yield cluster.members[0].log

    @asynccontextmanager
    async def small() -> AsyncIterator[OrderingLog]:
        async with running_cluster(small_directory, "alone", quota_bytes=8 * 1024**2) as alone:
            yield alone.members[0].log

    def another_access() -> OrderingLog:
        return EtcdLog(cluster.members[0].member.client_target, quota_bytes=1)

    return Form(tuple(member.log for member in cluster.members), cut_off, small, another_access)
