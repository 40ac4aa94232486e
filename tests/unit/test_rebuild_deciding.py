"""When a ledger is made anew, from where on, and when it is whole: every reason, every refusal, and what is asked for before anything is vouched for again."""

from __future__ import annotations

import pytest

from sento_node.ordering.boot import LocalDisk, PeerMemory, Refuse, Start, decide_boot
from sento_node.rebuild.deciding import (
    ASIDE_MAX,
    AgreedAt,
    Damage,
    Look,
    MakeAnew,
    Note,
    OpenLedger,
    Rebuild,
    Stop,
    agreed_size,
    decide_start,
    decode_note,
    encode_note,
)

WHOLE = Look(
    had_life=True,
    refusal=None,
    present=True,
    problem="",
    ledger_boot=4,
    boot_number=4,
    asked="",
    attempt=0,
    others=True,
    aside=0,
)
KEPT = (AgreedAt(10, 3), AgreedAt(1_200, 40), AgreedAt(2_400, 81))


def test_a_whole_ledger_and_one_that_a_crash_left_a_number_ahead_are_opened() -> None:
    assert decide_start(WHOLE) == OpenLedger()
    assert decide_start(WHOLE._replace(ledger_boot=5)) == OpenLedger()


def test_a_ledger_of_a_release_that_kept_no_number_is_not_called_old() -> None:
    assert decide_start(WHOLE._replace(ledger_boot=None)) == OpenLedger()


def test_an_empty_disk_begins_a_new_ledger_and_its_boot_is_judged_by_the_others() -> None:
    empty = WHOLE._replace(had_life=False, present=False, ledger_boot=None, boot_number=0)
    assert decide_start(empty) == OpenLedger()


@pytest.mark.parametrize(
    "hurt",
    [{"present": False}, {"problem": "Pages."}, {"ledger_boot": 3}, {"asked": "Asked."}],
    ids=["missing", "damaged", "older-copy", "asked"],
)
def test_each_reason_makes_the_ledger_anew_while_the_members_disk_is_whole(hurt: dict[str, object]) -> None:
    decided = decide_start(WHOLE._replace(**hurt))  # type: ignore[arg-type]
    assert isinstance(decided, MakeAnew)
    assert decided.reason.endswith(".")
    assert not decided.from_nothing


def test_the_second_attempt_in_a_row_keeps_nothing() -> None:
    assert decide_start(WHOLE._replace(asked="Again.", attempt=2)) == MakeAnew("Again.", from_nothing=True)


def test_with_the_members_disk_not_whole_a_readable_ledger_is_left_alone_and_a_damaged_one_stops() -> None:
    replaced = WHOLE._replace(refusal="The ordering member's directory is empty.")
    assert decide_start(replaced._replace(ledger_boot=1)) == OpenLedger()
    decided = decide_start(replaced._replace(problem="Pages."))
    assert isinstance(decided, Stop)
    assert "directory is empty" in decided.words


def test_a_ledger_of_one_site_stops_because_nobody_has_another_copy() -> None:
    decided = decide_start(WHOLE._replace(present=False, others=False))
    assert isinstance(decided, Stop)
    assert "nobody to copy it from" in decided.words


def test_after_so_many_ledgers_set_aside_a_person_must_look() -> None:
    assert isinstance(decide_start(WHOLE._replace(problem="Pages.", aside=ASIDE_MAX - 1)), MakeAnew)
    assert isinstance(decide_start(WHOLE._replace(problem="Pages.", aside=ASIDE_MAX)), Stop)


def test_the_agreed_size_is_the_largest_checkpoint_before_all_damage() -> None:
    assert agreed_size(KEPT, []) == AgreedAt(2_400, 81)
    assert agreed_size(KEPT, [Damage(None, None)]) == AgreedAt(2_400, 81)
    assert agreed_size(KEPT, [Damage(2_400, None)]) == AgreedAt(2_400, 81)
    assert agreed_size(KEPT, [Damage(2_399, None)]) == AgreedAt(1_200, 40)
    assert agreed_size(KEPT, [Damage(None, 81)]) == AgreedAt(1_200, 40)
    assert agreed_size(KEPT, [Damage(5_000, None), Damage(None, 40)]) == AgreedAt(10, 3)
    assert agreed_size(KEPT, [Damage(9, 3)]) is None


def test_the_agreed_size_is_below_the_one_where_a_quorum_has_another_root() -> None:
    assert agreed_size(KEPT, [], disputed_size=2_400) == AgreedAt(1_200, 40)
    assert agreed_size(KEPT, [], disputed_size=10) is None


def test_a_note_is_read_back_and_an_empty_one_says_that_it_was_done() -> None:
    note = Note("Pages were damaged.", 2, 700, 30)
    assert decode_note(encode_note(note)) == note
    assert decode_note(b"") is None
    assert decode_note(None) is None


def test_a_ledger_is_whole_when_copied_current_at_the_floor_and_everybody_was_heard() -> None:
    rebuild = Rebuild(Note("Lost.", 1, 100, 0))
    others = ("jp-ibaraki", "jp-ishikawa")

    def whole(size: int, *, current: bool = True) -> bool:
        return rebuild.is_whole(size, current=current, others=others)

    rebuild.heard("jp-ishikawa", 140)
    rebuild.copied = True
    assert not whole(500), "a site that was not heard may remember more"
    rebuild.heard("jp-ibaraki", 120)
    assert rebuild.floor_size == 140
    assert not whole(139)
    assert not whole(140, current=False)
    assert whole(140)
    rebuild.copied = False
    assert not whole(140), "nothing was proven"


DISK = LocalDisk(
    boot_number=4,
    ordering_boot_number=4,
    member_started=True,
    member_has_data=True,
    ledger_size=0,
    cosigned_size=0,
)


def test_a_lost_ledger_does_not_keep_a_whole_member_from_starting_and_the_floor_comes_with_it() -> None:
    answers = {"jp-ishikawa": PeerMemory(4, 140), "jp-ibaraki": PeerMemory(4, 90)}
    assert decide_boot(DISK, 5, answers, frozenset(answers)) == Start(5, 140)


def test_a_lost_ledger_does_not_help_a_member_whose_disk_was_put_back_in_time() -> None:
    answers = {"jp-ishikawa": PeerMemory(5, 140)}
    assert isinstance(decide_boot(DISK, 5, answers, frozenset(answers)), Refuse)
    emptied = DISK._replace(member_has_data=False)
    assert isinstance(decide_boot(emptied, 5, {}, frozenset(answers)), Refuse)
    assert isinstance(decide_boot(DISK._replace(ordering_boot_number=3), 5, {}, frozenset(answers)), Refuse)
