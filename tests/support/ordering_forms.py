"""The forms of the ordering log as its contract sees them: three sites' accesses, one of them without a majority on request, and a small log to fill.

The relayed form is three sites without a member, each through the nodes of the three that have one: what a node answers about the order, and the messages that
it comes in, are the real ones; between them is a call instead of a connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from etcd_cluster import EtcdCluster, running_cluster
from faulty_ordering import FaultyOrderingLog
from lending_sites import LendingSite
from sento_node.ordering.etcd.log import EtcdLog
from sento_node.ordering.in_process import InProcessLog
from sento_node.ordering.port import OrderingLog
from sento_node.ordering.relayed import RelayedLog

SITES = ("north", "east", "south")

Opens = Callable[[], AbstractAsyncContextManager[OrderingLog]]


@dataclass(frozen=True)
class Form:
    """One form of the log: its access at three sites, an access without a majority, and a small log to fill. `members`: the accesses through a member of
    the log, which alone may trim and lead."""

    logs: tuple[OrderingLog, ...]
    cut_off: Opens
    small: Opens
    another_access: Callable[[], OrderingLog]
    members: tuple[OrderingLog, ...]

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

    return Form(logs, cut_off, small, lambda: shared.access(SITES[0]), logs)


def relayed_form() -> Form:
    shared = InProcessLog(SITES)
    members = tuple(FaultyOrderingLog(shared.access(site)) for site in SITES)
    lenders = [LendingSite(site, member) for site, member in zip(SITES, members, strict=True)]

    def access(first: int = 0) -> RelayedLog:
        return RelayedLog(lambda: [*lenders[first:], *lenders[:first]])

    logs = tuple(access(first) for first in range(3))

    @asynccontextmanager
    async def cut_off() -> AsyncIterator[OrderingLog]:
        for member in members:
            member.cut_off()
        try:
            yield logs[0]
        finally:
            for member in members:
                member.heal()

    @asynccontextmanager
    async def small() -> AsyncIterator[OrderingLog]:
        alone = InProcessLog(("alone",), quota_bytes=8 * 1024**2).access("alone")
        yield RelayedLog(lambda: [LendingSite("alone", alone)])

    return Form(logs, cut_off, small, access, members)


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

    logs = tuple(member.log for member in cluster.members)
    return Form(logs, cut_off, small, another_access, logs)
