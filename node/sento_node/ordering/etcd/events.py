"""From etcd's watch events to the log's events: numbers checked, nothing skipped, nothing foreign let through. Pure.

Each block's transaction puts the head's key first, so the head's event comes just before the block's and carries its number. The numbers
must join: a hole would mean that etcd lost an event or that the place to follow from belongs to another log, and both must stop the follower.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sento_node.ordering.etcd.api import etcd_pb2 as pb
from sento_node.ordering.etcd.keys import HEAD_KEY, parse_block_key
from sento_node.ordering.port import BlockRemoved, Head, LogEvent, OrderedBlock, OrderingRefused


class EventReader:
    """Turns the events of one watch, which starts right after `after`, into blocks and removals."""

    def __init__(self, after: Head) -> None:
        self._last = after
        self._announced = after

    @property
    def last(self) -> Head:
        """The last block handed out; at first the place to follow from."""
        return self._last

    def read(self, events: Iterable[pb.Event]) -> Iterator[LogEvent]:
        """The log events among `events`, in order. Raises OrderingRefused for keys that Sento does not write and numbers that do not join."""
        for event in events:
            kv = event.kv
            if kv.key == HEAD_KEY:
                if event.type != pb.Event.PUT:
                    raise _tampered("the head was deleted", kv.mod_revision)
                self._announced = Head(kv.version, kv.mod_revision)
                continue
            place = parse_block_key(kv.key)
            if place is None:
                raise _tampered("a key stands among the blocks that Sento did not write", kv.mod_revision)
            if event.type == pb.Event.PUT:
                yield self._block(kv, *place)
            else:
                yield BlockRemoved(kv.mod_revision, *place)

    def _block(self, kv: pb.KeyValue, lane: str, seq: int) -> OrderedBlock:
        if self._announced.revision != kv.mod_revision:
            raise _tampered("a block was written without its number", kv.mod_revision)
        if self._announced.number != self._last.number + 1:
            raise OrderingRefused(
                f"Block {self._announced.number} follows block {self._last.number} in the ordering log, which must be dense. "
                "Stop this node, compare its place with another site's, and catch up from that site's ledger."
            )
        self._last = self._announced
        return OrderedBlock(self._last.number, kv.mod_revision, lane, seq, kv.value)


def _tampered(what: str, revision: int) -> OrderingRefused:
    return OrderingRefused(
        f"Somebody else writes to this ordering log: {what} (revision {revision}). "
        "Stop ordering, find who holds a certificate of the ordering log's own CA, and compare the sites' checkpoints."
    )
