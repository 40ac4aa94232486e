"""Following the log: one etcd watch, and the proof that its silence is silence.

A watch on a member that was cut off or frozen stays open and says nothing; progress notifications go on and prove nothing. So whenever the
stream is quiet for a second, the follower reads the head through a majority and compares. Two reads without an answer in a row, or a head
that the stream has not delivered a second later, end the following; etcd itself ends the watch too (`hasleader`) once the member knows that it
has no lead, and whichever comes first counts. History that was forgotten beyond the last block (an erasure does that) is no gap if the head was still
that block where history begins now: the watch is opened again from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import grpc.aio

from sento_node.ordering.etcd.api import etcd_pb2 as pb
from sento_node.ordering.etcd.client import NEEDS_MAJORITY, AccessClosed, EtcdClient
from sento_node.ordering.etcd.errors import HistoryForgotten, ordering_error
from sento_node.ordering.etcd.events import EventReader
from sento_node.ordering.etcd.keys import HEAD_KEY, WATCH_RANGE
from sento_node.ordering.port import Compacted, FollowBroken, Head, LogEvent, OrderingRefused, OutcomeUnknown

HeadReader = Callable[[], Awaitable[Head]]
WatchCall = grpc.aio.StreamStreamCall[pb.WatchRequest, pb.WatchResponse]


@dataclass(frozen=True, slots=True)
class FollowTimes:
    """When a quiet stream is doubted. A break costs the caller only a new watch, so the times are short."""

    quiet_ms: int = 1_000
    head_timeout_ms: int = 1_500
    doubts_max: int = 2


FOLLOW_TIMES: Final = FollowTimes()


async def follow_log(
    client: EtcdClient, read_head: HeadReader, after: Head, times: FollowTimes = FOLLOW_TIMES
) -> AsyncGenerator[LogEvent, None]:
    """Every event after `after`, for ever. Raises Compacted, FollowBroken, and OrderingRefused when `after` is not a place of this log."""
    reader = EventReader(after)
    call: WatchCall | None = None
    try:
        await _check_start(read_head, after)
        call = _open(client, after.revision + 1)
        while True:
            response = await _next_response(call, read_head, reader, times)
            client.check_header(response.header)
            if response.canceled:
                if not await _missed_nothing(client, reader.last, response.compact_revision, times):
                    raise _canceled(response)
                call.cancel()
                call = _open(client, response.compact_revision)
                continue
            for event in reader.read(response.events):
                yield event
    except AccessClosed as error:
        raise _closed() from error
    finally:
        if call is not None:
            call.cancel()


async def _check_start(read_head: HeadReader, after: Head) -> None:
    """A watch from a revision that does not exist yet would be silent until it does: refuse it instead."""
    try:
        head = await read_head()
    except OutcomeUnknown as error:
        raise FollowBroken(f"The log's head cannot be read through a majority. {error}") from error
    if after.number > head.number or after.revision > head.revision:
        raise OrderingRefused(
            f"Block {after.number} at revision {after.revision} lies beyond the end of this ordering log "
            f"(block {head.number}, revision {head.revision}). Check that the place to follow from belongs to this log and epoch."
        )


def _open(client: EtcdClient, start_revision: int) -> WatchCall:
    create = pb.WatchCreateRequest(
        key=WATCH_RANGE[0], range_end=WATCH_RANGE[1], start_revision=start_revision, fragment=True
    )

    async def requests() -> AsyncIterator[pb.WatchRequest]:
        yield pb.WatchRequest(create_request=create)
        await asyncio.Event().wait()  # etcd ends the watch when the requests end

    try:
        return client.watch.Watch(requests(), metadata=NEEDS_MAJORITY)
    except grpc.aio.UsageError as error:
        raise AccessClosed("follow the log") from error


async def _next_response(
    call: WatchCall, read_head: HeadReader, reader: EventReader, times: FollowTimes
) -> pb.WatchResponse:
    reading: asyncio.Future[object] = asyncio.ensure_future(call.read())
    doubts = 0
    try:
        while True:
            await asyncio.wait({reading}, timeout=times.quiet_ms / 1000)
            if reading.done():
                return _result(reading)
            doubts = 0 if await _is_current(read_head, reader.last) else doubts + 1
            if doubts >= times.doubts_max and not reading.done():
                raise FollowBroken(
                    f"The stream of blocks is silent after block {reader.last.number}, but the majority does not confirm that it is current. "
                    "Follow again from the last block seen; until then serve reads as of that block."
                )
    finally:
        if not reading.done():
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _missed_nothing(client: EtcdClient, last: Head, oldest_revision: int, times: FollowTimes) -> bool:
    """Whether no block lies in the history that was forgotten: the head, as of where history begins now, is the last block seen. Raises FollowBroken."""
    if not oldest_revision:
        return False
    request = pb.RangeRequest(key=HEAD_KEY, revision=oldest_revision, serializable=True)
    try:
        answer = await client.range(
            "read the head where history begins", request, timeout_ms=times.head_timeout_ms
        )
    except (HistoryForgotten, OutcomeUnknown) as error:
        raise FollowBroken(f"More history was forgotten meanwhile. {error}") from error
    return (answer.kvs[0].version if answer.kvs else 0) == last.number


async def _is_current(read_head: HeadReader, last: Head) -> bool:
    try:
        return (await read_head()).number <= last.number
    except OutcomeUnknown:
        return False


def _result(reading: asyncio.Future[object]) -> pb.WatchResponse:
    try:
        response = reading.result()
    except grpc.aio.AioRpcError as error:
        raise FollowBroken(str(ordering_error("follow the log", error.code(), error.details()))) from error
    except asyncio.CancelledError as error:
        raise FollowBroken(
            "The access to the ordering log was closed. Follow again through a new one."
        ) from error
    if not isinstance(response, pb.WatchResponse):  # the end of the stream
        raise FollowBroken("The member ended the stream of blocks. Follow again from the last block seen.")
    return response


def _closed() -> FollowBroken:
    return FollowBroken("This access to the ordering log was closed. Follow again through a new one.")


def _canceled(response: pb.WatchResponse) -> Compacted | FollowBroken:
    if response.compact_revision:
        return Compacted(response.compact_revision)
    return FollowBroken(
        f"The member cancelled the stream of blocks ({response.cancel_reason or 'no reason given'}). Follow again from the last block seen."
    )
