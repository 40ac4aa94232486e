"""A chunk: a piece of the ledger as it travels. The same bytes go over the wire, onto a courier volume and into a backup.

    chunk     = u8 1 || u8 kind || ledger id 32 || u32 epoch || u64 after block || u64 through block || u64 from position || u64 to position
                || u8 len, registry || u32 body bytes || u32 len, packed body || u32 len, checkpoint note || SHA-256 of all before
    spine     kind 1: blocks in (after, through], which hold the positions [from, to), and the note of the quorum's checkpoint over `to` records.
              body = n x (u32 len || BlockEntry of v1/sync.proto, payloads left out and their hashes in place), packed with zlib
    payloads  kind 2: blocks 0 and no note; payloads of the standing records in [from, to), of one registry or (registry empty) of all.
              body = n x (u64 position || u32 len || payload), positions rising, packed as it is; what is erased or not there is left out

A chunk proves nothing by itself: a spine is proven by its signatures, its tree and its checkpoint, a payload by the hash that the spine holds. The digest at
its end tells a torn or spoiled chunk from a false one. Its name is that of all its bytes: two sites may make different ones of the same blocks, because
cosignatures differ, and so may two releases. Pure.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

from sento_proto.wire import Malformed, Reader, u8, u32, u64

VERSION = 1
CHUNK_MAX_BYTES = 64 * 1024 * 1024
"""A spine chunk bridges the gap between two kept checkpoints, a payload chunk stops at `PAYLOAD_CHUNK_BYTES`; beyond this a chunk is refused unread."""
PAYLOAD_CHUNK_BYTES = 4 * 1024 * 1024
"""A payload chunk ends with the record that reaches this many bytes."""
_PACK_LEVEL = 1
_DIGEST_BYTES = 32
_PAYLOAD_FRAME = struct.Struct(">QI")


class Kind(IntEnum):
    """What a chunk holds."""

    SPINE = 1
    PAYLOADS = 2


class ChunkName(NamedTuple):
    """Of which stretch of which ledger a chunk is. `registry` is empty for a spine, and for payloads of all registries."""

    kind: Kind
    ledger_id: bytes
    epoch: int
    after_block: int
    through_block: int
    from_position: int
    to_position: int
    registry: str = ""


class Chunk(NamedTuple):
    """A decoded chunk. `body` is unpacked; `note` is the checkpoint's note, empty for payloads."""

    name: ChunkName
    body: bytes
    note: bytes


class Payload(NamedTuple):
    """A record's payload by position."""

    position: int
    data: bytes


def encode_chunk(chunk: Chunk) -> bytes:
    """The bytes of a chunk."""
    name = chunk.name
    packed = zlib.compress(chunk.body, _PACK_LEVEL) if name.kind is Kind.SPINE else chunk.body
    registry = name.registry.encode("ascii")
    data = b"".join(
        (
            u8(VERSION), u8(name.kind), name.ledger_id, u32(name.epoch),
            u64(name.after_block), u64(name.through_block), u64(name.from_position), u64(name.to_position),
            u8(len(registry)), registry, u32(len(chunk.body)),
            u32(len(packed)), packed, u32(len(chunk.note)), chunk.note,
        )
    )  # fmt: skip
    return data + hashlib.sha256(data).digest()


def chunk_id(data: bytes) -> bytes:
    """The name of a chunk's bytes, 32 bytes."""
    return hashlib.sha256(data).digest()


def decode_chunk(data: bytes) -> Chunk:
    """The chunk in `data`. Raises Malformed, for a torn or spoiled one too."""
    if len(data) > CHUNK_MAX_BYTES:
        raise Malformed(f"chunk: over {CHUNK_MAX_BYTES} bytes")
    covered = memoryview(data)[:-_DIGEST_BYTES]
    if len(data) < _DIGEST_BYTES or hashlib.sha256(covered).digest() != data[-_DIGEST_BYTES:]:
        raise Malformed("chunk: its digest is of other bytes")
    reader = Reader(data, "chunk")
    if reader.u8("version") != VERSION:
        raise Malformed(f"chunk: version must be {VERSION}")
    kind = reader.u8("kind")
    if kind not in (Kind.SPINE, Kind.PAYLOADS):
        raise Malformed("chunk: kind must be 1 or 2")
    ledger_id, epoch = reader.take(32, "ledger id"), reader.u32("epoch")
    blocks = reader.u64("after block"), reader.u64("through block")
    positions = reader.u64("from position"), reader.u64("to position")
    registry = reader.take(reader.u8("registry length"), "registry")
    body_bytes = reader.u32("body bytes")
    packed = reader.take(reader.u32("packed length"), "packed body")
    note = reader.take(reader.u32("note length"), "checkpoint note")
    reader.take(_DIGEST_BYTES, "digest")
    reader.end()
    name = ChunkName(Kind(kind), ledger_id, epoch, *blocks, *positions, _ascii(registry))
    _check(name, note)
    return Chunk(name, _unpacked(name.kind, packed, body_bytes), note)


def _ascii(registry: bytes) -> str:
    try:
        return registry.decode("ascii")
    except UnicodeDecodeError:
        raise Malformed("chunk: registry must be ASCII") from None


def _check(name: ChunkName, note: bytes) -> None:
    if name.from_position > name.to_position or name.after_block > name.through_block:
        raise Malformed("chunk: ends before it begins")
    if name.kind is Kind.SPINE:
        if name.registry or not note or name.after_block == name.through_block:
            raise Malformed("chunk: a spine has blocks, a checkpoint and no registry")
    elif note or name.after_block or name.through_block:
        raise Malformed("chunk: payloads have neither blocks nor a checkpoint")


def _unpacked(kind: Kind, packed: bytes, body_bytes: int) -> bytes:
    if body_bytes > CHUNK_MAX_BYTES:
        raise Malformed(f"chunk: a body over {CHUNK_MAX_BYTES} bytes")
    if kind is Kind.PAYLOADS:
        body = packed
    else:
        unpacker = zlib.decompressobj()
        try:
            body = unpacker.decompress(packed, body_bytes + 1)
        except zlib.error:
            raise Malformed("chunk: its body is not packed as it should be") from None
        if not unpacker.eof or unpacker.unused_data:
            raise Malformed("chunk: its body is longer or shorter than it says")
    if len(body) != body_bytes:
        raise Malformed("chunk: its body is longer or shorter than it says")
    return body


def encode_entries(entries: Iterable[bytes]) -> bytes:
    """The body of a spine from serialized BlockEntry messages, in order."""
    return b"".join(part for entry in entries for part in (u32(len(entry)), entry))


def decode_entries(body: bytes) -> Iterator[bytes]:
    """The serialized BlockEntry messages of a spine's body. Raises Malformed."""
    reader = Reader(body, "spine")
    while reader.at < len(body):
        yield reader.take(reader.u32("entry length"), "entry")


def encode_payloads(payloads: Iterable[Payload]) -> bytes:
    """The body of a chunk of payloads."""
    frame = _PAYLOAD_FRAME.pack
    return b"".join([part for position, data in payloads for part in (frame(position, len(data)), data)])


def decode_payloads(chunk: Chunk) -> Iterator[Payload]:
    """The payloads of a chunk, positions rising and within its range. Raises Malformed."""
    body, end, at, following = chunk.body, chunk.name.to_position, 0, chunk.name.from_position
    while at < len(body):
        if len(body) - at < _PAYLOAD_FRAME.size:
            raise Malformed("payloads: ends inside a position or a length")
        position, size = _PAYLOAD_FRAME.unpack_from(body, at)
        if not following <= position < end:
            raise Malformed("payloads: a position is out of its order or range")
        start, following = at + _PAYLOAD_FRAME.size, position + 1
        at = start + size
        if at > len(body):
            raise Malformed("payloads: ends inside a payload")
        yield Payload(position, body[start:at])
