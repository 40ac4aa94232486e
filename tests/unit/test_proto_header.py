"""The header: what is encoded decodes to the same, and nothing else decodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_vectors.accepted_records import PLAIN
from golden_vectors.ground import RawHeader
from properties import PROPERTY, assert_every_flip_and_cut, assert_one_encoding, damaged
from sento_proto import header as header_layout
from sento_proto import limits
from sento_proto.header import Header, decode, encode
from sento_proto.ids import uuid7
from sento_proto.wire import Malformed

NAMES = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789/-", min_size=1, max_size=32)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    """Any header that may exist."""
    payload_bytes = draw(st.sampled_from((0, 1, 320, limits.PAYLOAD_MAX_BYTES)))
    commit = draw(st.binary(min_size=32, max_size=32).filter(any)) if payload_bytes else bytes(32)
    registry = draw(st.sampled_from(("governance", "keys")) | NAMES)
    clear = registry in limits.CLEAR_CONTENT_REGISTRIES
    return Header(
        record_id=uuid7(draw(st.integers(0, 2**48 - 1)), draw(st.binary(min_size=10, max_size=10))),
        author_key_id=draw(st.binary(min_size=16, max_size=16)),
        time_ms=draw(st.integers(0, 2**64 - 1)),
        key_epoch=draw(st.integers(0, 2**32 - 1)),
        payload_bytes=payload_bytes,
        subject=draw(st.binary(min_size=32, max_size=32)),
        fact=draw(st.binary(min_size=16, max_size=16)),
        previous=draw(st.binary(min_size=32, max_size=32)),
        group=draw(st.binary(min_size=16, max_size=16)),
        dek_commit=commit,
        registry=registry,
        compartment=draw(st.just("") | NAMES),
        kind=draw(NAMES),
        content=draw(st.binary(max_size=64)) if clear else b"",
    )


@PROPERTY
@given(headers())
def test_decoding_gives_back_what_was_encoded(header: Header) -> None:
    assert decode(encode(header)) == header


@PROPERTY
@given(headers().flatmap(lambda header: damaged(encode(header))))
def test_damaged_bytes_are_refused_or_are_another_header_with_one_encoding(data: bytes) -> None:
    assert_one_encoding(decode, encode, data)


@PROPERTY
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_malformed_or_have_one_encoding(data: bytes) -> None:
    assert_one_encoding(decode, encode, data)


def test_every_byte_changed_and_every_truncation() -> None:
    header = PLAIN._replace(
        registry="governance",
        compartment="a/b",
        content=b'{"rules":1}',
        payload_bytes=320,
        dek_commit=b"c" * 32,
    )
    assert_every_flip_and_cut(decode, encode, encode(header))


def test_the_encoder_agrees_with_the_layout_written_out_by_hand() -> None:
    assert encode(PLAIN) == RawHeader().encoded()
    assert header_layout.FIXED_BYTES == 180


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("record_id", bytes(16)),
        ("record_id", PLAIN.record_id[:15]),
        ("author_key_id", b"a" * 17),
        ("time_ms", -1),
        ("time_ms", 2**64),
        ("key_epoch", 2**32),
        ("payload_bytes", limits.PAYLOAD_MAX_BYTES + 1),
        ("payload_bytes", 320),
        ("subject", b"short"),
        ("fact", b"f" * 15),
        ("previous", b""),
        ("group", "not bytes, 16 ch"),
        ("dek_commit", b"c" * 32),
        ("registry", ""),
        ("registry", "Residency"),
        ("registry", "a" * 33),
        ("registry", "住民"),
        ("compartment", "*"),
        ("kind", ""),
        ("kind", "kind\n"),
        ("content", b"not in residency"),
        ("suite", 2),
    ],
)
def test_the_encoder_refuses_what_the_decoder_would_refuse(field: str, value: object) -> None:
    with pytest.raises(Malformed):
        encode(PLAIN._replace(**{field: value}))  # type: ignore[arg-type]


def test_clear_content_at_its_limit_and_one_byte_over() -> None:
    governance = PLAIN._replace(registry="governance", content=b"x" * limits.CONTENT_MAX_BYTES)
    assert decode(encode(governance)) == governance
    with pytest.raises(Malformed, match="over 16384"):
        encode(governance._replace(content=governance.content + b"x"))


def test_an_error_names_the_field_and_never_its_content() -> None:
    with pytest.raises(Malformed) as caught:
        encode(PLAIN._replace(kind="Yamada Hanako"))
    assert "kind" in str(caught.value)
    assert "Yamada" not in str(caught.value)
