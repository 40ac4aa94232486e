"""Sites in memory behind the client's transport port, with the faults that a client must survive, one switch each.

Faults: `down` (no connection), `mute` (connects, never answers), `answers_to_lose` (applies, and the stream breaks before the answer), `refuse_with`
(a code for every submission), `turn_away` (the stream is refused by a code), and `alter`, which changes any message before it is given out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import cast

from google.protobuf.message import Message

from fake_ledger import EPOCH, FakeLedger
from sento_client.transport import Method, ReplyT, RequestT, StreamListener
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import admin_pb2, client_pb2, common_pb2


@dataclass
class FakeSite:
    """One site over the shared ledger."""

    name: str
    ledger: FakeLedger
    down: bool = False
    mute: bool = False
    answers_to_lose: int = 0
    refuse_with: Code | None = None
    turn_away: Code | None = None
    alter: Callable[[Message], None] | None = None
    state: str = "serving"
    submissions: list[bytes] = field(default_factory=list)
    received: asyncio.Event = field(default_factory=asyncio.Event)

    def receive(self, submission: bytes) -> None:
        """A submission has arrived, whatever becomes of it."""
        self.submissions.append(submission)
        self.received.set()

    def take(self, submission: bytes) -> client_pb2.WriteReply:
        """Answer a submission."""
        self.receive(submission)
        if self.refuse_with is not None:
            error = common_pb2.Error(code=self.refuse_with, name=self.refuse_with.name)
            return client_pb2.WriteReply(error=error)
        return self.altered(self.ledger.take(submission))

    def altered(self, message: ReplyT) -> ReplyT:
        """The message as this site gives it out."""
        if self.alter is not None:
            self.alter(message)
        return message

    def answer(self, request: Message) -> Message:
        """Answer a question. Raises SentoError."""
        as_of = common_pb2.AsOf(epoch=EPOCH, size=len(self.ledger.records), confirmed_at_ms=1, site=self.name)
        if isinstance(request, client_pb2.ReadRequest):
            return self.altered(client_pb2.ReadReply(record=self.ledger.read(request), as_of=as_of))
        if isinstance(request, client_pb2.FactRequest | client_pb2.SubjectRequest):
            page = self.ledger.page(request)
            page.as_of.CopyFrom(as_of)
            return self.altered(page)
        if isinstance(request, client_pb2.OutcomesRequest):
            return self.altered(self.ledger.outcomes(request))
        if isinstance(request, client_pb2.ProofRequest):
            return self.altered(self.ledger.proof(request))
        if isinstance(request, client_pb2.CheckpointRequest):
            return self.altered(client_pb2.CheckpointReply(checkpoint=self.ledger.checkpoint()))
        if isinstance(request, admin_pb2.StatusRequest):
            size = len(self.ledger.records)
            return admin_pb2.StatusReply(
                site=self.name,
                ledger_id=self.ledger.world.ledger_id,
                state=self.state,
                explanation="as the test wants it",
                applied_size=size,
                flushed_size=size,
                quorum_size=size,
                is_lead=self.name == self.ledger.world.genesis.voting_sites[0],
            )
        raise SentoError(Code.BAD_REQUEST)


class FakeTransport:
    """The port over fake sites. Nothing in it takes time: answers come with the next turn of the event loop."""

    def __init__(self, sites: list[FakeSite]) -> None:
        self._sites = {site.name: site for site in sites}
        self.closed = False
        self.asked: list[str] = []

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(self._sites)

    def open_write(self, site: str, listener: StreamListener) -> _FakeStream:
        return _FakeStream(self._sites[site], listener)

    async def call(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, timeout_ms: int
    ) -> ReplyT:
        await asyncio.sleep(0)
        self.asked.append(site)
        self._check(self._sites[site])
        return cast("ReplyT", self._sites[site].answer(request))

    async def stream(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, silence_ms: int | None
    ) -> AsyncIterator[ReplyT]:
        await asyncio.sleep(0)
        self._check(self._sites[site])
        assert isinstance(request, client_pb2.ChangesRequest)
        for stored in list(self._sites[site].ledger.changes(request)):
            self._check(self._sites[site])
            yield cast("ReplyT", self._sites[site].altered(stored))

    async def close(self) -> None:
        self.closed = True

    def _check(self, site: FakeSite) -> None:
        if site.down:
            raise SentoError(Code.UNREACHABLE, f"{site.name}: switched off")
        if site.mute:
            raise SentoError(Code.DEADLINE, f"{site.name}: no answer")


class _FakeStream:
    def __init__(self, site: FakeSite, listener: StreamListener) -> None:
        self._site = site
        self._listener = listener
        self._open = True
        self._soon(self._begin)

    def send(self, tag: int, submission: bytes) -> None:
        self._soon(lambda: self._take(tag, submission))

    def close(self) -> None:
        self._open = False

    def _soon(self, step: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(lambda: step() if self._open else None)

    def _begin(self) -> None:
        if self._site.down:
            self._end(Code.UNREACHABLE)
        elif self._site.turn_away is not None:
            self._end(self._site.turn_away)
        else:
            self._listener.up()

    def _take(self, tag: int, submission: bytes) -> None:
        if self._site.down:
            self._end(Code.UNREACHABLE)
        elif self._site.mute:
            self._site.receive(submission)
        else:
            reply = self._site.take(submission)
            reply.tag = tag
            if self._site.answers_to_lose:
                self._site.answers_to_lose -= 1
                self._end(Code.UNREACHABLE)
            else:
                self._listener.reply(reply)

    def _end(self, code: Code) -> None:
        self._open = False
        self._listener.down(code, "as the test wants it")
