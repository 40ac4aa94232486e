"""What a client was told in an epoch that ended, and has no receipt of, it sends again by itself, and forgets under a checkpoint of the new epoch only."""

from __future__ import annotations

import pytest

from keeping_bench import HALF_CHECK_MS, SETTINGS, A, B, Bench, run_of
from sento_client.outbox.keeping import AskCheckpoint, Counts, Deliver, Effect, Forget


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
