"""Blocks between a ledger and what travels: KeptBlock to BlockEntry, BlockEntry and chunk to OfferedBlock.

The form is strict in one direction only: what arrives is an offer, and `ledger/adopt.py` proves it; here it is merely bounded and typed.

In a spine (`sento_proto/chunk.py`) an entry says nothing twice: a payload's hash stands in for the payload, and a standing record has no hash, which follows
from its header and that. So a spine costs a record some 330 bytes, and payloads come beside it or later (`merged`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.protobuf.message import DecodeError

from sento_node.ledger.adopt import OfferedBlock, OfferedRecord, OfferedSubmission
from sento_node.ledger.results import NOWHERE, SubmissionResult
from sento_node.ledger.store import KeptBlock, KeptRecord
from sento_proto import limits
from sento_proto.chunk import Chunk, Kind, decode_entries
from sento_proto.errors import Code
from sento_proto.keys import Signature
from sento_proto.record import PAYLOAD_HASH_OF_NOTHING
from sento_proto.submission import OfficerSignature
from sento_proto.v1 import common_pb2, sync_pb2
from sento_proto.wire import Malformed

_CODES = {int(code): code for code in Code}
_parse = sync_pb2.BlockEntry.FromString
ENTRY_MAX_BYTES = 4 * limits.BLOCK_DECODE_MAX_BYTES
"""A block is at most 256 KiB unpacked, and its entry adds an outcome to each record and signature: beyond this nothing is parsed."""


def encode_block_entry(block: KeptBlock, records: Mapping[int, KeptRecord]) -> sync_pb2.BlockEntry:
    """A kept block with its standing records by position; of a payload that is not here, its hash stands in."""
    return _encode_block(block, records, in_spine=False)


def encode_spine_entry(block: KeptBlock, records: Mapping[int, KeptRecord]) -> bytes:
    """A kept block as a spine has it, serialized. Payloads are not looked at."""
    return _encode_block(block, records, in_spine=True).SerializeToString()


def _encode_block(
    block: KeptBlock, records: Mapping[int, KeptRecord], *, in_spine: bool
) -> sync_pb2.BlockEntry:
    return sync_pb2.BlockEntry(
        number=block.number,
        revision=block.revision,
        lane=block.lane,
        seq=block.seq,
        site=block.site,
        size_before=block.size_before,
        refusal=block.refusal or 0,
        submissions=[_encode_submission(submission, records, in_spine) for submission in block.submissions],
    )


def _encode_submission(
    submission: SubmissionResult, records: Mapping[int, KeptRecord], in_spine: bool
) -> sync_pb2.SubmissionEntry:
    entry = sync_pb2.SubmissionEntry(refusal=submission.refusal or 0, author_key_id=submission.author_key_id)
    for signature in submission.signatures:
        entry.signatures.append(common_pb2.SignatureFrame(suite=signature.suite, data=signature.data))
    entry.epoch = submission.epoch
    entry.officers.extend(officer_frames(submission.officers))
    for outcome in submission.outcomes:
        item = entry.records.add(code=outcome.code)
        if outcome.position != NOWHERE:
            item.position = outcome.position
        if in_spine and outcome.code is Code.ACCEPTED:
            record = records[outcome.position]
            item.header = record.header_bytes
            if record.payload_hash != PAYLOAD_HASH_OF_NOTHING:
                item.payload_hash, item.payload_absent = record.payload_hash, True
            continue
        item.record_hash = outcome.record_hash
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
    code = _CODES.get(number)
    if code is None:
        raise Malformed(f"block entry: code {number} is not known to this release")
    return code


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
    records = tuple(_decode_record(item) for item in entry.records)
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


def _decode_record(item: sync_pb2.RecordEntry) -> OfferedRecord:
    payload_hash = item.payload_hash if item.payload_absent else b""
    return OfferedRecord._make(
        (item.record_hash, _code(item.code), item.position, item.header, item.payload, payload_hash)
    )


def offered_blocks(chunk: Chunk) -> tuple[OfferedBlock, ...]:
    """The blocks that a spine offers, their payloads to come. Raises Malformed, also when they are others than its name says: at the first one that is, because
    a name costs a liar nothing, and a body of small lies unpacks to a thousand times what travelled."""
    name = chunk.name
    if name.kind is not Kind.SPINE:
        raise Malformed("chunk: payloads where a spine is expected")
    blocks: list[OfferedBlock] = []
    for number, data in enumerate(decode_entries(chunk.body), name.after_block + 1):
        block = _parsed(data)
        if block.number != number or number > name.through_block:
            raise Malformed("spine: its blocks are not the ones that its name says")
        blocks.append(block)
    if len(blocks) != name.through_block - name.after_block:
        raise Malformed("spine: its blocks are not the ones that its name says")
    if blocks[0].size_before != name.from_position:
        raise Malformed("spine: its first block does not begin where its name says")
    return tuple(blocks)


def _parsed(data: bytes) -> OfferedBlock:
    if len(data) > ENTRY_MAX_BYTES:
        raise Malformed(f"block entry: over {ENTRY_MAX_BYTES} bytes")
    try:
        return decode_block_entry(_parse(data))
    except DecodeError:
        raise Malformed("block entry: not a message of this kind") from None


def merged(blocks: Iterable[OfferedBlock], payloads: Mapping[int, bytes]) -> tuple[OfferedBlock, ...]:
    """The blocks with these payloads, by position, in their places, so that a ledger takes each record with its payload at once; what is not among them
    stays to come. Nothing is proven here: `adopt` compares each payload with the hash that the author signed."""
    return tuple(
        block._replace(submissions=tuple(_with_payloads(offered, payloads) for offered in block.submissions))
        for block in blocks
    )


def _with_payloads(offered: OfferedSubmission, payloads: Mapping[int, bytes]) -> OfferedSubmission:
    records = [
        OfferedRecord._make((*record[:4], payloads[record.position], record.payload_hash))
        if record.payload_hash and record.position in payloads
        else record
        for record in offered.records
    ]
    return offered._replace(records=tuple(records))
