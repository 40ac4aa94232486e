"""The keeping core under any events in any order, among sites that lie: nothing unproven is forgotten, and everything comes to its end."""

from __future__ import annotations

import random

import pytest

from keeping_bench import Bench, hash_of
from sento_client.outbox.keeping import (
    AskCheckpoint,
    AskProofs,
    Counts,
    Deliver,
    Effect,
    Forget,
    Run,
    SetAside,
    StoreReceipts,
)
from sento_proto.errors import Code

SUBMISSIONS = 12
POSITIONS = 100
ROUNDS_MOST = 4_000


class Liars:
    """Sites that say "not yet" or something false of a record now and then; under a checkpoint they can prove only the truth."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.bench = Bench(chance=0.5)
        self.sizes = {kept: self.chance.randint(1, 4) for kept in range(1, SUBMISSIONS + 1)}
        positions = iter(self.chance.sample(range(POSITIONS), POSITIONS))
        self.truth = {
            (kept, place): next(positions) if self.chance.random() < 0.7 else None
            for kept, size in self.sizes.items()
            for place in range(size)
        }
        self.stands = {
            position: hash_of(*name) for name, position in self.truth.items() if position is not None
        }
        self.waiting: list[Effect] = []
        self.receipts: set[bytes] = set()
        self.aside: set[tuple[int, int]] = set()
        self.left = set(self.sizes)

    def start(self) -> None:
        self.take(self.bench.core.adopted(list(self.sizes.items()), 0))

    def take(self, effects: list[Effect]) -> None:
        """What is done at once is done in order; what takes time comes back in any order."""
        for effect in effects:
            if isinstance(effect, SetAside):
                self.aside.add((effect.kept, effect.place))
            elif isinstance(effect, Forget):
                self.forget(effect.kept)
            elif isinstance(effect, (Deliver, AskCheckpoint, AskProofs, StoreReceipts)):
                self.waiting.append(effect)

    def forget(self, kept: int) -> None:
        self.left.remove(kept)
        records = [(kept, place) for place in range(self.sizes[kept])]
        stood = [hash_of(*record) for record in records if self.truth[record] is not None]
        assert self.receipts.issuperset(stood), "forgotten before its receipts were on disk"
        assert all(record in self.aside for record in records if self.truth[record] is None)

    def go_on(self) -> None:
        """One thing that takes time comes to its end, or time passes."""
        core, now_ms = self.bench.core, self.bench.now_ms
        if not self.waiting:
            assert core.wake_ms is not None, "something is kept that nothing will ever move"
            self.take(self.bench.wait(max(0, core.wake_ms - now_ms)))
            return
        effect = self.waiting.pop(self.chance.randrange(len(self.waiting)))
        if isinstance(effect, Deliver):
            self.deliver(effect.kept)
        elif isinstance(effect, AskProofs):
            self.prove(effect.runs)
        elif isinstance(effect, StoreReceipts):
            self.store(effect.runs)
        elif self.chance.random() < 0.2:
            self.take(core.check_failed(now_ms))
        else:
            self.take(self.bench.checkpoint(self.chance.randint(POSITIONS // 2, POSITIONS)))

    def deliver(self, kept: int) -> None:
        for place in range(self.sizes[kept]):
            code, position = self.word(self.truth[kept, place])
            self.take(self.bench.settle(kept, place, code, position, told=False))

    def word(self, truth: int | None) -> tuple[Code, int]:
        what = self.chance.random()
        if what < 0.15:
            return self.chance.choice([Code.UNREACHABLE, Code.HELD]), 0
        if what < 0.35:
            return Code.ACCEPTED, self.chance.randrange(POSITIONS)
        return (Code.STALE, 0) if truth is None else (Code.KNOWN, truth)

    def prove(self, runs: tuple[Run, ...]) -> None:
        held = [
            all(self.stands.get(run.position + at) == one for at, one in enumerate(run.record_hashes))
            for run in runs
        ]
        self.take(self.bench.core.proven(runs, held, self.bench.now_ms))

    def store(self, runs: tuple[Run, ...]) -> None:
        """The disk takes receipts, or is full now and then; what did not hold must not be among them."""
        for run in runs:
            assert [self.stands.get(run.position + at) for at in range(len(run.record_hashes))] == list(
                run.record_hashes
            )
        if self.chance.random() < 0.3:
            self.take(self.bench.core.not_stored(runs, self.bench.now_ms))
            return
        self.receipts.update(one for run in runs for one in run.record_hashes)
        self.take(self.bench.core.stored(runs, self.bench.now_ms))


@pytest.mark.parametrize("seed", range(40))
def test_among_liars_nothing_unproven_is_forgotten_and_everything_comes_to_its_end(seed: int) -> None:
    sites = Liars(seed)
    sites.start()
    for _ in range(ROUNDS_MOST):
        if not sites.left:
            break
        sites.go_on()
    assert not sites.left
    assert sites.bench.core.counts == Counts(0, 0)
