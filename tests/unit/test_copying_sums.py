"""What copying reckons with: the cap by a clock of the test's, rate and time to go, and parts on disk over lives, erasures and full disks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sento_node.sync.parts import HEAD_BYTES, ROOM_LEFT_BYTES, NoRoom, Parts, Wanted
from sento_node.sync.progress import RATE_OVER_MS, Progress
from sento_node.sync.rate_cap import RateCap
from sento_proto.chunk import Kind

SPINE = Wanted(Kind.SPINE, 0, 9, 0, 40)
PAYLOADS = Wanted(Kind.PAYLOADS, 0, 0, 0, 40, "health")
ID = bytes(range(32))

# -- the cap ----------------------------------------------------------------------------------------------------------


@given(
    st.integers(1_000, 10_000_000),
    st.lists(st.tuples(st.integers(1, 70_000), st.integers(0, 3_000)), min_size=1),
)
def test_over_any_time_the_cap_lets_through_its_rate_a_seconds_burst_and_the_last_piece(
    rate: int, pieces: list[tuple[int, int]]
) -> None:
    cap, now_ms, total = RateCap(rate), 5_000, 0
    began_ms = now_ms
    for size, idle_ms in pieces:
        assert total <= rate * (now_ms - began_ms) / 1000 + rate + 70_000
        total += size
        now_ms += cap.received(size, now_ms) + idle_ms


def test_a_cap_that_is_waited_for_gives_its_rate_in_the_long_run_and_none_holds_nobody_up() -> None:
    cap, now_ms = RateCap(100_000), 0
    for _ in range(500):
        now_ms += cap.received(10_000, now_ms)
    assert 48_000 <= now_ms <= 50_000
    assert RateCap(0).received(1 << 40, 0) == 0


# -- progress ---------------------------------------------------------------------------------------------------------


def test_rate_and_time_to_go_are_those_of_the_last_half_minute() -> None:
    progress = Progress(done=40_000, wanted=67_000, began_done=40_000)
    assert (progress.rate_bytes_per_s(0), progress.time_to_go_s(0), progress.bytes_wanted) == (0, 0, 0)
    for second in range(100):
        progress.came(8_000, second * 1_000)
    progress.done += 2_700
    now_ms = 99_000
    assert 7_500 <= progress.rate_bytes_per_s(now_ms) <= 8_500
    assert progress.bytes_wanted == 8_000_000
    assert 850 <= progress.time_to_go_s(now_ms) <= 950
    silent_ms = now_ms + RATE_OVER_MS + 1
    assert (progress.rate_bytes_per_s(silent_ms), progress.time_to_go_s(silent_ms)) == (0, 0)


# -- parts ------------------------------------------------------------------------------------------------------------


def begun(parts: Parts, wanted: Wanted = SPINE, site: str = "a") -> None:
    part = parts.part(site, wanted)
    part.begin(ID, 10)
    part.append(b"abcd")
    part.close()


def test_a_part_is_gone_on_with_by_another_life_and_only_from_the_same_site(tmp_path: Path) -> None:
    begun(Parts(tmp_path))
    parts = Parts(tmp_path)
    part = parts.part("a", SPINE)
    assert (part.chunk_id, part.total_bytes, part.size_bytes, part.inherited) == (ID, 10, 4, True)
    part.append(b"efghij")
    assert part.is_whole
    part.close()
    assert parts.read("a", SPINE) == b"abcdefghij"
    assert parts.part("b", SPINE).size_bytes == 0


@pytest.mark.parametrize("length", [0, 1, HEAD_BYTES - 1])
def test_a_part_that_a_power_cut_left_without_its_head_is_begun_anew(tmp_path: Path, length: int) -> None:
    begun(Parts(tmp_path))
    path = next(tmp_path.glob("*.part"))
    os.truncate(path, length)
    part = Parts(tmp_path).part("a", SPINE)
    assert (part.size_bytes, part.inherited) == (0, False)


def test_payloads_that_came_before_an_erasure_was_carried_out_are_dropped_and_records_are_not(
    tmp_path: Path,
) -> None:
    parts = Parts(tmp_path)
    begun(parts)
    begun(parts, PAYLOADS)
    under_way = parts.part("b", PAYLOADS)
    under_way.begin(ID, 10)
    parts.erasures_carried_out(1)
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == ["spine"]
    assert under_way.dropped
    begun(parts, PAYLOADS)
    another_life = Parts(tmp_path)
    another_life.erasures_carried_out(1)
    assert another_life.part("a", PAYLOADS).size_bytes == 4, "nothing was carried out since it began"


def test_payloads_of_a_former_life_are_not_gone_on_with_after_an_erasure(tmp_path: Path) -> None:
    begun(Parts(tmp_path), PAYLOADS)
    parts = Parts(tmp_path)
    parts.erasures_carried_out(3)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_the_ledgers_room_is_taken_and_keeps_what_came(tmp_path: Path) -> None:
    room = [1 << 40]
    parts = Parts(tmp_path, lambda: room[0])
    begun(parts)
    room[0] = ROOM_LEFT_BYTES + 9
    with pytest.raises(NoRoom, match="Free space"):
        parts.part("a", PAYLOADS).begin(ID, 10)
    assert parts.part("a", SPINE).size_bytes == 4


def test_only_files_of_our_own_names_are_removed(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    begun(parts)
    begun(parts, PAYLOADS._replace(registry="tax/land"))
    (tmp_path / "staged.part").write_bytes(b"another's")
    parts.forget(everything=True)
    assert [path.name for path in tmp_path.iterdir()] == ["staged.part"]


def test_what_is_adopted_goes_and_what_is_ahead_stays(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    begun(parts)
    ahead = SPINE._replace(after_block=9, through_block=20)
    begun(parts, ahead)
    parts.forget(through_block=9)
    assert parts.kept_bytes("a", SPINE) == 0
    assert parts.kept_bytes("a", ahead) == 4
