"""Who waits for what the site decides: submissions for their outcomes, reads for the flush that they must see, proposals for a cosignature.

Each has a ticket, which goes into the decision and comes back with its effect. A ticket that nobody waits for any more is passed over.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator
from typing import Any, TypeVar

from sento_node.quorum.effects import AnswerCosign
from sento_node.site import Reply
from sento_proto.errors import Code, SentoError

_T = TypeVar("_T")


class Waiting:
    """The callers of one life, by ticket. Used on one running event loop."""

    def __init__(self) -> None:
        self._tickets = itertools.count(1)
        self.replies: dict[int, asyncio.Future[Reply]] = {}
        self.reads: dict[int, asyncio.Future[None]] = {}
        self.cosigns: dict[int, asyncio.Future[AnswerCosign]] = {}

    @contextlib.contextmanager
    def place(self, line: dict[int, asyncio.Future[_T]]) -> Iterator[tuple[int, asyncio.Future[_T]]]:
        """A ticket and what it waits for, in one of the three lines, for as long as the block lasts."""
        ticket = next(self._tickets)
        waiting: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        line[ticket] = waiting
        try:
            yield ticket, waiting
        finally:
            line.pop(ticket, None)

    async def drained(self, timeout_ms: int) -> None:
        """Return when every submission is answered, or after `timeout_ms`."""
        if self.replies:
            await asyncio.wait(set(self.replies.values()), timeout=timeout_ms / 1000)

    def refuse_all(self, code: Code) -> None:
        """Refuse reads and cosignatures with `code`; submissions may be ordered already, and are told so."""
        others: list[asyncio.Future[Any]] = [*self.reads.values(), *self.cosigns.values()]
        for waiting in others:
            if not waiting.done():
                waiting.set_exception(SentoError(code))
        for reply in self.replies.values():
            if not reply.done():
                reply.set_exception(SentoError(Code.NO_ORDERING))


def settle(line: dict[int, asyncio.Future[_T]], ticket: int, value: _T) -> None:
    """What the ticket waited for is there."""
    future = line.get(ticket)
    if future is not None and not future.done():
        future.set_result(value)
