"""A member's own account of itself as the port's `OrderingStatus`. Pure.

etcd lists its alarms among the errors of its status, as text; that is read here rather than asked for, because asking for alarms needs a
majority and the status must not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sento_node.ordering.etcd.api import etcd_pb2 as pb
from sento_node.ordering.port import OrderingMember, OrderingStatus

_ALARMS: Final = ("NOSPACE", "CORRUPT")


def ordering_status(
    status: pb.StatusResponse, members: Sequence[pb.Member], *, quota_bytes: int, resident_bytes: int
) -> OrderingStatus:
    """Put together what the member says with what its supervisor knows (quota, resident memory)."""
    names = {member.ID: member.name for member in members}
    own_id = status.header.member_id
    return OrderingStatus(
        engine="etcd",
        version=status.version,
        cluster_id=status.header.cluster_id,
        member_id=own_id,
        lead_site=names.get(status.leader, ""),
        is_lead=status.leader == own_id != 0,
        term=status.raftTerm,
        size_bytes=status.dbSize,
        in_use_bytes=status.dbSizeInUse,
        quota_bytes=quota_bytes,
        resident_bytes=resident_bytes,
        alarms=alarms_in(status.errors),
        members=tuple(
            OrderingMember(
                member.ID,
                member.name,
                votes=not member.isLearner,
                peer_url=member.peerURLs[0] if member.peerURLs else "",
            )
            for member in members
        ),
    )


def alarms_in(errors: Iterable[str]) -> tuple[str, ...]:
    """The alarms named in a status answer's errors, such as `memberID:8211f1d0f64f3269 alarm:NOSPACE `, each once."""
    texts = list(errors)
    return tuple(alarm for alarm in _ALARMS if any(f"alarm:{alarm}" in text for text in texts))
