"""Gathering: records of many callers become submissions, without the callers knowing of each other.

One signature costs as much for forty records as for one, so company is worth a short wait; but only while there is other traffic to wait behind.
The rules, all of them:

1. A submission holds records of one registry, within the limits of count and size.
2. Pieces leave in the order in which they came, so the versions of one fact do too.
3. A piece (one record, or a group that stands or falls together) is never divided.
4. A batch leaves when the next piece does not fit, when the next of the same size would not, or when it is due.
5. The same record id never stands twice in one batch: a second sending of it goes into the next.
6. Records that are to survive the country and others do not share a submission: what waits for a site abroad keeps nothing else in the outbox.
7. It is due at once while little is on its way, else when something came back or after the linger: a lone caller never waits.

Pure: time comes in as a number, ready batches go out as values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from sento_proto import limits
from sento_proto.errors import Code, SentoError
from sento_proto.header import ZERO16
from sento_proto.record import Record
from sento_proto.submission import group_value

T = TypeVar("T")


class Waiting(NamedTuple, Generic[T]):
    """A record on its way out. `owner` is whatever the shell wants back with the outcome; it is not looked at here;
    `size_bytes`: what the record takes in a submission; `abroad`: it is to survive the country; `replaces`: the
    kept submission that its batch takes the place of."""

    record: Record
    size_bytes: int
    deadline_ms: int
    owner: T
    abroad: bool = False
    replaces: int | None = None


@dataclass(slots=True)
class _Open(Generic[T]):
    due_ms: int
    bytes_left: int = limits.SUBMISSION_RECORDS_MAX_BYTES
    waiting: list[Waiting[T]] = field(default_factory=list)
    record_ids: set[bytes] = field(default_factory=set)


class Batcher(Generic[T]):
    """Open batches, at most one for each registry."""

    def __init__(self, linger_ms: int) -> None:
        self._linger_ms = linger_ms
        self._open: dict[str, _Open[T]] = {}

    def add(self, piece: Sequence[Waiting[T]], now_ms: int, *, busy: bool) -> list[list[Waiting[T]]]:
        """Take in one piece; returns the batches that must leave now, in order.

        `busy`: so many submissions are on their way that this one would wait behind them.
        Raises SentoError TOO_LARGE when the piece can never fit one submission, BAD_REQUEST
        when it holds one record twice."""
        record_ids = [waiting.record.header.record_id for waiting in piece]
        if len(record_ids) > 1 and len(set(record_ids)) != len(record_ids):
            raise SentoError(Code.BAD_REQUEST, "one record stands twice in a group")
        size_bytes = sum([waiting.size_bytes for waiting in piece])
        _check_fits(len(piece), size_bytes)
        registry = piece[0].record.header.registry
        due_ms = now_ms + self._linger_ms if busy else now_ms
        leaving: list[list[Waiting[T]]] = []
        batch = self._open.get(registry)
        if batch is not None and (
            not _has_room(batch, len(piece), size_bytes)
            or not batch.record_ids.isdisjoint(record_ids)
            or batch.waiting[0].abroad != piece[0].abroad
        ):
            leaving.append(self._take(registry))
            batch = None
        if batch is None:
            batch = self._open[registry] = _Open(due_ms)
        batch.waiting.extend(piece)
        batch.record_ids.update(record_ids)
        batch.bytes_left -= size_bytes
        batch.due_ms = min(batch.due_ms, due_ms)
        if not _has_room(batch, len(piece), size_bytes):
            leaving.append(self._take(registry))
        return leaving

    def take_due(self, now_ms: int) -> list[list[Waiting[T]]]:
        """Batches whose time has come."""
        due = [registry for registry, batch in self._open.items() if batch.due_ms <= now_ms]
        return [self._take(registry) for registry in due]

    def take_all(self) -> list[list[Waiting[T]]]:
        """Every open batch, due or not."""
        return [self._take(registry) for registry in list(self._open)]

    @property
    def due_at_ms(self) -> int | None:
        """When `take_due` will next have something; None while nothing waits."""
        return min((batch.due_ms for batch in self._open.values()), default=None)

    def _take(self, registry: str) -> list[Waiting[T]]:
        return self._open.pop(registry).waiting


def _has_room(batch: _Open[T], count: int, size_bytes: int) -> bool:
    return batch.bytes_left >= size_bytes and len(batch.waiting) + count <= limits.SUBMISSION_MAX_RECORDS


def _check_fits(count: int, size_bytes: int) -> None:
    if size_bytes > limits.SUBMISSION_RECORDS_MAX_BYTES or count > limits.SUBMISSION_MAX_RECORDS:
        raise SentoError(Code.TOO_LARGE, f"{count} records that must travel together take {size_bytes} bytes")


def pieces_of(records: Sequence[Record], author_key_id: bytes) -> list[list[Record]]:
    """Records cut into what may not be divided: each alone, or a whole group. Raises SentoError BAD_REQUEST."""
    pieces: list[list[Record]] = []
    for record in records:
        header = record.header
        if header.author_key_id != author_key_id:
            raise SentoError(Code.BAD_REQUEST, "a record was composed under another signing key")
        joins = header.group != ZERO16 and bool(pieces) and pieces[-1][-1].header.group == header.group
        if joins:
            pieces[-1].append(record)
        else:
            pieces.append([record])
    for piece in pieces:
        first = piece[0].header
        if first.group == ZERO16:
            continue
        if any(record.header.registry != first.registry for record in piece):
            raise SentoError(Code.BAD_REQUEST, "a group has records of more than one registry")
        if group_value([record.header.record_id for record in piece]) != first.group:
            raise SentoError(Code.BAD_REQUEST, "a group is not whole, or not in its order")
    return pieces
