"""Payloads of good form that must not open: another key, anything altered, padding that is not zeros up to the size class."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from golden_vectors.accepted_records import PLAIN, sealed_record
from golden_vectors.ground import KEK, Group, digest, hexed, record_id, sized
from golden_vectors.two_keys import ciphertext_under_two_keys
from sento_proto import header as header_layout
from sento_proto.sealing import dek_commit

_WRAP_AT = 4
_CIPHERTEXT_AT = 4 + 40 + 4


def _flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def _sealed_by_hand(plaintext: bytes, dek: bytes = digest("hand dek")) -> tuple[bytes, bytes]:
    """Header and payload over a plaintext that no careful author would seal."""
    payload_bytes = _CIPHERTEXT_AT + len(plaintext) + 16
    header = PLAIN._replace(record_id=record_id(90), payload_bytes=payload_bytes, dek_commit=dek_commit(dek))
    header_bytes = header_layout.encode(header)
    ciphertext = AESGCM(dek).encrypt(bytes(12), plaintext, header_bytes)
    return header_bytes, sized(aes_key_wrap(KEK, dek)) + sized(b"") + ciphertext


def _padded(content: bytes, size: int, said: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(content) if said is None else said) + content + bytes(size - 4 - len(content))
    )


def _cases() -> Iterator[tuple[str, bytes, bytes, bytes]]:
    record = sealed_record(20, b"content")
    head, payload = record.header_bytes, record.payload
    yield "another KEK", digest("another kek"), head, payload
    yield "a KEK of another length", KEK[:16], head, payload
    yield "wrapped DEK altered", KEK, head, _flipped(payload, _WRAP_AT)
    yield "last byte of the wrapped DEK altered", KEK, head, _flipped(payload, _WRAP_AT + 39)
    yield "ciphertext altered", KEK, head, _flipped(payload, _CIPHERTEXT_AT)
    yield "padding altered", KEK, head, _flipped(payload, -17)
    yield "GCM tag altered", KEK, head, _flipped(payload, -1)
    earlier = header_layout.encode(record.header._replace(time_ms=record.header.time_ms - 1))
    yield "the header's time altered", KEK, earlier, payload
    moved = header_layout.encode(record.header._replace(subject=digest("another subject")))
    yield "the header's subject altered", KEK, moved, payload
    uncommitted = header_layout.encode(record.header._replace(dek_commit=digest("commit")))
    yield "the header commits to another DEK", KEK, uncommitted, payload
    other = sealed_record(91, b"content")
    yield "another record's payload", KEK, head, other.payload
    yield "another record's wrapped DEK", KEK, head, other.payload[:_CIPHERTEXT_AT] + payload[_CIPHERTEXT_AT:]
    for fault, plaintext in (
        ("padding not zeros at its end", _padded(b"content", 256)[:-1] + b"\x01"),
        ("padding not zeros at its beginning", _padded(b"content\x01", 256, said=7)),
        ("length one byte over the plaintext", _padded(b"", 256, said=253)),
        ("length of 4 GiB", _padded(b"", 256, said=2**32 - 1)),
        ("a larger size class than the content needs", _padded(b"content", 512)),
    ):
        yield fault, KEK, *_sealed_by_hand(plaintext)


def closed() -> Group:
    """Payloads that must not open."""
    return [
        {"name": fault, "kek": kek.hex(), "header": hexed(head), "payload": hexed(payload)}
        for fault, kek, head, payload in _cases()
    ]


def two_keys() -> Group:
    """One ciphertext, two DEKs that open it: only the one that the header commits to may."""
    first, second = digest("first of two"), digest("second of two")
    header = PLAIN._replace(
        record_id=record_id(92), payload_bytes=_CIPHERTEXT_AT + 256 + 16, dek_commit=dek_commit(first)
    )
    head = header_layout.encode(header)
    plaintext = _padded(b"what the first reader sees".ljust(252, b"."), 256)
    ciphertext = ciphertext_under_two_keys(first, second, plaintext, head)
    frames = [sized(aes_key_wrap(KEK, dek)) + sized(b"") + ciphertext for dek in (first, second)]
    return [
        {
            "name": "one ciphertext under two DEKs",
            "kek": KEK.hex(),
            "header": head.hex(),
            "ciphertext": ciphertext.hex(),
            "deks": [first.hex(), second.hex()],
            "opens": frames[0].hex(),
            "must_not_open": frames[1].hex(),
        }
    ]
