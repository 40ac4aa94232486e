"""The ordering log as a pure machine in memory: what an append, a trim and a follow mean, without clock, tasks or IO.

`in_process` puts asyncio around it for tests and the single process; a simulator can drive it directly. It keeps etcd's semantics where callers
could tell the difference: a trim takes a revision of its own when it removes something; a removed block's history stays readable until the
revision is compacted; a lane's counter outlives its blocks.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sento_node.ordering.limits import check_append, check_trim, gap, other_data
from sento_node.ordering.port import (
    Appended,
    BlockRemoved,
    Compacted,
    Head,
    LogEvent,
    OrderedBlock,
    OrderingFull,
    OrderingRefused,
)


@dataclass(slots=True)
class _Lane:
    last_seq: int = 0
    last_hash: bytes = b""
    standing: dict[int, OrderedBlock] = field(default_factory=dict)


class OrderEngine:
    """One total order of blocks in memory. Every method is atomic and immediate."""

    def __init__(self, *, quota_bytes: int) -> None:
        self.quota_bytes = quota_bytes
        self._head = Head(0, 0)
        self._revision = 1  # like etcd's empty store, so that the first block has revision 2
        self._compacted_revision = 0
        self._lanes: dict[str, _Lane] = {}
        self._events: list[LogEvent] = []
        self._event_revisions: list[int] = []
        self._in_use_bytes = 0

    @property
    def head(self) -> Head:
        """The last block's place."""
        return self._head

    @property
    def in_use_bytes(self) -> int:
        """Bytes of blocks that stand in the log or in its uncompacted history."""
        return self._in_use_bytes

    def append(self, lane: str, seq: int, data: bytes) -> Appended:
        """Order `data` as (lane, seq). Raises OrderingRefused, LaneConflict, OrderingFull."""
        check_append(lane, seq, data)
        state = self._lanes.get(lane, _Lane())
        if seq <= state.last_seq:
            return _standing(state, lane, seq, data)
        if seq > state.last_seq + 1:
            raise gap(lane, seq, state.last_seq)
        if self._in_use_bytes + len(data) > self.quota_bytes:
            raise OrderingFull(
                f"The ordering log holds {self._in_use_bytes} of {self.quota_bytes} bytes and takes no further block. "
                "Trim what a quorum checkpoint covers."
            )
        self._revision += 1
        self._head = Head(self._head.number + 1, self._revision)
        block = OrderedBlock(self._head.number, self._revision, lane, seq, bytes(data))
        self._lanes.setdefault(lane, state)
        state.last_seq, state.last_hash = seq, hashlib.sha256(data).digest()
        state.standing[seq] = block
        self._record(block)
        self._in_use_bytes += len(data)
        return Appended(block.number, block.revision)

    def trim(self, through_seq: Mapping[str, int], through_revision: int) -> None:
        """Remove each lane's blocks up to its seq, then forget history below `through_revision`. Raises OrderingRefused beyond the end."""
        check_trim(len(through_seq))
        if through_revision > self._revision:
            raise OrderingRefused(
                f"The ordering log ends at revision {self._revision} and cannot forget up to {through_revision}. "
                "Trim through the revision of a block of this log."
            )
        removed = [
            block
            for lane, through in through_seq.items()
            if lane in self._lanes
            for seq, block in sorted(self._lanes[lane].standing.items())
            if seq <= through
        ]
        if removed:
            self._revision += 1
        for block in removed:
            del self._lanes[block.lane].standing[block.seq]
            self._record(BlockRemoved(self._revision, block.lane, block.seq))
            if block.revision < self._compacted_revision:
                self._in_use_bytes -= len(block.data)
        self._compact(through_revision)

    def events_after(self, revision: int, *, limit: int) -> Sequence[LogEvent]:
        """Events with a higher revision, in order: at least `limit` of them if so many exist, and never a part of one revision.

        Raises Compacted when history after `revision` has been forgotten, OrderingRefused when `revision` lies beyond the log's end.
        """
        if revision + 1 < self._compacted_revision:
            raise Compacted(self._compacted_revision)
        if revision > self._revision:
            raise OrderingRefused(
                f"Revision {revision} lies beyond the end of this ordering log, {self._revision}. "
                "Check that the place to follow from belongs to this log and epoch."
            )
        start = bisect_right(self._event_revisions, revision)
        if start + limit >= len(self._events):
            return self._events[start:]
        stop = bisect_right(self._event_revisions, self._event_revisions[start + limit - 1])
        return self._events[start:stop]

    def _record(self, event: LogEvent) -> None:
        self._events.append(event)
        self._event_revisions.append(event.revision)

    def _compact(self, revision: int) -> None:
        if revision <= self._compacted_revision:
            return
        self._compacted_revision = revision
        kept_from = bisect_right(self._event_revisions, revision - 1)
        for event in self._events[:kept_from]:
            if isinstance(event, OrderedBlock) and event.seq not in self._lanes[event.lane].standing:
                self._in_use_bytes -= len(event.data)
        del self._events[:kept_from], self._event_revisions[:kept_from]


def _standing(state: _Lane, lane: str, seq: int, data: bytes) -> Appended:
    block = state.standing.get(seq)
    if block is not None:
        if block.data != data:
            raise other_data(lane, seq)
        return Appended(block.number, block.revision, repeated=True)
    if seq == state.last_seq and state.last_hash != hashlib.sha256(data).digest():
        raise other_data(lane, seq)
    return Appended(0, 0, repeated=True)
