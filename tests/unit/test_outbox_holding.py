"""The holding core, its rules one after the other, without disk, sites or clock."""

from __future__ import annotations

import pytest

from sento_client.outbox.holding import AskAbroad, Effect, Held, Holding, LetGo, SendAgain, Settings
from sento_proto.governance.epoch_parts import Epoch

SETTINGS = Settings(
    bytes_most=1_000,
    submissions_most=4,
    ask_ms=100,
    ask_most_ms=400,
    portion=2,
    portion_bytes=10_000,
    portion_pause_ms=10,
)


def held(kept: int, needs_size: int, epoch: int = 0, size_bytes: int = 10) -> Held:
    return Held(kept, 3, size_bytes, epoch, needs_size)


def epoch_at(number: int, fork_size: int, agreed_size: int | None = None) -> Epoch:
    """Without `agreed_size` a quorum is known to have agreed on all of it."""
    agreed = fork_size if agreed_size is None else agreed_size
    return Epoch(number, number - 1, fork_size, bytes(32), fork_size, 1, bytes(32), "recover", agreed)


class Bench:
    """One core and its time."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.now_ms = 0
        self.core = Holding(settings)

    def hold(self, *found: Held) -> list[Effect]:
        return self.core.hold(found, self.now_ms)

    def wait(self, ms: int) -> list[Effect]:
        self.now_ms += ms
        return self.core.tick(self.now_ms)

    def asked(self) -> None:
        """The next question is under way."""
        while AskAbroad() not in self.wait(SETTINGS.ask_ms):
            assert self.core.wake_ms is not None

    def covered(self, size: int, epoch: int = 0) -> list[Effect]:
        self.asked()
        return self.core.checkpoint(epoch, size, self.now_ms)

    def epochs(self, *epochs: Epoch) -> list[Effect]:
        return self.core.epochs_are(epochs, self.now_ms)


# 1. Held on, without anybody waiting.


def test_rule_1_what_is_held_is_counted_and_nothing_is_done_with_it_yet() -> None:
    bench = Bench()
    assert bench.hold(held(1, 7)) == []
    assert bench.core.counts == (1, 3, 10, 0)


# 2. Let go under a checkpoint of its own epoch, larger than all its positions; one question for all.


def test_rule_2_one_question_lets_everything_go_that_the_checkpoint_is_larger_than() -> None:
    bench = Bench()
    bench.hold(held(1, 7), held(2, 9), held(3, 8))
    assert bench.covered(8) == [LetGo((1, 3), uncovered=False)]
    assert bench.core.counts.submissions == 1
    assert bench.covered(8) == []
    assert bench.covered(9) == [LetGo((2,), uncovered=False)]
    assert bench.core.wake_ms is None, "nothing is held, nothing is asked"


@pytest.mark.parametrize("epoch", [0, 2])
def test_rule_2_a_checkpoint_of_another_epoch_lets_nothing_go(epoch: int) -> None:
    bench = Bench()
    bench.hold(held(1, 7, epoch=1))
    assert bench.covered(100, epoch=epoch) == []
    assert bench.core.counts.submissions == 1


def test_rule_2_what_comes_to_be_held_below_a_checkpoint_seen_before_goes_at_once() -> None:
    bench = Bench()
    bench.hold(held(1, 7), held(2, 20))
    bench.covered(10)
    bench.wait(SETTINGS.portion_pause_ms)
    assert bench.hold(held(3, 9)) == [LetGo((3,), uncovered=False)]


def test_rule_2_one_question_at_a_time() -> None:
    bench = Bench()
    bench.hold(held(1, 7))
    bench.asked()
    assert bench.wait(100 * SETTINGS.ask_most_ms) == []
    assert bench.core.wake_ms is None


# 3. Room.


def test_rule_3_of_more_than_there_is_room_for_the_oldest_go_and_are_counted() -> None:
    bench = Bench()
    bench.hold(held(1, 3, size_bytes=400), held(2, 5, size_bytes=400))
    assert bench.hold(held(3, 7, size_bytes=400)) == [LetGo((1,), uncovered=True)]
    assert bench.core.counts == (2, 6, 800, 1)


def test_rule_3_the_number_is_bounded_too() -> None:
    bench = Bench()
    effects = bench.hold(*(held(kept, 10 - kept) for kept in range(SETTINGS.submissions_most + 2)))
    assert effects == [LetGo((0, 1), uncovered=True)], "the oldest, wherever they stand"


def test_rule_3_a_full_disk_takes_a_portion_of_the_oldest() -> None:
    bench = Bench()
    bench.hold(held(1, 9), held(2, 5), held(3, 7))
    assert bench.core.disk_full() == [LetGo((1, 2), uncovered=True)]
    assert bench.core.counts.let_go == 2
    assert bench.core.disk_full() == [LetGo((3,), uncovered=True)]
    assert bench.core.disk_full() == []


# 4. A later epoch.


def test_rule_4_what_stood_at_or_above_the_fork_is_sent_again_at_once_and_the_rest_is_held_on() -> None:
    """A submission that needs size 7 has its last record at position 6: it survives a fork at 7."""
    bench = Bench()
    bench.hold(held(1, 8), held(2, 7), held(3, 9))
    assert bench.epochs(epoch_at(1, 7)) == [SendAgain((1, 3))]
    assert bench.core.counts.submissions == 1
    assert bench.covered(100, epoch=0) == [], "the former epoch's word covers nothing of the new one"
    assert bench.covered(7, epoch=1) == [LetGo((2,), uncovered=False)]


def test_rule_4_what_stands_between_what_was_agreed_on_and_the_fork_is_sent_again_too() -> None:
    """The ledger may go on from a copy that has another record there; where it has this one, it is known and stands once."""
    bench = Bench()
    bench.hold(held(1, 8), held(2, 7), held(3, 9), held(4, 10))
    assert bench.epochs(epoch_at(1, 9, agreed_size=7)) == [SendAgain((1, 3, 4))]
    assert bench.covered(7, epoch=1) == [LetGo((2,), uncovered=False)]


def test_rule_4_an_epoch_is_learned_once() -> None:
    bench = Bench()
    bench.hold(held(1, 8))
    assert bench.epochs(epoch_at(1, 7)) == [SendAgain((1,))]
    assert bench.epochs(epoch_at(1, 7)) == []
    assert bench.hold(held(1, 12, epoch=1)) == []
    for _ in range(4):
        bench.asked()
        bench.core.failed(bench.now_ms)
    wake_ms = bench.core.wake_ms
    assert bench.epochs(epoch_at(1, 7)) == []
    assert (bench.core.counts.submissions, bench.core.wake_ms) == (1, wake_ms)


def test_rule_4_the_lowest_fork_since_decides() -> None:
    bench = Bench()
    bench.hold(held(1, 8))
    assert bench.epochs(epoch_at(1, 7), epoch_at(2, 20)) == [SendAgain((1,))]
    bench.hold(held(2, 15, epoch=1))
    assert bench.epochs(epoch_at(1, 7), epoch_at(2, 20), epoch_at(3, 18)) == []
    assert bench.core.counts.submissions == 1


# 5. What an earlier program held.


def test_rule_5_an_earlier_program_s_is_sent_again_if_its_epoch_has_ended_meanwhile() -> None:
    bench = Bench()
    bench.epochs(epoch_at(1, 7))
    assert bench.hold(held(1, 8), held(2, 7), held(3, 9, epoch=1)) == [SendAgain((1,))]
    assert bench.core.counts.submissions == 2


# 6. No site abroad.


def test_rule_6_a_ledger_without_a_site_abroad_holds_nothing() -> None:
    bench = Bench()
    bench.hold(held(1, 8), held(2, 9))
    assert bench.core.none_abroad() == [LetGo((1, 2), uncovered=False)]
    assert bench.core.wake_ms is None


# 7. Spread over time, and pauses.


def test_rule_7_letting_go_is_spread_over_time() -> None:
    bench = Bench()
    bench.hold(*(held(kept, kept) for kept in range(1, 5)))
    assert bench.covered(10) == [LetGo((1, 2), uncovered=False)]
    assert bench.wait(SETTINGS.portion_pause_ms - 1) == []
    assert bench.wait(1) == [LetGo((3, 4), uncovered=False)]


def test_rule_7_the_pause_doubles_while_questions_bring_nothing() -> None:
    bench = Bench()
    bench.hold(held(1, 8))
    pauses = []
    for _ in range(5):
        bench.asked()
        bench.core.failed(bench.now_ms)
        assert bench.core.wake_ms is not None
        pauses.append(bench.core.wake_ms - bench.now_ms)
    assert pauses == [100, 200, 400, 400, 400]
    assert bench.covered(9) == [LetGo((1,), uncovered=False)]


def test_rule_7_a_later_epoch_ends_the_pause() -> None:
    bench = Bench()
    bench.hold(held(1, 8))
    for _ in range(4):
        bench.asked()
        bench.core.failed(bench.now_ms)
    bench.epochs(epoch_at(1, 8))
    assert bench.core.wake_ms == bench.now_ms + SETTINGS.ask_ms
