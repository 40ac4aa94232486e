"""Rows: what stands in the ledger's database under each key, byte for byte, and the strict way back.

    record row  key u64 position   u8 1 || u64 position || u64 block || u16 submission || u16 nth || u64 previous of subject
                                   || u64 previous of fact || link 32 || payload hash 32 || locator || u32 len(header)
                                   || u8 len, author || header || u32 check
    locator                        u8 kind (0 no payload, 1 stored, 2 erased, 3 awaited) || u32 segment || u32 offset || u32 length
    block row   key u64 number     u8 1 || u64 number || u64 revision || u64 seq || u64 size before || u32 standing || u8 refusal || u16 len, lane
                                   || u8 len, site || u32 m || m x submission || u32 check
    submission                     u8 refusal, and when it is 0: author key id 16 || u8 s || s x signature frame || u32 n || n x outcome
    act                            as a submission whose author key id is zeros: || u32 epoch || u8 k || k x (officer key id 16 || signature frame) || u32 n ...
    outcome                        u8 code || (u64 position when the record stands, else its hash 32)
    index rows  key name || 0 || id, or a record hash; value u64 position
    tip                            u32 epoch || u64 block || u64 revision || u64 size || u8 n, n x hash 32
    checkpoint  key u64 size       u64 block || note || 0 || u32 check (none of both in rows of releases before 0.5)
    segment     key u32 number     u32 end, the first byte of the file that no record names; while its entries move elsewhere || u32 bytes gone
    remembered  key name           value; and under "check" || 0 || name its u32 check
    awaited     key "awaited" || 0 || u64 position, without value: a record whose payload is to come from another site

All big-endian, so that the database's order of keys is the order of positions. A row names its own position or number, and `check` is CRC-32 over all before
it: a disk's error, and a row under another's key, are found at the first reading; what stands against forgery are record hash, tree and signatures. A record
hash is not stored in a row: it is made from the header and the payload hash, and the tree's tiles say what it must be.
"""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

from sento_node.ledger.results import NOWHERE, BlockResult, RecordOutcome, StandingRecord, SubmissionResult
from sento_node.ledger.state import Tip
from sento_node.ledger.store import KeptBlock, KeptCheckpoint, KeptRecord
from sento_proto import limits
from sento_proto.errors import STANDING_CODES, Code
from sento_proto.header import ZERO16
from sento_proto.keys import KEY_ID_BYTES, Signature
from sento_proto.merkle import HASH_BYTES
from sento_proto.record import PAYLOAD_HASH_OF_NOTHING
from sento_proto.submission import OfficerSignature, decode_signature, encode_signature
from sento_proto.wire import Malformed, Reader, sized16, u8, u32, u64

FORMAT_ROW = 1
NO_PAYLOAD, STORED, ERASED, AWAITED = 0, 1, 2, 3
"""Kinds of locators. An erased payload names its segment until that file is emptied; after that, and for an awaited one, segment and offset are 0."""
POSITIONS_PER_READ = 256
"""Rows that one short read transaction looks at by position."""
AWAITED_PREFIX = b"awaited\0"
REMEMBERED_CHECK_PREFIX = b"check\0"

_FIXED = struct.Struct(">BQQHHQQ32s32sBIIII")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_BLOCK_FIXED = struct.Struct(">BQQQQIB")
_TIP_FIXED = struct.Struct(">IQQQ")
_STANDING_OUTCOME = struct.Struct(">BQ")
_CODES = {int(code): code for code in Code}


class Locator(NamedTuple):
    """Where a record's payload lies: the entry's frame begins at `offset` of segment file `segment`; `length` is the payload's, in bytes."""

    kind: int
    segment: int
    offset: int
    length: int


POSITION_MAX = (1 << 63) - 1
"""What is asked for beyond it stands in no ledger."""
WITHOUT_PAYLOAD = Locator(NO_PAYLOAD, 0, 0, 0)


class RecordRow(NamedTuple):
    """A decoded record row."""

    block: int
    submission: int
    nth: int
    previous_of_subject: int
    previous_of_fact: int
    link: bytes
    payload_hash: bytes
    locator: Locator
    author: str
    header_bytes: bytes

    def kept(self, position: int, record_hash: bytes, payload: bytes | None) -> KeptRecord:
        """The record that the row at `position` tells of."""
        kind = self.locator.kind
        return KeptRecord(
            position, self.header_bytes, self.payload_hash, record_hash, self.link, self.previous_of_subject,
            self.previous_of_fact, self.block, self.submission, self.nth, self.author, payload,
            kind == ERASED, kind == AWAITED,
        )  # fmt: skip


position_key = _U64.pack
"""The key of a position, a block number or a checkpoint's size."""


def number_of(data: bytes) -> int:
    """The position in an index row, or the number in a key. Raises Malformed."""
    if len(data) != _U64.size:
        raise Malformed("row: a number does not have 8 bytes")
    return int(_U64.unpack(data)[0])


@functools.lru_cache(maxsize=4096)
def name_prefix(name: str) -> bytes:
    """What the keys of one author or one registry begin with: neither contains a zero byte."""
    return name.encode("ascii") + b"\0"


def named_key(name: str, identifier: bytes) -> bytes:
    """The key of (author, record id), (registry, fact) or (registry, subject)."""
    return name_prefix(name) + identifier


def tile_key(level: int, index: int) -> bytes:
    """The key of the tile `index` in tile level `level`."""
    return u8(level) + _U64.pack(index)


def _checked(body: bytes) -> bytes:
    return body + _U32.pack(zlib.crc32(body))


def _body(row: bytes, what: str) -> bytes:
    body = row[:-4]
    if len(row) < 4 or _U32.pack(zlib.crc32(body)) != row[-4:]:
        raise Malformed(f"{what}: the row's bytes are not the ones that were written")
    return body


def _check_own(what: str, form: int, named: int, asked: int) -> None:
    if form != FORMAT_ROW:
        raise Malformed(f"{what}: unknown format {form}")
    if named != asked:
        raise Malformed(f"{what}: the row is number {named}'s")


@functools.lru_cache(maxsize=1024)
def _author_field(author: str) -> bytes:
    data = author.encode("ascii")
    return u8(len(data)) + data


def encode_record_row(item: StandingRecord, block: int, locator: Locator) -> bytes:
    """The row of a record that stands."""
    record = item.record
    fixed = _FIXED.pack(
        FORMAT_ROW, item.position, block, item.submission, item.nth, item.previous_of_subject, item.previous_of_fact,
        item.link, record.payload_hash, *locator, len(record.header_bytes),
    )  # fmt: skip
    return _checked(fixed + _author_field(item.author) + record.header_bytes)


def with_locator(position: int, row: RecordRow, locator: Locator) -> bytes:
    """The row at `position` anew, with its payload in another place."""
    fixed = _FIXED.pack(
        FORMAT_ROW, position, row.block, row.submission, row.nth, row.previous_of_subject, row.previous_of_fact,
        row.link, row.payload_hash, *locator, len(row.header_bytes),
    )  # fmt: skip
    return _checked(fixed + _author_field(row.author) + row.header_bytes)


def locator_without_bytes(payload_hash: bytes, length: int, *, destroyed: bool) -> Locator:
    """Where the payload lies of a record that came without bytes: nowhere, because it has none, because an order had it destroyed, or not yet."""
    if payload_hash == PAYLOAD_HASH_OF_NOTHING:
        return WITHOUT_PAYLOAD
    return Locator(ERASED if destroyed else AWAITED, 0, 0, length)


def awaited_key(position: int) -> bytes:
    """The key that says that the payload at a position is awaited."""
    return AWAITED_PREFIX + _U64.pack(position)


def awaited_position(key: bytes) -> int:
    """The position in such a key. Raises Malformed."""
    return number_of(key.removeprefix(AWAITED_PREFIX))


def locator_in_doubt(row: bytes) -> Locator | None:
    """Where a row whose check fails says that the payload lies: a guess to be proven by the payload's hash. None when there is no telling."""
    return Locator._make(_FIXED.unpack_from(row)[9:13]) if len(row) >= _FIXED.size else None


def decode_record_row(position: int, row: bytes) -> RecordRow:
    """The row under `position`. Raises Malformed."""
    body = _body(row, "record row")
    if len(body) <= _FIXED.size:
        raise Malformed("record row: ends inside the fixed part")
    fixed = _FIXED.unpack_from(body)
    _check_own("record row", fixed[0], fixed[1], position)
    locator = Locator._make(fixed[9:13])
    _check_locator(locator, fixed[8])
    header_at = _FIXED.size + 1 + body[_FIXED.size]
    author, header_bytes = _author_of(body[_FIXED.size + 1 : header_at]), body[header_at:]
    if header_at > len(body) or len(header_bytes) != fixed[13]:
        raise Malformed("record row: author or header is not as long as it says")
    return RecordRow._make((*fixed[2:9], locator, author, header_bytes))


@functools.lru_cache(maxsize=1024)
def _author_of(field: bytes) -> str:
    return _ascii(field, "author")


def _check_locator(locator: Locator, payload_hash: bytes) -> None:
    if locator.kind == NO_PAYLOAD:
        if locator != WITHOUT_PAYLOAD or payload_hash != PAYLOAD_HASH_OF_NOTHING:
            raise Malformed("record row: a record without payload has a place or a hash of one")
    elif locator.kind not in (STORED, ERASED, AWAITED):
        raise Malformed(f"record row: unknown kind of locator {locator.kind}")
    elif locator.kind == AWAITED and (locator.segment or locator.offset):
        raise Malformed("record row: an awaited payload has a place")
    elif not 0 < locator.length <= limits.PAYLOAD_MAX_BYTES:
        raise Malformed("record row: the payload's length is out of bounds")


def _ascii(data: bytes, field: str) -> str:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise Malformed(f"row: {field} is not ASCII") from None


def encode_block_row(block: BlockResult | KeptBlock) -> bytes:
    """The row of a block. Hashes of records that stand are left out: the tree's tiles hold them."""
    parts = [
        _BLOCK_FIXED.pack(
            FORMAT_ROW,
            block.number,
            block.revision,
            block.seq,
            block.size_before,
            block.size_after - block.size_before,
            block.refusal or 0,
        ),
        sized16(block.lane.encode("utf-8")),
        _author_field(block.site),
        _U32.pack(len(block.submissions)),
    ]
    for submission in block.submissions:
        _encode_submission(parts, submission)
    return _checked(b"".join(parts))


def _encode_submission(parts: list[bytes], submission: SubmissionResult) -> None:
    parts.append(u8(submission.refusal or 0))
    if submission.refusal is not None:
        return
    parts.append(submission.author_key_id)
    if submission.author_key_id == ZERO16:
        parts.append(_U32.pack(submission.epoch) + u8(len(submission.officers)))
        parts.extend(key_id + encode_signature(signature) for key_id, signature in submission.officers)
    else:
        parts.append(u8(len(submission.signatures)))
        parts.extend(encode_signature(signature) for signature in submission.signatures)
    parts.append(_U32.pack(len(submission.outcomes)))
    pack = _STANDING_OUTCOME.pack
    parts.extend(
        u8(code) + record_hash if position == NOWHERE else pack(code, position)
        for record_hash, code, position in submission.outcomes
    )


def decode_block_row(number: int, row: bytes, hash_at: Callable[[int], bytes]) -> KeptBlock:
    """The block under `number`; `hash_at` gives the record hash at a position. Raises Malformed, and what `hash_at` raises."""
    reader = Reader(_body(row, "block row"), "block row")
    form, named, revision, seq, size_before, standing, refusal = _BLOCK_FIXED.unpack(
        reader.take(_BLOCK_FIXED.size, "fixed part")
    )
    _check_own("block row", form, named, number)
    try:
        lane = reader.sized16("lane", 0xFFFF).decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("block row: lane is not UTF-8") from None
    site = _ascii(reader.take(reader.u8("site length"), "site"), "site")
    submissions = tuple(
        _decode_submission(reader, hash_at) for _ in range(_count(reader, limits.BLOCK_MAX_SUBMISSIONS))
    )
    reader.end()
    return KeptBlock(
        number, revision, lane, seq, site, size_before, size_before + standing, _refusal(refusal), submissions
    )


def _count(reader: Reader, most: int) -> int:
    count = reader.u32("count")
    if count > most:
        raise Malformed(f"{reader.what}: {count} entries, over the limit of {most}")
    return count


def _code(value: int) -> Code:
    code = _CODES.get(value)
    if code is None:
        raise Malformed(f"row: unknown code {value}")
    return code


def _refusal(value: int) -> Code | None:
    return None if value == 0 else _code(value)


def _decode_submission(reader: Reader, hash_at: Callable[[int], bytes]) -> SubmissionResult:
    refusal = _refusal(reader.u8("refusal"))
    if refusal is not None:
        return SubmissionResult(refusal, b"", (), ())
    author_key_id = reader.take(KEY_ID_BYTES, "author key id")
    signatures: list[Signature] = []
    officers: list[OfficerSignature] = []
    is_act = author_key_id == ZERO16
    epoch = reader.u32("epoch") if is_act else 0
    for _ in range(reader.u8("signature count")):
        if is_act:
            officer_key_id = reader.take(KEY_ID_BYTES, "officer key id")
            officers.append(OfficerSignature(officer_key_id, decode_signature(reader)))
        else:
            signatures.append(decode_signature(reader))
    outcomes = tuple(
        _decode_outcome(reader, hash_at) for _ in range(_count(reader, limits.SUBMISSION_MAX_RECORDS))
    )
    return SubmissionResult(None, author_key_id, tuple(signatures), outcomes, tuple(officers), epoch)


def _decode_outcome(reader: Reader, hash_at: Callable[[int], bytes]) -> RecordOutcome:
    code = _code(reader.u8("outcome"))
    if code in STANDING_CODES:
        position = reader.u64("position")
        return RecordOutcome(hash_at(position), code, position)
    return RecordOutcome(reader.take(HASH_BYTES, "record hash"), code, NOWHERE)


def encode_tip(tip: Tip) -> bytes:
    """How far the ledger goes."""
    fixed = _TIP_FIXED.pack(tip.epoch, tip.block, tip.revision, tip.size)
    return fixed + u8(len(tip.frontier)) + b"".join(tip.frontier)


def decode_tip(data: bytes) -> Tip:
    """The tip in `data`. Raises Malformed."""
    reader = Reader(data, "tip")
    epoch, block, revision, size = _TIP_FIXED.unpack(reader.take(_TIP_FIXED.size, "fixed part"))
    count = reader.u8("count of frontier hashes")
    if count != size.bit_count():
        raise Malformed("tip: the frontier does not have one hash for each set bit of the size")
    frontier = tuple(reader.take(HASH_BYTES, "frontier") for _ in range(count))
    reader.end()
    return Tip(epoch, block, revision, size, frontier)


def encode_checkpoint_row(checkpoint: KeptCheckpoint) -> bytes:
    """The row under a checkpoint's size."""
    return _checked(u64(checkpoint.block) + checkpoint.note + b"\0")


def decode_checkpoint_row(key: bytes, row: bytes) -> KeptCheckpoint:
    """The checkpoint under a size. Raises Malformed."""
    if len(row) < _U64.size:
        raise Malformed("checkpoint row: ends inside the block number")
    body = _body(row, "checkpoint row")[:-1] if row[-5:-4] == b"\0" else row
    return KeptCheckpoint(number_of(key), number_of(body[:8]), body[8:])


def remembered_check_key(name: bytes) -> bytes:
    """The key under which the check of a remembered fact stands."""
    return REMEMBERED_CHECK_PREFIX + name


def remembered_check(name: bytes, value: bytes) -> bytes:
    """CRC-32 over a remembered fact's name and value."""
    return _U32.pack(zlib.crc32(name + b"\0" + value))


def segment_key(number: int) -> bytes:
    """The key of a segment file's account."""
    return u32(number)


class SegmentAccount(NamedTuple):
    """What the database says of a segment file: its end, and how many bytes of entries before it have moved elsewhere."""

    number: int
    end: int
    gone_bytes: int


def encode_segment_row(end: int, gone_bytes: int = 0) -> bytes:
    """The account of a segment file that ends there, in bytes."""
    return u32(end) + (u32(gone_bytes) if gone_bytes else b"")


def decode_segment_account(key: bytes, row: bytes) -> SegmentAccount:
    """The account under a segment's number. Raises Malformed."""
    if len(key) != 4 or len(row) not in (4, 8):
        raise Malformed("segment row: key and end must have 4 bytes each, and bytes gone 4 more")
    gone = int(_U32.unpack(row[4:])[0]) if len(row) == 8 else 0
    return SegmentAccount(int(_U32.unpack(key)[0]), int(_U32.unpack(row[:4])[0]), gone)


def decode_segment_row(key: bytes, row: bytes) -> tuple[int, int]:
    """(segment number, its end in bytes). Raises Malformed."""
    account = decode_segment_account(key, row)
    return account.number, account.end
