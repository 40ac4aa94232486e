"""The limits nest: what is full at one level fits the next."""

from __future__ import annotations

from golden_vectors.accepted_frames import full_submission_records
from golden_vectors.ground import AUTHOR, LEDGER_ID, SITES
from sento_proto import limits
from sento_proto.block import FRAME_MAX_BYTES, Lane, decode_block, sign_block
from sento_proto.checkpoint import Checkpoint, NoteSignature, decode_checkpoint, encode_checkpoint
from sento_proto.errors import TABLE, Code
from sento_proto.header import FIXED_BYTES
from sento_proto.keys import SIGNATURE_MAX_BYTES, Signature
from sento_proto.sealing import payload_bytes_for
from sento_proto.submission import decode_submission, encode_submission


def test_a_submission_full_of_records_and_signatures_fits_one_block() -> None:
    records = full_submission_records()
    key_id = AUTHOR.public_key.key_id
    signatures = [Signature(1, bytes(64)), Signature(3, bytes(SIGNATURE_MAX_BYTES))]
    rest = limits.SUBMISSION_SIGNATURES_MAX_BYTES - sum(3 + len(signature.data) for signature in signatures)
    signatures.append(Signature(4, bytes(rest - 3)))
    submission = encode_submission(LEDGER_ID, key_id, records, signatures)
    assert len(decode_submission(submission).signatures) == 3
    lane = Lane("a" * 32, 10**12 - 1, 99)
    block = sign_block(LEDGER_ID, 2**32 - 1, lane, 2**64 - 1, [submission], SITES["jp-fukuoka"])
    assert len(block) <= limits.BLOCK_MAX_BYTES
    assert decode_block(block).submissions == (submission,)


def test_the_frame_bounds_are_true() -> None:
    lane = Lane("a" * 32, 10**12 - 1, 99)
    empty = sign_block(LEDGER_ID, 1, lane, 1, [], SITES["jp-fukuoka"])
    assert len(empty) <= FRAME_MAX_BYTES
    assert len(str(lane)) <= limits.LANE_MAX_BYTES
    assert limits.SUBMISSION_MAX_BYTES + 4 + FRAME_MAX_BYTES <= limits.BLOCK_MAX_BYTES
    assert limits.BLOCK_MAX_BYTES <= limits.BLOCK_DECODE_MAX_BYTES < limits.GRPC_MESSAGE_MAX_BYTES


def test_the_largest_content_with_all_tags_fits_payload_and_submission() -> None:
    payload_bytes = payload_bytes_for(limits.CONTENT_OF_PAYLOAD_MAX_BYTES, limits.TAGS_MAX)
    assert payload_bytes <= limits.PAYLOAD_MAX_BYTES
    longest_header = FIXED_BYTES + 3 * (1 + limits.NAME_MAX_BYTES) + 4
    assert longest_header <= limits.HEADER_MAX_BYTES
    record = 8 + limits.HEADER_MAX_BYTES + limits.CONTENT_MAX_BYTES + limits.PAYLOAD_MAX_BYTES
    assert record <= limits.SUBMISSION_RECORDS_MAX_BYTES


def test_as_many_records_as_fit_by_size_are_fewer_than_the_count_allows() -> None:
    smallest_record = 8 + FIXED_BYTES + 3 + 2 + 4
    assert limits.SUBMISSION_RECORDS_MAX_BYTES // smallest_record < limits.SUBMISSION_MAX_RECORDS


def test_a_checkpoint_under_all_its_signature_lines_is_within_its_limit() -> None:
    lines = tuple(
        NoteSignature(f"{n:032d}", bytes(4), bytes(72)) for n in range(limits.CHECKPOINT_MAX_SIGNATURES)
    )
    checkpoint = Checkpoint(LEDGER_ID, 2**32 - 1, 10**19 - 1, bytes(32), lines)
    assert decode_checkpoint(encode_checkpoint(checkpoint)) == checkpoint


def test_the_remedy_of_too_large_names_the_true_limits() -> None:
    remedy = TABLE[Code.TOO_LARGE].remedy
    assert f"{limits.SUBMISSION_RECORDS_MAX_BYTES // limits.KIB} KiB of records" in remedy
    largest_class = limits.CONTENT_OF_PAYLOAD_MAX_BYTES + limits.PLAINTEXT_LENGTH_BYTES
    assert f"{largest_class // limits.KIB} KiB of content" in remedy
