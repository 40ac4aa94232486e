"""The client's transport over sites in memory, for one institution. Nothing in it takes time unless a site is told to: answers come with the event
loop's next turn, and everything else is done as the real one does it.

Faults may be switched from any thread; what waits here is woken on its own loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import cast

from sento_client.testing.access import Access
from sento_client.testing.sites import Site
from sento_client.transport import Method, ReplyT, RequestT, StreamListener
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import client_pb2


class MemoryTransport:
    """Ways to `sites`. `institution`: whom the connections belong to (None: the sites do not look). `asked`: the sites of all questions, in order."""

    def __init__(self, sites: Sequence[Site], institution: str | None = None) -> None:
        self._sites = {site.name: site for site in sites}
        self._institution = institution
        self._wakers: set[Callable[[], None]] = set()
        self.closed = False
        self.asked: list[str] = []

    @property
    def sites(self) -> tuple[str, ...]:
        """Their names in order."""
        return tuple(self._sites)

    def open_write(self, site: str, listener: StreamListener) -> MemoryWriteStream:
        """Begin to open a write stream."""
        return MemoryWriteStream(self._sites[site], listener, self._institution)

    async def call(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, timeout_ms: int
    ) -> ReplyT:
        """Ask one question. Raises SentoError."""
        await asyncio.sleep(0)
        self.asked.append(site)
        place = self._sites[site]
        self._check_open(place)
        place.check_reachable()
        delay_ms = place.answer_delay_ms
        if delay_ms:
            await asyncio.sleep(min(delay_ms, timeout_ms) / 1000)
            if delay_ms >= timeout_ms:
                raise SentoError(Code.DEADLINE, f"{site}: no answer for {timeout_ms} ms")
            self._check_open(place)
        return cast("ReplyT", place.answer(request, self._institution))

    async def stream(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, silence_ms: int | None
    ) -> AsyncIterator[ReplyT]:
        """Changes, one by one; with `follow` it waits for more. Raises SentoError."""
        await asyncio.sleep(0)
        place = self._sites[site]
        self._check_open(place)
        place.check_reachable()
        asked = client_pb2.ChangesRequest()
        asked.CopyFrom(cast("client_pb2.ChangesRequest", request))
        wake = asyncio.Event()
        with self._waked(place, wake):
            while True:
                wake.clear()
                for stored in place.changes(asked, self._institution):
                    self._check_open(place)
                    asked.from_position = stored.position + 1
                    yield cast("ReplyT", stored)
                if not asked.follow:
                    return
                try:
                    async with asyncio.timeout(None if silence_ms is None else silence_ms / 1000):
                        await wake.wait()
                except TimeoutError:
                    raise SentoError(Code.DEADLINE, f"{site} was silent for {silence_ms} ms") from None
                self._check_open(place)

    async def close(self) -> None:
        """Let go; whoever still follows hears of it."""
        self.closed = True
        for wake in tuple(self._wakers):
            wake()

    def _check_open(self, site: Site) -> None:
        if self.closed:
            raise SentoError(Code.UNREACHABLE, f"{site.name}: the connection was closed")
        if site.is_gone:
            raise SentoError(Code.UNREACHABLE, f"{site.name}: switched off")

    @contextmanager
    def _waked(self, site: Site, event: asyncio.Event) -> Iterator[None]:
        """Set `event` when records come, the site goes or comes back, or this transport is closed."""
        wake = _on_this_loop(event.set)
        with ExitStack() as stack:
            stack.enter_context(site.watched(wake))
            for watchers in (site.ledger.watchers, self._wakers):
                watchers.add(wake)
                stack.callback(watchers.discard, wake)
            yield


class MemoryWriteStream:
    """A write stream to one site; each step of it comes with a further turn of the event loop."""

    def __init__(self, site: Site, listener: StreamListener, institution: str | None) -> None:
        self._site = site
        self._listener = listener
        self._institution = institution
        self._open = True
        self._watching = ExitStack()
        self._watching.enter_context(site.watched(_on_this_loop(lambda: self._if_open(self._look))))
        self._soon(self._begin)

    def send(self, tag: int, submission: bytes) -> None:
        """Queue a submission."""
        self._soon(lambda: self._take(tag, submission))

    def close(self) -> None:
        """Give it up."""
        self._open = False
        self._watching.close()

    def _soon(self, step: Callable[[], None], delay_ms: int = 0) -> None:
        loop = asyncio.get_running_loop()
        if delay_ms:
            loop.call_later(delay_ms / 1000, self._if_open, step)
        else:
            loop.call_soon(self._if_open, step)

    def _if_open(self, step: Callable[[], None]) -> None:
        if self._open:
            step()

    def _look(self) -> None:
        if self._site.is_gone:
            self._end(Code.UNREACHABLE, "switched off")

    def _begin(self) -> None:
        code = self._site.turns_away_with
        if self._site.is_gone:
            self._end(Code.UNREACHABLE, "switched off")
        elif code is not None:
            self._end(code, "turned away")
        else:
            try:
                Access(self._site.ledger.governance, self._institution).require_author()
            except SentoError as error:
                self._end(error.code, error.detail)
            else:
                self._listener.up()

    def _take(self, tag: int, submission: bytes) -> None:
        site = self._site
        if site.is_gone or site.call_fails():
            self._end(Code.UNREACHABLE, "the connection broke")
        elif site.says_nothing:
            site.receive(submission)
        else:
            reply = site.take(submission, self._institution)
            reply.tag = tag
            if site.answer_is_lost():
                self._end(Code.UNREACHABLE, "the connection broke before the answer")
            else:
                self._soon(lambda: self._listener.reply(reply), site.answer_delay_ms)

    def _end(self, code: Code, detail: str) -> None:
        self.close()
        self._listener.down(code, detail)


def _on_this_loop(step: Callable[[], None]) -> Callable[[], None]:
    """`step` to be called from any thread, done on the loop that runs now; nothing once that loop is closed."""
    loop = asyncio.get_running_loop()

    def call() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(step)

    return call
