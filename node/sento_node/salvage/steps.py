"""What each raft entry of an ordering log does, as Sento's own requests are made; everything else is named. Pure.

An append is told by being byte for byte the transaction that `append_request` makes of its lane, place and block. Requests outside of the blocks and lanes
only take a revision. What touches blocks or lanes in another way was not written by Sento, and ends what can be told.

Source: etcd 3.4, etcdserverpb/raft_internal.proto (InternalRaftRequest) and etcdserver.proto (Request, the older form, which has a method in field 2).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from sento_node.ordering.etcd.api import etcd_pb2 as pb
from sento_node.ordering.etcd.append import append_request
from sento_node.ordering.etcd.keys import HEAD_KEY, WATCH_RANGE, lane_key, parse_block_key
from sento_node.ordering.limits import check_lane
from sento_node.ordering.port import OrderingRefused
from sento_node.salvage.wal import NORMAL_ENTRY, BadForm, read_fields

_OLD_REQUEST, _PUT, _DELETE_RANGE, _TXN, _ALARM = 2, 4, 5, 6, 10
_LANES: Final = lane_key("")
_LANES_END: Final = _LANES[:-1] + b"0"


class Append(NamedTuple):
    """(lane, seq, block), ordered if the lane stands at seq - 1."""

    lane: str
    seq: int
    data: bytes


class Trim(NamedTuple):
    """Each lane's blocks up to a seq leave the log."""

    through_seq: tuple[tuple[str, int], ...]


class Mark(NamedTuple):
    """Something outside of blocks and lanes was written: it takes a revision."""


class Nothing(NamedTuple):
    """Neither blocks nor revisions change."""


class Full(NamedTuple):
    """The member `member_id` is out of room (or has room again): while any is, appends are refused."""

    member_id: int
    raised: bool


class Strange(NamedTuple):
    """Not Sento's."""

    why: str


Step = Append | Trim | Mark | Nothing | Full | Strange


def step_of(kind: int, data: bytes) -> Step:
    """What the entry does. Never raises: what cannot be read is Strange."""
    if kind != NORMAL_ENTRY or not data:
        return Nothing()
    try:
        fields = dict(read_fields(data))
        if _OLD_REQUEST in fields:
            return Nothing()
        if isinstance(txn := fields.get(_TXN), bytes):
            return _of_txn(pb.TxnRequest.FromString(txn))
        if isinstance(put := fields.get(_PUT), bytes):
            return _of_others([pb.RequestOp(request_put=pb.PutRequest.FromString(put))])
        if isinstance(delete := fields.get(_DELETE_RANGE), bytes):
            return _of_others([pb.RequestOp(request_delete_range=pb.DeleteRangeRequest.FromString(delete))])
        if isinstance(alarm := fields.get(_ALARM), bytes):
            return _of_alarm(pb.AlarmRequest.FromString(alarm))
    except (BadForm, DecodeError) as error:
        return Strange(f"an entry that is no request ({type(error).__name__})")
    return Nothing()


def _of_txn(txn: pb.TxnRequest) -> Step:
    if not txn.compare:
        return _of_others(list(txn.success))
    if (append := _append(txn)) is not None:
        return append
    compare = txn.compare[0]
    never = len(txn.compare) == 1 and (compare.target, compare.result, compare.version) == (
        pb.Compare.VERSION, pb.Compare.LESS, 0,
    )  # fmt: skip
    if never and not txn.failure:
        return Nothing()  # filler: a condition that never holds
    return Strange("a transaction under a condition that Sento does not make")


def _append(txn: pb.TxnRequest) -> Append | None:
    if len(txn.success) < 2 or len(txn.compare) != 1:
        return None
    put = txn.success[1].request_put
    place = parse_block_key(put.key)
    if place is None or txn.compare[0].version != place[1] - 1:
        return None
    try:
        check_lane(place[0])
    except OrderingRefused:
        return None
    if append_request(*place, put.value) != txn:
        return None
    return Append(*place, put.value)


def _of_others(operations: list[pb.RequestOp]) -> Step:
    """Operations under no condition: trimming, marks."""
    trims: list[tuple[str, int]] = []
    writes = False
    for operation in operations:
        if operation.HasField("request_delete_range"):
            deleted = operation.request_delete_range
            first, last = parse_block_key(deleted.key), parse_block_key(deleted.range_end)
            if first is None or last is None or first[0] != last[0] or first[1] != 0:
                return Strange("a deletion that Sento does not make")
            trims.append((last[0], last[1] - 1))
        elif operation.HasField("request_put"):
            if _is_ours(operation.request_put.key):
                return Strange("a block, lane or head that was written without a condition")
            writes = True
        elif not operation.HasField("request_range"):
            return Strange("an operation that is none of etcd's plain ones")
    if trims and writes:
        return Strange("a deletion together with something else")
    if trims:
        return Trim(tuple(trims))
    return Mark() if writes else Nothing()


def _is_ours(key: bytes) -> bool:
    return WATCH_RANGE[0] <= key < WATCH_RANGE[1] or _LANES <= key < _LANES_END or key.startswith(HEAD_KEY)


def _of_alarm(alarm: pb.AlarmRequest) -> Step:
    if alarm.action == pb.AlarmRequest.GET or alarm.alarm != pb.NOSPACE:
        return Nothing()
    return Full(alarm.memberID, alarm.action == pb.AlarmRequest.ACTIVATE)
