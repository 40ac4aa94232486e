"""Sealing a payload: a fresh DEK a record, wrapped under a KEK; and opening it again.

    payload    = u32 len || wrapped DEK || u32 len || tags || ciphertext
    ciphertext = AES-256-GCM(DEK, nonce of 12 zero bytes, plaintext, AAD = header bytes)
    plaintext  = u32 length || content || zeros up to the size class
    dek_commit = SHA-256("sento dek v1" || DEK)

One DEK encrypts one message, so the nonce may be constant. GCM does not commit to its key: two keys can open one ciphertext to two texts, so the
header carries `dek_commit` and `open_payload` checks it before it decrypts. A site sees the size class and never the length.

Source: NIST SP 800-38D (GCM), RFC 3394 (key wrap); Len, Grubbs, Ristenpart, "Partitioning Oracle Attacks" (why commit).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from sento_proto import header as header_layout
from sento_proto import limits
from sento_proto.header import Header
from sento_proto.record import Record, record_of
from sento_proto.wire import Malformed, Reader, sized32, u32

DEK_BYTES = 32
KEK_BYTES = 32
WRAPPED_DEK_BYTES = DEK_BYTES + 8
GCM_TAG_BYTES = 16
_NONCE = bytes(12)


class CannotOpen(Exception):
    """The payload does not open with this key, or is not the one its header commits to. No part of the content is returned."""


class PayloadFrame(NamedTuple):
    """A payload's three parts."""

    wrapped_dek: bytes
    tags: tuple[bytes, ...]
    ciphertext: bytes


def dek_commit(dek: bytes) -> bytes:
    """SHA-256("sento dek v1" || DEK)."""
    return hashlib.sha256(b"sento dek v1" + dek).digest()


def size_class(content_bytes: int) -> int:
    """Plaintext size that content of this length is padded to. Raises Malformed when it does not fit one record."""
    for size in limits.PLAINTEXT_SIZE_CLASSES:
        if content_bytes + limits.PLAINTEXT_LENGTH_BYTES <= size:
            return size
    raise Malformed(
        f"content of {content_bytes} bytes does not fit one record (at most {limits.CONTENT_OF_PAYLOAD_MAX_BYTES})"
    )


def payload_bytes_for(content_bytes: int, tags: int = 0) -> int:
    """Length of the payload that content of this length will have: it stands in the header before sealing."""
    frame = 8 + WRAPPED_DEK_BYTES + tags * limits.TAG_BYTES
    return frame + size_class(content_bytes) + GCM_TAG_BYTES


def decode_payload(payload: bytes) -> PayloadFrame:
    """The parts of a payload that is not empty. Raises Malformed."""
    reader = Reader(payload, "payload")
    wrapped = reader.sized32("wrapped DEK", WRAPPED_DEK_BYTES)
    tags = reader.sized32("tags", limits.TAGS_MAX * limits.TAG_BYTES)
    ciphertext = reader.take(len(payload) - reader.at, "ciphertext")
    if len(wrapped) != WRAPPED_DEK_BYTES:
        raise Malformed("payload: the wrapped DEK does not have 40 bytes")
    if len(tags) % limits.TAG_BYTES:
        raise Malformed("payload: tags are four bytes each")
    if len(ciphertext) - GCM_TAG_BYTES not in limits.PLAINTEXT_SIZE_CLASSES:
        raise Malformed("payload: the ciphertext is not of a size class")
    split = tuple(tags[at : at + limits.TAG_BYTES] for at in range(0, len(tags), limits.TAG_BYTES))
    return PayloadFrame(wrapped, split, ciphertext)


def seal_record(
    header: Header, content: bytes, *, dek: bytes, kek: bytes, tags: tuple[bytes, ...] = ()
) -> Record:
    """A whole record: `header` with its payload length and DEK commitment filled in, and the sealed payload.

    `dek`: 32 fresh random bytes, used for this record alone. `kek`: 32 bytes. `tags`: at most 64 of four bytes.
    Raises Malformed when the content is too large, or a key or tag has another length."""
    if len(dek) != DEK_BYTES or len(kek) != KEK_BYTES:
        raise Malformed("payload: a DEK and a KEK have 32 bytes each")
    if len(tags) > limits.TAGS_MAX or any(len(tag) != limits.TAG_BYTES for tag in tags):
        raise Malformed(f"payload: at most {limits.TAGS_MAX} tags of {limits.TAG_BYTES} bytes each")
    header = header._replace(
        payload_bytes=payload_bytes_for(len(content), len(tags)), dek_commit=dek_commit(dek)
    )
    header_bytes = header_layout.encode(header)
    padded = u32(len(content)) + content
    padded += bytes(size_class(len(content)) - len(padded))
    ciphertext = AESGCM(dek).encrypt(_NONCE, padded, header_bytes)
    payload = sized32(aes_key_wrap(kek, dek)) + sized32(b"".join(tags)) + ciphertext
    return record_of(header, header_bytes, payload)


def open_payload(header_bytes: bytes, header: Header, payload: bytes, *, kek: bytes) -> bytes:
    """The content of a payload. Raises CannotOpen when the KEK is another, or anything was altered; Malformed when it is no payload."""
    return open_with_dek(header_bytes, header, payload, dek=unwrap_dek(header, payload, kek=kek))


def unwrap_dek(header: Header, payload: bytes, *, kek: bytes) -> bytes:
    """The 32-byte DEK of one record, that its header commits to. Raises CannotOpen, Malformed."""
    frame = decode_payload(payload)
    if len(kek) != KEK_BYTES:
        raise CannotOpen("A KEK has 32 bytes; this key file holds something else.")
    try:
        dek = aes_key_unwrap(kek, frame.wrapped_dek)
    except InvalidUnwrap:
        raise CannotOpen(
            "The record is sealed under another key; ask its author to seal that key to you."
        ) from None
    _check_commitment(header, dek)
    return dek


def _check_commitment(header: Header, dek: bytes) -> None:
    if not hmac.compare_digest(dek_commit(dek), header.dek_commit):
        raise CannotOpen(
            "The key in the payload is not the one the header commits to; the payload was altered."
        )


def open_with_dek(header_bytes: bytes, header: Header, payload: bytes, *, dek: bytes) -> bytes:
    """The content of a payload, by the one key that opens it alone. Raises CannotOpen, Malformed."""
    frame = decode_payload(payload)
    if len(dek) != DEK_BYTES:
        raise CannotOpen("A DEK has 32 bytes; this is something else.")
    _check_commitment(header, dek)
    try:
        plaintext = AESGCM(dek).decrypt(_NONCE, frame.ciphertext, header_bytes)
    except InvalidTag:
        raise CannotOpen("The payload or its header was altered after sealing.") from None
    size = int.from_bytes(plaintext[: limits.PLAINTEXT_LENGTH_BYTES], "big")
    end = limits.PLAINTEXT_LENGTH_BYTES + size
    if end > len(plaintext) or size_class(size) != len(plaintext) or any(plaintext[end:]):
        raise CannotOpen(
            "The padding inside the payload is not zeros up to its size class; its author sealed it wrongly."
        )
    return plaintext[limits.PLAINTEXT_LENGTH_BYTES : end]
