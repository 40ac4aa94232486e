"""What a reader checks about an answer without trusting the site that gave it.

Each rule is one `Check`; the whole list:

    FORM         the header is in the one accepted form
    ASKED_FOR    it is the record that was asked for, not merely a good one
    PAYLOAD      the payload hashes to the given payload hash and has the length that the header names
    HASH         the record hash follows from header and payload hash
    AUTHOR       the key was enrolled at some time for an author, a site or an officer, and the header names the same key as the submission
    SIGNATURE    path and signatures lead from the record hash to that key, and to its companion where it has one
    CHECKPOINT   a quorum of the receipt set that is in force at its size cosigned the checkpoint, and it is of this ledger
    INCLUSION    the record stands at its position in the checkpoint's tree
    CONSISTENCY  the newer checkpoint extends the older one
    FACT_CHAIN   each version names the one before it, the oldest names none
    SUBJECT_CHAIN  the links of a subject's records follow from each other, none is left out between them

Keys are those that governance ever enrolled, as far as the client has followed it (`governing/`): what stands stays verifiable after its key was revoked.

Pure: values in, findings out. A finding says in words why; it quotes hashes and positions and nothing of a person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from sento_client.trust import Trust
from sento_proto import header as header_layout
from sento_proto.chain import FIRST_LINK, next_link
from sento_proto.checkpoint import Checkpoint, cosigners
from sento_proto.governance.acts import OFFICERS_AUTHOR
from sento_proto.header import ZERO32, Header
from sento_proto.merkle import verify_consistency, verify_inclusion
from sento_proto.record import record_hash_of
from sento_proto.record_object import NotShown, SubmissionPath, author_of
from sento_proto.wire import Malformed


class Check(StrEnum):
    """The rules by name."""

    FORM = "form"
    ASKED_FOR = "asked for"
    PAYLOAD = "payload"
    HASH = "hash"
    AUTHOR = "author"
    SIGNATURE = "signature"
    CHECKPOINT = "checkpoint"
    INCLUSION = "inclusion"
    CONSISTENCY = "consistency"
    FACT_CHAIN = "fact chain"
    SUBJECT_CHAIN = "subject chain"


class Verdict(StrEnum):
    """How a check ended. NOT_SHOWN: what it needs was not given out, as with an erased payload; nothing speaks against the record."""

    HOLDS = "holds"
    FAILS = "fails"
    NOT_SHOWN = "not shown"


class Finding(NamedTuple):
    """One check, its verdict, and why in words."""

    check: Check
    verdict: Verdict
    why: str


class Findings(tuple[Finding, ...]):
    """What the checks found, in their order."""

    __slots__ = ()

    @property
    def ok(self) -> bool:
        """Whether nothing fails."""
        return all(finding.verdict is not Verdict.FAILS for finding in self)

    @property
    def why(self) -> str:
        """The first failure in words; empty when there is none."""
        return next((f"{f.check}: {f.why}" for f in self if f.verdict is Verdict.FAILS), "")


class Stored(NamedTuple):
    """A record as a site gave it out; nothing in it is believed yet."""

    position: int
    header_bytes: bytes
    payload: bytes
    payload_hash: bytes
    record_hash: bytes
    link: bytes
    previous_of_subject: int | None
    payload_withheld: bool
    submission: SubmissionPath
    hidden: bool = False
    """In a compartment that this institution may not see: only position, record hash and the chain's link are there."""


class Inclusion(NamedTuple):
    """A path from a position to the root of a checkpoint's tree."""

    position: int
    record_hash: bytes
    path: tuple[bytes, ...]


class Asked(NamedTuple):
    """What the reader asked for; None where it did not say."""

    position: int | None = None
    record_hash: bytes | None = None
    author: str | None = None
    record_id: bytes | None = None
    registry: str | None = None
    subject: bytes | None = None
    fact: bytes | None = None


def check_record(stored: Stored, trust: Trust, asked: Asked | None = None) -> tuple[Header | None, Findings]:
    """Form, what was asked for, payload, hash, author, signature. The header is None when it is not in form."""
    try:
        header = header_layout.decode(stored.header_bytes)
    except Malformed as error:
        return None, Findings([_fails(Check.FORM, str(error))])
    findings = [_finding(Check.FORM, True, "the header is well formed", "")]
    if asked is not None:
        findings.append(_check_asked(stored, header, trust, asked))
    findings.append(_check_payload(stored, header))
    findings.append(
        _finding(
            Check.HASH,
            record_hash_of(stored.header_bytes, stored.payload_hash) == stored.record_hash,
            "the record hash covers header and payload hash",
            "the record hash is not that of header and payload hash",
        )
    )
    findings += _check_signature(stored, header, trust)
    return header, Findings(findings)


def _check_asked(stored: Stored, header: Header, trust: Trust, asked: Asked) -> Finding:
    pairs = (
        ("position", asked.position, stored.position),
        ("record hash", asked.record_hash, stored.record_hash),
        ("author", asked.author, trust.author_name(header.author_key_id)),
        ("record id", asked.record_id, header.record_id),
        ("registry", asked.registry, header.registry),
        ("subject", asked.subject, header.subject),
        ("fact", asked.fact, header.fact),
    )
    other = [name for name, wanted, given in pairs if wanted is not None and wanted != given]
    return _finding(
        Check.ASKED_FOR, not other, "it is the one asked for", f"it has another {', '.join(other)}"
    )


def _check_payload(stored: Stored, header: Header) -> Finding:
    if not stored.payload and header.payload_bytes:
        held_back = "held back by the site" if stored.payload_withheld else "not given out"
        return Finding(Check.PAYLOAD, Verdict.NOT_SHOWN, f"the payload is {held_back}")
    same = hashlib.sha256(stored.payload).digest() == stored.payload_hash
    return _finding(
        Check.PAYLOAD,
        same and len(stored.payload) == header.payload_bytes,
        "the payload is the one that was hashed",
        "the payload is not the one that was hashed",
    )


def _check_signature(stored: Stored, header: Header, trust: Trust) -> list[Finding]:
    submission = stored.submission
    try:
        author = author_of(trust.governance, header, stored.record_hash, submission)
    except NotShown as error:
        known = trust.signer(submission.author_key_id)
        refused = [_fails(Check(error.check), error.why)]
        if error.check == Check.AUTHOR or known is None:
            return refused
        return [_finding(Check.AUTHOR, True, f"{known[0]} has this key", ""), *refused]
    if author == OFFICERS_AUTHOR:
        return [
            _finding(Check.AUTHOR, True, "officers signed it", ""),
            _finding(
                Check.SIGNATURE,
                True,
                f"{len(submission.officers)} signatures of officers are over this act",
                "",
            ),
        ]
    return [
        _finding(Check.AUTHOR, True, f"{author} has this key", ""),
        _finding(Check.SIGNATURE, True, f"{author} signed the submission that holds it", ""),
    ]


def check_checkpoint(checkpoint: Checkpoint, trust: Trust) -> Finding:
    """Whether a receipt-set quorum cosigned it, for this ledger."""
    if checkpoint.ledger_id != trust.ledger_id:
        return _fails(Check.CHECKPOINT, "it is of another ledger")
    wanted = trust.governance.receipt_quorum_at(checkpoint.size)
    sites = cosigners(checkpoint, wanted.keys)
    words = f"{len(sites)} of {len(wanted.keys)} sites cosigned size {checkpoint.size}"
    return _finding(
        Check.CHECKPOINT, len(sites) >= wanted.quorum, words, f"{words}; {wanted.quorum} are needed"
    )


def check_inclusion(stored: Stored, inclusion: Inclusion, checkpoint: Checkpoint) -> Finding:
    """Whether the record stands at its position in the tree of the checkpoint, which must have been checked."""
    holds = inclusion.position == stored.position and verify_inclusion(
        stored.record_hash, stored.position, checkpoint.size, inclusion.path, checkpoint.root
    )
    return _finding(
        Check.INCLUSION,
        holds,
        f"position {stored.position} of the tree of size {checkpoint.size}",
        f"it is not shown to stand at position {stored.position} of the tree of size {checkpoint.size}",
    )


def check_consistency(older: Checkpoint, newer: Checkpoint, proof: Sequence[bytes]) -> Finding:
    """Whether the newer tree extends the older; both checkpoints must have been checked."""
    if newer.size < older.size:
        why = f"size {newer.size} is smaller than {older.size}, which was seen before"
        return _fails(Check.CONSISTENCY, why)
    if newer.epoch < older.epoch:
        return _fails(
            Check.CONSISTENCY, f"epoch {newer.epoch} is before {older.epoch}, which was seen before"
        )
    return _finding(
        Check.CONSISTENCY,
        verify_consistency(older.size, older.root, newer.size, newer.root, proof),
        f"size {newer.size} extends size {older.size}",
        f"size {newer.size} does not extend size {older.size}: one of the two histories is false",
    )


def check_hidden(stored: Stored) -> Finding:
    """A hidden entry shows nothing but its place in the chain: whatever else came with it was not asked for and is not believed."""
    bare = not (stored.header_bytes or stored.payload or stored.payload_hash)
    return _finding(
        Check.FORM, bare, "the record is hidden from this institution", "a hidden record shows its header"
    )


def check_fact_chain(newest_first: Iterable[tuple[Stored, Header | None]], *, complete: bool) -> Finding:
    """Whether the versions follow each other; with `complete` the oldest one must be the first. What a hidden version (header None) follows cannot be told."""
    wanted: bytes | None = None
    count = 0
    for stored, header in newest_first:
        if wanted is not None and stored.record_hash != wanted:
            return _fails(
                Check.FACT_CHAIN, f"the version before position {stored.position} is not the one named"
            )
        wanted = None if header is None else header.previous
        count += 1
    if complete and wanted not in (None, ZERO32):
        return _fails(Check.FACT_CHAIN, "the oldest version given follows one that was not given")
    return _finding(Check.FACT_CHAIN, True, f"{count} versions follow each other", "")


def check_subject_chain(newest_first: Iterable[Stored], *, complete: bool) -> Finding:
    """Whether no record about the subject is left out between those given; with `complete`, nor before the oldest."""
    newer: Stored | None = None
    count = 0
    for stored in newest_first:
        if newer is not None and not _links(stored, newer):
            why = f"between positions {stored.position} and {newer.position} a link does not fit"
            return _fails(Check.SUBJECT_CHAIN, why)
        newer = stored
        count += 1
    if complete and newer is not None and not _is_first(newer):
        return _fails(Check.SUBJECT_CHAIN, f"position {newer.position} is not the subject's first record")
    return _finding(Check.SUBJECT_CHAIN, True, f"{count} records in an unbroken chain", "")


def _links(older: Stored, newer: Stored) -> bool:
    fits = newer.link == next_link(older.link, newer.record_hash)
    return fits and newer.previous_of_subject == older.position


def _is_first(stored: Stored) -> bool:
    return stored.previous_of_subject is None and stored.link == next_link(FIRST_LINK, stored.record_hash)


def _finding(check: Check, holds: bool, why: str, why_not: str) -> Finding:
    return Finding(check, Verdict.HOLDS, why) if holds else Finding(check, Verdict.FAILS, why_not)


def _fails(check: Check, why: str) -> Finding:
    return Finding(check, Verdict.FAILS, why)
