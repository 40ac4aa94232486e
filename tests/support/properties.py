"""What property tests share: settings that make a run repeatable, and damage done to bytes in every way that a wire or a disk knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st

from sento_proto.wire import Malformed

PROPERTY = settings(derandomize=True, deadline=None, database=None, max_examples=120)
"""The same examples in each run: a failure is the same failure for everyone."""

T = TypeVar("T")


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """`good` with one to three injuries: bytes changed, cut out, put in, doubled, or the end missing."""
    data = good
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        size = draw(st.integers(1, 8))
        injury = draw(st.sampled_from(("change", "cut", "insert", "double", "truncate")))
        if injury == "change":
            data = data[:at] + draw(st.binary(min_size=1, max_size=size)) + data[at + size :]
        elif injury == "cut":
            data = data[:at] + data[at + size :]
        elif injury == "insert":
            data = data[:at] + draw(st.binary(min_size=1, max_size=size)) + data[at:]
        elif injury == "double":
            data = data[: at + size] + data[at:]
        else:
            data = data[:at]
    return data


def assert_one_encoding(decode: Callable[[bytes], T], encode: Callable[[T], bytes], data: bytes) -> None:
    """`decode` refuses `data` with Malformed and nothing else, or what it reads has these bytes as its one encoding."""
    try:
        value = decode(data)
    except Malformed:
        return
    assert encode(value) == data


def assert_every_flip_and_cut(
    decode: Callable[[bytes], T], encode: Callable[[T], bytes], good: bytes
) -> None:
    """Every single byte changed in three ways, every truncation, and a byte too many."""
    assert encode(decode(good)) == good
    for at in range(len(good)):
        for mask in (0x01, 0x80, 0xFF):
            changed = good[:at] + bytes((good[at] ^ mask,)) + good[at + 1 :]
            assert_one_encoding(decode, encode, changed)
        assert_one_encoding(decode, encode, good[:at])
    assert_one_encoding(decode, encode, good + b"\x00")
