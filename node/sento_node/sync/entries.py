"""Blocks between a ledger and the wire of the sync service: KeptBlock to BlockEntry, BlockEntry to OfferedBlock.

The form is strict in one direction only: what arrives is an offer, and `ledger/adopt.py` proves it; here it is merely bounded and typed.
"""

from __future__ import annotations

from collections.abc import Iterable

from sento_node.ledger.adopt import OfferedBlock, OfferedRecord, OfferedSubmission
from sento_node.ledger.results import NOWHERE, SubmissionResult
from sento_node.ledger.store import KeptBlock, KeptRecord
from sento_proto import limits
from sento_proto.errors import Code
from sento_proto.keys import Signature
from sento_proto.submission import OfficerSignature
from sento_proto.v1 import common_pb2, sync_pb2
from sento_proto.wire import Malformed


def encode_block_entry(block: KeptBlock, records: dict[int, KeptRecord]) -> sync_pb2.BlockEntry:
    """A kept block with its standing records by position; of a payload that is not here, its hash stands in."""
    return sync_pb2.BlockEntry(
        number=block.number,
        revision=block.revision,
        lane=block.lane,
        seq=block.seq,
        site=block.site,
        size_before=block.size_before,
        refusal=block.refusal or 0,
        submissions=[_encode_submission(submission, records) for submission in block.submissions],
    )


def _encode_submission(
    submission: SubmissionResult, records: dict[int, KeptRecord]
) -> sync_pb2.SubmissionEntry:
    entry = sync_pb2.SubmissionEntry(refusal=submission.refusal or 0, author_key_id=submission.author_key_id)
    for signature in submission.signatures:
        entry.signatures.append(common_pb2.SignatureFrame(suite=signature.suite, data=signature.data))
    entry.epoch = submission.epoch
    entry.officers.extend(officer_frames(submission.officers))
    for outcome in submission.outcomes:
        item = entry.records.add(record_hash=outcome.record_hash, code=outcome.code)
        if outcome.position != NOWHERE:
            item.position = outcome.position
        if outcome.code is Code.ACCEPTED:
            record = records[outcome.position]
            item.header, item.payload_hash = record.header_bytes, record.payload_hash
            item.payload, item.payload_absent = record.payload or b"", record.payload is None
    return entry


def officer_frames(officers: Iterable[OfficerSignature]) -> list[common_pb2.OfficerFrame]:
    """The signatures under an act as messages."""
    return [
        common_pb2.OfficerFrame(
            officer_key_id=key_id,
            signature=common_pb2.SignatureFrame(suite=signature.suite, data=signature.data),
        )
        for key_id, signature in officers
    ]


def _code(number: int) -> Code:
    try:
        return Code(number)
    except ValueError:
        raise Malformed(f"block entry: code {number} is not known to this release") from None


def decode_block_entry(entry: sync_pb2.BlockEntry) -> OfferedBlock:
    """A block as offered by a peer. Raises Malformed."""
    if len(entry.submissions) > limits.BLOCK_MAX_SUBMISSIONS:
        raise Malformed(f"block entry: over {limits.BLOCK_MAX_SUBMISSIONS} submissions")
    return OfferedBlock(
        number=entry.number,
        revision=entry.revision,
        lane=entry.lane,
        seq=entry.seq,
        site=entry.site,
        size_before=entry.size_before,
        refusal=_code(entry.refusal) if entry.refusal else None,
        submissions=tuple(_decode_submission(submission) for submission in entry.submissions),
    )


def _decode_submission(entry: sync_pb2.SubmissionEntry) -> OfferedSubmission:
    if (
        len(entry.records) > limits.SUBMISSION_MAX_RECORDS
        or len(entry.signatures) + len(entry.officers) > limits.SUBMISSION_MAX_SIGNATURES
    ):
        raise Malformed("block entry: a submission with too many records or signatures")
    records = tuple(
        OfferedRecord(
            item.record_hash,
            _code(item.code),
            item.position,
            item.header,
            item.payload,
            item.payload_hash if item.payload_absent else b"",
        )
        for item in entry.records
    )
    signatures = tuple(Signature(frame.suite, frame.data) for frame in entry.signatures)
    officers = tuple(
        OfficerSignature(frame.officer_key_id, Signature(frame.signature.suite, frame.signature.data))
        for frame in entry.officers
    )
    return OfferedSubmission(
        _code(entry.refusal) if entry.refusal else None,
        entry.author_key_id,
        signatures,
        records,
        officers,
        entry.epoch,
    )
