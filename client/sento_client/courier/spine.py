"""The spine judged without any site: every signature, every act, the whole tree, against checkpoints that a quorum cosigned.

Begins at the genesis file and follows officers' acts as they stand in the spine itself, so that the keys by which each record and each checkpoint is judged are
those in force there. A chunk counts whole or not at all. Where a later epoch forked off below what was judged, the spine goes on from there: what an epoch held
above the fork ended with it, and its payloads are passed over. What each record's payload must hash to lies in a file without a name, for payloads come later.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from google.protobuf.message import DecodeError

from sento_client.governing.following import Followed, follow
from sento_client.verifying import Stored, Verdict, check_checkpoint
from sento_proto import header as header_layout
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.chunk import Chunk, decode_entries, decode_payloads
from sento_proto.errors import Code, SentoError
from sento_proto.genesis import Genesis
from sento_proto.governance.acts import REGISTRY
from sento_proto.governance.doubts import sure_size
from sento_proto.header import ZERO16
from sento_proto.keys import Signature
from sento_proto.merkle import Frontier, root_of
from sento_proto.record import PAYLOAD_HASH_OF_NOTHING, record_hash_of
from sento_proto.record_object import SubmissionPath, signer_of
from sento_proto.submission import OfficerSignature, signatures_hold
from sento_proto.v1 import sync_pb2
from sento_proto.wire import Malformed

_NONE, _AWAITED, _SEEN = b"\x00", b"\x01", b"\x02"
_ROW_BYTES = 1 + 32


class SpineFalse(Exception):
    """A chunk does not prove itself. The text says where."""


class Row(NamedTuple):
    """A standing record as the spine has it."""

    position: int
    header_bytes: bytes
    payload_hash: bytes
    record_hash: bytes


class _Place(NamedTuple):
    """The judge's state behind a block."""

    frontier: Frontier
    followed: Followed
    block: int
    payloads_expected: int


class SpineJudge:
    """One ledger's spine as far as it was judged. Use it with `with`: it holds a temporary file of 33 bytes a record."""

    def __init__(self, genesis: Genesis, forks: Iterable[int] = ()) -> None:
        """`forks`: blocks behind which a later epoch may go on."""
        self.epoch = 0
        self._forks = frozenset(forks)
        self._there: dict[int, _Place] = {}
        self.followed = Followed.start(genesis)
        self.frontier = Frontier()
        self.block = 0
        self.checkpoint_root = b""
        self.payloads_expected = 0
        self.payloads_seen = 0
        self._hashes = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `__exit__`

    def __enter__(self) -> SpineJudge:
        return self

    def __exit__(self, *_: object) -> None:
        self._hashes.close()

    @property
    def size(self) -> int:
        """How many records stand in what was judged."""
        return self.frontier.size

    def take(self, chunk: Chunk) -> bool:
        """Judge a spine chunk that goes on from here; False when it begins behind a gap or ends before. Raises SpineFalse with nothing changed."""
        name = chunk.name
        if (name.through_block <= self.block and name.epoch <= self.epoch) or name.after_block > self.block:
            return False
        try:
            self._take(chunk)
        except (Malformed, DecodeError) as error:
            raise SpineFalse(str(error)) from None
        except SentoError as error:
            raise SpineFalse(error.detail or str(error)) from None
        return True

    def _take(self, chunk: Chunk) -> None:
        start = self._start(chunk)
        frontier, followed, block, expected = start.frontier.copy(), *start[1:]
        checkpoint = decode_checkpoint(chunk.note)
        if checkpoint.epoch < self.epoch:
            raise SpineFalse(f"it is of epoch {checkpoint.epoch}, which ended")
        there: dict[int, _Place] = {}
        for data in decode_entries(chunk.body):
            entry = sync_pb2.BlockEntry.FromString(data)
            if entry.number <= start.block:
                continue
            if block in self._forks:
                there[block] = _Place(frontier.copy(), followed, block, expected)
            if entry.number != block + 1 or entry.size_before != frontier.size:
                raise SpineFalse(
                    f"block {entry.number} does not follow block {block} at size {frontier.size}"
                )
            block = entry.number
            for submission in entry.submissions:
                followed = self._judge(submission, followed, frontier, checkpoint.epoch, block)
            expected += self._note(entry)
        if (frontier.size, frontier.root()) != (
            checkpoint.size,
            checkpoint.root,
        ) or block != chunk.name.through_block:
            raise SpineFalse(f"the tree behind block {block} is not the one that was cosigned")
        finding = check_checkpoint(checkpoint, followed.trust)
        if finding.verdict is not Verdict.HOLDS:
            raise SpineFalse(f"the checkpoint of size {checkpoint.size}: {finding.why}")
        self.frontier, self.followed, self.block = frontier, followed, block
        self.checkpoint_root = checkpoint.root
        self.payloads_expected, self.epoch = expected, checkpoint.epoch
        self._there |= there

    def _start(self, chunk: Chunk) -> _Place:
        """Where a chunk goes on: behind all that was judged, or, where it is of a later epoch, behind the block that it forked off at."""
        fork = self._there.get(chunk.name.after_block)
        if chunk.name.epoch > self.epoch and chunk.name.after_block < self.block and fork is not None:
            return fork
        return _Place(self.frontier, self.followed, self.block, self.payloads_expected)

    def _judge(
        self,
        entry: sync_pb2.SubmissionEntry,
        followed: Followed,
        frontier: Frontier,
        epoch: int,
        block: int,
    ) -> Followed:
        """A submission's signatures, and its standing records into the tree; governance behind them."""
        if entry.refusal:
            return followed
        rows, hashes = _rows_of(entry)
        is_act = entry.author_key_id == ZERO16
        if not is_act:
            known = signer_of(followed.governance, entry.author_key_id)
            signatures = [Signature(frame.suite, frame.data) for frame in entry.signatures]
            root, ledger_id = root_of(hashes), followed.governance.ledger_id
            if known is None or not signatures_hold(ledger_id, root, len(hashes), known[1], signatures):
                raise SpineFalse(f"block {block} has a submission that its author did not sign")
        for row in sorted(rows, key=lambda row: row.position):
            if row.position != frontier.size:
                raise SpineFalse(f"block {block} has a record out of its position")
            header = header_layout.decode(row.header_bytes)
            if header.author_key_id != entry.author_key_id:
                raise SpineFalse(f"block {block} has a record of another author than signed it")
            if is_act and header.registry != REGISTRY:
                raise SpineFalse(f"block {block} has a record that officers signed and that is no act")
            frontier.append(row.record_hash)
            if header.registry == REGISTRY:
                followed = follow(followed, [_stored(row, entry, hashes)], epoch)
        return followed

    def _note(self, entry: sync_pb2.BlockEntry) -> int:
        """Keep what the payloads of a block must hash to; how many there are."""
        expected = 0
        for submission in entry.submissions:
            for row in _rows_of(submission)[0] if not submission.refusal else ():
                has = row.payload_hash != PAYLOAD_HASH_OF_NOTHING
                expected += has
                self._put(row.position, (_AWAITED if has else _NONE) + row.payload_hash)
        return expected

    def take_payloads(self, chunk: Chunk) -> tuple[int, int]:
        """Payloads compared with what the spine says: how many are right, and how many are not; those beyond the spine are neither. Raises Malformed."""
        right = wrong = 0
        ended = self.followed.governance.lost_with(chunk.name.epoch, chunk.name.to_position)
        end = self.size if ended is None else min(self.size, ended.fork_size)
        sure = sure_size(self.followed.governance, chunk.name.epoch, end)
        for payload in decode_payloads(chunk):
            if payload.position >= end:
                continue
            row = os.pread(self._hashes.fileno(), _ROW_BYTES, payload.position * _ROW_BYTES)
            if row[:1] == _NONE or hashlib.sha256(payload.data).digest() != row[1:]:
                # Behind what was agreed on, a recovery may have gone on from a copy with other records: theirs are not wrong, and not of this ledger.
                wrong += payload.position < sure
                continue
            right += 1
            if row[:1] == _AWAITED:
                self.payloads_seen += 1
                self._put(payload.position, _SEEN + row[1:])
        return right, wrong

    def _put(self, position: int, row: bytes) -> None:
        os.pwrite(self._hashes.fileno(), row, position * _ROW_BYTES)


def _rows_of(entry: sync_pb2.SubmissionEntry) -> tuple[list[Row], list[bytes]]:
    """The standing records of a submission, and the hashes of all of them in the order that was signed."""
    rows: list[Row] = []
    hashes: list[bytes] = []
    for record in entry.records:
        if record.code != Code.ACCEPTED:
            hashes.append(record.record_hash)
            continue
        payload_hash = record.payload_hash if record.payload_absent else PAYLOAD_HASH_OF_NOTHING
        if len(payload_hash) != len(PAYLOAD_HASH_OF_NOTHING):
            raise Malformed("block entry: a payload hash of another length")
        record_hash = record_hash_of(record.header, payload_hash)
        hashes.append(record_hash)
        rows.append(Row(record.position, record.header, payload_hash, record_hash))
    return rows, hashes


def _stored(row: Row, entry: sync_pb2.SubmissionEntry, hashes: list[bytes]) -> Stored:
    """A record that changes governance as its follower wants it: such submissions hold one record, so its path is empty."""
    if len(hashes) != 1:
        raise SpineFalse(f"the record at position {row.position} changes governance and did not come alone")
    submission = SubmissionPath(
        entry.author_key_id,
        1,
        0,
        (),
        tuple(Signature(frame.suite, frame.data) for frame in entry.signatures),
        tuple(_officers(entry)),
        entry.epoch,
    )
    return Stored(
        position=row.position,
        header_bytes=row.header_bytes,
        payload=b"",
        payload_hash=row.payload_hash,
        record_hash=row.record_hash,
        link=b"",
        previous_of_subject=None,
        payload_withheld=row.payload_hash != PAYLOAD_HASH_OF_NOTHING,
        hidden=False,
        submission=submission,
    )


def _officers(entry: sync_pb2.SubmissionEntry) -> Iterator[OfficerSignature]:
    for frame in entry.officers:
        yield OfficerSignature(frame.officer_key_id, Signature(frame.signature.suite, frame.signature.data))
