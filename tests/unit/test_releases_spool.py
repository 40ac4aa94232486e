"""The spool file of an island: what is whole is kept, what is cut off was never released, what is damaged is set aside and told."""

from __future__ import annotations

from pathlib import Path

import pytest

from genesis_builder import build_genesis, make_record
from sento_node.releases import spool as spool_module
from sento_node.releases.making import fitting
from sento_node.releases.spool import NAME, Spool, SpoolFull, encode_frame, read_frames
from sento_proto import limits
from sento_proto.record import Record

WORLD = build_genesis()


def records(count: int, registry: str = "residency", content: bytes = b"...") -> list[Record]:
    author = "iizuka-city"
    return [
        make_record(
            WORLD, author, registry, "access", bytes([7]) * 32, WORLD.numbers.take(16), content=content
        )
        for _ in range(count)
    ]


def test_a_spool_gives_back_what_it_was_given_in_its_order(tmp_path: Path) -> None:
    given = records(5)
    spool = Spool(tmp_path)
    spool.append(given[:2])
    spool.append(given[2:])
    assert Spool(tmp_path).oldest(9) == spool.oldest(9) == given
    assert (tmp_path / NAME).stat().st_mode & 0o077 == 0


def test_a_frame_that_was_cut_off_is_dropped_and_the_next_one_stands_behind_whole_ones(
    tmp_path: Path,
) -> None:
    first, second, third = records(3)
    whole = encode_frame(first)
    for cut in range(1, len(encode_frame(second)), 37):
        (tmp_path / NAME).write_bytes(whole + encode_frame(second)[:cut])
        spool = Spool(tmp_path)
        assert (spool.oldest(9), spool.damaged) == ([first], None)
        spool.append([third])
        assert Spool(tmp_path).oldest(9) == [first, third]


def test_any_changed_byte_of_a_whole_frame_is_damage_and_nothing_wrong_is_ordered() -> None:
    first, second = records(2)
    data = encode_frame(first) + encode_frame(second)
    for at in range(0, len(encode_frame(first)), 11):
        hurt = bytearray(data)
        hurt[at] ^= 0x40
        found = read_frames(bytes(hurt))
        assert first not in found.records
        assert all(record in (first, second) for record in found.records)


def test_a_damaged_file_is_set_aside_whole_and_what_stood_before_goes_on(tmp_path: Path) -> None:
    first, second = records(2)
    hurt = bytearray(encode_frame(first) + encode_frame(second))
    hurt[-1] ^= 1
    (tmp_path / NAME).write_bytes(hurt)
    spool = Spool(tmp_path)
    assert spool.oldest(9) == [first]
    assert spool.damaged is not None
    assert spool.damaged.read_bytes() == bytes(hurt)
    assert Spool(tmp_path).damaged is None


def test_what_is_ordered_leaves_the_file_when_nothing_is_left_and_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = records(4)
    spool = Spool(tmp_path)
    spool.append(given)
    spool.ordered([given[0].header.record_id])
    assert (len(spool), len(Spool(tmp_path))) == (3, 4), "sent again after a crash it is known"
    monkeypatch.setattr(spool_module, "REWRITE_AFTER", 2)
    spool.ordered([given[1].header.record_id])
    assert Spool(tmp_path).oldest(9) == given[2:]
    spool.ordered([record.header.record_id for record in given[2:]])
    assert not (tmp_path / NAME).exists()


def test_a_full_spool_takes_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = records(2)
    monkeypatch.setattr(spool_module, "SPOOL_MAX_BYTES", len(encode_frame(first)) + 10)
    spool = Spool(tmp_path)
    spool.append([first])
    with pytest.raises(SpoolFull):
        spool.append([second])
    assert Spool(tmp_path).oldest(9) == [first]


def test_records_of_one_registry_go_together_as_far_as_a_submission_holds_them() -> None:
    mixed = [*records(3), *records(2, "tax"), *records(1)]
    assert fitting(mixed) == 3
    assert fitting(mixed[3:]) == 2
    assert fitting([mixed[0], mixed[0]]) == 1, "one id stands once in a submission"
    large = records(4, content=bytes(28_000))
    together = fitting(large)
    assert together == 1
    assert len(large[0].payload) * 2 > limits.SUBMISSION_RECORDS_MAX_BYTES
    assert fitting([]) == 0
