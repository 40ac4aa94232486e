"""A site's access to the order when a life begins: through its own member where it votes, through voting sites' nodes where it does not.

voting     the own etcd member is started and waited for; `EtcdLog` on its socket; the eraser reaches its files
embassy    no member, no files: `RelayedLog` over the nodes of the sites that vote and keep the ledger, those in node.toml first, in its order
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sento_node.boot_keeper import BootFiles
from sento_node.condition import Condition
from sento_node.member_starting import until_ready
from sento_node.ordering.etcd.log import EtcdLog
from sento_node.ordering.etcd.member import EtcdMember
from sento_node.ordering.port import OrderingLog
from sento_node.ordering.relayed import RelayedLog
from sento_node.peers import PeerNode
from sento_node.relays import NodeRelay
from sento_proto.governance.state import Governance


@dataclass(frozen=True, slots=True)
class OrderAccess:
    """The log, and what it stands on: the own member, or who lends it now."""

    log: OrderingLog
    member: EtcdMember | None
    follows_through: Callable[[], str]

    async def close(self) -> None:
        """Close the access, then stop the member."""
        await self.log.close()
        if self.member is not None:
            await self.member.stop()


def _through_nobody() -> str:
    return ""


async def own_order(member: EtcdMember, files: BootFiles, condition: Condition) -> OrderAccess | None:
    """Start the own member of the epoch's log and wait until it can order; one that joins as a learner is waited for until it answers. None when it is down
    for good. Raises DirectoryTaken, DirectoryUnsafe, OSError."""
    try:
        ready = await until_ready(member, files, condition)
    except BaseException:
        await member.stop()
        raise
    if not ready:
        await member.stop()
        return None
    log = EtcdLog(
        member.client_target, quota_bytes=member.settings.quota_bytes, resident_bytes=member.resident_bytes
    )
    return OrderAccess(log, member, _through_nobody)


def lent_order(peers: Mapping[str, PeerNode], governance: Callable[[], Governance]) -> OrderAccess:
    """The order through whichever site votes and keeps the ledger by `governance` of the moment."""

    def lenders() -> list[NodeRelay]:
        sites = governance().sites
        return [
            NodeRelay(peer)
            for name, peer in peers.items()
            if (site := sites.get(name)) is not None and site.votes and site.ledger
        ]

    log = RelayedLog(lenders)
    return OrderAccess(log, None, lambda: log.through)
