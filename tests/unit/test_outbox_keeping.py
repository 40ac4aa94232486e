"""The keeping core, its six rules one after the other, without disk, sites or clock."""

from __future__ import annotations

import pytest

from keeping_bench import HALF_CHECK_MS, SETTINGS, A, B, Bench, run_of
from sento_client.delivery_values import Settle
from sento_client.outbox.keeping import (
    AskCheckpoint,
    Counts,
    Deliver,
    Effect,
    Forget,
    Note,
    SetAside,
    StoreReceipts,
    stays,
)
from sento_proto.errors import Code

# 1. A submission is kept until each of its records has its end: its receipt is on disk, or it was refused for good.


def test_rule_1_what_stands_by_one_sites_word_is_kept() -> None:
    bench = Bench()
    assert bench.stands(1, 7) == []
    assert bench.core.counts == Counts(sending=0, uncovered=1)


def test_rule_1_what_a_quorums_checkpoint_proves_is_forgotten() -> None:
    bench = Bench()
    bench.stands(1, 7)
    bench.wait(HALF_CHECK_MS)
    assert bench.proven(bench.asked(8)) == [Forget(1)]
    assert bench.core.counts == Counts(0, 0)
    assert bench.core.wake_ms is None


def test_rule_1_what_is_proven_is_forgotten_only_when_its_receipts_are_on_disk() -> None:
    bench = Bench()
    bench.stands(1, 7)
    bench.wait(HALF_CHECK_MS)
    runs = bench.asked(8)
    assert bench.shown(runs) == [StoreReceipts(runs)]
    assert bench.core.counts == Counts(0, 1)
    assert bench.core.wake_ms is None, "nothing is asked while the disk works"
    assert bench.core.stored(runs, bench.now_ms) == [Forget(1)]
    assert bench.core.counts == Counts(0, 0)


def test_rule_1_receipts_that_the_disk_does_not_take_keep_the_submission_and_it_is_not_sent_again() -> None:
    bench = Bench()
    bench.stands(1, 7)
    bench.wait(HALF_CHECK_MS)
    for _ in range(2 + SETTINGS.cover_ms // SETTINGS.store_again_ms):
        runs = bench.asked(8)
        assert bench.shown(runs) == [StoreReceipts(runs)]
        assert bench.core.not_stored(runs, bench.now_ms) == []
        assert bench.wait(SETTINGS.store_again_ms - 1) == []
        assert bench.wait(1) == [AskCheckpoint(A)], "not doubted, however long the disk is full"
    runs = bench.asked(8)
    bench.shown(runs)
    assert bench.core.stored(runs, bench.now_ms) == [Forget(1)]


def test_rule_1_only_whole_submissions_are_stored() -> None:
    """One of two records stands elsewhere: neither gets a receipt from this look, and the submission goes to another site."""
    bench = Bench()
    bench.stands(1, 3, 7)
    bench.wait(HALF_CHECK_MS)
    runs = bench.asked(8)
    assert bench.shown(runs, runs[1]) == [Deliver(1, A)]


def test_rule_1_what_was_refused_for_good_needs_no_proof() -> None:
    bench = Bench()
    bench.core.sent(1, 2)
    assert bench.settle(1, 0, Code.STALE) == []
    assert bench.settle(1, 1, Code.RECORD_ID_REUSED) == [Forget(1)]


def test_rule_1_one_refused_and_one_proven_record_are_all_of_it() -> None:
    bench = Bench()
    bench.core.sent(1, 2)
    bench.settle(1, 0, Code.STALE)
    assert bench.settle(1, 1, Code.ACCEPTED, 7) == []
    bench.wait(HALF_CHECK_MS)
    runs = bench.asked(8)
    assert runs == (run_of(1, 7, 1),)
    assert bench.proven(runs) == [Forget(1)]


def test_rule_1_one_record_without_an_end_keeps_its_neighbours_that_stand() -> None:
    bench = Bench()
    bench.core.sent(1, 2)
    bench.settle(1, 0, Code.ACCEPTED, 7)
    assert bench.settle(1, 1, Code.DEADLINE, word=Code.HELD) == [Note(1, Code.HELD, 1)]
    assert bench.core.counts == Counts(sending=1, uncovered=0)


@pytest.mark.parametrize(
    ("settle", "is_kept"),
    [
        (Settle(1, 0, Code.ACCEPTED), False),
        (Settle(1, 0, Code.STALE), False),
        (Settle(1, 0, Code.PREDECESSOR_MISSING), True),
        (Settle(1, 0, Code.PREDECESSOR_MISSING, because=bytes(32)), False),
        (Settle(1, 0, Code.DEADLINE), True),
        (Settle(1, 0, Code.UNREACHABLE), True),
        (Settle(1, 0, Code.NO_ORDERING), True),
        (Settle(1, 0, Code.TOO_LARGE), False),
        (Settle(1, 0, Code.TOO_LARGE, may_stand=True), True),
        (Settle(1, 0, Code.IDENTITY_REFUSED), True),
        (Settle(1, 0, Code.IDENTITY_EXPIRED), True),
        (Settle(1, 0, Code.CLOCK_AHEAD), True),
    ],
    ids=lambda value: value.code.name if isinstance(value, Settle) else str(value),
)
def test_rule_1_which_ends_of_a_round_are_no_end_of_the_record(settle: Settle, is_kept: bool) -> None:
    assert stays(settle) is is_kept


# 2. What stands by the word of one site only is looked for: a quorum checkpoint over all its positions, and the proof that each record stands there.


def test_rule_2_the_first_look_comes_soon_and_the_next_every_second() -> None:
    bench = Bench()
    bench.stands(1, 7)
    assert bench.core.wake_ms == HALF_CHECK_MS
    assert bench.wait(HALF_CHECK_MS - 1) == []
    assert bench.wait(1) == [AskCheckpoint(A)]
    assert bench.checkpoint(7) == []
    assert bench.core.wake_ms == bench.now_ms + SETTINGS.check_ms
    assert bench.wait(SETTINGS.check_ms) == [AskCheckpoint(A)]


def test_rule_2_one_question_at_a_time_however_long_it_takes() -> None:
    bench = Bench()
    bench.stands(1, 7)
    assert bench.wait(HALF_CHECK_MS) == [AskCheckpoint(A)]
    assert bench.wait(10 * SETTINGS.check_ms) == []
    assert bench.core.wake_ms is None
    bench.asked(8)
    assert bench.wait(10 * SETTINGS.check_ms) == []


def test_rule_2_a_question_that_fails_is_asked_again_a_second_later() -> None:
    bench = Bench()
    bench.stands(1, 7)
    for _ in range(3):
        bench.now_ms = bench.core.wake_ms or 0
        assert bench.wait(0) == [AskCheckpoint(A)]
        assert bench.core.check_failed(bench.now_ms) == []
        assert bench.core.wake_ms == bench.now_ms + SETTINGS.check_ms
    bench.wait(SETTINGS.check_ms)
    bench.asked(8)
    assert bench.core.check_failed(bench.now_ms) == []
    assert bench.core.counts.uncovered == 1


def test_rule_2_a_checkpoint_must_lie_over_the_last_position_of_a_submission() -> None:
    bench = Bench()
    bench.stands(1, 7, 8)
    bench.wait(HALF_CHECK_MS)
    assert bench.checkpoint(8) == []
    bench.wait(SETTINGS.check_ms)
    assert bench.asked(9) == (run_of(1, 7, 0, 1),)


def test_rule_2_every_record_is_asked_for_in_runs_of_neighbours() -> None:
    bench = Bench()
    bench.stands(1, 9, 3, 4, 8, 2)
    bench.wait(HALF_CHECK_MS)
    assert bench.asked(10) == (run_of(1, 2, 4, 1, 2), run_of(1, 8, 3, 0))


def test_rule_2_one_run_that_holds_does_not_prove_another_of_the_same_submission() -> None:
    bench = Bench()
    bench.stands(1, 2, 5)
    bench.wait(HALF_CHECK_MS)
    runs = bench.asked(6)
    assert bench.proven(runs, run_of(1, 5, 1)) == [Deliver(1, A)]
    assert bench.core.counts == Counts(sending=1, uncovered=0)


def test_rule_2_one_submission_that_holds_does_not_prove_another() -> None:
    bench = Bench()
    bench.stands(1, 2)
    bench.stands(2, 3, site=B)
    bench.wait(HALF_CHECK_MS)
    runs = bench.asked(4)
    assert sorted(bench.proven(runs, run_of(2, 3, 0)), key=repr) == [Deliver(2, B), Forget(1)]


def test_rule_2_a_checkpoint_of_another_epoch_proves_nothing() -> None:
    bench = Bench()
    bench.stands(1, 7, epoch=1)
    bench.wait(HALF_CHECK_MS)
    assert bench.checkpoint(8, epoch=0) == []
    bench.wait(SETTINGS.check_ms)
    assert bench.checkpoint(8, epoch=2) == []
    bench.wait(SETTINGS.check_ms)
    assert bench.asked(8, epoch=1) == (run_of(1, 7, 0),)


def test_rule_2_what_does_not_fit_one_question_is_asked_for_at_once_after_it() -> None:
    bench = Bench()
    for kept in (1, 2, 3):
        bench.stands(kept, 10 * kept, 10 * kept + 5)
    bench.wait(HALF_CHECK_MS)
    first = bench.asked(100)
    assert {run.kept for run in first} == {1, 2}
    effects = bench.proven(first)
    assert effects == [Forget(1), Forget(2), AskCheckpoint(A)]
    second = bench.asked(100)
    assert {run.kept for run in second} == {3}
    assert bench.proven(second) == [Forget(3)]


def test_rule_2_a_submission_scattered_over_more_runs_than_fit_one_question_is_still_asked_for() -> None:
    bench = Bench()
    bench.stands(1, 0, 2, 4, 6, 8, 10)
    bench.stands(2, 12)
    bench.wait(HALF_CHECK_MS)
    runs = bench.asked(20)
    assert [run.kept for run in runs] == [1] * 6
    assert bench.proven(runs) == [Forget(1), AskCheckpoint(A)]
    assert [run.kept for run in bench.asked(20)] == [2]


# 3. Without that proof for 30 s it is sent again, to another site; at once if the proof shows something else at its position.


def test_rule_3_without_a_checkpoint_it_is_sent_elsewhere_after_thirty_seconds_and_not_before() -> None:
    bench = Bench()
    bench.stands(1, 7)
    effects: list[Effect] = []
    while not any(isinstance(effect, Deliver) for effect in effects):
        effects = bench.wait(HALF_CHECK_MS)
        if AskCheckpoint(A) in effects:
            bench.core.check_failed(bench.now_ms)
    assert effects == [Deliver(1, A)]
    assert SETTINGS.cover_ms <= bench.now_ms <= SETTINGS.cover_ms + SETTINGS.check_ms


def test_rule_3_something_else_at_its_position_sends_it_elsewhere_at_once() -> None:
    bench = Bench()
    bench.stands(1, 7, site=B)
    bench.wait(HALF_CHECK_MS)
    runs = bench.asked(8)
    assert bench.proven(runs, *runs) == [Deliver(1, B)]


def test_rule_3_two_records_said_to_stand_at_one_position_are_sent_elsewhere_without_looking_for_a_proof() -> (
    None
):
    bench = Bench()
    assert bench.stands(1, 7, 7) == []
    assert bench.core.counts == Counts(sending=1, uncovered=0)
    assert bench.wait(SETTINGS.again_ms) == [Deliver(1, A)]


def test_rule_3_a_site_that_goes_on_saying_what_cannot_be_is_asked_once_a_second() -> None:
    bench = Bench()
    bench.stands(1, 7, 7)
    for _ in range(5):
        assert bench.wait(SETTINGS.again_ms - 1) == []
        assert bench.wait(1) == [Deliver(1, A)]
        assert bench.said_to_stand(1, 7, 7) == []


def test_rule_3_the_second_sites_word_takes_the_place_of_the_first() -> None:
    bench = Bench()
    bench.stands(1, 7)
    bench.wait(HALF_CHECK_MS)
    runs = bench.asked(8)
    bench.proven(runs, *runs)
    assert bench.said_to_stand(1, 9, site=B) == []
    bench.wait(HALF_CHECK_MS)
    assert bench.core.check_failed(bench.now_ms) == []
    assert bench.wait(SETTINGS.check_ms) == [AskCheckpoint(B)]
    assert bench.asked(10) == (run_of(1, 9, 0),)


def test_rule_3_the_thirty_seconds_begin_anew_with_the_second_sites_word() -> None:
    bench = Bench()
    bench.stands(1, 7)
    assert bench.wait(SETTINGS.cover_ms) == [Deliver(1, A)]
    bench.said_to_stand(1, 7, site=B)
    assert bench.wait(SETTINGS.cover_ms - 1) == [AskCheckpoint(B)]
    bench.core.check_failed(bench.now_ms)
    assert bench.wait(SETTINGS.check_ms) == [Deliver(1, B)]


# 4. What has no end goes on being sent: soon when no site could be reached, with pauses that double up to five minutes when the ledger says "not yet".


def test_rule_4_when_no_site_was_reached_it_is_sent_again_after_one_second_each_time() -> None:
    bench = Bench()
    bench.core.sent(1, 1)
    for rounds in (1, 2, 3):
        assert bench.settle(1, 0, Code.UNREACHABLE) == [Note(1, Code.UNREACHABLE, rounds)]
        assert bench.core.wake_ms == bench.now_ms + SETTINGS.again_ms
        assert bench.wait(SETTINGS.again_ms) == [Deliver(1, None)]


def test_rule_4_not_yet_is_asked_again_with_pauses_that_double_up_to_five_minutes() -> None:
    bench = Bench(chance=1.0)
    bench.core.sent(1, 1)
    pauses_s = []
    for _ in range(9):
        bench.settle(1, 0, Code.DEADLINE, word=Code.HELD)
        assert bench.core.wake_ms is not None
        pauses_s.append((bench.core.wake_ms - bench.now_ms) // 1_000)
        bench.wait(bench.core.wake_ms - bench.now_ms)
    assert pauses_s == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_rule_4_half_of_a_pause_is_left_to_chance() -> None:
    bench = Bench(chance=0.0)
    bench.core.sent(1, 1)
    bench.settle(1, 0, Code.NOT_PERMITTED)
    assert bench.core.wake_ms == SETTINGS.not_yet_first_ms // 2


def test_rule_4_one_record_that_no_site_was_reached_for_brings_its_submission_back_soon() -> None:
    bench = Bench()
    bench.core.sent(1, 2)
    bench.settle(1, 0, Code.NO_ORDERING)
    bench.settle(1, 1, Code.DEADLINE, word=Code.PREDECESSOR_MISSING)
    assert bench.core.wake_ms == SETTINGS.again_ms


def test_rule_4_what_one_round_said_of_a_site_does_not_hurry_the_next() -> None:
    bench = Bench()
    bench.core.sent(1, 1)
    bench.settle(1, 0, Code.UNREACHABLE)
    bench.wait(SETTINGS.again_ms)
    bench.settle(1, 0, Code.HELD)
    assert bench.core.wake_ms is not None
    assert bench.core.wake_ms > bench.now_ms + SETTINGS.again_ms


def test_rule_4_in_each_round_every_record_must_come_to_an_end_anew() -> None:
    bench = Bench()
    bench.core.sent(1, 2)
    bench.settle(1, 0, Code.ACCEPTED, 7)
    bench.settle(1, 1, Code.UNREACHABLE)
    bench.wait(SETTINGS.again_ms)
    assert bench.settle(1, 0, Code.KNOWN, 7) == []
    assert bench.core.counts == Counts(sending=1, uncovered=0)
    assert bench.settle(1, 1, Code.ACCEPTED, 9) == []
    assert bench.core.counts == Counts(sending=0, uncovered=1)


def test_rule_4_why_it_waits_is_written_beside_it() -> None:
    bench = Bench()
    bench.core.sent(1, 1)
    assert bench.settle(1, 0, Code.DEADLINE, may_stand=True) == [Note(1, Code.DEADLINE, 1)]
    bench.wait(SETTINGS.again_ms)
    assert bench.settle(1, 0, Code.DEADLINE, word=Code.HELD) == [Note(1, Code.HELD, 2)]


# 5. A record that is refused for good after its caller has gone is kept aside for people to see; one whose caller was told is not.


def test_rule_5_a_refusal_that_its_caller_hears_is_not_set_aside() -> None:
    bench = Bench()
    bench.core.sent(1, 1)
    assert bench.settle(1, 0, Code.STALE, told=True) == [Forget(1)]


def test_rule_5_a_refusal_that_nobody_hears_is_set_aside_before_it_is_forgotten() -> None:
    bench = Bench()
    bench.core.adopted([(1, 1)], bench.now_ms)
    assert bench.settle(1, 0, Code.STALE, told=False) == [SetAside(1, 0, Code.STALE), Forget(1)]


def test_rule_5_a_record_that_falls_with_its_predecessor_is_set_aside_like_one_refused() -> None:
    bench = Bench()
    bench.core.adopted([(1, 1)], bench.now_ms)
    effects = bench.settle(1, 0, Code.PREDECESSOR_MISSING, told=False, because=bytes(32))
    assert effects == [SetAside(1, 0, Code.PREDECESSOR_MISSING), Forget(1)]


def test_rule_5_a_refusal_is_not_set_aside_again_in_later_rounds_of_its_submission() -> None:
    bench = Bench()
    bench.core.adopted([(1, 2)], bench.now_ms)
    assert bench.settle(1, 0, Code.STALE, told=False) == [SetAside(1, 0, Code.STALE)]
    bench.settle(1, 1, Code.UNREACHABLE)
    bench.wait(SETTINGS.again_ms)
    assert bench.settle(1, 0, Code.STALE, told=False) == []


def test_rule_5_a_refusal_that_a_caller_has_heard_is_not_set_aside_in_later_rounds_either() -> None:
    bench = Bench()
    bench.core.sent(1, 2)
    bench.settle(1, 0, Code.STALE, told=True)
    bench.settle(1, 1, Code.UNREACHABLE)
    bench.wait(SETTINGS.again_ms)
    assert bench.settle(1, 0, Code.STALE, told=False) == []


def test_rule_5_a_record_that_a_site_had_acknowledged_falsely_is_set_aside_when_it_is_refused() -> None:
    bench = Bench()
    bench.stands(1, 7)
    bench.wait(HALF_CHECK_MS)
    runs = bench.asked(8)
    bench.proven(runs, *runs)
    assert bench.settle(1, 0, Code.STALE, told=False) == [SetAside(1, 0, Code.STALE), Forget(1)]


# 6. Of what nobody waits for, so many submissions are on their way at a time, oldest first: a backlog does not stand in the way of callers.


def test_rule_6_of_a_backlog_only_a_window_is_sent_oldest_first() -> None:
    bench = Bench()
    effects = bench.core.adopted([(kept, 1) for kept in (3, 1, 2, 4)], bench.now_ms)
    assert effects == [Deliver(1, None), Deliver(2, None)]
    assert bench.core.wake_ms is None
    assert bench.settle(1, 0, Code.ACCEPTED, 5) == [Deliver(3, None)]
    assert bench.settle(2, 0, Code.STALE) == [Forget(2), Deliver(4, None)]


def test_rule_6_what_callers_wait_for_is_not_counted() -> None:
    bench = Bench()
    for kept in range(10, 20):
        bench.core.sent(kept, 1)
    assert len(bench.core.adopted([(1, 1), (2, 1)], bench.now_ms)) == SETTINGS.window
    bench.settle(10, 0, Code.STALE)
    assert bench.core.adopted([(3, 1)], bench.now_ms) == []


def test_rule_6_what_was_refused_delivery_makes_room_for_the_next() -> None:
    bench = Bench()
    bench.core.adopted([(kept, 1) for kept in (1, 2, 3, 4)], bench.now_ms)
    assert bench.core.gone(1, bench.now_ms) == [Forget(1), Deliver(3, None)]
    assert bench.core.unreadable(2, bench.now_ms) == [Note(2, Code.MALFORMED, 0), Deliver(4, None)]


# What people and damage do to the disk.


def test_what_somebody_discarded_is_not_sent_and_not_kept() -> None:
    bench = Bench()
    bench.core.adopted([(1, 1)], bench.now_ms)
    assert bench.core.gone(1, bench.now_ms) == [Forget(1)]
    assert bench.core.counts == Counts(0, 0)


def test_what_is_no_submission_is_noted_stays_on_disk_and_is_not_sent_again() -> None:
    bench = Bench()
    bench.core.adopted([(1, 1)], bench.now_ms)
    assert bench.core.unreadable(1, bench.now_ms) == [Note(1, Code.MALFORMED, 0)]
    assert bench.core.counts == Counts(0, 0)
    assert bench.wait(SETTINGS.not_yet_most_ms) == []
