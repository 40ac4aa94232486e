"""Payload segments: what is written is read back, torn tails are cut, lost bytes are refused, and every failure is final."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from sento_node.ledger.rows import STORED, WITHOUT_PAYLOAD, Locator
from sento_node.ledger.segments import (
    FRAME_BYTES,
    HEADER_BYTES,
    PayloadMissing,
    PayloadWrong,
    SegmentReader,
    SegmentWriter,
    cut_back,
    segment_numbers,
    segment_path,
)
from sento_node.ledger.store import LedgerFailed

LEDGER_ID = b"\7" * 32


def entries(payloads: Sequence[bytes], first: int = 0) -> list[tuple[int, bytes, bytes]]:
    return [(at, hashlib.sha256(payload).digest(), payload) for at, payload in enumerate(payloads, first)]


def test_payloads_are_read_back_over_several_segments_and_restarts(tmp_path: Path) -> None:
    payloads = [b"%d" % at * (at % 90 + 1) for at in range(60)]
    ends: dict[int, int] = {}
    locators: list[Locator] = []
    for start in range(0, 60, 7):
        writer = SegmentWriter(tmp_path, LEDGER_ID, max(ends.items(), default=None), max_bytes=1_000)
        found, grown = writer.append(entries(payloads[start : start + 7], start))
        writer.close()
        locators += found
        ends.update(grown)
    assert ends == {
        number: segment_path(tmp_path, number).stat().st_size for number in segment_numbers(tmp_path)
    }
    assert len(ends) > 3
    assert max(ends.values()) <= 1_000
    reader = SegmentReader(tmp_path, LEDGER_ID)
    for (position, payload_hash, payload), locator in zip(entries(payloads), locators, strict=True):
        assert reader.read(position, payload_hash, locator) == payload
    reader.close()


def test_records_without_payload_take_no_place(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, LEDGER_ID, None)
    assert writer.append(entries([b"", b""])) == ([WITHOUT_PAYLOAD] * 2, {})
    assert segment_numbers(tmp_path) == []
    locators, _ = writer.append(entries([b"", b"x"]))
    assert locators == [WITHOUT_PAYLOAD, Locator(STORED, 1, HEADER_BYTES, 1)]
    writer.close()


def test_a_payload_larger_than_a_segment_gets_one_of_its_own(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, LEDGER_ID, None, max_bytes=200)
    locators, _ = writer.append(entries([b"a", b"b" * 500, b"c"]))
    assert [locator.segment for locator in locators] == [1, 2, 3]
    writer.close()


def test_a_torn_tail_is_cut_back_and_files_that_nothing_names_are_removed(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, LEDGER_ID, None, max_bytes=300)
    _, ends = writer.append(entries([b"a" * 100]))
    writer.append(entries([b"b" * 100, b"c" * 100], 1))
    writer.close()
    assert segment_numbers(tmp_path) == [1, 2]
    (tmp_path / "notes.txt").write_text("not ours")
    cut_back(tmp_path, ends)
    assert segment_numbers(tmp_path) == [1]
    assert segment_path(tmp_path, 1).stat().st_size == ends[1] == HEADER_BYTES + FRAME_BYTES + 100
    assert (tmp_path / "notes.txt").exists()
    cut_back(tmp_path, {})
    assert segment_numbers(tmp_path) == []


@pytest.mark.parametrize("lost", ["file", "bytes"])
def test_flushed_bytes_that_are_gone_refuse_the_start(tmp_path: Path, lost: str) -> None:
    writer = SegmentWriter(tmp_path, LEDGER_ID, None, max_bytes=300)
    _, ends = writer.append(entries([b"a" * 200, b"b" * 200]))
    writer.close()
    path = segment_path(tmp_path, 1)
    if lost == "file":
        path.unlink()
    else:
        os.truncate(path, ends[1] - 1)
    with pytest.raises(LedgerFailed, match="flushed payloads are lost"):
        cut_back(tmp_path, ends)
    assert segment_path(tmp_path, 2).exists()


def _written(directory: Path) -> tuple[SegmentReader, list[tuple[int, bytes, bytes]], list[Locator]]:
    writer = SegmentWriter(directory, LEDGER_ID, None)
    written = entries([b"first one", b"other one"])
    locators, _ = writer.append(written)
    writer.close()
    return SegmentReader(directory, LEDGER_ID), written, locators


def _overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_missing_and_wrong_are_told_apart(tmp_path: Path) -> None:
    reader, written, locators = _written(tmp_path)
    path = segment_path(tmp_path, 1)
    _overwrite(path, locators[0].offset + FRAME_BYTES, b"F")
    with pytest.raises(PayloadWrong, match="do not have its hash"):
        reader.read(*written[0][:2], locators[0])
    with pytest.raises(PayloadWrong, match="another entry"):
        reader.read(*written[0][:2], locators[1])
    os.truncate(path, locators[1].offset + FRAME_BYTES + 3)
    with pytest.raises(PayloadMissing, match="ends before it"):
        reader.read(*written[1][:2], locators[1])
    reader.close()
    path.unlink()
    with pytest.raises(PayloadMissing, match="gone"):
        reader.read(*written[1][:2], locators[1])


@pytest.mark.parametrize("offset", [0, 8, 12, 16], ids=["magic", "format", "number", "ledger"])
def test_a_segment_of_another_ledger_or_number_is_not_read(tmp_path: Path, offset: int) -> None:
    reader, written, locators = _written(tmp_path)
    _overwrite(segment_path(tmp_path, 1), offset, b"\x55")
    with pytest.raises(PayloadWrong, match="another ledger or number"):
        reader.read(*written[0][:2], locators[0])


@pytest.mark.parametrize("call", ["pwrite", "fdatasync", "open", "fsync"])
def test_a_failed_write_flush_or_creation_is_final(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    writer = SegmentWriter(tmp_path, LEDGER_ID, None)
    with monkeypatch.context() as broken:
        broken.setattr(os, call, _no_space)
        with pytest.raises(LedgerFailed, match="No space left on device"):
            writer.append(entries([b"x"]))
    with pytest.raises(LedgerFailed, match="No space left on device"):
        writer.append(entries([b"x"]))
    writer.close()


def _no_space(*args: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_short_write_is_written_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: whole(fd, data[:5], offset))
    reader, written, locators = _written(tmp_path)
    assert [reader.read(*entry[:2], at) for entry, at in zip(written, locators, strict=True)] == [
        b"first one", b"other one",
    ]  # fmt: skip
    reader.close()


def test_more_segments_than_may_be_open_are_all_readable(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, LEDGER_ID, None, max_bytes=1)
    written = entries([b"%d" % at for at in range(70)])
    locators, _ = writer.append(written)
    writer.close()
    reader = SegmentReader(tmp_path, LEDGER_ID)
    for _ in range(2):
        assert [reader.read(*e[:2], at) for e, at in zip(written, locators, strict=True)] == [
            e[2] for e in written
        ]
    reader.close()
