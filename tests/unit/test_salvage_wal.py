"""Reading a member's write-ahead files: every cut of the last frames, every flipped bit, overwritten terms, lost files. What is torn is told from what is
damaged, and no entry is invented."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sento_node.salvage.crc32c import crc32c
from sento_node.salvage.wal import Wal, WalFile, read_wal
from wal_files import WalWriter

LONG = bytes(range(1, 251)) * 8


def taken(kind: int, data: bytes) -> tuple[int, bytes]:
    return kind, data


def read(files: list[WalFile]) -> Wal[tuple[int, bytes]]:
    return read_wal(files, taken)


def numbers(wal: Wal[tuple[int, bytes]]) -> list[tuple[int, int]]:
    return [(entry.number, entry.term) for entry in wal.entries]


def three(last: bytes = b"third") -> WalWriter:
    writer = WalWriter()
    writer.entry(b"first")
    writer.state(1)
    writer.entry(LONG)
    writer.entry(last)
    return writer


def unpadded(writer: WalWriter) -> bytes:
    return writer.files()[0].data[: writer.ends[0][-1]]


# -- the checksum -----------------------------------------------------------------------------------------------------


def test_the_checksum_is_crc_32c() -> None:
    """The check value of CRC-32C (RFC 3720, B.4 gives the same for zeros and ones)."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


@given(st.binary(max_size=600), st.binary(max_size=600), st.integers(0, 2**32 - 1))
def test_a_checksum_goes_on_where_the_former_one_ended(one: bytes, two: bytes, seed: int) -> None:
    assert crc32c(one + two, seed) == crc32c(two, crc32c(one, seed))


@pytest.mark.parametrize("size", [127, 128, 129, 255, 256, 257, 4_095, 4_097, 70_001])
def test_a_long_record_has_the_checksum_of_its_pieces(size: int) -> None:
    data = os.urandom(size)
    piecewise = 0
    for at in range(0, size, 100):
        piecewise = crc32c(data[at : at + 100], piecewise)
    assert crc32c(data) == piecewise


# -- reading ----------------------------------------------------------------------------------------------------------


def test_entries_of_all_files_are_read_with_the_commit_and_the_zeros_behind_them() -> None:
    writer = three()
    writer.cut()
    writer.state(3)
    writer.entry(b"fourth")
    wal = read(writer.files())
    assert [entry.value[1] for entry in wal.entries] == [b"first", LONG, b"third", b"fourth"]
    assert (wal.commit, wal.last, wal.ended, wal.trouble, wal.from_start) == (3, (1, 4), "", "", True)


def test_files_purged_from_the_front_leave_a_log_that_says_so() -> None:
    writer = three()
    writer.cut()
    writer.entry(b"fourth")
    wal = read(writer.files(first=1))
    assert (numbers(wal), wal.trouble, wal.from_start) == ([(4, 1)], "", False)


def test_a_file_missing_in_the_middle_is_damage() -> None:
    writer = three()
    writer.cut()
    writer.entry(b"fourth")
    writer.cut()
    writer.entry(b"fifth")
    files = writer.files()
    wal = read([files[0], files[2]])
    assert numbers(wal) == [(1, 1), (2, 1), (3, 1)]
    assert "records are missing" in wal.trouble


def test_a_later_term_takes_the_place_of_entries_and_of_all_behind_them() -> None:
    writer = three()
    writer.entry(b"fourth")
    writer.entry(b"another third", term=4, index=3)
    wal = read(writer.files())
    assert numbers(wal) == [(1, 1), (2, 1), (3, 4)]
    assert wal.entries[-1].value[1] == b"another third"


def test_a_later_term_may_overwrite_in_a_later_file() -> None:
    writer = three()
    writer.cut()
    writer.entry(b"another second", term=2, index=2)
    wal = read(writer.files())
    assert numbers(wal) == [(1, 1), (2, 2)]


def test_a_state_sent_by_the_lead_forgets_the_entries_before_it() -> None:
    writer = three()
    writer.snapshot(900)
    writer.entry(b"behind it")
    wal = read(writer.files())
    assert (numbers(wal), wal.from_start, wal.trouble) == ([(901, 1)], False, "")


@pytest.mark.parametrize("zeros", [0, 4_096], ids=["file-ends", "prepared-zeros-follow"])
def test_a_cut_at_every_byte_of_the_last_frames_loses_only_what_was_cut(zeros: int) -> None:
    """Where the file ends there it is torn. Zeros in place of what was cut are the end, torn or damage by where the sectors lie, and never an entry."""
    writer = three()
    whole = unpadded(writer)
    ends = [
        writer.ends[0][-4],
        *(len(whole[:end].rstrip(b"\0")) if zeros else end for end in writer.ends[0][-3:]),
    ]
    for cut in range(ends[1], len(whole)):
        wal = read([WalFile("0-0.wal", whole[:cut] + bytes(zeros))])
        assert len(wal.entries) == sum(end <= cut for end in ends) - 1, cut
        if zeros == 0:
            assert wal.trouble == "", cut
            assert bool(wal.ended) == (cut not in ends), cut
        elif len(wal.entries) < 3 and not (wal.ended or wal.trouble):
            assert not any(whole[max(end for end in ends if end <= cut) : cut]), cut


def test_a_record_whose_sectors_were_not_all_written_is_torn() -> None:
    writer = three(last=LONG)
    whole = bytearray(writer.files()[0].data)
    start, end = writer.ends[0][-2:]
    border = start + 512 - start % 512
    assert border + 512 < end
    whole[border : border + 512] = bytes(512)
    wal = read([WalFile("0-0.wal", bytes(whole))])
    assert (len(wal.entries), wal.trouble) == (2, "")
    assert "torn" in wal.ended


def test_every_flipped_bit_is_damage_or_torn_and_gives_no_other_entry() -> None:
    writer = three()
    honest = read(writer.files()).entries
    data = writer.files()[0].data
    for at in range(writer.ends[0][-1]):
        for bit in (0, 7):
            hurt = bytearray(data)
            hurt[at] ^= 1 << bit
            wal = read([WalFile("0-0.wal", bytes(hurt))])
            assert wal.entries == honest[: len(wal.entries)], at
            if len(wal.entries) < len(honest):
                assert wal.trouble or wal.ended, at


def test_damage_in_the_middle_is_trouble_and_not_an_end() -> None:
    writer = three()
    hurt = bytearray(writer.files()[0].data)
    hurt[writer.ends[0][-2] - 20] ^= 4
    wal = read([WalFile("0-0.wal", bytes(hurt))])
    assert (len(wal.entries), wal.ended) == (1, "")
    assert "damaged" in wal.trouble


def test_a_hole_of_zeros_in_front_of_something_is_trouble() -> None:
    writer = three()
    hurt = bytearray(writer.files()[0].data)
    start, end = writer.ends[0][-3:-1]
    hurt[start:end] = bytes(end - start)
    wal = read([WalFile("0-0.wal", bytes(hurt))])
    assert (len(wal.entries), wal.ended) == (1, "")
    assert "behind the end" in wal.trouble


def test_a_torn_file_that_others_follow_is_trouble() -> None:
    writer = three()
    writer.cut()
    writer.entry(b"fourth")
    files = writer.files()
    wal = read([files[0]._replace(data=files[0].data[: writer.ends[0][-1] - 8]), files[1]])
    assert (len(wal.entries), wal.ended) == (2, "")
    assert "further files follow" in wal.trouble


def test_nothing_at_all_is_an_empty_log() -> None:
    assert (read([]).last, read([]).trouble) == ((0, 0), "")
