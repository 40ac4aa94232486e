"""Whether a member can do its work: it answers, it knows a lead, and (a voter) it reads the head through a majority.

Asking is all there is to it: a voter that has no majority at its start does not even speak on its socket, so that every failure to answer is
"not yet" and never an error. A learner serves no linearizable reads; it is ready when it knows a lead.
"""

from __future__ import annotations

from dataclasses import dataclass

from sento_node.ordering.etcd.api import etcd_pb2 as pb
from sento_node.ordering.etcd.client import EtcdClient
from sento_node.ordering.etcd.deadline import Deadline
from sento_node.ordering.etcd.keys import HEAD_KEY
from sento_node.ordering.port import OrderingError, OutcomeUnknown


@dataclass(frozen=True, slots=True)
class MemberReady:
    """A member that can do its work, as it was found."""

    version: str
    cluster_id: int
    member_id: int
    is_learner: bool
    is_lead: bool


async def probe(client: EtcdClient, *, timeout_ms: int) -> MemberReady | str:
    """Ask once, within `timeout_ms`. Returns what is missing, as a clause, when the member is not ready."""
    deadline = Deadline(timeout_ms)
    try:
        status = await client.member_status(timeout_ms=deadline.left_ms)
    except OutcomeUnknown:
        return "it does not answer yet, as a voter does that has not found a majority of the members"
    except OrderingError as error:
        return str(error)
    if status.leader == 0:
        return "it answers but knows no lead"
    if not status.isLearner:
        try:
            await client.range(
                "read the log's head", pb.RangeRequest(key=HEAD_KEY), timeout_ms=deadline.left_ms
            )
        except OutcomeUnknown:
            return "it knows a lead but cannot read the log's head through a majority"
        except OrderingError as error:
            return str(error)
    member_id = status.header.member_id
    return MemberReady(
        status.version,
        status.header.cluster_id,
        member_id,
        status.isLearner,
        is_lead=status.leader == member_id,
    )
