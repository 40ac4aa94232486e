"""Blocks: one encoding, lanes in one form, and a signature that covers every byte before it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesis_builder import build_genesis, make_act, make_block
from properties import PROPERTY, assert_every_flip_and_cut, assert_one_encoding, damaged
from sento_proto import limits
from sento_proto.block import Block, Lane, decode_block, parse_lane, sign_block, site_signature_holds
from sento_proto.submission import encode_signature
from sento_proto.wire import Malformed, sized32, u8, u32, u64

WORLD = build_genesis()
SITE = "jp-fukuoka"
SITE_KEY = WORLD.site_keys[SITE]
GOOD = make_block(WORLD, SITE, [make_act(WORLD, b"{}"), b"no submission", b""], seq=5, boot_number=12, lane=3)


def encode(block: Block) -> bytes:
    """Block bytes from the decoded form."""
    name = str(block.lane).encode()
    parts = [u8(1), block.ledger_id, u32(block.epoch), block.site_key_id, u8(len(name)), name, u64(block.seq)]
    parts += [
        u32(len(block.submissions)),
        *map(sized32, block.submissions),
        encode_signature(block.signature),
    ]
    return b"".join(parts)


def test_every_byte_changed_and_every_truncation() -> None:
    assert_every_flip_and_cut(decode_block, encode, GOOD)


@PROPERTY
@given(damaged(GOOD))
def test_damaged_bytes_are_refused_or_have_one_encoding(data: bytes) -> None:
    assert_one_encoding(decode_block, encode, data)


@PROPERTY
@given(
    st.lists(st.binary(max_size=40), max_size=5),
    st.integers(1, 2**64 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(1, 10**12 - 1),
    st.integers(0, 99),
)
def test_what_is_signed_decodes_and_its_signature_holds(
    submissions: list[bytes], seq: int, epoch: int, boot_number: int, lane: int
) -> None:
    data = make_block(WORLD, SITE, submissions, seq, epoch=epoch, boot_number=boot_number, lane=lane)
    block = decode_block(data)
    assert block.submissions == tuple(submissions)
    assert (block.seq, block.epoch, block.lane) == (seq, epoch, Lane(SITE, boot_number, lane))
    assert site_signature_holds(block, SITE_KEY)
    assert not site_signature_holds(block, WORLD.site_keys["jp-ibaraki"])


def test_no_bit_of_a_block_can_change_under_its_signature() -> None:
    for at in range(len(GOOD)):
        changed = GOOD[:at] + bytes((GOOD[at] ^ 1,)) + GOOD[at + 1 :]
        try:
            block = decode_block(changed)
        except Malformed:
            continue
        assert not site_signature_holds(block, SITE_KEY), f"byte {at}"


LANE_PART = st.text(alphabet="ab-019+ \n", max_size=4)


@PROPERTY
@given(st.tuples(LANE_PART, LANE_PART, LANE_PART).map("/".join))
def test_a_lane_has_one_form(text: str) -> None:
    try:
        lane = parse_lane(text)
    except Malformed:
        return
    assert str(lane) == text


@pytest.mark.parametrize(
    ("lane", "seq", "ledger_id"),
    [
        (Lane(SITE, 1, 0), 0, WORLD.ledger_id),
        (Lane(SITE, 0, 0), 1, WORLD.ledger_id),
        (Lane(SITE, 1, 100), 1, WORLD.ledger_id),
        (Lane("JP", 1, 0), 1, WORLD.ledger_id),
        (Lane(SITE, 1, 0), 1, WORLD.ledger_id[:31]),
    ],
)
def test_the_signer_refuses_what_the_decoder_would_refuse(lane: Lane, seq: int, ledger_id: bytes) -> None:
    with pytest.raises(Malformed):
        sign_block(ledger_id, 1, lane, seq, [], WORLD.site_signers[SITE])


def test_errors_in_a_blocks_signature_speak_of_the_block() -> None:
    with pytest.raises(Malformed, match=r"^block: signature suite 0"):
        decode_block(GOOD[:-67] + b"\x00" + GOOD[-66:])


def test_a_block_over_the_decoders_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(Malformed, match="over 262144 bytes"):
        decode_block(bytes(limits.BLOCK_DECODE_MAX_BYTES + 1))
