"""The cursor takes what is there and refuses what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import PROPERTY
from sento_proto.wire import Malformed, Reader, sized16, sized32, u8, u16, u32, u64


@PROPERTY
@given(
    st.integers(0, 255),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=9),
)
def test_what_is_written_is_read(a: int, b: int, c: int, d: int, data: bytes) -> None:
    written = u8(a) + u16(b) + u32(c) + u64(d) + sized16(data) + sized32(data)
    reader = Reader(written, "test")
    assert (reader.u8("a"), reader.u16("b"), reader.u32("c"), reader.u64("d")) == (a, b, c, d)
    assert reader.sized16("short", 9) == reader.sized32("long", 9) == data
    reader.end()


def test_errors_name_what_was_read_and_the_field() -> None:
    with pytest.raises(Malformed, match="letter: ends inside address"):
        Reader(b"1234", "letter").take(5, "address")
    with pytest.raises(Malformed, match="letter: address is 5 bytes, over the limit of 4"):
        Reader(u16(5) + b"12345", "letter").sized16("address", 4)
    with pytest.raises(Malformed, match="letter: 1 bytes after the end"):
        Reader(b"1", "letter").end()


def test_a_length_over_the_limit_is_refused_before_its_bytes_are_looked_for() -> None:
    with pytest.raises(Malformed, match="over the limit"):
        Reader(u32(2**32 - 1), "letter").sized32("address", 100)
