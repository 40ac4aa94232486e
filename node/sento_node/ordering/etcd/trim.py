"""Trimming as etcd transactions: one range deletion per lane, in batches that etcd accepts. Pure.

Deleting hides the blocks; compacting afterwards forgets their history and frees the space. The head's and the lanes' keys are never touched, so
that numbers and exactly-once outlive every trim.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from sento_node.ordering.etcd.api import etcd_pb2 as pb
from sento_node.ordering.etcd.keys import blocks_through
from sento_node.ordering.limits import check_lane

DELETIONS_PER_TXN_MAX: Final = 100
"""etcd refuses a transaction of more than 128 operations."""


def trim_requests(through_seq: Mapping[str, int]) -> Iterator[pb.TxnRequest]:
    """Transactions that delete each lane's blocks 1 to its seq. A lane with seq 0 or less needs none. Raises OrderingRefused for a bad lane."""
    deletions: list[pb.RequestOp] = []
    for lane, seq in sorted(through_seq.items()):
        check_lane(lane)
        if seq < 1:
            continue
        key, range_end = blocks_through(lane, seq)
        deletions.append(
            pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key, range_end=range_end))
        )
    for start in range(0, len(deletions), DELETIONS_PER_TXN_MAX):
        yield pb.TxnRequest(success=deletions[start : start + DELETIONS_PER_TXN_MAX])
