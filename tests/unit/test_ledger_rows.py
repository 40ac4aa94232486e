"""Rows: every form comes back as it went in, and nothing else is accepted."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesis_builder import build_genesis, make_submission
from ledger_driver import LedgerDriver
from properties import PROPERTY
from sento_node.ledger import rows
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.results import BlockResult
from sento_node.ledger.rows import Locator
from sento_node.ledger.state import EMPTY_TIP, Tip
from sento_node.ledger.store import KeptCheckpoint
from sento_proto.errors import Code
from sento_proto.wire import Malformed


def a_block() -> BlockResult:
    world = build_genesis()
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    first = driver.record("a", content=b"content")
    driver.write([first])
    later = driver.record("a", previous=first.record_hash)
    refused = driver.record("b", previous=b"\1" * 32)
    return driver.order([make_submission(world, "iizuka-city", [first, refused, later]), b"malformed"])


BLOCK = a_block()
ITEM = BLOCK.standing[0]
RECORD_ROW = rows.encode_record_row(ITEM, BLOCK.number, rows.WITHOUT_PAYLOAD)
BLOCK_ROW = rows.encode_block_row(BLOCK)


def decode_block(number: int, row: bytes) -> object:
    hashes = {outcome.position: outcome.record_hash for outcome in BLOCK.submissions[0].outcomes}
    return rows.decode_block_row(number, row, hashes.__getitem__)


def resealed(row: bytes) -> bytes:
    """The row with a check that holds, as one would write who changes it on purpose."""
    return row[:-4] + zlib.crc32(row[:-4]).to_bytes(4, "big")


def test_a_record_row_comes_back_as_it_went_in() -> None:
    row = rows.decode_record_row(ITEM.position, RECORD_ROW)
    assert row == (
        2, 0, 2, 0, 0, ITEM.link, ITEM.record.payload_hash, rows.WITHOUT_PAYLOAD, "iizuka-city", ITEM.record.header_bytes,
    )  # fmt: skip


def test_a_block_row_comes_back_as_it_went_in() -> None:
    block = decode_block(BLOCK.number, BLOCK_ROW)
    assert block == (
        2, BLOCK.revision, BLOCK.lane, BLOCK.seq, BLOCK.site, 1, 2, None, BLOCK.submissions,
    )  # fmt: skip
    refused = BLOCK._replace(refusal=Code.WRONG_LEDGER, site="", submissions=(), standing=(), lane="日本")
    kept = rows.decode_block_row(2, rows.encode_block_row(refused), lambda position: b"")
    assert (kept.refusal, kept.site, kept.lane, kept.submissions) == (Code.WRONG_LEDGER, "", "日本", ())


@pytest.mark.parametrize("at", range(0, 100, 7))
def test_a_flipped_bit_anywhere_in_a_row_is_found(at: int) -> None:
    for row, decode, number in (
        (RECORD_ROW, rows.decode_record_row, ITEM.position),
        (BLOCK_ROW, decode_block, BLOCK.number),
    ):
        place = len(row) * at // 100
        spoiled = row[:place] + bytes([row[place] ^ 0x10]) + row[place + 1 :]
        with pytest.raises(Malformed):
            decode(number, spoiled)


def test_a_row_under_another_number_is_not_taken_for_its_own() -> None:
    with pytest.raises(Malformed, match="number 1's"):
        rows.decode_record_row(ITEM.position + 1, RECORD_ROW)
    with pytest.raises(Malformed, match="number 2's"):
        decode_block(1, BLOCK_ROW)


@pytest.mark.parametrize("cut", [0, 3, 4, 50, -5])
def test_a_row_cut_or_lengthened_is_refused_also_under_a_check_that_holds(cut: int) -> None:
    for spoiled in (
        RECORD_ROW[:cut],
        resealed(RECORD_ROW[:cut]),
        resealed(RECORD_ROW[:-4] + b"\0" + bytes(4)),
    ):
        with pytest.raises(Malformed):
            rows.decode_record_row(ITEM.position, spoiled)
    for spoiled in (BLOCK_ROW[:cut], resealed(BLOCK_ROW[:cut]), resealed(BLOCK_ROW[:-4] + b"\0" + bytes(4))):
        with pytest.raises(Malformed):
            decode_block(BLOCK.number, spoiled)


@pytest.mark.parametrize(
    "locator",
    [
        Locator(3, 1, 48, 10), Locator(rows.STORED, 1, 48, 0), Locator(rows.STORED, 1, 48, 1 << 20), Locator(rows.NO_PAYLOAD, 1, 0, 0),
    ],
)  # fmt: skip
def test_a_locator_that_cannot_be_is_refused(locator: Locator) -> None:
    row = rows.encode_record_row(ITEM, 1, locator)
    with pytest.raises(Malformed):
        rows.decode_record_row(ITEM.position, row)


def test_a_record_with_a_payload_hash_has_a_place_for_it() -> None:
    item = ITEM._replace(record=ITEM.record._replace(payload_hash=b"\1" * 32))
    with pytest.raises(Malformed, match="without payload"):
        rows.decode_record_row(item.position, rows.encode_record_row(item, 1, rows.WITHOUT_PAYLOAD))
    for kind in (rows.STORED, rows.ERASED):
        row = rows.encode_record_row(item, 1, Locator(kind, 3, 48, 10))
        assert rows.decode_record_row(item.position, row).locator == (kind, 3, 48, 10)


@PROPERTY
@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_a_tip_comes_back_as_it_went_in(block: int, revision: int, size: int) -> None:
    tip = Tip(1, block, revision, size, tuple(bytes([at]) * 32 for at in range(size.bit_count())))
    assert rows.decode_tip(rows.encode_tip(tip)) == tip


@pytest.mark.parametrize(
    "data", [b"", rows.encode_tip(EMPTY_TIP) + b"\0", rows.encode_tip(EMPTY_TIP)[:-1] + b"\1"]
)
def test_a_tip_that_cannot_be_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        rows.decode_tip(data)


def test_small_rows_come_back_and_refuse_other_lengths() -> None:
    checkpoint = KeptCheckpoint(9, 4, b"note")
    key = rows.position_key(9)
    assert rows.decode_checkpoint_row(key, rows.encode_checkpoint_row(checkpoint)) == checkpoint
    assert rows.decode_segment_row(rows.segment_key(3), rows.encode_segment_row(77)) == (3, 77)
    for decode, args in (
        (rows.decode_checkpoint_row, (key, b"short")), (rows.decode_checkpoint_row, (b"key", bytes(9))),
        (rows.decode_segment_row, (b"1234", b"123")), (rows.decode_segment_row, (b"123", b"1234")),
    ):  # fmt: skip
        with pytest.raises(Malformed):
            decode(*args)
    with pytest.raises(Malformed):
        rows.number_of(b"1234567")


def test_keys_of_positions_sort_as_positions_do() -> None:
    numbers = [0, 1, 255, 256, 65_535, 1 << 32, (1 << 63) - 1]
    assert sorted(map(rows.position_key, numbers)) == [rows.position_key(number) for number in numbers]


def test_names_that_begin_alike_do_not_share_keys() -> None:
    assert rows.named_key("tax", b"x" * 16) != rows.named_key("ta", b"\0" + b"x" * 15)
