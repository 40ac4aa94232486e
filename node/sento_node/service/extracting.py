"""What goes into a sealed extract: a person's records up to a quorum's checkpoint as far as the caller may have them, and the keys that open their payloads.

The ledger is read as it is flushed, up to the newest checkpoint that a quorum cosigned: on an island that is where it was cut off, and what came later could
not be proven to anybody. Nothing here is recorded or waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sento_node.ledger import reading
from sento_node.ledger.store import KeptRecord, LedgerStore
from sento_node.service.listing import Listing
from sento_node.service.node_state import NodeState
from sento_node.service.records import stored_record
from sento_proto import header as header_layout
from sento_proto import limits
from sento_proto.errors import Code, SentoError
from sento_proto.extract import EXTRACT_MAX_BYTES, ExtractEntry, ExtractSubject
from sento_proto.header import Header
from sento_proto.identity import Identity
from sento_proto.kek_record import REGISTRY as KEYS
from sento_proto.kek_record import subject_of_kek
from sento_proto.keys import Signature
from sento_proto.record_object import RecordObject, SubmissionPath
from sento_proto.submission import OfficerSignature
from sento_proto.v1 import common_pb2

RECORDS_MAX = 600
"""Entries of one extract; its bytes bound it before, unless the records are very small."""
PAYLOADS_MAX_BYTES = EXTRACT_MAX_BYTES // 2
"""Headers and payloads stand in it in base64, with signatures and paths beside them."""


class Leaving(NamedTuple):
    """A record whose payload goes into the extract."""

    header: Header
    record_hash: bytes
    author: str


class Gathered(NamedTuple):
    """What an extract holds, and of whom payloads leave with it."""

    subjects: tuple[ExtractSubject, ...]
    keys: tuple[tuple[ExtractEntry, ...], ...]
    leaving: tuple[Leaving, ...]


class Gatherer:
    """Gathers for one node. What is asked for must have been permitted already."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._listing = Listing(node)

    def gather(self, caller: Identity, registry: str, subjects: Iterable[bytes], size: int) -> Gathered:
        """The records of these persons among the ledger's first `size`. Raises SentoError BAD_REQUEST when they are too many; LedgerDamaged."""
        found: list[ExtractSubject] = []
        leaving: list[Leaving] = []
        room = _Room()
        for subject in subjects:
            entries: list[ExtractEntry] = []
            for kept in self._records(registry, subject, size):
                message = self._listing.entry(caller, kept)
                room.take(message.ByteSize())
                entries.append(self._entry(message, size))
                if message.payload:
                    header = header_layout.decode(kept.header_bytes)
                    leaving.append(Leaving(header, kept.record_hash, kept.author))
            found.append(ExtractSubject(subject, tuple(entries)))
        return Gathered(tuple(found), tuple(self._keys(leaving, size, room)), tuple(leaving))

    def _keys(self, leaving: Iterable[Leaving], size: int, room: _Room) -> Iterator[tuple[ExtractEntry, ...]]:
        """What stands of the KEK of each payload. Of a compartment that a key agent opens there is none: its keys open nowhere but there."""
        store, governance = self._node.store, self._node.governance
        scopes = dict.fromkeys(
            (one.author, one.header.registry, one.header.compartment, one.header.key_epoch)
            for one in leaving
            if governance.key_agent_of(one.header.registry, one.header.compartment) is None
        )
        for scope in scopes:
            entries: list[ExtractEntry] = []
            for kept in self._records(KEYS, subject_of_kek(*scope), size):
                message = stored_record(store, kept, header_only=False)
                room.take(message.ByteSize())
                entries.append(self._entry(message, size))
            yield tuple(reversed(entries))

    def _records(self, registry: str, subject: bytes, size: int) -> tuple[KeptRecord, ...]:
        page = reading.subject_records(
            self._node.store, registry, subject, limit=RECORDS_MAX, as_of_size=size
        )
        if page.next_before is not None:
            raise _too_much()
        return page.records

    def _entry(self, message: common_pb2.StoredRecord, size: int) -> ExtractEntry:
        path = reading.inclusion(self._node.store, message.position, size)
        return ExtractEntry(object_of(message), tuple(path))


class _Room:
    def __init__(self) -> None:
        self._records, self._bytes = RECORDS_MAX, PAYLOADS_MAX_BYTES

    def take(self, size_bytes: int) -> None:
        self._records -= 1
        self._bytes -= size_bytes
        if self._records < 0 or self._bytes < 0:
            raise _too_much()


def _too_much() -> SentoError:
    most_kib = PAYLOADS_MAX_BYTES // limits.KIB
    return SentoError(
        Code.BAD_REQUEST,
        f"the records of these persons take more than one extract holds ({RECORDS_MAX} records, {most_kib} KiB): ask for fewer persons at a time",
    )


def object_of(message: common_pb2.StoredRecord) -> RecordObject:
    """A record that is given out, as it stands in files."""
    previous = message.previous_of_subject if message.HasField("previous_of_subject") else None
    submission = message.submission
    return RecordObject(
        message.position,
        message.record_hash,
        message.header,
        message.payload_hash,
        SubmissionPath(
            submission.author_key_id,
            submission.count,
            submission.index,
            tuple(submission.path),
            tuple(Signature(frame.suite, frame.data) for frame in submission.signatures),
            tuple(
                OfficerSignature(frame.officer_key_id, Signature(frame.signature.suite, frame.signature.data))
                for frame in submission.officers
            ),
            submission.epoch,
        ),
        message.payload or None,
        message.link,
        previous,
        message.hidden,
    )


def kept_checkpoint(store: LedgerStore) -> bytes:
    """The note of the newest quorum checkpoint. Raises SentoError NOT_FOUND."""
    kept = store.checkpoint()
    if kept is None:
        raise SentoError(Code.NOT_FOUND, "no quorum has cosigned a checkpoint yet")
    return kept.note
