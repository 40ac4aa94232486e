"""What a client was told in an epoch that ended, and has no receipt of, it sends again by itself, and forgets under a checkpoint of the new epoch only."""

from __future__ import annotations

import pytest

from keeping_bench import HALF_CHECK_MS, SETTINGS, A, B, Bench, run_of
from sento_client.outbox.keeping import AskCheckpoint, Counts, Deliver, Effect, Forget, LookAbroad, LookNoMore
from sento_proto.errors import Code


def sent_again(bench: Bench) -> list[Effect]:
    """Checkpoints of epoch 1 alone are at hand, of any size, until it is sent again."""
    effects: list[Effect] = []
    while not any(isinstance(effect, Deliver) for effect in effects):
        effects = bench.wait(HALF_CHECK_MS)
        if AskCheckpoint(A) in effects:
            assert bench.checkpoint(1_000, epoch=1) == [], (
                "a checkpoint of the new epoch proves nothing of the old one"
            )
    return effects


@pytest.mark.parametrize("position", [3, 7, 20], ids=["elsewhere", "same place", "behind"])
def test_a_record_lost_with_its_epoch_is_sent_again_and_proven_where_it_stands_then(position: int) -> None:
    """Whether officers took it over meanwhile or the client brings it: the answer of the new epoch is what counts."""
    bench = Bench()
    bench.stands(1, 7, epoch=0)
    assert sent_again(bench) == [Deliver(1, A)]
    assert bench.now_ms <= SETTINGS.cover_ms + SETTINGS.check_ms
    assert bench.said_to_stand(1, position, site=B, epoch=1) == []
    bench.wait(HALF_CHECK_MS)
    bench.core.check_failed(bench.now_ms)
    assert bench.wait(SETTINGS.check_ms) == [AskCheckpoint(B)]
    runs = bench.asked(position + 1, epoch=1)
    assert runs == (run_of(1, position, 0),)
    assert bench.proven(runs) == [Forget(1)]


def test_it_is_kept_however_long_the_new_epoch_takes_to_open() -> None:
    bench = Bench()
    bench.stands(1, 7, epoch=0)
    sent_again(bench)
    assert bench.core.counts == Counts(sending=1, uncovered=0)


def test_a_site_left_behind_in_the_old_epoch_does_not_end_the_wait() -> None:
    """Its word alone is no receipt: the record goes to the next site after the same time again."""
    bench = Bench()
    bench.stands(1, 7, epoch=0)
    sent_again(bench)
    bench.said_to_stand(1, 9, epoch=0)
    assert sent_again(bench) == [Deliver(1, A)]


# Once a later epoch is known, nothing waits for the end of a pause.


def test_what_stood_by_one_site_s_word_goes_again_as_soon_as_a_later_epoch_is_known() -> None:
    bench = Bench()
    bench.stands(1, 7, epoch=0)
    assert bench.core.epoch_began(1, bench.now_ms) == [Deliver(1, A)]


def test_what_waits_for_a_site_abroad_goes_again_too_and_is_looked_for_anew() -> None:
    bench = Bench()
    bench.core.sent(1, 1, abroad=True)
    bench.said_to_stand(1, 7, epoch=0)
    bench.wait(HALF_CHECK_MS)
    bench.proven(bench.asked(8))
    assert bench.core.counts == Counts(0, 0, 1)
    assert bench.core.epoch_began(1, bench.now_ms) == [LookNoMore(1), Deliver(1, A)]
    assert bench.said_to_stand(1, 5, site=B, epoch=1) == [LookAbroad(1, 1, (run_of(1, 5, 0),))]


def test_what_the_new_epoch_said_itself_is_not_doubted() -> None:
    bench = Bench()
    bench.stands(1, 7, epoch=1)
    assert bench.core.epoch_began(1, bench.now_ms) == []
    assert bench.core.counts == Counts(sending=0, uncovered=1)


def test_a_pause_of_minutes_ends_with_the_epoch() -> None:
    bench = Bench()
    bench.core.sent(1, 1)
    for _ in range(4):
        bench.settle(1, 0, Code.DEADLINE, word=Code.HELD)
        assert bench.wait(SETTINGS.not_yet_most_ms) == [Deliver(1, None)]
    bench.settle(1, 0, Code.DEADLINE, word=Code.HELD)
    assert bench.wait(SETTINGS.again_ms) == []
    assert bench.core.epoch_began(1, bench.now_ms) == [Deliver(1, None)]


def test_the_oldest_goes_again_first_for_later_versions_follow_it() -> None:
    """What was held is older than what only stood by one site's word, and a site answers a version whose former one it lacks with a pause."""
    bench = Bench()
    held = range(1, SETTINGS.window + 2)
    newest = SETTINGS.window + 2
    bench.stands(newest, 7, epoch=0)
    bench.wait(1)
    sent = bench.core.adopted([(kept, 1) for kept in held], bench.now_ms)
    sent += bench.core.epoch_began(1, bench.now_ms)
    for kept in held:
        if Deliver(newest, A) not in sent:
            sent += bench.core.gone(kept, bench.now_ms)
    order = [effect.kept for effect in sent if isinstance(effect, Deliver)]
    assert order == [*held, newest]
