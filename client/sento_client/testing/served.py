"""What a ledger in memory gives out, as the messages of a site: real records, proofs and checkpoints, that verify against its genesis file.

Sites in memory share one such ledger. `cosigned_size` says how far the receipt set has cosigned it, `page_max` how long a page may be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import RLock

from sento_client.composing import Ports
from sento_client.testing.access import Access
from sento_client.testing.ledger import EPOCH, Ledger, Refused
from sento_client.testing.world import World
from sento_proto.checkpoint import Checkpoint, cosign, encode_checkpoint, merge_signatures
from sento_proto.errors import STANDING_CODES, Code, SentoError
from sento_proto.governance.acts import REGISTRY
from sento_proto.head_statement import NO_HEAD, Head, HeadStatement
from sento_proto.limits import LIST_PAGE_MAX
from sento_proto.merkle import consistency_proof, inclusion_proof, root_of, subtree_reader
from sento_proto.v1 import client_pb2, common_pb2, governance_pb2

ListRequest = client_pb2.FactRequest | client_pb2.SubjectRequest


class ServedLedger(Ledger):
    """The ledger of a world. `wall_ms`: milliseconds since 1970 for cosignatures (None: this computer's clock).

    Sites hold `lock` while they ask or write, because their clients may run in several threads; `watchers` are called after records were added."""

    def __init__(
        self,
        world: World,
        *,
        wall_ms: Callable[[], int] | None = None,
        page_max: int = LIST_PAGE_MAX,
    ) -> None:
        super().__init__(world.genesis)
        self.world = world
        self.wall_ms = wall_ms or Ports().wall_ms
        self.page_max = page_max
        self.cosigned_size: int | None = None
        self.lock = RLock()
        self.watchers: set[Callable[[], None]] = set()

    def take(self, data: bytes) -> client_pb2.WriteReply:
        """Apply a submission; the reply has no tag yet."""
        size = self.size
        decided = self.apply(data)
        if isinstance(decided, Refused):
            return error_reply(decided.code, decided.detail)
        reply = client_pb2.WriteReply(epoch=EPOCH)
        for one in decided:
            reply.outcomes.add(code=one.code, position=one.position or 0, record_hash=one.record_hash)
        if self.size > size:
            for watcher in tuple(self.watchers):
                watcher()
        return reply

    def take_act(self, data: bytes) -> governance_pb2.SubmitActReply:
        """Apply an officers' act."""
        reply = self.take(data)
        if reply.HasField("error"):
            return governance_pb2.SubmitActReply(epoch=EPOCH, error=reply.error)
        answer = governance_pb2.SubmitActReply(epoch=EPOCH, outcome=reply.outcomes[0])
        code = Code(reply.outcomes[0].code)
        if code not in STANDING_CODES:
            answer.error.CopyFrom(common_pb2.Error(code=code, name=code.name))
        return answer

    def acts(self, request: governance_pb2.ActsRequest) -> governance_pb2.ActsReply:
        """What changed governance behind a position."""
        after = request.after_position if request.HasField("after_position") else -1
        governing = [
            placed.position
            for placed in self.records[after + 1 :]
            if placed.record.header.registry == REGISTRY
        ]
        return governance_pb2.ActsReply(records=[self.stored(position) for position in governing])

    def stored(self, position: int, *, header_only: bool = False) -> common_pb2.StoredRecord:
        """A record as a site gives it out."""
        placed = self.records[position]
        record, submission = placed.record, placed.submission
        hashes = [other.record_hash for other in submission.records]
        return common_pb2.StoredRecord(
            position=position,
            header=record.header_bytes,
            payload=b"" if header_only else record.payload,
            payload_hash=record.payload_hash,
            record_hash=record.record_hash,
            link=placed.link,
            previous_of_subject=placed.previous_of_subject,
            submission=common_pb2.SubmissionProof(
                epoch=submission.epoch,
                officers=[
                    common_pb2.OfficerFrame(
                        officer_key_id=officer.officer_key_id,
                        signature=common_pb2.SignatureFrame(
                            suite=officer.signature.suite, data=officer.signature.data
                        ),
                    )
                    for officer in submission.officers
                ],
                author_key_id=submission.author_key_id,
                count=len(hashes),
                index=placed.place,
                path=inclusion_proof(subtree_reader(hashes), placed.place, len(hashes)),
                signatures=[
                    common_pb2.SignatureFrame(suite=frame.suite, data=frame.data)
                    for frame in submission.signatures
                ],
            ),
        )

    def read(self, request: client_pb2.ReadRequest, access: Access) -> common_pb2.StoredRecord:
        """The record that the request names. Raises SentoError NOT_FOUND, NOT_PERMITTED or BAD_REQUEST."""
        match request.WhichOneof("name"):
            case "position":
                position = request.position if request.position < self.size else None
            case "record_hash":
                position = self.position_of_hash(request.record_hash)
            case "record":
                position = self.position_of_name(request.record.author, request.record.record_id)
            case _:
                raise SentoError(Code.BAD_REQUEST, "name a record by position, record_hash or record")
        if position is None:
            raise SentoError(Code.NOT_FOUND)
        header, record_hash = self.records[position].record.header, self.records[position].record.record_hash
        author = self.records[position].author
        may, what = (access.may_see, "see") if request.header_only else (access.may_read, "read")
        if not may(header.registry, header.compartment, author):
            raise SentoError(Code.NOT_PERMITTED, f"this institution may not {what} that record")
        if not request.header_only and access.is_withheld(record_hash, header, position):
            raise SentoError(Code.ERASED)
        return self.stored(position, header_only=request.header_only)

    def page(self, request: ListRequest, access: Access) -> client_pb2.ListReply:
        """A page of a fact's or a subject's records, newest first. Raises SentoError NOT_PERMITTED, OUT_OF_RANGE or BAD_REQUEST."""
        access.require_registry(request.registry)
        if request.limit > LIST_PAGE_MAX:
            raise SentoError(Code.BAD_REQUEST, f"limit is at most {LIST_PAGE_MAX}")
        size = request.as_of_size if request.HasField("as_of_size") else self.size
        if size > self.size:
            raise SentoError(Code.OUT_OF_RANGE)
        below = min(size, request.before) if request.HasField("before") else size
        if isinstance(request, client_pb2.FactRequest):
            positions = self.versions_of_fact(request.registry, request.fact)
        else:
            positions = self.records_of_subject(request.registry, request.subject)
        found = [position for position in reversed(positions) if position < below]
        limit = min(request.limit or 1, self.page_max)
        reply = client_pb2.ListReply()
        for position in found[:limit]:
            listed = self._listed(position, access, header_only=request.header_only)
            reply.records.append(listed or self._hidden(position))
        if len(found) > limit:
            reply.next_before = found[limit - 1]
        return reply

    def _listed(self, position: int, access: Access, *, header_only: bool) -> common_pb2.StoredRecord | None:
        """The record as far as the caller may have it; None when it may not see it."""
        header, record_hash = self.records[position].record.header, self.records[position].record.record_hash
        author = self.records[position].author
        if not access.may_see(header.registry, header.compartment, author):
            return None
        may_read = access.may_read(header.registry, header.compartment, author)
        allowed = may_read and not access.is_withheld(record_hash, header, position)
        record = self.stored(position, header_only=header_only or not allowed)
        record.payload_withheld = not allowed
        return record

    def _hidden(self, position: int) -> common_pb2.StoredRecord:
        """That a record stands there."""
        placed = self.records[position]
        return common_pb2.StoredRecord(
            position=position,
            record_hash=placed.record.record_hash,
            link=placed.link,
            previous_of_subject=placed.previous_of_subject,
            hidden=True,
        )

    def changes(
        self, request: client_pb2.ChangesRequest, access: Access
    ) -> Iterator[common_pb2.StoredRecord]:
        """Records of a registry ("": of all) that the caller may see, from a position to the end as it stands."""
        for position in range(request.from_position, self.size):
            if request.registry in ("", self.records[position].record.header.registry):
                listed = self._listed(position, access, header_only=request.header_only)
                if listed is not None:
                    yield listed
                elif request.with_hidden:
                    yield self._hidden(position)

    def outcomes(self, request: client_pb2.OutcomesRequest, access: Access) -> client_pb2.OutcomesReply:
        """What became of records by name. Raises SentoError IDENTITY_REFUSED, BAD_REQUEST for more than a page of them."""
        access.require_author()
        if len(request.records) > LIST_PAGE_MAX:
            raise SentoError(Code.BAD_REQUEST, f"at most {LIST_PAGE_MAX} records a call")
        reply = client_pb2.OutcomesReply(epoch=EPOCH)
        for name in request.records:
            access.require_own_name(name.author)
            position = self.position_of_name(name.author, name.record_id)
            if position is None:
                reply.outcomes.add(code=Code.NOT_FOUND)
            else:
                record_hash = self.records[position].record.record_hash
                reply.outcomes.add(code=Code.KNOWN, position=position, record_hash=record_hash)
        return reply

    @property
    def quorum_size(self) -> int:
        """How far a quorum of the receipt set has cosigned."""
        return self.size if self.cosigned_size is None else min(self.cosigned_size, self.size)

    def hashes(self, size: int) -> list[bytes]:
        """The first `size` leaves."""
        return [placed.record.record_hash for placed in self.records[:size]]

    def checkpoint(self, sites: Sequence[str] | None = None) -> bytes:
        """The newest note, cosigned by `sites` (default: the receipt set)."""
        size = self.quorum_size
        note = Checkpoint(self.world.ledger_id, EPOCH, size, root_of(self.hashes(size)))
        time_s = self.wall_ms() // 1000
        lines = [
            cosign(note, site, self.world.site_signers[site], time_s)
            for site in (self.genesis.receipt_set.sites if sites is None else sites)
        ]
        return encode_checkpoint(merge_signatures(note, lines))

    def head(self, request: client_pb2.HeadRequest, access: Access, site: str) -> HeadStatement:
        """The site's word on a subject's last record, not signed yet. Raises SentoError NOT_PERMITTED, NOT_FOUND or OUT_OF_RANGE."""
        access.require_registry(request.registry)
        size = request.size or self.quorum_size
        if size > self.size:
            raise SentoError(Code.OUT_OF_RANGE, f"{self.size} records are flushed here")
        if not 0 < size <= self.quorum_size:
            raise SentoError(Code.NOT_FOUND, "no quorum checkpoint of that size is known here")
        positions = [p for p in self.records_of_subject(request.registry, request.subject) if p < size]
        head = Head(positions[-1], self.records[positions[-1]].link) if positions else NO_HEAD
        root = root_of(self.hashes(size))
        return HeadStatement(
            self.world.ledger_id, EPOCH, size, root, request.registry, request.subject, head, site
        )

    def proof(self, request: client_pb2.ProofRequest) -> client_pb2.ProofReply:
        """Inclusion and consistency in a tree of the size asked for (0: that of the checkpoint). Raises SentoError OUT_OF_RANGE."""
        size = request.size or self.quorum_size
        beyond = [position for position in request.positions if position >= size]
        if size > self.size or request.consistent_with_size > size or beyond:
            raise SentoError(Code.OUT_OF_RANGE)
        hashes = self.hashes(size)
        read = subtree_reader(hashes)
        reply = client_pb2.ProofReply(size=size, root=root_of(hashes))
        for position in request.positions:
            path = inclusion_proof(read, position, size)
            reply.inclusions.add(position=position, record_hash=hashes[position], path=path)
        if request.consistent_with_size:
            reply.consistency.extend(consistency_proof(read, request.consistent_with_size, size))
        return reply


def error_reply(code: Code, detail: str = "") -> client_pb2.WriteReply:
    """One code for a whole submission."""
    return client_pb2.WriteReply(error=common_pb2.Error(code=code, name=code.name, detail=detail))
