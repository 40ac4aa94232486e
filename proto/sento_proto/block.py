"""A block: what the ordering log orders. Submissions that one site took in, under that site's signature.

    block = u8 1 || ledger id 32 || u32 epoch || site key id 16 || u8 len, lane || u64 seq || u32 m || m x (u32 len || submission)
            || u8 suite || u16 len || signature
    signed = PAE("application/vnd.sento.block.v1", SHA-256 of all before the signature frame)

The lane is `<site>/<boot number>/<k>`: a site's life is in the name, so that a proposal of a former life can never take a number of this one.
A block holds submissions as bytes; each is decoded, and stands or falls, for itself. A malformed or wrongly signed block is a numbered no-op.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from sento_proto import limits
from sento_proto.keys import KEY_ID_BYTES, PublicKey, Signature, Signer, verifies
from sento_proto.pae import TYPE_BLOCK, pae
from sento_proto.submission import LEDGER_ID_BYTES, decode_signature, encode_signature
from sento_proto.wire import Malformed, Reader, sized32, u8, u32, u64

FORMAT_BLOCK = 1
FRAME_MAX_BYTES = 1 + 32 + 4 + 16 + 1 + limits.LANE_MAX_BYTES + 8 + 4 + 1 + 2 + 64
"""A block's bytes that are not submissions, for an Ed25519 site key."""
_LANE = re.compile(r"([a-z0-9-]{1,32})/([1-9][0-9]{0,11})/(0|[1-9][0-9]?)")


class Lane(NamedTuple):
    """One queue of one life of one site; `number` counts its lanes from 0."""

    site: str
    boot_number: int
    number: int

    def __str__(self) -> str:
        return f"{self.site}/{self.boot_number}/{self.number}"


class Block(NamedTuple):
    """A decoded block. `signed_hash` is what the signature covers: SHA-256 of the bytes before it."""

    ledger_id: bytes
    epoch: int
    site_key_id: bytes
    lane: Lane
    seq: int
    submissions: tuple[bytes, ...]
    signature: Signature
    signed_hash: bytes


def parse_lane(text: str) -> Lane:
    """The lane in `text`. Raises Malformed."""
    match = _LANE.fullmatch(text)
    if match is None:
        raise Malformed("block: the lane is not <site>/<boot number>/<k>")
    return Lane(match[1], int(match[2]), int(match[3]))


def sign_block(
    ledger_id: bytes, epoch: int, lane: Lane, seq: int, submissions: Sequence[bytes], signer: Signer
) -> bytes:
    """Block bytes over submissions in this order; `seq` counts from 1. Raises Malformed when a field is outside of the layout."""
    _check_seq(seq)
    if parse_lane(str(lane)) != lane or len(ledger_id) != LEDGER_ID_BYTES:
        raise Malformed("block: the ledger id does not have 32 bytes, or the lane is not in its one form")
    name = str(lane).encode("ascii")
    parts = [u8(FORMAT_BLOCK), ledger_id, u32(epoch), signer.public_key.key_id, u8(len(name)), name, u64(seq)]
    parts.append(u32(len(submissions)))
    parts += [sized32(submission) for submission in submissions]
    body = b"".join(parts)
    return body + encode_signature(signer.sign(_signed_bytes(hashlib.sha256(body).digest())))


def _signed_bytes(body_hash: bytes) -> bytes:
    return pae(TYPE_BLOCK, body_hash)


def decode_block(data: bytes) -> Block:
    """The block in `data`, all of it; form only. Raises Malformed."""
    if len(data) > limits.BLOCK_DECODE_MAX_BYTES:
        raise Malformed(f"block: over {limits.BLOCK_DECODE_MAX_BYTES} bytes")
    reader = Reader(data, "block")
    form = reader.u8("format")
    if form != FORMAT_BLOCK:
        raise Malformed(f"block: unknown format {form}")
    ledger_id = reader.take(LEDGER_ID_BYTES, "ledger id")
    epoch = reader.u32("epoch")
    site_key_id = reader.take(KEY_ID_BYTES, "site key id")
    lane = _decode_lane(reader.take(reader.u8("lane length"), "lane"))
    seq = reader.u64("seq")
    _check_seq(seq)
    count = reader.u32("submission count")
    if count > limits.BLOCK_MAX_SUBMISSIONS:
        raise Malformed(f"block: over {limits.BLOCK_MAX_SUBMISSIONS} submissions")
    submissions = tuple(reader.sized32("submission", limits.SUBMISSION_MAX_BYTES) for _ in range(count))
    body_bytes = reader.at
    signature = decode_signature(reader)
    reader.end()
    signed_hash = hashlib.sha256(memoryview(data)[:body_bytes]).digest()
    return Block(ledger_id, epoch, site_key_id, lane, seq, submissions, signature, signed_hash)


def _check_seq(seq: int) -> None:
    if seq == 0:
        raise Malformed("block: lanes count from 1")


def _decode_lane(data: bytes) -> Lane:
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise Malformed("block: the lane is not ASCII") from None
    return parse_lane(text)


def site_signature_holds(block: Block, key: PublicKey) -> bool:
    """Whether `key` signed this block."""
    return key.key_id == block.site_key_id and verifies(
        key, block.signature, _signed_bytes(block.signed_hash)
    )
