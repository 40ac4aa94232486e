"""Sealing: content comes back under its KEK and header, and under nothing else."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from hypothesis import given
from hypothesis import strategies as st

from golden_vectors.accepted_records import PLAIN, sealed_record
from golden_vectors.ground import KEK, digest
from golden_vectors.two_keys import ciphertext_under_two_keys
from properties import PROPERTY, assert_every_flip_and_cut, assert_one_encoding, damaged
from sento_proto import header as header_layout
from sento_proto import limits
from sento_proto.record import PAYLOAD_HASH_OF_NOTHING, Record, make_record
from sento_proto.sealing import (
    CannotOpen,
    PayloadFrame,
    decode_payload,
    dek_commit,
    open_payload,
    payload_bytes_for,
    seal_record,
    size_class,
)
from sento_proto.wire import Malformed, sized32

DEK = digest("unit dek")


def encode_payload(frame: PayloadFrame) -> bytes:
    return sized32(frame.wrapped_dek) + sized32(b"".join(frame.tags)) + frame.ciphertext


def opened(record: Record, kek: bytes = KEK) -> bytes:
    return open_payload(record.header_bytes, record.header, record.payload, kek=kek)


@PROPERTY
@given(
    st.binary(max_size=600),
    st.lists(st.binary(min_size=4, max_size=4), max_size=64).map(tuple),
    st.binary(min_size=32, max_size=32),
)
def test_sealed_content_opens_to_itself(content: bytes, tags: tuple[bytes, ...], dek: bytes) -> None:
    record = seal_record(PLAIN, content, dek=dek, kek=KEK, tags=tags)
    assert opened(record) == content
    assert decode_payload(record.payload).tags == tags
    assert record.header.payload_bytes == len(record.payload) == payload_bytes_for(len(content), len(tags))
    assert header_layout.decode(record.header_bytes) == record.header


@PROPERTY
@given(damaged(sealed_record(1, b"content", (b"tag1", b"tag2")).payload))
def test_damaged_payloads_are_refused_or_have_one_encoding(data: bytes) -> None:
    assert_one_encoding(decode_payload, encode_payload, data)


def test_every_byte_of_a_payload_changed_and_every_truncation() -> None:
    assert_every_flip_and_cut(
        decode_payload, encode_payload, sealed_record(1, b"content", (b"tag1",)).payload
    )


def test_no_byte_of_a_payload_can_change_unseen() -> None:
    record = sealed_record(1, b"content", (b"tag1",))
    for at in range(len(record.payload)):
        changed = record.payload[:at] + bytes((record.payload[at] ^ 1,)) + record.payload[at + 1 :]
        assert make_record(record.header, changed).record_hash != record.record_hash
        tags_at = range(48, 52)
        if at in tags_at:
            continue
        with pytest.raises((CannotOpen, Malformed)):
            open_payload(record.header_bytes, record.header, changed, kek=KEK)


def test_another_kek_does_not_open() -> None:
    with pytest.raises(CannotOpen, match="another key"):
        opened(sealed_record(1, b"content"), digest("another kek"))


@pytest.mark.parametrize("size_bytes", [0, 16, 24, 31, 33])
def test_a_kek_of_another_length_does_not_open(size_bytes: int) -> None:
    with pytest.raises(CannotOpen, match="32 bytes"):
        opened(sealed_record(1, b"content"), KEK[:size_bytes] if size_bytes < 32 else KEK + b"\x00")


@pytest.mark.parametrize(
    "field", ["time_ms", "subject", "fact", "previous", "kind", "key_epoch", "record_id"]
)
def test_a_header_altered_after_sealing_does_not_open(field: str) -> None:
    record = sealed_record(1, b"content")
    changes: dict[str, object] = {
        "time_ms": 1,
        "subject": bytes(32),
        "fact": bytes(16),
        "previous": b"p" * 32,
        "kind": "name",
        "key_epoch": 9,
        "record_id": sealed_record(2, b"").header.record_id,
    }
    header = record.header._replace(**{field: changes[field]})  # type: ignore[arg-type]
    with pytest.raises(CannotOpen, match="altered after sealing"):
        open_payload(header_layout.encode(header), header, record.payload, kek=KEK)


def test_a_header_that_commits_to_another_dek_does_not_open() -> None:
    record = sealed_record(1, b"content")
    header = record.header._replace(dek_commit=digest("commit"))
    with pytest.raises(CannotOpen, match="commits to"):
        open_payload(header_layout.encode(header), header, record.payload, kek=KEK)


def test_one_ciphertext_under_two_keys_opens_only_under_the_committed_one() -> None:
    first, second = digest("dek a"), digest("dek b")
    payload_bytes = payload_bytes_for(252)
    header = PLAIN._replace(payload_bytes=payload_bytes, dek_commit=dek_commit(first))
    header_bytes = header_layout.encode(header)
    text = (252).to_bytes(4, "big") + b"taxes paid".ljust(252, b".")
    ciphertext = ciphertext_under_two_keys(first, second, text, header_bytes)
    # The attack is real: GCM alone takes both keys and gives two texts.
    texts = {AESGCM(dek).decrypt(bytes(12), ciphertext, header_bytes) for dek in (first, second)}
    assert len(texts) == 2
    with pytest.raises(InvalidTag):
        AESGCM(digest("dek c")).decrypt(bytes(12), ciphertext, header_bytes)
    wrapped = {dek: sized32(aes_key_wrap(KEK, dek)) + sized32(b"") + ciphertext for dek in (first, second)}
    assert open_payload(header_bytes, header, wrapped[first], kek=KEK).startswith(b"taxes paid")
    with pytest.raises(CannotOpen, match="not the one the header commits to"):
        open_payload(header_bytes, header, wrapped[second], kek=KEK)


@pytest.mark.parametrize(
    ("plaintext", "why"),
    [
        (b"\x00\x00\x00\x01x".ljust(255, b"\x00") + b"\x01", "padding not zeros"),
        (b"\x00\x00\x00\x01x".ljust(512, b"\x00"), "a larger class than needed"),
        (b"\x00\x00\x00\xfd".ljust(256, b"\x00"), "length beyond the plaintext"),
        (b"\xff\xff\xff\xff".ljust(256, b"\x00"), "length of 4 GiB"),
        (bytes(30 * 1024), "the largest class over nothing"),
    ],
)
def test_a_plaintext_that_is_not_padded_in_the_one_way_does_not_open(plaintext: bytes, why: str) -> None:
    header = PLAIN._replace(payload_bytes=48 + len(plaintext) + 16, dek_commit=dek_commit(DEK))
    header_bytes = header_layout.encode(header)
    ciphertext = AESGCM(DEK).encrypt(bytes(12), plaintext, header_bytes)
    payload = sized32(aes_key_wrap(KEK, DEK)) + sized32(b"") + ciphertext
    with pytest.raises((CannotOpen, Malformed)):
        open_payload(header_bytes, header, payload, kek=KEK)


def test_sizes_show_the_class_and_not_the_length() -> None:
    sizes = {len(seal_record(PLAIN, b"x" * n, dek=DEK, kek=KEK).payload) for n in (0, 1, 100, 252)}
    assert len(sizes) == 1
    assert len(seal_record(PLAIN, b"x" * 253, dek=DEK, kek=KEK).payload) not in sizes


def test_content_at_its_limit_and_one_byte_over() -> None:
    most = limits.CONTENT_OF_PAYLOAD_MAX_BYTES
    record = seal_record(PLAIN, b"x" * most, dek=DEK, kek=KEK, tags=(b"tag.",) * limits.TAGS_MAX)
    assert opened(record) == b"x" * most
    assert len(record.payload) <= limits.PAYLOAD_MAX_BYTES
    with pytest.raises(Malformed, match="does not fit one record"):
        size_class(most + 1)


@pytest.mark.parametrize(
    ("dek", "kek", "tags"),
    [(DEK[:16], KEK, ()), (DEK, KEK[:16], ()), (DEK, KEK, (b"long.",)), (DEK, KEK, (b"tag.",) * 65)],
)
def test_keys_and_tags_of_other_sizes_are_refused_before_sealing(
    dek: bytes, kek: bytes, tags: tuple[bytes, ...]
) -> None:
    with pytest.raises(Malformed):
        seal_record(PLAIN, b"content", dek=dek, kek=kek, tags=tags)


def test_an_erased_payload_leaves_the_record_hash() -> None:
    record = sealed_record(1, b"content")
    assert make_record(PLAIN, b"").payload_hash == PAYLOAD_HASH_OF_NOTHING
    assert record.payload_hash != PAYLOAD_HASH_OF_NOTHING
