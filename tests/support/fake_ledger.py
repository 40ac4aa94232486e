"""An honest ledger in memory that answers as a site would: for tests of the client, without ordering log, disk or network.

It decides as the design says a ledger decides, in the simplest way that can be read at once; the node's own apply is tested elsewhere. What it
gives out is real: records, proofs and checkpoints verify against the genesis of the world it was made for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from genesis_builder import TestWorld
from sento_proto.chain import FIRST_LINK, next_link
from sento_proto.checkpoint import Checkpoint, cosign, encode_checkpoint, merge_signatures
from sento_proto.errors import TABLE, Code, SentoError, Standing
from sento_proto.header import ZERO16, ZERO32
from sento_proto.limits import LIST_PAGE_MAX
from sento_proto.merkle import consistency_proof, inclusion_proof, root_of, subtree_reader
from sento_proto.record import Record
from sento_proto.submission import Submission, author_signature_holds, decode_submission
from sento_proto.v1 import client_pb2, common_pb2
from sento_proto.wire import Malformed

EPOCH = 1
PAGE_MAX = 3
"""Pages are short, so that tests turn them."""


@dataclass
class _Standing:
    """A record in the ledger."""

    record: Record
    submission: Submission
    place: int
    link: bytes
    previous_of_subject: int | None


@dataclass
class FakeLedger:
    """One ledger, shared by all fake sites of a test. `cosigned_size`: how far the sites have cosigned (None: to the end)."""

    world: TestWorld
    records: list[_Standing] = field(default_factory=list)
    cosigned_size: int | None = None
    budget: int | None = None

    def take(self, data: bytes) -> client_pb2.WriteReply:
        """Apply a submission; the reply has no tag yet."""
        try:
            submission = decode_submission(data)
        except Malformed as error:
            return _error_reply(Code.MALFORMED, str(error))
        if submission.ledger_id != self.world.ledger_id:
            return _error_reply(Code.WRONG_LEDGER)
        keys = {key.key_id: key for author in self.world.genesis.authors for key in author.keys}
        key = keys.get(submission.author_key_id)
        if key is None:
            return _error_reply(Code.UNKNOWN_AUTHOR)
        if not author_signature_holds(submission, key):
            return _error_reply(Code.BAD_SIGNATURE)
        codes = self._judge(submission)
        reply = client_pb2.WriteReply(epoch=EPOCH)
        for place, (record, code) in enumerate(zip(submission.records, codes, strict=True)):
            if code is Code.ACCEPTED:
                self._append(record, submission, place)
            standing = self.named(record.header.author_key_id, record.header.record_id)
            stands = TABLE[code].standing is Standing.STANDS
            position = standing if stands and standing is not None else 0
            reply.outcomes.add(code=code, position=position, record_hash=record.record_hash)
        return reply

    def _judge(self, submission: Submission) -> list[Code]:
        heads: dict[bytes, bytes] = {}
        codes: list[Code] = []
        for record in submission.records:
            code = self._judge_one(record, heads)
            if code is Code.ACCEPTED:
                heads[record.header.fact] = record.record_hash
            codes.append(code)
        fallen = {
            record.header.group
            for record, code in zip(submission.records, codes, strict=True)
            if record.header.group != ZERO16 and TABLE[code].standing is not Standing.STANDS
        }
        return [
            Code.GROUP_REFUSED if record.header.group in fallen and code is Code.ACCEPTED else code
            for record, code in zip(submission.records, codes, strict=True)
        ]

    def _judge_one(self, record: Record, heads: dict[bytes, bytes]) -> Code:
        header = record.header
        known = self.named(header.author_key_id, header.record_id)
        if known is not None:
            same = self.records[known].record.record_hash == record.record_hash
            return Code.KNOWN if same else Code.RECORD_ID_REUSED
        if self.budget is not None and len(self.records) + len(heads) >= self.budget:
            return Code.HELD
        versions = [s.record.record_hash for s in self.records if s.record.header.fact == header.fact]
        head = heads.get(header.fact, versions[-1] if versions else ZERO32)
        if header.previous == head:
            return Code.ACCEPTED
        if header.previous == ZERO32 or header.previous in versions:
            return Code.STALE
        return Code.PREDECESSOR_MISSING

    def _append(self, record: Record, submission: Submission, place: int) -> None:
        key = (record.header.registry, record.header.subject)
        before = [
            position
            for position, other in enumerate(self.records)
            if (other.record.header.registry, other.record.header.subject) == key
        ]
        previous_link = self.records[before[-1]].link if before else FIRST_LINK
        link = next_link(previous_link, record.record_hash)
        self.records.append(_Standing(record, submission, place, link, before[-1] if before else None))

    def named(self, author_key_id: bytes, record_id: bytes) -> int | None:
        """Position of the record with that name."""
        for position, standing in enumerate(self.records):
            header = standing.record.header
            if (header.author_key_id, header.record_id) == (author_key_id, record_id):
                return position
        return None

    # What it gives out.

    def stored(self, position: int, *, header_only: bool = False) -> common_pb2.StoredRecord:
        """A record as a site gives it out."""
        standing = self.records[position]
        record, submission = standing.record, standing.submission
        hashes = [other.record_hash for other in submission.records]
        path = inclusion_proof(subtree_reader(hashes), standing.place, len(hashes))
        return common_pb2.StoredRecord(
            position=position,
            header=record.header_bytes,
            payload=b"" if header_only else record.payload,
            payload_hash=record.payload_hash,
            record_hash=record.record_hash,
            link=standing.link,
            previous_of_subject=standing.previous_of_subject,
            submission=common_pb2.SubmissionProof(
                author_key_id=submission.author_key_id,
                count=len(hashes),
                index=standing.place,
                path=path,
                signatures=[
                    common_pb2.SignatureFrame(suite=frame.suite, data=frame.data)
                    for frame in submission.signatures
                ],
            ),
        )

    def read(self, request: client_pb2.ReadRequest) -> common_pb2.StoredRecord:
        """The record that the request names. Raises SentoError NOT_FOUND."""
        which = request.WhichOneof("name")
        for position, standing in enumerate(self.records):
            header = standing.record.header
            named = (
                (which == "position" and position == request.position)
                or (which == "record_hash" and standing.record.record_hash == request.record_hash)
                or (
                    which == "record"
                    and header.record_id == request.record.record_id
                    and header.author_key_id == self.world.key_id(request.record.author)
                )
            )
            if named:
                return self.stored(position, header_only=request.header_only)
        raise SentoError(Code.NOT_FOUND)

    def page(self, request: client_pb2.FactRequest | client_pb2.SubjectRequest) -> client_pb2.ListReply:
        """A page of a fact's or a subject's records, newest first."""
        size = request.as_of_size if request.HasField("as_of_size") else len(self.records)
        end = min(size, request.before) if request.HasField("before") else size
        positions = [position for position in range(end) if self._belongs(position, request)][::-1]
        limit = min(request.limit or 1, PAGE_MAX)
        reply = client_pb2.ListReply(
            records=[self.stored(p, header_only=request.header_only) for p in positions[:limit]]
        )
        if len(positions) > limit:
            reply.next_before = positions[limit - 1]
        return reply

    def _belongs(self, position: int, request: client_pb2.FactRequest | client_pb2.SubjectRequest) -> bool:
        header = self.records[position].record.header
        if isinstance(request, client_pb2.FactRequest):
            return (header.registry, header.fact) == (request.registry, request.fact)
        return (header.registry, header.subject) == (request.registry, request.subject)

    def changes(self, request: client_pb2.ChangesRequest) -> Iterator[common_pb2.StoredRecord]:
        """Records of a registry from a position on."""
        for position in range(request.from_position, len(self.records)):
            if self.records[position].record.header.registry == request.registry:
                yield self.stored(position, header_only=request.header_only)

    def outcomes(self, request: client_pb2.OutcomesRequest) -> client_pb2.OutcomesReply:
        """What became of records by name. Raises SentoError BAD_REQUEST for more than a page of them."""
        if len(request.records) > LIST_PAGE_MAX:
            raise SentoError(Code.BAD_REQUEST)
        reply = client_pb2.OutcomesReply(epoch=EPOCH)
        for name in request.records:
            position = self.named(self.world.key_id(name.author), name.record_id)
            if position is None:
                reply.outcomes.add(code=Code.NOT_FOUND)
            else:
                record_hash = self.records[position].record.record_hash
                reply.outcomes.add(code=Code.KNOWN, position=position, record_hash=record_hash)
        return reply

    def hashes(self, size: int) -> list[bytes]:
        """The first `size` leaves."""
        return [standing.record.record_hash for standing in self.records[:size]]

    def checkpoint(self, sites: Sequence[str] | None = None) -> bytes:
        """The newest note, cosigned by `sites` (default: all voting ones)."""
        size = len(self.records) if self.cosigned_size is None else self.cosigned_size
        note = Checkpoint(self.world.ledger_id, EPOCH, size, root_of(self.hashes(size)))
        lines = [
            cosign(note, site, self.world.site_signers[site], time_s=1_767_225_600 + place)
            for place, site in enumerate(self.world.genesis.voting_sites if sites is None else sites)
        ]
        return encode_checkpoint(merge_signatures(note, lines))

    def proof(self, request: client_pb2.ProofRequest) -> client_pb2.ProofReply:
        """Inclusion and consistency in a tree of the size asked for. Raises SentoError OUT_OF_RANGE."""
        if request.size > len(self.records):
            raise SentoError(Code.OUT_OF_RANGE)
        hashes = self.hashes(request.size)
        read = subtree_reader(hashes)
        reply = client_pb2.ProofReply(size=request.size, root=root_of(hashes))
        for position in request.positions:
            path = inclusion_proof(read, position, request.size)
            reply.inclusions.add(position=position, record_hash=hashes[position], path=path)
        if request.consistent_with_size:
            reply.consistency.extend(consistency_proof(read, request.consistent_with_size, request.size))
        return reply


def _error_reply(code: Code, detail: str = "") -> client_pb2.WriteReply:
    return client_pb2.WriteReply(error=common_pb2.Error(code=code, name=code.name, detail=detail))
