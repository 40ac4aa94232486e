"""One simulated office around the client's real cores: the batcher that makes submissions and the delivery that brings every record to one end.

Every submission goes through the office's outbox (`outbox_host`) before it is offered: a crash loses batcher, delivery and streams, and the outbox goes
on with what is on disk. Records that had not come so far are offered again by the office, with the same ids. A stream keeps its messages in order until it
breaks; when its site dies it breaks, or just falls silent.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.simulation.checkers import Checkers
from tests.simulation.heap import EventHeap
from tests.simulation.hooks import Hooks
from tests.simulation.office_checks import OfficeChecks
from tests.simulation.outbox_host import OutboxHost, Owner, Shelved
from tests.simulation.site_host import SiteHost
from tests.simulation.telling import Telling
from tests.simulation.workload import NOT_BATCHED, SHARED, Desk, Fact, Write

from genesis_builder import TestWorld
from sento_client.batching import Batcher, Waiting
from sento_client.delivery import Delivery
from sento_client.delivery_values import (
    Answer,
    Close,
    Effect,
    Entry,
    Offer,
    Open,
    Send,
    SetTimer,
    Settings,
    Settle,
)
from sento_proto.errors import Code
from sento_proto.governance.state import Governance
from sento_proto.record import Record
from sento_proto.submission import encoded_record_bytes, sign_submission

SETTINGS = Settings(
    in_flight=6, answer_timeout_ms=2_000, open_timeout_ms=800, backoff_first_ms=40, backoff_most_ms=1_200
)
LINGER_MS = 15
DEADLINE_MS = 6_000
BAD_DEADLINE_MS = 1_500
OFFER_AGAIN_MS = 400
KEPT_ROUND_MS = 3_000
BATCHER_LOOK_MS = 5


class _InFlight(NamedTuple):
    """A submission in delivery, and its number in the outbox. `awaited`: callers wait for this round."""

    owners: list[Owner]
    entries: tuple[Entry, ...]
    kept: int | None
    awaited: bool


class _Stream:
    """One stream to a site; messages of each direction arrive in order."""

    def __init__(self, number: int, host: SiteHost) -> None:
        self.number = number
        self.host = host
        self.open = True
        self.last_ms = {"there": 0, "back": 0}


class ClientHost:
    """One office. `offices` of one author share its key and write under ids of their own."""

    def __init__(
        self,
        heap: EventHeap,
        world: TestWorld,
        checkers: Checkers,
        hooks: Hooks,
        sites: Mapping[str, SiteHost],
        author: str,
        number: int,
    ) -> None:
        self._heap = heap
        self._world = world
        self._checkers = checkers
        self._hooks = hooks
        self._sites = sites
        self.name = f"{author}#{number}"
        self.desk = Desk(heap, world, author, number, self._peek, self._look)
        self.checks = OfficeChecks(checkers, self.name)
        self.telling = Telling(self.checks, self.desk)
        self.writes: list[Write] = []
        self.pause_ms = (60, 420)
        self._order = heap.random.sample(list(sites), len(sites))
        self._unreachable: dict[str, int] = {}
        self._life = 0
        self._delivery: Delivery | None = None
        self._batcher: Batcher[Owner] = Batcher(LINGER_MS)
        self._ids = itertools.count(1)
        self._in_flight: dict[int, _InFlight] = {}
        self._streams: dict[str, _Stream] = {}
        self._stream_numbers = itertools.count(1)
        self._timer = 0
        self.outbox = OutboxHost(heap, self.checks, hooks, sites, self._reaches, self)

    # -- lives --------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open streams, offer again what has no end, and begin to write."""
        if self._delivery is not None:
            return
        self._life += 1
        self._batcher = Batcher(LINGER_MS)
        jitter = self._heap.random.random
        self._delivery = Delivery(self._order, SETTINGS, jitter, self._heap.now_ms)
        self._carry_out(self._delivery.start(self._heap.now_ms))
        self.outbox.start()
        for write in self.writes:
            if not write.settled:
                write.on_its_way = False
                self._offer_write(write, again=True)
        self._later(self._heap.between(*self.pause_ms), self._work)
        self._later(BATCHER_LOOK_MS, self._look_at_batcher)

    def crash(self) -> None:
        """Lose everything but what the outbox has on disk."""
        if self._delivery is not None:
            self._life += 1
            self.outbox.crash()
            self._delivery = None
            self._in_flight = {}
            for stream in self._streams.values():
                self._drop(stream)
            self._streams = {}

    def cut_off(self, site: str, for_ms: int) -> None:
        """Let nothing pass between the office and a site for a while; streams there fall silent and break."""
        self._unreachable[site] = max(self._unreachable.get(site, 0), self._heap.now_ms + for_ms)

    def mend(self) -> None:
        """Let everything pass."""
        self._unreachable = {}

    def _reaches(self, site: str) -> bool:
        return self._heap.now_ms >= self._unreachable.get(site, 0)

    def _later(self, delay_ms: int, act: object, *args: object) -> None:
        self._heap.after(delay_ms, self._in_life, self._life, act, args)

    def _in_life(self, life: int, act: object, args: tuple[object, ...]) -> None:
        if life == self._life and callable(act):
            act(*args)

    # -- writing --------------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        if not self.telling.writing:
            return
        write = self.desk.make()
        self.writes.append(write)
        self._offer_write(write)
        if self._heap.chance(0.12):
            self._read()
        self._later(self._heap.between(*self.pause_ms), self._work)

    def write_now(self, count: int) -> None:
        """A burst."""
        for _ in range(count if self._delivery is not None and self.telling.writing else 0):
            write = self.desk.make()
            self.writes.append(write)
            self._offer_write(write)

    def _read(self) -> None:
        site = self._heap.one_of(list(self._sites.values()))
        fact = self._heap.one_of(SHARED)
        begun = self._checkers.read_begins()
        self._heap.after(self._heap.between(1, 40), site.answering.read, begun, fact)

    def _look(self) -> Governance | None:
        """What some site says of governance."""
        running = [host for host in self._sites.values() if host.state == "running" and host.knows_rules]
        return self._heap.one_of(running).site.state.governance if running else None

    def _peek(self, fact: Fact) -> bytes | None:
        """A LOCAL read at some site."""
        running = [host for host in self._sites.values() if host.state == "running"]
        if not running:
            return None
        head = self._heap.one_of(running).disk.store.fact_head(*fact)
        return None if head is None else head.record_hash

    def _offer_write(self, write: Write, *, again: bool = False) -> None:
        if write.on_its_way or write.settled:
            return
        if again:
            self._before_again(write)
        indexes = [
            index
            for index, told in enumerate(write.told)
            if told is None and not self.outbox.holds((write, index))
        ]
        if write.is_group and indexes:
            indexes = list(range(len(write.records)))
        if not indexes:
            return
        write.on_its_way = True
        deadline_ms = self._heap.now_ms + (BAD_DEADLINE_MS if write.bad else DEADLINE_MS)
        waiting = [
            Waiting(
                record=write.records[index],
                size_bytes=encoded_record_bytes(write.records[index]),
                deadline_ms=deadline_ms,
                owner=(write, index),
            )
            for index in indexes
        ]
        if write.raw is not None or write.kind in NOT_BATCHED:
            self._send_off(waiting, write.raw)
            return
        pieces = [waiting] if write.is_group else [[one] for one in waiting]
        delivery = self._delivery
        for piece in pieces:
            busy = delivery is not None and delivery.busy
            for batch in self._batcher.add(piece, self._heap.now_ms, busy=busy):
                self._send_off(batch)

    def _before_again(self, write: Write) -> None:
        for index, told in enumerate(write.told):
            if told is None and write.raw is None and not self.outbox.holds((write, index)):
                self._resent(write, index)

    def _resent(self, write: Write, index: int) -> bool:
        """Whether a planted bug makes another record of it."""
        record = self._hooks.resent(write.records[index], self.desk.reseal)
        if record is write.records[index]:
            return False
        write.records[index] = record
        write.sent_as[index].append(record.record_hash)
        return True

    def _look_at_batcher(self) -> None:
        for batch in self._batcher.take_due(self._heap.now_ms):
            self._send_off(batch)
        self._later(BATCHER_LOOK_MS * 4, self._look_at_batcher)

    def _send_off(self, batch: Sequence[Waiting[Owner]], raw: bytes | None = None) -> None:
        """One submission for each key that records of the batch were made under."""
        if raw is not None:
            self._send_one(batch, raw)
            return
        for _, under_one_key in itertools.groupby(batch, lambda waiting: waiting.record.header.author_key_id):
            self._send_one(list(under_one_key), None)

    def _sign(self, records: Sequence[Record]) -> bytes:
        return sign_submission(self._world.ledger_id, records, self.desk.signer_of(records[0]))

    def _send_one(self, batch: Sequence[Waiting[Owner]], raw: bytes | None) -> None:
        if self._delivery is None:
            return
        records = [waiting.record for waiting in batch]
        data = raw if raw is not None else self._sign(records)
        entries = tuple(_entry(waiting.record, waiting.deadline_ms) for waiting in batch)
        owners = [waiting.owner for waiting in batch]
        if raw is None:
            on_disk = functools.partial(self._offer, data, owners, entries, awaited=True)
            self.outbox.keep(data, owners, on_disk)
        else:
            # Bytes that the client would never make have no place in its outbox.
            self._offer(data, owners, entries, None, awaited=True)

    def _offer(
        self,
        data: bytes,
        owners: list[Owner],
        entries: tuple[Entry, ...],
        kept: int | None,
        *,
        awaited: bool,
        avoid: str | None = None,
    ) -> None:
        assert self._delivery is not None
        submission_id = next(self._ids)
        self._in_flight[submission_id] = _InFlight(owners, entries, kept, awaited)
        self._carry_out(self._delivery.offer(Offer(submission_id, data, entries, avoid), self._heap.now_ms))

    # -- what the outbox wants ----------------------------------------------------------------------------------------------------

    def gives_up(self, shelved: Shelved) -> bool:
        """The outbox is about to send it again: whether somebody discards it instead."""
        return self.telling.gives_up(shelved.owners)

    def deliver_again(self, kept: int, shelved: Shelved, avoid: str | None) -> None:
        """Deliver what nobody waits for."""
        again = [self._resent(write, index) for write, index in shelved.owners if write.told[index] is None]
        records = [write.records[index] for write, index in shelved.owners]
        if any(again):
            shelved.data = self._sign(records)
        deadline_ms = self._heap.now_ms + KEPT_ROUND_MS
        entries = tuple(_entry(record, deadline_ms) for record in records)
        self._offer(shelved.data, shelved.owners, entries, kept, awaited=False, avoid=avoid)

    def sign_again(self, owners: Sequence[Owner]) -> bytes:
        """A submission of these records alone."""
        return self._sign([write.records[index] for write, index in owners])

    def set_aside(self, owner: Owner, code: Code) -> None:
        """The outbox has put a record aside that was refused for good."""
        self.telling.set_aside(owner, code)

    # -- what delivery wants ------------------------------------------------------------------------------------------------------

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Open(site):
                    self._open(site)
                case Close(site):
                    stream = self._streams.pop(site, None)
                    if stream is not None:
                        self._drop(stream)
                case Send(site, submission_id, data):
                    self._send(site, submission_id, data)
                case SetTimer(at_ms):
                    self._timer += 1
                    self._later(at_ms - self._heap.now_ms, self._tick, self._timer)
                case Settle():
                    self._settle(effect)

    def _tick(self, timer: int) -> None:
        if timer == self._timer and self._delivery is not None:
            self._carry_out(self._delivery.tick(self._heap.now_ms))

    def _open(self, site: str) -> None:
        stream = _Stream(next(self._stream_numbers), self._sites[site])
        self._streams[site] = stream
        if self._reaches(site) or self._heap.chance(0.5):
            self._later(self._heap.between(2, 40), self._opened, site, stream)

    def _opened(self, site: str, stream: _Stream) -> None:
        if not stream.open or self._delivery is None:
            return
        if stream.host.answers_peers and self._reaches(site):
            lost = functools.partial(self._site_died, site, stream)
            stream.host.streams[self.name, stream.number] = lost
            self._carry_out(self._delivery.stream_up(site, self._heap.now_ms))
        else:
            self._stream_lost(site, stream)

    def _site_died(self, site: str, stream: _Stream) -> None:
        if self._heap.chance(0.6):
            self._later(self._heap.between(1, 50), self._stream_lost, site, stream)

    def _stream_lost(self, site: str, stream: _Stream) -> None:
        if stream.open and self._delivery is not None:
            self._drop(stream)
            del self._streams[site]
            self._carry_out(self._delivery.stream_down(site, Code.UNREACHABLE, self._heap.now_ms))

    def _drop(self, stream: _Stream) -> None:
        stream.open = False

    def break_stream(self) -> None:
        """A fault: one of the streams breaks."""
        if self._streams:
            site = self._heap.one_of(list(self._streams))
            self._heap.fault("client stream broken", self.name)
            self._stream_lost(site, self._streams[site])

    def _arrival_ms(self, stream: _Stream, way: str) -> int:
        at_ms = max(stream.last_ms[way], self._heap.now_ms + self._heap.between(1, 25))
        stream.last_ms[way] = at_ms
        return at_ms - self._heap.now_ms

    def _send(self, site: str, submission_id: int, data: bytes) -> None:
        stream = self._streams[site]
        self._heap.after(
            self._arrival_ms(stream, "there"),
            self._arrive,
            site,
            stream,
            stream.host.life,
            submission_id,
            data,
        )

    def _arrive(self, site: str, stream: _Stream, life: int, submission_id: int, data: bytes) -> None:
        if stream.open and self._reaches(site) and stream.host.answers_peers and stream.host.life == life:
            stream.host.answering.submit(functools.partial(self._told, site, stream), submission_id, data)

    def _told(
        self,
        site: str,
        stream: _Stream,
        submission_id: int,
        epoch: int,
        answers: list[tuple[int, int, bytes]],
        error: int,
    ) -> None:
        if stream.open and self._reaches(site):
            values = [Answer(*answer) for answer in answers]
            self._later(
                self._arrival_ms(stream, "back"),
                self._heard,
                site,
                stream,
                submission_id,
                epoch,
                values,
                error,
            )

    def _heard(
        self, site: str, stream: _Stream, submission_id: int, epoch: int, answers: list[Answer], error: int
    ) -> None:
        if stream.open and self._reaches(site) and self._delivery is not None:
            now_ms = self._heap.now_ms
            self._carry_out(self._delivery.reply(site, submission_id, epoch, answers, error, now_ms))

    # -- ends ---------------------------------------------------------------------------------------------------------------------

    def _settle(self, settle: Settle) -> None:
        under_way = self._in_flight[settle.submission_id]
        write, index = under_way.owners[settle.place]
        ended = self.telling.heard(write, index, settle, awaited=under_way.awaited)
        if under_way.kept is not None:
            record_hash = under_way.entries[settle.place].record_hash
            self.outbox.settled(under_way.kept, settle, record_hash, told=under_way.awaited)
        elif not ended:
            write.on_its_way = False
            self._later(OFFER_AGAIN_MS, self._offer_again, write)

    def _offer_again(self, write: Write) -> None:
        self._offer_write(write, again=True)

    @property
    def settled(self) -> bool:
        """Whether every write has its end."""
        return all(write.settled for write in self.writes)

    @property
    def outbox_empty(self) -> bool:
        """Whether nothing is kept any more."""
        return not self.outbox.disk


def _entry(record: Record, deadline_ms: int) -> Entry:
    return Entry(record.record_hash, record.header.previous, record.header.group, deadline_ms)
