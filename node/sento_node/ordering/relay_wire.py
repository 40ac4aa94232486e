"""The order on the wire between two nodes: events, places and refusals of a log that one node lends another, to messages and back.

What a log raises travels as the stable code of the call's end, with the log's own words as its detail, and is raised again on the other side as what it was:

    OutcomeUnknown, FollowBroken   NO_ORDERING
    OrderingFull                   ORDERING_FULL
    LaneConflict                   RECORD_ID_REUSED   (the pair of lane and number stands with other data, or would leave a gap)
    OrderingRefused                BAD_REQUEST
    Compacted                      an event of the stream: it is no failure, but where following can begin

Every other code says something about the lending node itself (it starts, stops, knows no such site): whoever borrowed asks another.
"""

from __future__ import annotations

from sento_node.ordering.port import (
    Appended,
    BlockRemoved,
    Compacted,
    FollowBroken,
    Head,
    LaneConflict,
    LogEvent,
    OrderedBlock,
    OrderingError,
    OrderingFull,
    OrderingRefused,
    OutcomeUnknown,
)
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import sync_pb2


def encode_event(event: LogEvent) -> sync_pb2.OrderEvent:
    """One event of the log."""
    if isinstance(event, OrderedBlock):
        return sync_pb2.OrderEvent(
            number=event.number, revision=event.revision, lane=event.lane, seq=event.seq, data=event.data
        )
    return sync_pb2.OrderEvent(revision=event.revision, lane=event.lane, seq=event.seq, removed=True)


def encode_alive(last: Head) -> sync_pb2.OrderEvent:
    """A sign of life: everything through `last` was sent before it."""
    return sync_pb2.OrderEvent(number=last.number, revision=last.revision, alive=True)


def encode_compacted(error: Compacted) -> sync_pb2.OrderEvent:
    """The log no longer holds what was asked for."""
    return sync_pb2.OrderEvent(compacted_to_revision=error.oldest_revision)


def read_event(event: sync_pb2.OrderEvent, last: Head) -> LogEvent | None:
    """The event behind the place `last`; None for a sign of life. Raises Compacted, and FollowBroken for one that cannot come next."""
    if event.compacted_to_revision:
        raise Compacted(event.compacted_to_revision)
    if event.alive:
        if event.number > last.number:
            raise _out_of_turn(last, f"it says that it sent block {event.number}")
        return None
    if event.removed:
        return BlockRemoved(event.revision, event.lane, event.seq)
    if event.number != last.number + 1 or event.revision <= last.revision:
        raise _out_of_turn(last, f"it sent block {event.number} at revision {event.revision}")
    return OrderedBlock(event.number, event.revision, event.lane, event.seq, event.data)


def _out_of_turn(last: Head, what: str) -> FollowBroken:
    return FollowBroken(
        f"The site that the order is followed through does not keep it: after block {last.number} at revision {last.revision} {what}. "
        "It is followed through another site."
    )


def appended(reply: sync_pb2.AppendForReply) -> Appended:
    """Where the block stands."""
    return Appended(reply.number, reply.revision, reply.repeated)


def refusal_of(error: OrderingError) -> SentoError:
    """How a call ends that the log refused, or did not answer."""
    match error:
        case OrderingFull():
            code = Code.ORDERING_FULL
        case LaneConflict():
            code = Code.RECORD_ID_REUSED
        case OrderingRefused():
            code = Code.BAD_REQUEST
        case _:
            code = Code.NO_ORDERING
    return SentoError(code, str(error))


def error_of(refusal: SentoError) -> OrderingError | None:
    """What the lending node's log raised; None where the node itself does not lend it."""
    match refusal.code:
        case Code.ORDERING_FULL:
            return OrderingFull(refusal.detail)
        case Code.RECORD_ID_REUSED:
            return LaneConflict(refusal.detail)
        case Code.BAD_REQUEST:
            return OrderingRefused(refusal.detail)
        case Code.NO_ORDERING:
            return OutcomeUnknown(refusal.detail)
        case _:
            return None
