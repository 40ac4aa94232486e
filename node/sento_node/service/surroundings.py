"""What a site's status says of its surroundings: the ordering log and its members, the other sites, and how long a question to them takes."""

from __future__ import annotations

from sento_node.ordering.timeouts import timeouts_for
from sento_node.service.node_state import NodeState
from sento_proto.v1 import admin_pb2


def add_ordering(reply: admin_pb2.StatusReply, node: NodeState) -> None:
    """The ordering log, as this site's own member tells it; what others tell of theirs, at a site without one."""
    _add_timeouts(reply, node)
    ordering = node.condition.ordering
    if ordering is None:
        return
    reply.lead_site, reply.is_lead = ordering.lead_site, ordering.is_lead
    reply.ordering_version = f"{ordering.engine} {ordering.version}"
    reply.ordering_size_bytes = ordering.size_bytes
    reply.ordering_in_use_bytes = ordering.in_use_bytes
    reply.ordering_quota_bytes = ordering.quota_bytes
    reply.ordering_resident_bytes = ordering.resident_bytes
    reply.ordering_alarms.extend(ordering.alarms)
    for member in ordering.members:
        reply.ordering_members.add(
            site=member.site,
            votes=member.votes,
            is_lead=member.site == ordering.lead_site != "",
            peer_url=member.peer_url,
        )


def _add_timeouts(reply: admin_pb2.StatusReply, node: NodeState) -> None:
    if node.timeouts is not None:
        reply.heartbeat_ms, reply.election_ms = node.timeouts
    round_trips = node.round_trips.of(voting_others(node))
    if round_trips:
        reply.heartbeat_wanted_ms, reply.election_wanted_ms = timeouts_for(round_trips.values())


def voting_others(node: NodeState) -> tuple[str, ...]:
    """The other sites that vote, by governance of the moment."""
    voting = node.epoch.voting_sites(node.governance)
    return tuple(site for site in voting if site != node.config.site)


def add_peers(reply: admin_pb2.StatusReply, node: NodeState) -> None:
    """The other sites: those of node.toml in its order, then those known since."""
    listed = [peer.name for peer in node.config.peers]
    for name in (*listed, *(name for name in node.contacts if name not in listed)):
        contact = node.contacts.get(name)
        reply.peers.add(
            site=name,
            reachable=node.reaches(name),
            size=contact.flushed_size if contact else 0,
            last_contact_ms=contact.at_ms if contact else 0,
            clock_off_s=contact.clock_off_s if contact else 0,
            round_trip_us=node.round_trips.shortest_us(name),
            silent_ms=node.silent_ms(name),
        )
