"""Holding: what a quorum at home has is kept on disk until a site abroad has it, too, so that it can be sent again when all sites at home are lost.

The rules, all of them:

1. Where the ledger has a site abroad, a submission whose receipts are on disk is held on, and not forgotten. Nobody waits for it, and it takes none of the
   room that callers have. One that was asked to survive the country is `abroad.py`'s, and is not held here.
2. It is let go under a checkpoint of its own epoch that a quorum and a site abroad cosigned and that is larger than all its positions. One question serves
   everything that is held: nothing is proven again, for it was proven under a quorum's checkpoint of this very epoch, and two such checkpoints of which one
   does not extend the other are a fraud that is found elsewhere.
3. Held are so many bytes and so many submissions at most; of more the oldest are let go, and counted. So are the oldest when the disk is full.
4. A later epoch takes away what stands at or above its fork, and what stands between the tree that a quorum is known to have agreed on and the fork may be
   another record there: each submission with a position above what was agreed on is sent again at once, the oldest first (what stands is known, and stands
   once). What stands below that in every epoch since stands in the new one, too, at the same positions, and is held on for it: the ledger that went on may
   have one copy alone.
5. What an earlier program held is held on from where it was, and is sent again at once if its epoch has ended meanwhile.
6. A ledger without a site abroad holds nothing.
7. Letting go is spread over time, so that nobody's write waits behind the removal of a day's holdings. After a question that brought nothing comes a
   pause that doubles.

Pure: events in, effects out; no clock of its own.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sento_proto.governance.epoch_parts import Epoch


class LetGo(NamedTuple):
    """Remove these from disk. `uncovered`: there was no room, and no site abroad is known to have them."""

    kept: tuple[int, ...]
    uncovered: bool


class AskAbroad(NamedTuple):
    """Fetch the newest checkpoint that a site abroad cosigned, and learn of epochs; report `checkpoint` or `failed`."""


class SendAgain(NamedTuple):
    """Offer these for delivery again: their positions are not of the ledger's newest epoch."""

    kept: tuple[int, ...]


Effect = LetGo | AskAbroad | SendAgain


@dataclass(frozen=True, slots=True)
class Settings:
    """Room: `bytes_most`, `submissions_most`. Pause between questions: `ask_ms`, doubling to `ask_most_ms` while they bring nothing. Removed at a time:
    `portion` submissions of together `portion_bytes`, then nothing for `portion_pause_ms`."""

    bytes_most: int = 64 * 1024 * 1024
    submissions_most: int = 50_000
    ask_ms: int = 1_000
    ask_most_ms: int = 5_000
    portion: int = 256
    portion_bytes: int = 4 * 1024 * 1024
    portion_pause_ms: int = 50


class Held(NamedTuple):
    """One submission: all of it stands in `epoch` under `needs_size` records."""

    kept: int
    records: int
    size_bytes: int
    epoch: int
    needs_size: int


class HeldCounts(NamedTuple):
    """What is held now, and what was let go for want of room since this program began."""

    submissions: int = 0
    records: int = 0
    size_bytes: int = 0
    let_go: int = 0


class Holding:
    """The core."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._held: dict[int, Held] = {}
        self._by_size: dict[int, list[tuple[int, int]]] = {}
        self._covered: dict[int, int] = {}
        self._records = self._bytes = self._let_go = 0
        self._epochs: tuple[Epoch, ...] = ()
        self._asking = False
        self._vain = 0
        self._due_ms = 0
        self._next_portion_ms = 0

    @property
    def counts(self) -> HeldCounts:
        """How much."""
        return HeldCounts(len(self._held), self._records, self._bytes, self._let_go)

    @property
    def wake_ms(self) -> int | None:
        """When `tick` has something to do next; None while nothing is held, or a question is under way and nothing may go."""
        times: list[int] = []
        if self._may_go() is not None:
            times.append(self._next_portion_ms)
        if self._held and not self._asking:
            times.append(self._due_ms)
        return min(times, default=None)

    def hold(self, found: Iterable[Held], now_ms: int) -> list[Effect]:
        """Receipts of these are on disk; or an earlier program held them."""
        again: list[int] = []
        for held in found:
            if not self._held:
                self._due_ms, self._vain = now_ms + self._settings.ask_ms, 0
            if self._stands(held):
                self._put(held._replace(epoch=max(held.epoch, self._newest)))
            else:
                again.append(held.kept)
        effects = self._make_room()
        if again:
            effects.append(SendAgain(tuple(again)))
        return effects + self.tick(now_ms)

    def epochs_are(self, epochs: Sequence[Epoch], now_ms: int) -> list[Effect]:
        """The epochs that governance knows, in order. Nothing happens where the newest one is known here."""
        if not epochs or epochs[-1].number <= self._newest:
            return []
        self._epochs = tuple(epochs)
        before, self._held, self._by_size = self._held, {}, {}
        self._records = self._bytes = 0
        return self.hold(before.values(), now_ms)

    def checkpoint(self, epoch: int, size: int, now_ms: int) -> list[Effect]:
        """A checkpoint that a quorum and a site abroad cosigned is at hand."""
        self._asking = False
        self._covered = {epoch: max(size, self._covered.get(epoch, 0))}
        self._vain = self._vain + 1 if self._may_go() is None else 0
        self._due_ms = now_ms + self._pause_ms()
        return self.tick(now_ms)

    def failed(self, now_ms: int) -> None:
        """Nobody could show one; it is asked for again later."""
        self._asking = False
        self._due_ms = now_ms + self._pause_ms()
        self._vain += 1

    def tick(self, now_ms: int) -> list[Effect]:
        """Time has passed."""
        effects: list[Effect] = []
        if self._may_go() is not None and now_ms >= self._next_portion_ms:
            effects.append(LetGo(self._portion(), uncovered=False))
            self._next_portion_ms = now_ms + self._settings.portion_pause_ms
        if self._held and not self._asking and now_ms >= self._due_ms:
            self._asking = True
            effects.append(AskAbroad())
        return effects

    def disk_full(self) -> list[Effect]:
        """Nothing new can be written: the oldest go first."""
        gone: list[int] = []
        size_bytes = 0
        while self._held and len(gone) < self._settings.portion and size_bytes < self._settings.portion_bytes:
            held = self._take(next(iter(self._held)))
            size_bytes += held.size_bytes
            gone.append(held.kept)
        self._let_go += len(gone)
        return [LetGo(tuple(gone), uncovered=True)] if gone else []

    def none_abroad(self) -> list[Effect]:
        """The ledger has no site abroad any more: nothing could ever cover what is held."""
        gone = tuple(self._held)
        for kept in gone:
            self._take(kept)
        return [LetGo(gone, uncovered=False)] if gone else []

    # How it is done.

    def _stands(self, held: Held) -> bool:
        """Whether every epoch since goes on from a tree with it in it that a quorum of its own epoch is known to have agreed on."""
        return all(
            held.needs_size <= epoch.agreed_size for epoch in self._epochs if epoch.number > held.epoch
        )

    @property
    def _newest(self) -> int:
        return self._epochs[-1].number if self._epochs else 0

    def _put(self, held: Held) -> None:
        if held.kept in self._held:
            self._take(held.kept)
        self._held[held.kept] = held
        heapq.heappush(self._by_size.setdefault(held.epoch, []), (held.needs_size, held.kept))
        self._records += held.records
        self._bytes += held.size_bytes

    def _take(self, kept: int) -> Held:
        held = self._held.pop(kept)
        self._records -= held.records
        self._bytes -= held.size_bytes
        return held

    def _make_room(self) -> list[Effect]:
        settings = self._settings
        gone: list[int] = []
        while self._bytes > settings.bytes_most or len(self._held) > settings.submissions_most:
            gone.append(self._take(next(iter(self._held))).kept)
        self._let_go += len(gone)
        return [LetGo(tuple(gone), uncovered=True)] if gone else []

    def _may_go(self) -> int | None:
        """The covered submission that needs the least; None where none is covered."""
        for epoch, size in self._covered.items():
            waiting = self._by_size.get(epoch, [])
            while waiting and waiting[0] != self._at(waiting[0][1]):
                heapq.heappop(waiting)
            if waiting and waiting[0][0] <= size:
                return waiting[0][1]
        return None

    def _at(self, kept: int) -> tuple[int, int] | None:
        held = self._held.get(kept)
        return None if held is None else (held.needs_size, kept)

    def _portion(self) -> tuple[int, ...]:
        gone: list[int] = []
        size_bytes = 0
        while len(gone) < self._settings.portion and size_bytes < self._settings.portion_bytes:
            kept = self._may_go()
            if kept is None:
                break
            size_bytes += self._take(kept).size_bytes
            gone.append(kept)
        return tuple(gone)

    def _pause_ms(self) -> int:
        return min(self._settings.ask_most_ms, self._settings.ask_ms << min(self._vain, 20))
