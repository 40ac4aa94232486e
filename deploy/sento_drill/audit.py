"""The audit: what one site holds, record by record from position 0, checked for what no single record can show.

Each record comes verified by the client already (form, payload, hash, author's signature by its path). Here the whole is held together: positions without a
gap, each subject's chain going on from its last link, each fact from its standing version, and at the end the tree over all record hashes against the
root that a quorum of sites cosigned. What is wrong is collected with its position.

Pure: versions in, findings out as text without any content.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sento_client import Version
from sento_client.trust import Trust
from sento_client.verifying import Check, Verdict, check_checkpoint
from sento_proto.chain import FIRST_LINK, next_link
from sento_proto.checkpoint import Checkpoint
from sento_proto.header import ZERO32
from sento_proto.merkle import root_of
from sento_proto.record_object import SubmissionPath

FINDINGS_KEPT = 50


@dataclass(slots=True)
class _Subject:
    link: bytes = FIRST_LINK
    last_position: int | None = None


@dataclass(slots=True)
class LedgerAudit:
    """One site's ledger under audit. `record_hashes` is by position; `finding_count` goes on where `findings` is full."""

    record_hashes: list[bytes] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    finding_count: int = 0
    submissions: int = 0
    _subjects: dict[tuple[str, bytes], _Subject] = field(default_factory=dict)
    _facts: dict[tuple[str, bytes], bytes] = field(default_factory=dict)
    _last_submission: SubmissionPath | None = None

    @property
    def size(self) -> int:
        """How many records were taken."""
        return len(self.record_hashes)

    def take(self, version: Version) -> None:
        """Check the next record. Findings are noted, never raised."""
        position = self.size
        if version.position != position:
            self.find(position, f"the site gave out position {version.position} here")
        for finding in version.findings:
            shown = finding.verdict is not Verdict.NOT_SHOWN or finding.check is not Check.PAYLOAD
            if shown and finding.verdict is not Verdict.HOLDS:
                self.find(position, f"{finding.check}: {finding.why}")
        self.record_hashes.append(version.record_hash)
        self._check_chain(position, version)
        self._check_fact(position, version)
        self._count_submission(version)

    def take_payload(self, version: Version) -> None:
        """Check a record that was asked for with its payload. Its place was checked by `take`."""
        if self.record_hashes[version.position] != version.record_hash:
            self.find(version.position, "another record than in the list of changes")
        for finding in version.findings:
            if finding.check is Check.PAYLOAD and finding.verdict is not Verdict.HOLDS:
                self.find(version.position, f"{finding.check}: {finding.why}")

    def check_checkpoint(self, checkpoint: Checkpoint, trust: Trust) -> None:
        """Hold the records taken against a checkpoint that covers all or some of them."""
        cosigned = check_checkpoint(checkpoint, trust)
        if cosigned.verdict is not Verdict.HOLDS:
            self.find(checkpoint.size, f"{cosigned.check}: {cosigned.why}")
        if checkpoint.size > self.size:
            self.find(checkpoint.size, f"the checkpoint is ahead of the {self.size} records given out")
        elif root_of(self.record_hashes[: checkpoint.size]) != checkpoint.root:
            self.find(checkpoint.size, "the tree over the records does not have the cosigned root")

    def find(self, position: int, what: str) -> None:
        """Note that something is wrong."""
        self.finding_count += 1
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(f"position {position}: {what}")

    def _check_chain(self, position: int, version: Version) -> None:
        header, stored = version.header, version.stored
        subject = self._subjects.setdefault((header.registry, header.subject), _Subject())
        if stored.previous_of_subject != subject.last_position:
            self.find(position, "the record before it about the same subject is another one")
        subject.link = next_link(subject.link, stored.record_hash)
        subject.last_position = position
        if stored.link != subject.link:
            self.find(position, "the subject's chain does not go on from its last link")

    def _check_fact(self, position: int, version: Version) -> None:
        fact = (version.header.registry, version.header.fact)
        if version.header.previous != self._facts.get(fact, ZERO32):
            self.find(position, "the record does not follow the standing version of its fact")
        self._facts[fact] = version.record_hash

    def _count_submission(self, version: Version) -> None:
        submission = version.stored.submission
        before, self._last_submission = self._last_submission, submission
        if before is None or before.signatures != submission.signatures:
            self.submissions += 1
