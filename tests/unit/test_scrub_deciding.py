"""What a finding of the background reading means: which remedy, what is fenced, when a repair has failed, when nothing but a new ledger helps."""

from __future__ import annotations

import pytest

from sento_node.ledger.findings import (
    ACCOUNT,
    CHECKPOINT,
    INDEX,
    META,
    PAGES,
    PAYLOAD,
    REMEMBERED,
    SEGMENT,
    TILE,
    Finding,
    Kind,
    Summary,
)
from sento_node.ledger.rows import awaited_key, segment_key, tile_key
from sento_node.scrub.deciding import (
    DEATHS,
    OPEN_MAX,
    TRIES,
    ForgetNote,
    MendBlock,
    MendEntry,
    Mending,
    MendMeta,
    MendTile,
    Rebuild,
    Remedy,
    ReplaceCheckpoint,
    TellPeople,
    VacateSegment,
    remedy_of,
)
from sento_node.scrub.lines import Ended, NotUnderstood, at_line, ended_line, finding_line, read_line
from sento_node.scrub.pace import Pace


def finding(
    position: int | None = None,
    block: int | None = None,
    part: str = "",
    key: bytes = b"",
    number: int = 0,
    words: str = "It is wrong.",
) -> Finding:
    return Finding(position, block, Kind.WRONG, words, part, key, number)


ROW = finding(7, 3)
LOST = finding(8, 3, PAYLOAD, number=2)


@pytest.mark.parametrize(
    ("found", "remedy"),
    [
        (ROW, MendBlock(3, 7)),
        (finding(7), MendBlock(None, 7)),
        (finding(block=3), MendBlock(3, None)),
        (LOST, VacateSegment(2, 0)),
        (finding(part=SEGMENT, number=4), VacateSegment(4, 0)),
        (finding(part=ACCOUNT, key=segment_key(4), number=900), VacateSegment(4, 900)),
        (finding(0, part=TILE, key=tile_key(1, 5)), MendTile(1, 5)),
        (finding(9, part=INDEX["facts"], key=b"residency\0f", number=-1), MendEntry("facts", b"residency\0f")),
        (finding(block=3, part=CHECKPOINT, number=77), ReplaceCheckpoint(77)),
        (finding(part=META), MendMeta()),
        (finding(part=REMEMBERED, key=awaited_key(5)), ForgetNote(awaited_key(5))),
        (finding(part=REMEMBERED, key=b"boot/b"), TellPeople("It is wrong.")),
        (finding(part=PAGES), Rebuild("It is wrong.")),
        (finding(), Rebuild("It is wrong.")),
    ],
)  # fmt: skip
def test_each_kind_of_damage_has_its_remedy(found: Finding, remedy: Remedy) -> None:
    assert remedy_of(found) == remedy


def test_records_and_blocks_are_fenced_until_a_whole_round_does_not_find_them_any_more() -> None:
    mending = Mending()
    for found in (ROW, LOST, finding(block=4)):
        mending.found_now(found)
    assert (mending.fenced_records, mending.fenced_blocks) == (frozenset({7, 8}), frozenset({4}))
    assert mending.round_ended() is True
    assert mending.fenced == 3, "a round that found them heals nothing"
    mending.found_now(LOST)
    assert mending.round_ended() is True
    assert mending.fenced_records == frozenset({8})
    assert not mending.fenced_blocks
    assert mending.round_ended() is False
    assert (mending.found, mending.healed, mending.fenced) == (3, 3, 0)


def test_a_round_that_died_heals_nothing() -> None:
    mending = Mending()
    mending.found_now(ROW)
    mending.round_ended()
    assert mending.died("rows") is None
    assert (mending.healed, mending.fenced_records) == (0, frozenset({7}))


def test_damage_to_what_is_derived_fences_no_record() -> None:
    mending = Mending()
    mending.found_now(finding(0, part=TILE, key=tile_key(0, 0)))
    mending.found_now(finding(part=SEGMENT, number=4))
    assert mending.fenced == 0


def test_what_comes_back_after_every_repair_ends_in_a_new_ledger() -> None:
    mending = Mending()
    for _ in range(TRIES):
        remedy = mending.found_now(ROW)
        assert remedy == MendBlock(3, 7)
        mending.tried(remedy)
        mending.round_ended()
    assert isinstance(mending.found_now(ROW), Rebuild)


def test_repairs_are_counted_anew_once_everything_was_sound() -> None:
    mending = Mending()
    for _ in range(2 * TRIES):
        mending.tried(mending.found_now(ROW))
        mending.round_ended()
        mending.round_ended()
    assert mending.found_now(ROW) == MendBlock(3, 7)


def test_more_damage_than_is_mended_one_by_one_ends_in_a_new_ledger() -> None:
    mending = Mending()
    mending._open.update(finding(at) for at in range(OPEN_MAX))
    assert isinstance(mending.found_now(LOST), Rebuild)


def test_a_reader_that_dies_twice_in_a_row_is_the_databases_damage_and_the_place_is_named() -> None:
    mending = Mending()
    assert [mending.died("tiles") for _ in range(DEATHS - 1)] == [None] * (DEATHS - 1)
    mending.round_ended()
    assert mending.died("tiles") is None, "a whole round between them"
    died = mending.died("rows from position 512 of 900")
    assert died is not None
    assert "position 512" in died.words


def test_what_the_child_says_is_what_the_site_hears() -> None:
    for said in (ROW, LOST, finding(0, part=TILE, key=tile_key(1, 5))):
        assert read_line(finding_line(said).encode()) == said
    assert read_line(at_line("tiles", 9).encode()) == ("tiles", 9)
    assert read_line(ended_line(10, Summary()).encode()) == Ended(10)


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b'{"at": 3}', b'{"finding": {}}', finding_line(ROW).encode()[:-9], b"\xff",
     finding_line(ROW._replace(part="other")).encode()],
)  # fmt: skip
def test_a_line_that_the_child_would_not_say_is_not_understood(line: bytes) -> None:
    with pytest.raises(NotUnderstood):
        read_line(line)


def test_reading_keeps_to_its_pace_and_does_not_make_up_for_a_long_rest() -> None:
    now_s, slept = [100.0], list[float]()

    def sleep(pause_s: float) -> None:
        slept.append(pause_s)
        now_s[0] += pause_s

    pace = Pace(1_000, lambda: now_s[0], sleep)
    for _ in range(100):
        pace.pause(pace.spent(100))
    assert 9.8 <= sum(slept) <= 10.0
    now_s[0] += 3_600
    slept.clear()
    for _ in range(100):
        pace.pause(pace.spent(100))
    assert 8.8 <= sum(slept) <= 10.0
