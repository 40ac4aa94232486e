"""The shell around batching and delivery: futures for callers, timers, streams. It carries out what the cores decide and decides nothing.

    caller -> Writer.write -> Batcher -> sign -> Delivery -> effects -> WriteStream
                  ^                                 ^                       |
                  +------------- Settle ------------+------ reply, down ----+

Everything runs on one event loop and no step awaits between a core's decision and its effects, so their order is the order of decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from sento_client.batching import Batcher, Waiting
from sento_client.composing import Ports
from sento_client.config import Limits
from sento_client.delivery import Delivery
from sento_client.delivery_values import Close, Effect, Entry, Offer, Open, Send, SetTimer, Settings, Settle
from sento_client.messages import answers_of
from sento_client.results import WriteError, WriteResult, result_of
from sento_client.room import Room
from sento_client.transport import Transport, WriteStream
from sento_proto.errors import Code, SentoError
from sento_proto.keys import Signer
from sento_proto.record import Record
from sento_proto.submission import encoded_record_bytes, sign_submission
from sento_proto.v1 import client_pb2
from sento_proto.wire import Malformed

UNDER_WAY_MAX_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class _Ticket:
    """One caller's records: results by place, and the future that wakes the caller when the last one is there."""

    done: asyncio.Future[None]
    left: int
    results: dict[int, WriteResult] = field(default_factory=dict)

    def put(self, place: int, result: WriteResult) -> None:
        self.results[place] = result
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)


_Owner = tuple[_Ticket, int]


@dataclass(slots=True)
class _UnderWay:
    """A submission in delivery: whose records it holds, and how many have no end yet."""

    batch: list[Waiting[_Owner]]
    left: int


class Writer:
    """Writes of one author. Call `start` on the running loop before the first `write`."""

    def __init__(
        self,
        transport: Transport,
        ledger_id: bytes,
        signer: Signer,
        limits: Limits,
        ports: Ports,
        settings: Settings | None = None,
    ) -> None:
        self._transport = transport
        self._ledger_id = ledger_id
        self._signer = signer
        self._ports = ports
        self._batcher: Batcher[_Owner] = Batcher(limits.linger_ms)
        settings = settings or Settings(in_flight=limits.in_flight)
        self._delivery = Delivery(transport.sites, settings, ports.jitter, ports.steady_ms())
        self._room = Room(UNDER_WAY_MAX_BYTES)
        self._streams: dict[str, tuple[WriteStream, _Listener]] = {}
        self._under_way: dict[int, _UnderWay] = {}
        self._next_id = 1
        self._timer: asyncio.TimerHandle | None = None
        self._flush_handle: asyncio.TimerHandle | None = None
        self._flush_at_ms = 0
        self._idle: asyncio.Future[None] | None = None
        self._trouble: dict[str, str] = {}
        self._closed = False

    def start(self) -> None:
        """Open the streams."""
        self._loop = asyncio.get_running_loop()
        self._apply(self._delivery.start(self._ports.steady_ms()))

    async def write(self, pieces: Sequence[Sequence[Record]], timeout_ms: int) -> list[WriteResult]:
        """Deliver `pieces` (each a record or a whole group); returns a result for each record, in order.

        A caller that is cancelled leaves its records on their way."""
        deadline_ms = self._ports.steady_ms() + timeout_ms
        ticket = _Ticket(self._loop.create_future(), sum(map(len, pieces)))
        place = 0
        for piece in pieces:
            waiting = [
                Waiting(record, encoded_record_bytes(record), deadline_ms, (ticket, place + offset))
                for offset, record in enumerate(piece)
            ]
            size_bytes = sum([each.size_bytes for each in waiting])
            if (not self._closed and self._room.take_now(size_bytes)) or await self._get_room(
                size_bytes, deadline_ms
            ):
                self._take_in(waiting)
            else:
                _refuse(piece, ticket, place)
            place += len(piece)
        self._plan_flush()
        if ticket.left:
            await ticket.done
        return [ticket.results[place] for place in range(len(ticket.results))]

    async def close(self, drain_ms: int) -> None:
        """Send what waits, give it `drain_ms` to be answered, then end everything that is left and close the streams."""
        self._offer_all(self._batcher.take_all())
        if self._under_way and drain_ms:
            self._idle = self._loop.create_future()
            await asyncio.wait([self._idle], timeout=drain_ms / 1000)
        self._closed = True
        self._apply(self._delivery.abandon(self._ports.steady_ms()))
        for handle in (self._timer, self._flush_handle):
            if handle is not None:
                handle.cancel()

    async def _get_room(self, size_bytes: int, deadline_ms: int) -> bool:
        """Wait for room within the deadline; False when there was none, or the writer was closed meanwhile."""
        self._plan_flush()
        try:
            async with asyncio.timeout((deadline_ms - self._ports.steady_ms()) / 1000):
                await self._room.take(size_bytes)
        except TimeoutError:
            return False
        if self._closed:
            self._room.give_back(size_bytes)
        return not self._closed

    def _take_in(self, piece: list[Waiting[_Owner]]) -> None:
        try:
            leaving = self._batcher.add(piece, self._ports.steady_ms(), busy=self._delivery.crowded)
        except SentoError as error:
            self._end(piece, error.code, error.detail)
            return
        if leaving:
            self._offer_all(leaving)

    # Batches.

    def _plan_flush(self) -> None:
        due_ms = self._batcher.due_at_ms
        if due_ms is None:
            return
        now_ms = self._ports.steady_ms()
        if not self._delivery.crowded:
            # So little is on its way that there is nothing to wait behind.
            due_ms = now_ms
        if self._flush_handle is not None:
            if self._flush_at_ms <= due_ms:
                return
            self._flush_handle.cancel()
        self._flush_at_ms = due_ms
        # Also without a delay the flush comes after the callers that are ready to run: they share the batch.
        self._flush_handle = self._loop.call_later(max(0, due_ms - now_ms) / 1000, self._flush)

    def _flush(self) -> None:
        self._flush_handle = None
        now_ms = self._ports.steady_ms()
        batches = self._batcher.take_due(now_ms) if self._delivery.crowded else self._batcher.take_all()
        self._offer_all(batches)
        self._plan_flush()

    def _offer_all(self, batches: list[list[Waiting[_Owner]]]) -> None:
        for batch in batches:
            submission_id = self._next_id
            self._next_id += 1
            try:
                data = sign_submission(self._ledger_id, [waiting.record for waiting in batch], self._signer)
            except Malformed as error:
                self._end(batch, Code.MALFORMED, str(error))
                continue
            except BaseException:
                # A signer may be a token or a service; its callers must not wait for what it could not do.
                self._end(batch, Code.INTERNAL, "the signing key did not sign")
                raise
            self._under_way[submission_id] = _UnderWay(batch, len(batch))
            entries = tuple(_entry(waiting) for waiting in batch)
            offer = Offer(submission_id, data, entries)
            self._apply(self._delivery.offer(offer, self._ports.steady_ms()))

    def _end(self, batch: Sequence[Waiting[_Owner]], code: Code, detail: str) -> None:
        """End records that delivery has never seen."""
        for waiting in batch:
            self._room.give_back(waiting.size_bytes)
            ticket, place = waiting.owner
            ticket.put(place, WriteError(code, detail, waiting.record, may_stand=False, because=None))

    # Effects.

    def _apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Settle):
                self._settle(effect)
            elif isinstance(effect, Send):
                self._streams[effect.site][0].send(effect.submission_id, effect.data)
            elif isinstance(effect, SetTimer):
                self._set_timer(effect.at_ms)
            elif isinstance(effect, Open):
                listener = _Listener(self, effect.site)
                self._streams[effect.site] = (self._transport.open_write(effect.site, listener), listener)
            elif isinstance(effect, Close):
                self._drop_stream(effect.site)
        if not self._under_way and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _settle(self, settle: Settle) -> None:
        under_way = self._under_way[settle.submission_id]
        waiting = under_way.batch[settle.place]
        under_way.left -= 1
        if not under_way.left:
            del self._under_way[settle.submission_id]
        self._room.give_back(waiting.size_bytes)
        ticket, place = waiting.owner
        trouble = "; ".join(self._trouble.values()) if self._trouble else ""
        ticket.put(place, result_of(waiting.record, settle, trouble))

    def _set_timer(self, at_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay_ms = max(0, at_ms - self._ports.steady_ms())
        self._timer = self._loop.call_later(delay_ms / 1000, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._apply(self._delivery.tick(self._ports.steady_ms()))

    def _drop_stream(self, site: str) -> None:
        stream, listener = self._streams.pop(site)
        listener.writer = None
        stream.close()

    # What streams report.

    def heard_up(self, site: str) -> None:
        """The stream to the site is open."""
        self._trouble.pop(site, None)
        self._apply(self._delivery.stream_up(site, self._ports.steady_ms()))

    def heard_reply(self, site: str, reply: client_pb2.WriteReply) -> None:
        """The site answered a submission."""
        answers = answers_of(reply.outcomes)
        error = reply.error.code if reply.HasField("error") else 0
        now_ms = self._ports.steady_ms()
        self._apply(self._delivery.reply(site, reply.tag, reply.epoch, answers, error, now_ms))
        if not self._delivery.crowded:
            self._plan_flush()

    def heard_down(self, site: str, code: Code, detail: str) -> None:
        """The stream ended."""
        self._trouble[site] = f"{site}: {detail}"
        self._drop_stream(site)
        self._apply(self._delivery.stream_down(site, code, self._ports.steady_ms()))


class _Listener:
    """Ties one stream to the writer; a stream that was dropped is not heard any more."""

    def __init__(self, writer: Writer, site: str) -> None:
        self.writer: Writer | None = writer
        self._site = site

    def up(self) -> None:
        if self.writer is not None:
            self.writer.heard_up(self._site)

    def reply(self, reply: client_pb2.WriteReply) -> None:
        if self.writer is not None:
            self.writer.heard_reply(self._site, reply)

    def down(self, code: Code, detail: str) -> None:
        if self.writer is not None:
            self.writer.heard_down(self._site, code, detail)


def _entry(waiting: Waiting[_Owner]) -> Entry:
    header = waiting.record.header
    return Entry(waiting.record.record_hash, header.previous, header.group, waiting.deadline_ms)


def _refuse(piece: Sequence[Record], ticket: _Ticket, place: int) -> None:
    detail = "it was never sent: this client has too much under way, or was closed"
    for offset, record in enumerate(piece):
        ticket.put(place + offset, WriteError(Code.DEADLINE, detail, record, may_stand=False, because=None))
