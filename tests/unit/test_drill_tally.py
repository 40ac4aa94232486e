"""The tally of acknowledgements and the search for plaintext: what a drill's last line rests on."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sento_drill.plaintext_search import search
from sento_drill.soak import Sample, is_flat
from sento_drill.tally import Acknowledged, Tally, present_everywhere


def acknowledged(position: int, at_s: float = 0.0, author: str = "iizuka-city") -> Acknowledged:
    return Acknowledged(author, position.to_bytes(16, "big"), position, bytes([position]) * 32, at_s)


def tally_of(*times_s: float) -> Tally:
    tally = Tally()
    for position, at_s in enumerate(times_s):
        tally.note(acknowledged(position, at_s))
    return tally


def test_gap_is_the_longest_silence_that_touches_the_fault() -> None:
    tally = tally_of(0.0, 5.0, 5.1, 7.6, 7.7, 20.0)
    assert tally.longest_gap_s(5.2, 7.7) == pytest.approx(12.3)
    assert tally.longest_gap_s(5.2, 7.65) == pytest.approx(2.5)


def test_gap_counts_the_wait_that_began_before_the_kill_and_ended_after_the_window() -> None:
    assert tally_of(1.0, 4.0).longest_gap_s(2.0, 3.0) == pytest.approx(3.0)


def test_gap_without_any_later_answer_is_infinite_and_with_an_open_end_counts_up_to_it() -> None:
    assert math.isinf(tally_of(1.0).longest_gap_s(2.0, 30.0))
    assert tally_of(1.0, 2.5).longest_gap_s(2.0, 30.0) == pytest.approx(27.5)


def test_the_same_acknowledgement_twice_counts_once_and_two_places_contradict() -> None:
    tally = Tally()
    tally.note(acknowledged(7))
    tally.note(acknowledged(7, 1.0))
    assert (len(tally), tally.contradictions) == (1, [])
    tally.note(acknowledged(7)._replace(position=8))
    assert (len(tally), len(tally.contradictions)) == (1, 1)


def test_record_ids_of_two_authors_are_two_records() -> None:
    tally = Tally()
    tally.note(acknowledged(1))
    tally.note(acknowledged(1, author="iizuka-hospital"))
    assert len(tally) == 2


def test_present_means_every_site_holds_that_hash_at_that_position() -> None:
    tally = tally_of(0.0, 0.0, 0.0)
    whole = [acknowledged.record_hash for acknowledged in tally.all()]
    assert present_everywhere(tally, {"a": whole, "b": list(whole)}) == (3, [])
    other = [whole[0], b"other", whole[2]]
    assert present_everywhere(tally, {"a": whole, "b": other}) == (2, ["position 1 is not held at b"])
    assert present_everywhere(tally, {"a": whole[:2], "b": whole}) == (2, ["position 2 is not held at a"])
    assert present_everywhere(tally, {})[0] == 0


def test_behind_the_fork_of_an_epoch_a_record_may_stand_elsewhere_and_before_it_may_not() -> None:
    tally = tally_of(0.0, 0.0, 0.0)
    first, second, third = (acknowledged.record_hash for acknowledged in tally.all())
    moved = [first, second, b"the act that begins the epoch", third]
    assert present_everywhere(tally, {"a": moved}) == (2, ["position 2 is not held at a"])
    assert present_everywhere(tally, {"a": moved}, fork=2) == (3, [])
    assert present_everywhere(tally, {"a": [second, first, third]}, fork=2)[0] == 1
    assert present_everywhere(tally, {"a": [first, second, b"x"]}, fork=2) == (
        2,
        ["position 2 is not held at a"],
    )


def test_a_record_that_came_back_twice_is_said() -> None:
    tally = tally_of(0.0, 0.0)
    first, second = (acknowledged.record_hash for acknowledged in tally.all())
    assert present_everywhere(tally, {"a": [first, second, second]}, fork=1) == (
        2,
        ["1 records stand twice at a"],
    )


NEEDLES = ["𠮷田 花子".encode(), "飯塚市新立岩".encode(), b"900000000010"]


def test_search_finds_a_needle_in_a_binary_file_deep_down_and_only_there(tmp_path: Path) -> None:
    (tmp_path / "sites/jp-fukuoka/data").mkdir(parents=True)
    (tmp_path / "sites/jp-fukuoka/node.log").write_bytes(b"nothing of interest\n" * 100)
    leak = tmp_path / "sites/jp-fukuoka/data/segment.0"
    leak.write_bytes(bytes(70_000) + b"\xff\xfe" + NEEDLES[1] + bytes(1000))
    result = search(tmp_path, NEEDLES)
    assert result.hits == (leak,)
    assert result.files == 2
    leak.unlink()
    assert search(tmp_path, NEEDLES).hits == ()


def test_search_needs_needles_that_can_be_found(tmp_path: Path) -> None:
    for needles in ([], [b""], [b"two\nlines"]):
        with pytest.raises(ValueError, match="needles"):
            search(tmp_path, needles)


def samples(*pairs: tuple[int, int]) -> list[Sample]:
    """Samples at the given blocks, each with so many bytes in memory and on disk."""
    return [Sample(block, size_bytes, size_bytes) for block, size_bytes in pairs]


def test_soak_is_flat_when_nothing_grows_after_the_log_settled() -> None:
    assert is_flat(samples((5_000, 80), (10_000, 100), (20_000, 110), (30_000, 105)), 10_000)
    assert not is_flat(samples((5_000, 80), (10_000, 100), (20_000, 140)), 10_000)
    assert not is_flat([Sample(10_000, 100, 100), Sample(20_000, 100, 140)], 10_000)


def test_soak_that_ended_before_the_log_settled_shows_nothing() -> None:
    assert not is_flat(samples((5_000, 80), (10_000, 80)), 10_000)
    assert not is_flat([], 10_000)
