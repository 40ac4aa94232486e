"""Which way to the order a life of this site takes: its own member, where governance gives it a vote; a voting site's node, where it does not.

A joining site's former member is removed and a learner added before its member starts; a site whose vote the officers ended leaves the log first. A site that
was given its vote later and has no member yet is refused, in words: its own member could only begin a log of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sento_node.boot_keeper import BootFiles
from sento_node.epochs.here import EpochHere
from sento_node.epochs.starting import log_of_epoch
from sento_node.joining.leaving import leave_log
from sento_node.joining.running import NEVER_A_MEMBER, Joining, never_a_member
from sento_node.member_starting import member_of
from sento_node.order_starting import OrderAccess, lent_order, own_order
from sento_node.ordering.etcd.version import EtcdBinary, find_etcd
from sento_node.peers import Peers
from sento_node.preflight import check_member
from sento_node.service.node_state import NodeState


async def open_order(
    node: NodeState,
    here: EpochHere,
    files: BootFiles,
    peers: Peers,
    etcd: EtcdBinary | None,
    joining: Joining | None,
) -> OrderAccess | None:
    """Access to the epoch's order, ready for use. None when it is down for good, which the condition then says. Raises ConfigMistake, EtcdUnusable, OSError."""
    members: Mapping[str, str] | None = None
    if joining is not None and joining.votes:
        members = await joining.prepare_member(files)
        if members is None:
            return None
    if not _votes(node, here, joining):
        await leave_log(node, files, peers)
        node.condition.explanation = "The order is looked for at the voting sites."
        return lent_order(peers, lambda: node.governance)
    config, genesis = node.config, node.genesis
    check_member(config, node.governance.sites.get(config.site), genesis.voting_sites)
    if joining is None and never_a_member(config, genesis, here, files):
        node.condition.state, node.condition.explanation = "refused", NEVER_A_MEMBER
        return None
    began_with = here.began_with(genesis)
    member = member_of(
        config, genesis, files, etcd or find_etcd(None), node.condition, here, began_with, members
    )
    order = await own_order(member, files, node.condition)
    if order is None:
        return None
    log = order.log if joining is None else joining.gated(order.log)
    return replace(order, log=log_of_epoch(node, log))


def _votes(node: NodeState, here: EpochHere, joining: Joining | None) -> bool:
    """By what the site joins with; else by the plan of its epoch; else by governance, or by its configuration where governance does not know it yet."""
    if joining is not None:
        return joining.votes
    if here.plan is not None:
        return node.config.site in here.voting_sites(node.governance)
    site = node.governance.sites.get(node.config.site)
    return node.config.ordering is not None if site is None else site.votes
