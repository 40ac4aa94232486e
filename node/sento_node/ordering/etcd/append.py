"""Exactly-once appends: the transaction that orders a block at most once, and what its answer means. Pure.

The transaction compares the version of the lane's key with seq - 1, which is true exactly when the lane's previous block stands and this one
does not. It writes block, lane and head together, so that a retry finds either nothing or everything. Comparing that the block's own key is
absent would order a block again after trimming; the lane's key is never trimmed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sento_node.ordering.etcd.api import etcd_pb2 as pb
from sento_node.ordering.etcd.keys import HEAD_KEY, block_key, lane_key
from sento_node.ordering.limits import gap, other_data
from sento_node.ordering.port import Appended


@dataclass(frozen=True, slots=True)
class PlaceToRead:
    """The block stands at `revision` and its number is the version that the head's key had then: one more read tells it."""

    revision: int


def append_request(lane: str, seq: int, data: bytes) -> pb.TxnRequest:
    """The transaction that orders `data` as (lane, seq), or reads what stands there."""
    lane_at, block_at = lane_key(lane), block_key(lane, seq)
    return pb.TxnRequest(
        compare=[
            pb.Compare(target=pb.Compare.VERSION, result=pb.Compare.EQUAL, key=lane_at, version=seq - 1),
        ],
        success=[
            _put(HEAD_KEY, lane.encode("ascii")),
            _put(block_at, data),
            _put(lane_at, hashlib.sha256(data).digest()),
            _get(HEAD_KEY),
        ],
        failure=[_get(lane_at), _get(block_at), _get(HEAD_KEY)],
    )


def judge_append(response: pb.TxnResponse, lane: str, seq: int, data: bytes) -> Appended | PlaceToRead:
    """What the answer says about (lane, seq, data). Raises LaneConflict for a gap, or when the pair stands with other data.

    A block that stands but was trimmed has lost its place: Appended(0, 0). Its data can then be compared only if it is the lane's latest.
    """
    if response.succeeded:
        head = _only(response.responses[3])
        assert head is not None, "a put in the same transaction made the head's key"
        return Appended(head.version, head.mod_revision)
    last, block, head = (_only(answer) for answer in response.responses)
    last_seq = last.version if last is not None else 0
    if last is None or seq > last_seq:
        raise gap(lane, seq, last_seq)
    if block is None:
        if seq == last_seq and last.value != hashlib.sha256(data).digest():
            raise other_data(lane, seq)
        return Appended(0, 0, repeated=True)
    if block.value != data:
        raise other_data(lane, seq)
    if head is not None and head.mod_revision == block.mod_revision:
        return Appended(head.version, head.mod_revision, repeated=True)
    return PlaceToRead(block.mod_revision)


def _put(key: bytes, value: bytes) -> pb.RequestOp:
    return pb.RequestOp(request_put=pb.PutRequest(key=key, value=value))


def _get(key: bytes) -> pb.RequestOp:
    return pb.RequestOp(request_range=pb.RangeRequest(key=key))


def _only(answer: pb.ResponseOp) -> pb.KeyValue | None:
    found = answer.response_range.kvs
    return found[0] if found else None
