"""Which way to the order a life of this site takes: its own member, where governance gives it a vote; a voting site's node, where it does not.

A joining site's former member is removed and a learner added before its member starts; a site whose vote the officers ended leaves the log first. A site that
was given its vote later and has no member yet begins as an embassy, and joins the log while it runs (`joining/vote_watch.py`): a member of its own could only
begin a log of its own. From the learner's start until it votes such a site goes on through others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sento_node.boot_keeper import BootFiles
from sento_node.epochs.at_fork import is_behind_fork
from sento_node.epochs.here import EpochHere
from sento_node.epochs.starting import lent_log_of_epoch, log_of_epoch
from sento_node.joining.leaving import clear_left, leave_log, put_away
from sento_node.joining.running import Joining, never_a_member
from sento_node.member_starting import member_of
from sento_node.order_starting import OrderAccess, lent_order, own_order
from sento_node.ordering.etcd.member import EtcdMember
from sento_node.ordering.etcd.supervision import EndKind
from sento_node.ordering.etcd.version import EtcdBinary, find_etcd
from sento_node.ordering.timeouts import Timeouts
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
    config, genesis = node.config, node.genesis
    members: Mapping[str, str] | None = None
    lent = lent_order(peers, lambda: node.governance, here)
    lent = replace(lent, log=lent_log_of_epoch(node, lent.log))
    await clear_left(files)
    if is_behind_fork(node.store, here.plan):
        return _through_others(node, lent)
    if joining is not None and joining.for_vote and not (joining.has_learner and joining.votes):
        return _through_others(node, lent)
    if joining is not None and joining.votes:
        members = await joining.prepare_member(files)
        if members is None:
            return _through_others(node, lent) if joining.for_vote else None
    if not _votes(node, here, joining):
        if await leave_log(node, files, peers):
            return _through_others(node, lent)
    elif joining is None and never_a_member(config, genesis, here, files):
        return _through_others(node, lent)
    if here.plan is None:
        check_member(config, node.governance.sites.get(config.site), genesis.voting_sites)
    began_with = here.began_with(genesis)
    urls = None if here.plan is None else here.ordering_urls(node.governance)
    found = etcd or find_etcd((config.ordering.etcd_path if config.ordering else "") or None)
    member = member_of(config, genesis, files, found, node.condition, here, began_with, members, urls)
    order = await own_order(member, files, node.condition)
    if order is None:
        return await _without_removed(node, member, files, joining, lent)
    if joining is not None and joining.for_vote:
        return joining.switched(lent, replace(order, log=log_of_epoch(node, order.log)))
    log = order.log if joining is None else joining.gated(order.log)
    return replace(order, log=log_of_epoch(node, log))


def use_order(node: NodeState, order: OrderAccess) -> None:
    """Let the services know what this life's order stands on."""
    node.follows_through = order.follows_through
    if order.member is None:
        node.member_target = ""
        return
    settings = order.member.settings
    node.member_log = order.log if order.lends is None else order.lends
    node.member_target = order.member.client_target
    node.timeouts = Timeouts(settings.heartbeat_ms, settings.election_ms)


def _through_others(node: NodeState, lent: OrderAccess) -> OrderAccess:
    node.condition.explanation = "The order is looked for at the voting sites."
    return lent


async def _without_removed(
    node: NodeState, member: EtcdMember, files: BootFiles, joining: Joining | None, lent: OrderAccess
) -> OrderAccess | None:
    """The order for a site whose member is down for good: through others, where the log took it out, because this ledger may only be behind the act that ended
    the vote. A learner that was taken out is added anew. None for any other end. Raises OSError."""
    ended = await member.ended()
    if ended.kind is not EndKind.REMOVED or (joining is not None and not joining.for_vote):
        return None
    node.condition.state = "starting"
    if joining is None:
        return replace(_through_others(node, lent), was_removed=ended.sentence)
    await put_away(files)
    joining.begun.noted(member_id=0)
    return _through_others(node, lent)


def _votes(node: NodeState, here: EpochHere, joining: Joining | None) -> bool:
    """By what the site joins with; else by the plan of its epoch; else by governance, or by its configuration where governance does not know it yet."""
    if joining is not None:
        return joining.votes
    if here.plan is not None:
        return node.config.site in here.voting_sites(node.governance)
    site = node.governance.sites.get(node.config.site)
    return node.config.ordering is not None if site is None else site.votes
