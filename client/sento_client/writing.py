"""The shell around batching and delivery: futures for callers, timers, streams. It carries out what the cores decide and decides nothing.

    caller -> Writer.write -> Batcher -> sign -> Keeper (flush) -> Delivery -> effects -> WriteStream
                  ^                                 ^ |              ^                       |
                  +------------- Settle ------------+-+--------------+------ reply, down ----+

Without an outbox the keeper's step is left out. Everything but the flush runs on one event loop and no step awaits between a core's decision and its
effects, so their order is the order of decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from sento_client.batching import Batcher, Waiting
from sento_client.composing import Ports
from sento_client.config import Limits
from sento_client.delivery import Delivery
from sento_client.delivery_values import Close, Effect, Entry, Offer, Open, Send, SetTimer, Settings, Settle
from sento_client.messages import answers_of
from sento_client.outbox.keeper import Keeper
from sento_client.outbox.keeping import stays
from sento_client.results import WriteError, WriteResult, result_of
from sento_client.room import Room
from sento_client.setup_errors import SetupError
from sento_client.transport import Transport, WriteStream
from sento_proto.errors import Code, SentoError
from sento_proto.keys import Signer, is_blocking
from sento_proto.record import Record
from sento_proto.submission import decode_submission, encoded_record_bytes, sign_submission
from sento_proto.v1 import client_pb2
from sento_proto.wire import Malformed

UNDER_WAY_MAX_BYTES = 64 * 1024 * 1024
BACKGROUND_ROUND_MS = 60_000
"""How long delivery tries with a kept submission before the keeper decides anew."""
COVER_DRAIN_MS = 2_000
"""How long closing waits for the proof of what stands; what is not proven by then the next process looks for."""


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


_Owner = tuple[_Ticket, int] | None
"""Who waits for a record and at which place; None when nobody does."""
_Batch = list[Waiting[_Owner]]


@dataclass(slots=True)
class _UnderWay:
    """A submission in delivery: whose records it holds, how many have no end yet, and its number in the outbox."""

    batch: _Batch
    left: int
    kept: int | None


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
        keeper: Keeper | None = None,
    ) -> None:
        self._transport = transport
        self._keeper = keeper
        self._ledger_id = ledger_id
        self._signer = signer
        self._signing = ThreadPoolExecutor(1, "signing") if is_blocking(signer) else None
        """Where a token signs: it takes milliseconds, and now and then it does not answer."""
        self._at_signer: dict[asyncio.Future[bytes], _Batch] = {}
        self._ports = ports
        self._batcher: Batcher[_Owner] = Batcher(limits.linger_ms)
        settings = settings or Settings(in_flight=limits.in_flight)
        self._delivery = Delivery(transport.sites, settings, ports.jitter, ports.steady_ms())
        self._room = Room(UNDER_WAY_MAX_BYTES)
        self._streams: dict[str, tuple[WriteStream, _Listener]] = {}
        self._under_way: dict[int, _UnderWay] = {}
        self._at_disk: dict[int, tuple[_Batch, bytes]] = {}
        self._disk_timer: asyncio.TimerHandle | None = None
        self._disk_late_ms = 0
        self._tickets = 0
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
        if self._keeper is not None:
            self._keeper.start(self._deliver_again)

    async def write(
        self, pieces: Sequence[Sequence[Record]], timeout_ms: int, *, abroad: bool = False
    ) -> list[WriteResult]:
        """Deliver `pieces` (each a record or a whole group); returns a result for each record, in order. `abroad`: the outbox keeps them until a site abroad
        has cosigned, too; nothing waits for that here.

        A caller that is cancelled leaves its records on their way."""
        deadline_ms = self._ports.steady_ms() + timeout_ms
        ticket = _Ticket(self._loop.create_future(), sum(map(len, pieces)))
        self._tickets += 1
        ticket.done.add_done_callback(self._ticket_done)
        place = 0
        for piece in pieces:
            waiting: _Batch = [
                Waiting(record, encoded_record_bytes(record), deadline_ms, (ticket, place + offset), abroad)
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
        if self._tickets and drain_ms:
            self._idle = self._loop.create_future()
            await asyncio.wait([self._idle], timeout=drain_ms / 1000)
        if self._keeper is not None and drain_ms:
            await self._keeper.wait_covered(min(drain_ms, COVER_DRAIN_MS))
        self._closed = True
        if self._signing is not None:
            self._signing.shutdown(wait=False, cancel_futures=True)
            for batch in self._at_signer.values():
                self._end(batch, Code.DEADLINE, "the client was closed")
            self._at_signer.clear()
        self._give_up_at_disk(None)
        self._apply(self._delivery.abandon(self._ports.steady_ms()))
        for handle in (self._timer, self._flush_handle, self._disk_timer):
            if handle is not None:
                handle.cancel()
        if self._keeper is not None:
            await self._keeper.close()

    def _ticket_done(self, _: asyncio.Future[None]) -> None:
        self._tickets -= 1
        if not self._tickets and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

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
            sign = partial(
                sign_submission, self._ledger_id, [waiting.record for waiting in batch], self._signer
            )
            if self._signing is None:
                self._take_signed(batch, sign)
            else:
                # One thread, so that submissions leave in the order in which their records came.
                signed = self._loop.run_in_executor(self._signing, sign)
                self._at_signer[signed] = batch
                signed.add_done_callback(self._signed)

    def _signed(self, signed: asyncio.Future[bytes]) -> None:
        batch = self._at_signer.pop(signed, None)
        if batch is not None and not signed.cancelled():
            self._take_signed(batch, signed.result)

    def _take_signed(self, batch: _Batch, sign: Callable[[], bytes]) -> None:
        try:
            data = sign()
        except Malformed as error:
            self._end(batch, Code.MALFORMED, str(error))
        except SetupError as error:
            self._end(batch, Code.SIGNER_FAILED, str(error))
        except BaseException:
            # A signer may be a token or a service; its callers must not wait for what it could not do.
            self._end(batch, Code.SIGNER_FAILED, "it failed in a way that is not foreseen")
            raise
        else:
            if self._closed:
                self._end(batch, Code.DEADLINE, "the client was closed")
            elif self._keeper is None:
                self._offer(batch, data)
            else:
                self._put_on_disk(self._keeper, batch, data)

    def _offer(self, batch: _Batch, data: bytes, kept: int | None = None, avoid: str | None = None) -> None:
        submission_id = self._next_id
        self._next_id += 1
        self._under_way[submission_id] = _UnderWay(batch, len(batch), kept)
        entries = tuple(_entry(waiting) for waiting in batch)
        offer = Offer(submission_id, data, entries, avoid)
        self._apply(self._delivery.offer(offer, self._ports.steady_ms()))

    def _end(
        self, batch: Sequence[Waiting[_Owner]], code: Code, detail: str, *, may_stand: bool = False
    ) -> None:
        """End records that delivery has never seen."""
        if batch and batch[0].replaces is not None and self._keeper is not None and not self._closed:
            self._keeper.not_replaced(batch[0].replaces)
        for waiting in batch:
            self._room.give_back(waiting.size_bytes)
            if waiting.owner is not None:
                ticket, place = waiting.owner
                ticket.put(place, WriteError(code, detail, waiting.record, may_stand=may_stand, because=None))

    # The outbox.

    def _put_on_disk(self, keeper: Keeper, batch: _Batch, data: bytes) -> None:
        try:
            kept = keeper.keep(data, len(batch), partial(self._on_disk, keeper), abroad=batch[0].abroad)
        except SentoError as error:
            self._end(batch, error.code, error.detail, may_stand=error.code is Code.OUTBOX_FAILED)
            return
        self._at_disk[kept] = (batch, data)
        self._watch_disk([batch])

    def _on_disk(self, keeper: Keeper, kept: int, error: SentoError | None) -> None:
        batch, data = self._at_disk.pop(kept)
        if not self._at_disk and self._disk_timer is not None:
            self._disk_timer.cancel()
            self._disk_timer = None
        if error is not None:
            self._end(batch, error.code, error.detail, may_stand=error.code is Code.OUTBOX_FAILED)
        elif not self._closed:
            if batch[0].replaces is not None:
                keeper.replaced(batch[0].replaces)
            keeper.sent(kept, len(batch), abroad=batch[0].abroad)
            self._offer(batch, data, kept)

    def _watch_disk(self, batches: Sequence[_Batch]) -> None:
        """A disk that does not answer must not hold a caller beyond its deadline."""
        deadlines_ms = [waiting.deadline_ms for batch in batches for waiting in batch if waiting.owner]
        if not deadlines_ms:
            return
        late_ms = min(deadlines_ms)
        if self._disk_timer is not None:
            if self._disk_late_ms <= late_ms:
                return
            self._disk_timer.cancel()
        self._disk_late_ms = late_ms
        delay_ms = max(0, late_ms - self._ports.steady_ms())
        self._disk_timer = self._loop.call_later(delay_ms / 1000, self._disk_is_late)

    def _disk_is_late(self) -> None:
        self._disk_timer = None
        self._give_up_at_disk(self._ports.steady_ms())
        self._watch_disk([batch for batch, _ in self._at_disk.values()])

    def _give_up_at_disk(self, now_ms: int | None) -> None:
        """Tell the callers whose deadline has passed (None: all) that their records may yet be kept and sent."""
        for kept, (batch, data) in list(self._at_disk.items()):
            late = [w for w in batch if w.owner and (now_ms is None or w.deadline_ms <= now_ms)]
            given_up = set(map(id, late))
            detail = "the disk under the outbox did not answer; what it has kept is sent later"
            self._end(late, Code.DEADLINE, detail, may_stand=True)
            left = [w._replace(owner=None, size_bytes=0) if id(w) in given_up else w for w in batch]
            self._at_disk[kept] = (left, data)

    def _deliver_again(self, kept: int, data: bytes, avoid: str | None, left_out: tuple[int, ...]) -> bool:
        """Offer a kept submission that nobody waits for; without the records at `left_out` it is another one, signed anew, which takes its place on disk."""
        try:
            submission = decode_submission(data)
        except Malformed:
            return False
        deadline_ms = self._ports.steady_ms() + BACKGROUND_ROUND_MS
        if left_out:
            records = [record for place, record in enumerate(submission.records) if place not in left_out]
            self._offer_all([[Waiting(record, 0, deadline_ms, None, replaces=kept) for record in records]])
            return True
        batch: _Batch = [Waiting(record, 0, deadline_ms, None) for record in submission.records]
        self._offer(batch, data, kept, avoid)
        return True

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

    def _settle(self, settle: Settle) -> None:
        under_way = self._under_way[settle.submission_id]
        waiting = under_way.batch[settle.place]
        under_way.left -= 1
        if not under_way.left:
            del self._under_way[settle.submission_id]
        self._room.give_back(waiting.size_bytes)
        kept = under_way.kept is not None and stays(settle)
        told = waiting.owner is not None and not waiting.owner[0].done.cancelled()
        if waiting.owner is not None:
            ticket, place = waiting.owner
            trouble = "; ".join(self._trouble.values()) if self._trouble else ""
            ticket.put(place, result_of(waiting.record, settle, trouble, kept=kept))
        if self._keeper is not None and under_way.kept is not None:
            self._keeper.settled(under_way.kept, settle, waiting.record, told=told)

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
