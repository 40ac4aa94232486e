"""The audit: everything that one site holds, checked without trusting the site, record by record from position 0.

For each record: its bytes decode strictly, its hash is the hash of those bytes, its author's signature covers it by its path in the submission, its
subject's chain goes on where it stood, and its fact goes on from the version it names. For the whole: the tree over all record hashes has the root
that a quorum of sites cosigned. What is wrong is collected with its position; nothing here is trusted because another check passed.

Pure: records come in as the service gives them out, findings go out as text without any content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sento_proto import header as header_layout
from sento_proto.chain import FIRST_LINK, next_link
from sento_proto.checkpoint import cosigners, decode_checkpoint
from sento_proto.genesis import Genesis
from sento_proto.header import ZERO32, Header
from sento_proto.keys import PublicKey, Signature, verifies
from sento_proto.merkle import node_hash, root_of
from sento_proto.record import record_of
from sento_proto.submission import signed_bytes
from sento_proto.v1.common_pb2 import StoredRecord, SubmissionProof
from sento_proto.wire import Malformed

FINDINGS_KEPT = 50


@dataclass(slots=True)
class _Subject:
    link: bytes = FIRST_LINK
    last_position: int | None = None


@dataclass(slots=True)
class LedgerAudit:
    """One site's ledger under audit. `findings` stays empty as long as everything holds; `record_hashes` is by position."""

    genesis: Genesis
    record_hashes: list[bytes] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    finding_count: int = 0
    signatures_verified: int = 0
    _subjects: dict[tuple[str, bytes], _Subject] = field(default_factory=dict)
    _facts: dict[tuple[str, bytes], bytes] = field(default_factory=dict)
    _keys: dict[bytes, PublicKey] = field(default_factory=dict)
    _last_signed: tuple[object, ...] = ()

    def __post_init__(self) -> None:
        for author in self.genesis.authors:
            self._keys.update((key.key_id, key) for key in author.keys)

    @property
    def size(self) -> int:
        """How many records were taken."""
        return len(self.record_hashes)

    @property
    def root(self) -> bytes:
        """Tree hash over all of them."""
        return root_of(self.record_hashes)

    def take(self, stored: StoredRecord) -> None:
        """Check the next record. Findings are noted, never raised."""
        position = self.size
        if stored.position != position:
            self._find(position, f"the site gave out position {stored.position} here")
        try:
            header = header_layout.decode(stored.header)
        except Malformed as error:
            self._find(position, str(error))
            self.record_hashes.append(stored.record_hash)
            return
        record = record_of(header, stored.header, stored.payload)
        if record.payload_hash != stored.payload_hash or len(stored.payload) != header.payload_bytes:
            self._find(position, "the payload is not the one that was hashed")
        if record.record_hash != stored.record_hash:
            self._find(position, "the record hash is not the hash of the record")
        self.record_hashes.append(record.record_hash)
        self._check_signature(position, header, record.record_hash, stored.submission)
        self._check_chain(position, header, record.record_hash, stored)
        self._check_fact(position, header, record.record_hash)

    def check_checkpoint(self, note: bytes) -> int:
        """Check a quorum checkpoint against the records taken; returns its size. Findings are noted."""
        try:
            checkpoint = decode_checkpoint(note)
        except Malformed as error:
            self._find(self.size, str(error))
            return 0
        keys = {
            site.name: site.key for site in self.genesis.sites if site.name in self.genesis.receipt_set.sites
        }
        signed_by = cosigners(checkpoint, keys)
        if checkpoint.ledger_id != self.genesis.ledger_id:
            self._find(checkpoint.size, "the checkpoint is of another ledger")
        if len(signed_by) < self.genesis.receipt_set.quorum:
            self._find(checkpoint.size, f"only {len(signed_by)} sites cosigned the checkpoint")
        if checkpoint.size > self.size:
            self._find(checkpoint.size, f"the checkpoint is ahead of the {self.size} records given out")
        elif root_of(self.record_hashes[: checkpoint.size]) != checkpoint.root:
            self._find(checkpoint.size, "the tree over the records does not have the cosigned root")
        return checkpoint.size

    def _check_signature(
        self, position: int, header: Header, record_hash: bytes, proof: SubmissionProof
    ) -> None:
        key = self._keys.get(header.author_key_id)
        if key is None or proof.author_key_id != header.author_key_id or len(proof.signatures) != 1:
            self._find(position, "the submission is not signed once by a key that genesis enrolled")
            return
        root = root_from_path(record_hash, proof.index, proof.count, proof.path)
        if root is None:
            self._find(position, "the path to the submission's root does not have the submission's shape")
            return
        frame = proof.signatures[0]
        signed = (root, proof.count, header.author_key_id, frame.suite, frame.data)
        if signed == self._last_signed:
            return
        message = signed_bytes(self.genesis.ledger_id, root, proof.count, header.author_key_id)
        if verifies(key, Signature(frame.suite, frame.data), message):
            # Records of one submission stand side by side and share its signature: it is verified once for them.
            self._last_signed = signed
            self.signatures_verified += 1
        else:
            self._find(position, "the author's signature does not verify")

    def _check_chain(self, position: int, header: Header, record_hash: bytes, stored: StoredRecord) -> None:
        subject = self._subjects.setdefault((header.registry, header.subject), _Subject())
        claimed = stored.previous_of_subject if stored.HasField("previous_of_subject") else None
        if claimed != subject.last_position:
            self._find(position, "the record before it about the same subject is another one")
        subject.link = next_link(subject.link, record_hash)
        subject.last_position = position
        if stored.link != subject.link:
            self._find(position, "the subject's chain does not go on from its last link")

    def _check_fact(self, position: int, header: Header, record_hash: bytes) -> None:
        fact = (header.registry, header.fact)
        if header.previous != self._facts.get(fact, ZERO32):
            self._find(position, "the record does not follow the standing version of its fact")
        self._facts[fact] = record_hash

    def _find(self, position: int, what: str) -> None:
        self.finding_count += 1
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(f"position {position}: {what}")


def root_from_path(leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """The root to which `path` leads from leaf `index` of `count`, or None when the path has another length than it must.

    Source: RFC 9162 section 2.1.3.2, with the root computed instead of compared."""
    if not 0 <= index < count:
        return None
    node, last, accumulated = index, count - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            accumulated = node_hash(sibling, accumulated)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            accumulated = node_hash(accumulated, sibling)
        node >>= 1
        last >>= 1
    return accumulated if last == 0 else None
