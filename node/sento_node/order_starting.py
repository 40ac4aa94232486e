"""A site's access to the order when a life begins: through its own member where it votes, through voting sites' nodes where it does not.

voting     the own etcd member is started and waited for; `EtcdLog` on its socket; the eraser reaches its files
embassy    no member, no files: `RelayedLog` over the nodes of the sites that vote and keep the ledger, those in node.toml first, in its order
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sento_node.boot_keeper import BootFiles
from sento_node.condition import Condition
from sento_node.epochs.here import EpochHere
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
    lends: OrderingLog | None = None
    """What other sites are lent, where it is not the log itself."""
    was_removed: str = ""
    """What to say of the member if it turns out that the log took it out and no act did; empty where it was not."""

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


def lent_order(
    peers: Mapping[str, PeerNode], governance: Callable[[], Governance], here: EpochHere | None = None
) -> OrderAccess:
    """The order of this epoch through whichever site votes in it and keeps the ledger, by its plan and the `governance` of the moment."""
    epoch = EpochHere() if here is None else here

    def lenders() -> list[NodeRelay]:
        now = governance()
        voting = frozenset(epoch.voting_sites(now))
        return [
            NodeRelay(peer, epoch.number)
            for name, peer in peers.items()
            if name in voting and (site := now.sites.get(name)) is not None and site.ledger
        ]

    log = RelayedLog(lenders)
    return OrderAccess(log, None, lambda: log.through)
