"""A record: a header and a payload, named by one hash that survives the payload's erasure.

    body        = u32 len(header) || header || SHA-256(payload)
    record hash = SHA-256(0x00 || body)          the RFC 6962 leaf hash of body, and the record's name everywhere

The hash covers the payload through its own hash, so that a proof of the record still verifies after the law had the payload erased.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from sento_proto import header as header_layout
from sento_proto.header import Header

PAYLOAD_HASH_OF_NOTHING = hashlib.sha256(b"").digest()


class Record(NamedTuple):
    """One immutable version of one fact, as it travels: decoded header, the exact header bytes, payload, and the derived hashes."""

    header: Header
    header_bytes: bytes
    payload: bytes
    payload_hash: bytes
    record_hash: bytes


def record_hash_of(header_bytes: bytes, payload_hash: bytes) -> bytes:
    """SHA-256(0x00 || u32 len(header) || header || payload hash)."""
    return hashlib.sha256(
        b"\x00" + len(header_bytes).to_bytes(4, "big") + header_bytes + payload_hash
    ).digest()


def make_record(header: Header, payload: bytes) -> Record:
    """Encode the header and derive the hashes. Raises Malformed."""
    return record_of(header, header_layout.encode(header), payload)


def record_of(header: Header, header_bytes: bytes, payload: bytes) -> Record:
    """A record whose header bytes are at hand already."""
    payload_hash = hashlib.sha256(payload).digest()
    return Record(header, header_bytes, payload, payload_hash, record_hash_of(header_bytes, payload_hash))
