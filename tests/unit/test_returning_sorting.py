"""Orphans in their places: nothing is dropped, conflicts and what was signed with them are never offered by themselves, and the file holds it all."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sento_client.returning.orphans_file import (
    Answer,
    Orphan,
    OrphansFile,
    decode_orphans,
    encode_orphans,
)
from sento_client.returning.sorting import Place, sort_orphans
from sento_proto.wire import Malformed


def orphan(at: int, submission: int, *, why_not: str = "", against: int = -1) -> Orphan:
    return Orphan(
        hash_of(at), bytes(16), "kaga-city", "residency", "address", bytes([at]) * 16, at, 7, submission, why_not, against,
    )  # fmt: skip


def hash_of(at: int) -> bytes:
    return bytes([at]) * 32


def file_of(*orphans: Orphan, answers: tuple[Answer, ...] = ()) -> OrphansFile:
    return OrphansFile(bytes(32), "jp-fukuoka", 0, 9, orphans, answers)


LISTED = file_of(
    orphan(1, 1),
    orphan(2, 1),
    orphan(3, 2, against=40),
    orphan(4, 3, against=41),
    orphan(5, 3),
    orphan(6, 4, why_not="A payload of its submission is erased or missing here."),
    orphan(7, 5),
)


def places(file: OrphansFile, **decided: set[bytes]) -> list[str]:
    sorting = sort_orphans(file, **decided)
    assert sum(sorting.counts.values()) == len(file.orphans), "nothing is dropped"
    assert sum(sum(row.counts.values()) for row in sorting.rows) == len(file.orphans)
    return [one.place.value for one in sorting.items]


def test_each_orphan_has_its_place() -> None:
    assert places(LISTED) == [
        "to offer", "to offer", "conflict", "conflict", "together", "cannot", "to offer",
    ]  # fmt: skip


def test_a_record_that_is_left_out_keeps_what_was_signed_with_it_back() -> None:
    assert places(LISTED, leave_out={hash_of(1)})[:2] == ["left out", "together"]


def test_a_conflict_that_a_person_takes_goes_with_what_was_signed_with_it() -> None:
    assert places(LISTED, take={hash_of(4)})[3:5] == ["to offer", "to offer"]


def test_what_cannot_be_shown_again_is_not_offered_by_anybody_s_word() -> None:
    assert places(LISTED, take={hash_of(6)})[5] == "cannot"


def test_answers_move_orphans_and_one_without_a_word_is_offered_again() -> None:
    after = LISTED.answered(
        [
            Answer(hash_of(1), "ACCEPTED", 50),
            Answer(hash_of(2), "KNOWN", 51),
            Answer(hash_of(7), "NO_ORDERING", -1, "It may yet come to stand; ask again."),
        ]
    )
    assert places(after)[:2] == ["stands", "stands"]
    assert places(after)[6] == "to offer"
    refused = after.answered([Answer(hash_of(7), "STALE")])
    assert places(refused)[6] == "refused"


def test_portions_are_whole_submissions() -> None:
    file = file_of(*(orphan(at, 1 + at // 3) for at in range(9)))
    portions = list(sort_orphans(file).submissions_to_offer(4))
    assert [len(portion) for portion in portions] == [6, 3]
    assert [one for portion in portions for one in portion] == [hash_of(at) for at in range(9)]


def test_the_file_comes_back_as_it_was_written() -> None:
    file = LISTED.answered([Answer(hash_of(1), "ACCEPTED", 50), Answer(hash_of(7), "STALE", -1, "words")])
    assert decode_orphans(encode_orphans(file)) == file


@pytest.mark.parametrize(
    "change",
    [
        {"format": "sento-orphans-2"},
        {"epoch": -1},
        {"site": "No Site"},
        {"orphans": "twice"},
        {"answers": [{"record": "00" * 32, "code": "KNOWN", "position": 1, "words": ""}]},
        {"more": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_file_that_is_not_in_form_is_refused(change: dict[str, object]) -> None:
    value = json.loads(encode_orphans(LISTED))
    if change.get("orphans") == "twice":
        change = {"orphans": value["orphans"] * 2}
    with pytest.raises(Malformed):
        decode_orphans(json.dumps(value | change).encode())


def test_an_answer_that_stands_wins_over_a_person_s_leaving_out() -> None:
    """It stands: to leave it out now would be a lie."""
    stands = replace(LISTED, answers=(Answer(hash_of(7), "KNOWN", 9),))
    assert sort_orphans(stands, {hash_of(7)}).items[6].place is Place.STANDS
