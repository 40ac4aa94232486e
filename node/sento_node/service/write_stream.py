"""One write stream: an author's submissions in, as many at once as there is room for, and their outcomes out as they are known.

A submission that fails ends with words of its own and never ends the stream of the others. The stream ends when the client has ended its side and everything
is answered. Whether the caller may write at all was asked before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator

from sento_node import bounds
from sento_node.service.access import require_own, require_unexpired
from sento_node.service.errors import error_message
from sento_node.service.node_state import NodeState
from sento_node.service.records import outcome_message
from sento_node.service.refusals import refusal_of
from sento_node.site import Reply
from sento_proto.v1 import client_pb2


class WriteStream:
    """The stream of one author. `end_s`: when its certificate ends (seconds since 1970; None: never)."""

    def __init__(self, node: NodeState, author: str, end_s: int | None) -> None:
        self._node = node
        self._author = author
        self._end_s = end_s
        self._answers: asyncio.Queue[client_pb2.WriteReply | None] = asyncio.Queue()  # bounded by `_room`
        self._room = asyncio.Semaphore(bounds.WRITE_STREAM_IN_FLIGHT_MAX)

    async def replies(
        self, requests: AsyncIterator[client_pb2.WriteRequest]
    ) -> AsyncGenerator[client_pb2.WriteReply]:
        """An answer for each request, with its tag, in whatever order they come."""
        reading_on = asyncio.create_task(self._read(requests))
        try:
            while (answer := await self._answers.get()) is not None:
                yield answer
                self._room.release()
            await reading_on
        finally:
            reading_on.cancel()

    async def _read(self, requests: AsyncIterator[client_pb2.WriteRequest]) -> None:
        """Start a task for each submission; when the client has ended its side and all are answered, end ours."""
        try:
            async with asyncio.TaskGroup() as group:
                async for request in requests:
                    await self._room.acquire()
                    group.create_task(self._answer(request))
        finally:
            self._answers.put_nowait(None)

    async def _answer(self, request: client_pb2.WriteRequest) -> None:
        """One submission's answer; a failure of one never ends the stream of the others."""
        began_s = time.perf_counter()
        tallies = self._node.tallies
        try:
            require_unexpired(self._end_s, self._node.clock.wall_ms())
            require_own(self._author, request.submission, self._node.governance)
            answer = await self._node.running().submit(request.submission)
            reply = write_reply(request.tag, answer)
            if answer.code is None:
                tallies.answered(time.perf_counter() - began_s, answer.outcomes)
            else:
                tallies.refused(time.perf_counter() - began_s, answer.code)
        except Exception as error:  # noqa: BLE001 - the boundary where every failure becomes words
            refusal = refusal_of(error)
            tallies.refused(time.perf_counter() - began_s, refusal.code)
            reply = client_pb2.WriteReply(tag=request.tag, error=error_message(refusal.code, refusal.detail))
        self._answers.put_nowait(reply)


def write_reply(tag: int, reply: Reply) -> client_pb2.WriteReply:
    """A site's reply as the message of a write stream."""
    if reply.code is not None:
        return client_pb2.WriteReply(tag=tag, epoch=reply.epoch, error=error_message(reply.code))
    return client_pb2.WriteReply(tag=tag, epoch=reply.epoch, outcomes=map(outcome_message, reply.outcomes))
