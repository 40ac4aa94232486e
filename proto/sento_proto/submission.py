"""A submission: records of one registry that one author signs once and sends together; and the officers' act, its sibling.

    submission = u8 1 || ledger id 32 || author key id 16 || u32 n || n x (u32 len || header || u32 len || payload)
                 || u8 s || s x (u8 suite || u16 len || signature)
    signed     = PAE("application/vnd.sento.submission.v1", ledger id || root || u32 n || author key id)
    root       = RFC 6962 tree hash over the n record hashes

    act        = u8 2 || ledger id 32 || u32 epoch || u32 1 || (u32 len || header || u32 len || payload)
                 || u8 k || k x (officer key id 16 || u8 suite || u16 len || signature)
    signed     = PAE("application/vnd.sento.officers-act.v1", ledger id || u32 epoch || record hash), by each officer

One signature covers all records, and each record stays verifiable alone by its path in the small tree. All headers of a submission name its
key id and one registry (an act's header names sixteen zero bytes). Signatures stand in strictly rising order of suite (acts: of officer key id,
so that no officer counts twice): there is one encoding of each submission.

Groups: records that stand or fall together carry one `group` value = SHA-256("sento group v1" || u32 count || record ids in order)[:16].
The value names its members, so that a group split over two submissions is refused by the decoder, without any memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sento_proto import header as header_layout
from sento_proto import limits, merkle
from sento_proto.header import ZERO16
from sento_proto.keys import (
    KEY_ID_BYTES,
    SIGNATURE_MAX_BYTES,
    PublicKey,
    Signature,
    Signer,
    sign_all,
    verifies,
)
from sento_proto.pae import TYPE_OFFICERS_ACT, TYPE_SUBMISSION, pae
from sento_proto.record import Record, record_of
from sento_proto.wire import Malformed, Reader, sized16, sized32, u8, u32

FORMAT_SUBMISSION = 1
FORMAT_ACT = 2
LEDGER_ID_BYTES = 32
_FRAME_BYTES_PER_RECORD = 8


class OfficerSignature(NamedTuple):
    """One officer's signature under an act."""

    officer_key_id: bytes
    signature: Signature


class Submission(NamedTuple):
    """A decoded submission or act. For an act `author_key_id` is sixteen zeros, `officers` is filled and `signatures` empty."""

    format: int
    ledger_id: bytes
    author_key_id: bytes
    epoch: int
    records: tuple[Record, ...]
    signatures: tuple[Signature, ...]
    officers: tuple[OfficerSignature, ...]
    root: bytes

    @property
    def is_act(self) -> bool:
        """Whether officers signed it."""
        return self.format == FORMAT_ACT


def group_value(record_ids: Sequence[bytes]) -> bytes:
    """The `group` field of records that stand or fall together, from their record ids in the order of the submission."""
    return hashlib.sha256(b"sento group v1" + u32(len(record_ids)) + b"".join(record_ids)).digest()[:16]


def signed_bytes(ledger_id: bytes, root: bytes, count: int, author_key_id: bytes) -> bytes:
    """What the author signs."""
    return pae(TYPE_SUBMISSION, ledger_id + root + u32(count) + author_key_id)


def act_signed_bytes(ledger_id: bytes, epoch: int, record_hash: bytes) -> bytes:
    """What each officer signs."""
    return pae(TYPE_OFFICERS_ACT, ledger_id + u32(epoch) + record_hash)


def encoded_record_bytes(record: Record) -> int:
    """How much of a submission's record budget a record takes."""
    return _FRAME_BYTES_PER_RECORD + len(record.header_bytes) + len(record.payload)


def sign_submission(ledger_id: bytes, records: Sequence[Record], signer: Signer) -> bytes:
    """Submission bytes over `records` in this order. Raises Malformed when they do not make one submission, or do not fit one."""
    key_id = signer.public_key.key_id
    root = _check_records(records, key_id)
    _check_sizes(ledger_id, records)
    signatures = sign_all(signer, signed_bytes(ledger_id, root, len(records), key_id))
    return encode_submission(ledger_id, key_id, records, signatures)


def encode_submission(
    ledger_id: bytes, author_key_id: bytes, records: Iterable[Record], signatures: Sequence[Signature]
) -> bytes:
    """Submission bytes from their parts; nothing is verified here."""
    records = tuple(records)
    parts = [u8(FORMAT_SUBMISSION), ledger_id, author_key_id, _encode_records(records), u8(len(signatures))]
    parts += [encode_signature(signature) for signature in signatures]
    return b"".join(parts)


def sign_act(ledger_id: bytes, epoch: int, record: Record, officers: Sequence[Signer]) -> bytes:
    """Act bytes: one record under the signatures of `officers`. Raises Malformed: no officer, or one twice."""
    message = act_signed_bytes(ledger_id, epoch, record.record_hash)
    return encode_act(ledger_id, epoch, record, [sign_as_officer(officer, message) for officer in officers])


def sign_as_officer(officer: Signer, message: bytes) -> OfficerSignature:
    """One officer's signature over `act_signed_bytes`."""
    return OfficerSignature(officer.public_key.key_id, officer.sign(message))


def encode_act(ledger_id: bytes, epoch: int, record: Record, officers: Iterable[OfficerSignature]) -> bytes:
    """Act bytes from their parts, signatures put in order of their key ids; none is verified here. Raises Malformed: no signature, or an officer's twice."""
    _check_records([record], ZERO16)
    _check_sizes(ledger_id, [record])
    signed = sorted(officers)
    parts = [u8(FORMAT_ACT), ledger_id, u32(epoch), _encode_records((record,)), u8(len(signed))]
    parts += [key_id + encode_signature(signature) for key_id, signature in signed]
    data = b"".join(parts)
    decode_submission(data)
    return data


def encode_signature(signature: Signature) -> bytes:
    """u8 suite || u16 len || signature."""
    return u8(signature.suite) + sized16(signature.data)


def _encode_records(records: Sequence[Record]) -> bytes:
    parts = [u32(len(records))]
    for record in records:
        parts += (sized32(record.header_bytes), sized32(record.payload))
    return b"".join(parts)


def decode_submission(data: bytes) -> Submission:
    """The submission or act in `data`, all of it; form only, no signature is verified. Raises Malformed."""
    if len(data) > limits.SUBMISSION_MAX_BYTES:
        raise Malformed(f"submission: over {limits.SUBMISSION_MAX_BYTES} bytes")
    reader = Reader(data, "submission")
    form = reader.u8("format")
    if form not in (FORMAT_SUBMISSION, FORMAT_ACT):
        raise Malformed(f"submission: unknown format {form}")
    ledger_id = reader.take(LEDGER_ID_BYTES, "ledger id")
    author_key_id, epoch = ZERO16, 0
    if form == FORMAT_SUBMISSION:
        author_key_id = reader.take(KEY_ID_BYTES, "author key id")
        if author_key_id == ZERO16:
            raise Malformed("submission: the author key id is empty")
    else:
        epoch = reader.u32("epoch")
    records = _decode_records(reader)
    if form == FORMAT_ACT and len(records) != 1:
        raise Malformed("submission: an act holds exactly one record")
    root = _check_records(records, author_key_id)
    signatures, officers = _decode_signatures(reader, form)
    reader.end()
    return Submission(form, ledger_id, author_key_id, epoch, records, signatures, officers, root)


def _decode_records(reader: Reader) -> tuple[Record, ...]:
    count = reader.u32("record count")
    if count > limits.SUBMISSION_MAX_RECORDS:
        raise Malformed(f"submission: {count} records, over the limit of {limits.SUBMISSION_MAX_RECORDS}")
    start = reader.at
    header_limit = limits.HEADER_MAX_BYTES + limits.CONTENT_MAX_BYTES
    records = []
    for _ in range(count):
        header_bytes, payload = reader.pair_sized32(
            "header", header_limit, "payload", limits.PAYLOAD_MAX_BYTES
        )
        header = header_layout.decode(header_bytes)
        if header.payload_bytes != len(payload):
            raise Malformed("submission: a payload's length is not the one its header names")
        records.append(record_of(header, header_bytes, payload))
    if reader.at - start > limits.SUBMISSION_RECORDS_MAX_BYTES:
        raise Malformed(f"submission: records take more than {limits.SUBMISSION_RECORDS_MAX_BYTES} bytes")
    return tuple(records)


def _decode_signatures(
    reader: Reader, form: int
) -> tuple[tuple[Signature, ...], tuple[OfficerSignature, ...]]:
    count = reader.u8("signature count")
    if not 1 <= count <= limits.SUBMISSION_MAX_SIGNATURES:
        raise Malformed(
            f"submission: {count} signatures; 1 to {limits.SUBMISSION_MAX_SIGNATURES} are allowed"
        )
    start = reader.at
    signatures: list[Signature] = []
    officers: list[OfficerSignature] = []
    last_suite, last_officer = 0, b""
    for _ in range(count):
        officer = reader.take(KEY_ID_BYTES, "officer key id") if form == FORMAT_ACT else b""
        signature = decode_signature(reader)
        rises = officer > last_officer if form == FORMAT_ACT else signature.suite > last_suite
        if not rises:
            raise Malformed("submission: signatures are not in their one order, or one stands twice")
        last_suite, last_officer = signature.suite, officer
        if form == FORMAT_ACT:
            officers.append(OfficerSignature(officer, signature))
        else:
            signatures.append(signature)
    if reader.at - start > limits.SUBMISSION_SIGNATURES_MAX_BYTES:
        raise Malformed(
            f"submission: signatures take more than {limits.SUBMISSION_SIGNATURES_MAX_BYTES} bytes"
        )
    return tuple(signatures), tuple(officers)


def decode_signature(reader: Reader) -> Signature:
    """The signature frame at the reader's place. Raises Malformed."""
    suite = reader.u8("signature suite")
    if suite == 0:
        raise Malformed(f"{reader.what}: signature suite 0 does not exist")
    data = reader.sized16("signature", SIGNATURE_MAX_BYTES)
    if not data:
        raise Malformed(f"{reader.what}: a signature is empty")
    return Signature(suite, data)


def _check_records(records: Sequence[Record], author_key_id: bytes) -> bytes:
    """What must hold between the records of one submission; returns their root."""
    if not records:
        raise Malformed("submission: no record")
    if len(records) > limits.SUBMISSION_MAX_RECORDS:
        raise Malformed(f"submission: over {limits.SUBMISSION_MAX_RECORDS} records")
    registry = records[0].header.registry
    groups: dict[bytes, list[bytes]] = {}
    seen: set[bytes] = set()
    for record in records:
        header = record.header
        if header.author_key_id != author_key_id:
            raise Malformed("submission: a header names another author key than the submission")
        if header.registry != registry:
            raise Malformed("submission: records of more than one registry")
        if header.record_id in seen:
            raise Malformed("submission: a record id stands twice")
        seen.add(header.record_id)
        if header.group != ZERO16:
            groups.setdefault(header.group, []).append(header.record_id)
    for value, record_ids in groups.items():
        if group_value(record_ids) != value:
            raise Malformed("submission: a group is not whole, or not in the order its value names")
    return merkle.root_of(record.record_hash for record in records)


def _check_sizes(ledger_id: bytes, records: Sequence[Record]) -> None:
    """What the decoder would refuse of records that were not decoded but made here."""
    if len(ledger_id) != LEDGER_ID_BYTES:
        raise Malformed("submission: a ledger id has 32 bytes")
    if any(record.header.payload_bytes != len(record.payload) for record in records):
        raise Malformed("submission: a payload's length is not the one its header names")
    if sum(map(encoded_record_bytes, records)) > limits.SUBMISSION_RECORDS_MAX_BYTES:
        raise Malformed(f"submission: records take more than {limits.SUBMISSION_RECORDS_MAX_BYTES} bytes")


def author_signatures_hold(submission: Submission, keys: Sequence[PublicKey]) -> bool:
    """Whether exactly these keys signed the submission, each once, in the order of their suites; the first is the one that the submission names."""
    if submission.is_act or not keys or keys[0].key_id != submission.author_key_id:
        return False
    return signatures_hold(
        submission.ledger_id, submission.root, len(submission.records), keys, submission.signatures
    )


def signatures_hold(
    ledger_id: bytes,
    root: bytes,
    count: int,
    keys: Sequence[PublicKey],
    signatures: Sequence[Signature],
) -> bool:
    """The same for a submission of which only the root is at hand: no signature may be missing, and none may be there that is not asked for."""
    if len(signatures) != len(keys):
        return False
    message = signed_bytes(ledger_id, root, count, keys[0].key_id)
    return all(verifies(key, signature, message) for key, signature in zip(keys, signatures, strict=True))
