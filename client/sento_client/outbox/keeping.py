"""Keeping: when a kept submission is sent again, when it is looked for under a checkpoint, and when it may be forgotten.

The rules, all of them:

1. A submission is kept until each of its records has its end: its receipt is on disk, which says that it stands under a quorum's checkpoint, or it was
   refused for good. Receipts that cannot be stored (a full disk) are asked for again, and nothing is sent again for it.
2. What stands by the word of one site only is looked for every second: a quorum checkpoint over all its positions, and the proof that each of its records
   stands where the site said. One proven record is not enough: a site may speak the truth of one and not of its neighbour.
3. Without that proof for 30 s it is sent again, to another site than the one that took it; at once if the proof shows something else at its position, and
   after a second if two of its records are said to stand at one.
4. What has no end goes on being sent: soon when no site could be reached, with pauses that double up to five minutes when the ledger says "not yet".
5. A record that is refused for good after its caller has gone is kept aside for people to see; one whose caller was told is not.
6. Of what nobody waits for, so many submissions are on their way at a time, oldest first: a backlog does not stand in the way of callers.
7. When a later epoch has begun, nothing waits for the end of a pause: what stood by a word or for a site abroad in a former epoch, and what was told "not
   yet", is sent again at once.
8. One that is to survive the country is handed to `abroad.py` when it stands, and kept beyond its receipts until that says that a site abroad cosigned, too.

Pure: events in, effects out; no clock, no chance, no disk of its own.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field

from sento_client.delivery_values import Settle, standing_of
from sento_client.outbox.keeping_effects import (
    AskCheckpoint,
    AskProofs,
    AtHome,
    Deliver,
    Effect,
    Forget,
    LookAbroad,
    LookNoMore,
    Note,
    Run,
    SetAside,
    StoreReceipts,
    runs_of,
)
from sento_proto.errors import Code, Standing

__all__ = [
    "AskCheckpoint",
    "AskProofs",
    "AtHome",
    "Counts",
    "Deliver",
    "Effect",
    "Forget",
    "Keeping",
    "LookAbroad",
    "LookNoMore",
    "Note",
    "Run",
    "SetAside",
    "Settings",
    "StoreReceipts",
    "stays",
]

_SOON = (Standing.TRY_AGAIN, Standing.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Settings:
    """`cover_ms`: how long to wait for a proof before sending elsewhere. `check_ms`: between two looks for one. `window`: submissions under way for nobody.
    Pauses: `store_again_ms` when receipts could not be stored; `again_ms` when sites could not be reached; from `not_yet_first_ms`, doubling, to
    `not_yet_most_ms` when the ledger said not yet."""

    cover_ms: int = 30_000
    check_ms: int = 1_000
    window: int = 16
    again_ms: int = 1_000
    not_yet_first_ms: int = 5_000
    not_yet_most_ms: int = 300_000
    runs_most: int = 200
    store_again_ms: int = 10_000


@dataclass(slots=True)
class _Kept:
    """One submission. `waiting`: records without a word in this round; `open`: records without an end after it; `refused`: places of those refused for
    good, of which somebody was told or which were set aside; `awaited`: callers wait for this round; `proven`: only its receipts are not on disk yet;
    `abroad`: it is to survive the country."""

    count: int
    waiting: int = 0
    open: int = 0
    told: Code | None = None
    soon: bool = False
    standing: int = 0
    stands: dict[int, bytes] = field(default_factory=dict)
    epoch: int = 0
    site: str = ""
    stood_ms: int = 0
    rounds: int = 0
    awaited: bool = False
    under_way: bool = False
    proven: bool = False
    refused: set[int] = field(default_factory=set)
    abroad: bool = False


_ABOUT_THE_CALLER = (Code.IDENTITY_REFUSED, Code.IDENTITY_EXPIRED)


def stays(settle: Settle) -> bool:
    """Whether a record with this end goes on being kept and sent, although its caller hears no more of it."""
    standing = standing_of(settle.code)
    if standing is Standing.STANDS or standing is Standing.FINAL or settle.because is not None:
        return False
    if standing is Standing.FIX_CALL:
        # The certificate is the program's, not the record's: mended, the same record stands.
        return settle.may_stand or settle.code in _ABOUT_THE_CALLER
    return True


@dataclass(slots=True)
class Counts:
    """How many submissions are in which state: on their way or waiting to be sent, standing by one site's word, and held by a quorum at home but by no
    site abroad yet, although that was asked for."""

    sending: int = 0
    uncovered: int = 0
    abroad: int = 0


class Keeping:
    """The core. `chance`: numbers in [0, 1) from outside."""

    def __init__(self, settings: Settings, chance: Callable[[], float]) -> None:
        self._settings = settings
        self._chance = chance
        self._kept: dict[int, _Kept] = {}
        self._uncovered: dict[int, None] = {}
        self._at_home: set[int] = set()
        self._due: list[tuple[int, int]] = []
        self._background = 0
        self._checking = False
        self._check_ms = 0
        self._more = False
        self._effects: list[Effect] = []

    @property
    def counts(self) -> Counts:
        """What is kept, by state."""
        uncovered, abroad = len(self._uncovered), len(self._at_home)
        return Counts(len(self._kept) - uncovered - abroad, uncovered, abroad)

    @property
    def wake_ms(self) -> int | None:
        """When `tick` has something to do next; None while nothing is kept that time could move."""
        times: list[int] = []
        if self._uncovered and not self._checking:
            times.append(self._check_ms)
        if self._due and self._background < self._settings.window:
            times.append(self._due[0][0])
        return min(times, default=None)

    def sent(self, kept: int, count: int, *, abroad: bool = False) -> None:
        """A new submission is on disk and on its way; callers wait for it. `abroad`: it is to survive the country."""
        self._kept[kept] = _Kept(
            count, waiting=count, open=count, awaited=True, under_way=True, abroad=abroad
        )

    def adopted(
        self, found: Iterable[tuple[int, int]], now_ms: int, abroad: Container[int] = ()
    ) -> list[Effect]:
        """Submissions, as (kept, number of records), that nobody waits for: left by a program that ended, or whose caller gave up before they were sent.

        `abroad`: which of them are to survive the country."""
        for kept, count in found:
            self._kept[kept] = _Kept(count, waiting=count, open=count, abroad=kept in abroad)
            heapq.heappush(self._due, (now_ms, kept))
        return self.tick(now_ms)

    def gone(self, kept: int, now_ms: int) -> list[Effect]:
        """What was to be delivered is not on disk any more: somebody discarded it."""
        self._end_round(kept)
        self._drop(kept)
        return self.tick(now_ms)

    def unreadable(self, kept: int, now_ms: int) -> list[Effect]:
        """What was to be delivered is not a submission: it stays on disk, for people to see, and is not sent."""
        self._end_round(kept)
        self._effects.append(Note(kept, Code.MALFORMED, self._kept.pop(kept).rounds))
        return self.tick(now_ms)

    def settled(
        self, kept: int, settle: Settle, record_hash: bytes, now_ms: int, *, told: bool
    ) -> list[Effect]:
        """One record of the submission has come to its end in this round of delivery. `told`: its caller hears of it."""
        state = self._kept[kept]
        state.waiting -= 1
        standing = standing_of(settle.code)
        if standing is Standing.STANDS:
            state.open -= 1
            state.standing += 1
            state.stands[settle.position] = record_hash
            state.epoch, state.site = settle.epoch, settle.site
        elif not stays(settle):
            state.open -= 1
            if not told and settle.place not in state.refused:
                self._effects.append(SetAside(kept, settle.place, settle.code))
            state.refused.add(settle.place)
        else:
            state.told = settle.told or settle.code
            # A certificate that ended is renewed any moment now: nobody else can do anything for the record.
            soon = standing_of(state.told) in _SOON or state.told is Code.IDENTITY_EXPIRED
            state.soon = state.soon or soon
        if not state.waiting:
            self._round_over(kept, state, now_ms)
        return self.tick(now_ms)

    def tick(self, now_ms: int) -> list[Effect]:
        """Time has passed."""
        if self._uncovered and not self._checking and now_ms >= self._check_ms:
            self._look(now_ms)
        while self._due and self._due[0][0] <= now_ms and self._background < self._settings.window:
            kept = heapq.heappop(self._due)[1]
            state = self._kept.get(kept)
            if state is not None and not state.under_way:
                self._send_again(kept, state)
        effects, self._effects = self._effects, []
        return effects

    def checkpoint(self, epoch: int, size: int, now_ms: int) -> list[Effect]:
        """A quorum's checkpoint is at hand."""
        runs: list[Run] = []
        self._more = False
        for kept in self._uncovered:
            state = self._kept[kept]
            if state.epoch != epoch or max(state.stands) >= size:
                continue
            found = runs_of(kept, state.stands)
            if runs and len(runs) + len(found) > self._settings.runs_most:
                self._more = True
                break
            runs += found
        if not runs:
            return self.check_failed(now_ms)
        return [AskProofs(tuple(runs))]

    def proven(self, runs: Sequence[Run], held: Sequence[bool], now_ms: int) -> list[Effect]:
        """Whether each of the runs that were asked for stands under the checkpoint."""
        holds = dict.fromkeys([run.kept for run in runs], True)
        for run, holds_there in zip(runs, held, strict=True):
            holds[run.kept] = holds[run.kept] and holds_there
        for kept, all_hold in holds.items():
            if not all_hold and kept in self._uncovered:
                self._doubt(kept)
        good = tuple(run for run in runs if holds[run.kept])
        if good:
            self._effects.append(StoreReceipts(good))
        else:
            self._look_later(now_ms)
        return self.tick(now_ms)

    def stored(self, runs: Sequence[Run], now_ms: int) -> list[Effect]:
        """The receipts of these runs are on disk."""
        for kept in dict.fromkeys([run.kept for run in runs]):
            if kept in self._uncovered:
                self._stored(kept)
        self._look_later(now_ms)
        return self.tick(now_ms)

    def stands_abroad(self, kept: int, now_ms: int) -> list[Effect]:
        """Its receipts are on disk, under a checkpoint that a quorum and a site abroad cosigned."""
        if kept in self._uncovered or kept in self._at_home:
            self._drop(kept)
        return self.tick(now_ms)

    def not_as_said(self, kept: int, now_ms: int) -> list[Effect]:
        """Under a checkpoint of a site abroad something else stands, or the epoch is another: it is sent again."""
        if kept in self._uncovered or kept in self._at_home:
            self._doubt(kept)
        return self.tick(now_ms)

    def put_off(self, kept: int, now_ms: int) -> list[Effect]:
        """What was to be delivered could not be made ready: it is tried again after a while."""
        self._end_round(kept)
        heapq.heappush(self._due, (now_ms + self._settings.not_yet_first_ms, kept))
        return self.tick(now_ms)

    def refused(self, kept: int) -> tuple[int, ...]:
        """Places in the submission of records that were refused for good."""
        state = self._kept.get(kept)
        return () if state is None else tuple(sorted(state.refused))

    def epoch_began(self, epoch: int, now_ms: int) -> list[Effect]:
        """The ledger goes on in this epoch: what a former one said does not count, and its pauses are over. The oldest goes first, for later ones follow it."""
        for kept in [*self._uncovered, *self._at_home]:
            if self._kept[kept].epoch < epoch:
                self._doubt(kept)
        self._due = [(now_ms, kept) for _, kept in self._due]
        heapq.heapify(self._due)
        return self.tick(now_ms)

    def not_stored(self, runs: Sequence[Run], now_ms: int) -> list[Effect]:
        """They could not be put on disk: what they are of stays kept, and is not doubted."""
        for run in runs:
            if run.kept in self._uncovered:
                self._kept[run.kept].proven = True
        self._checking = False
        self._check_ms = now_ms + self._settings.store_again_ms
        return self.tick(now_ms)

    def check_failed(self, now_ms: int) -> list[Effect]:
        """No site could show what was asked for; it is asked for again later."""
        self._checking = False
        self._check_ms = now_ms + self._settings.check_ms
        return self.tick(now_ms)

    # How it is done.

    def _look_later(self, now_ms: int) -> None:
        self._checking = False
        # What did not fit into one question is asked for at once.
        self._check_ms = now_ms if self._more else now_ms + self._settings.check_ms

    def _round_over(self, kept: int, state: _Kept, now_ms: int) -> None:
        self._end_round(kept)
        state.awaited = False
        if state.open:
            pause_ms = self._pause_ms(state)
            self._effects.append(Note(kept, state.told or Code.DEADLINE, state.rounds))
            heapq.heappush(self._due, (now_ms + pause_ms, kept))
        elif len(state.stands) < state.standing:
            # Two records cannot stand at one position, so the site's word on one of them is false. Alone in reach, it may say so as fast as it is asked.
            heapq.heappush(self._due, (now_ms + self._settings.again_ms, kept))
        elif state.stands:
            if not self._uncovered and not self._checking:
                self._check_ms = now_ms + self._settings.check_ms // 2
            self._uncovered[kept] = None
            state.stood_ms = now_ms
            if state.abroad:
                self._effects.append(LookAbroad(kept, state.epoch, tuple(runs_of(kept, state.stands))))
        else:
            self._drop(kept)

    def _end_round(self, kept: int) -> None:
        state = self._kept[kept]
        if state.under_way and not state.awaited:
            self._background -= 1
        state.under_way = False

    def _pause_ms(self, state: _Kept) -> int:
        settings = self._settings
        state.rounds += 1
        if state.soon:
            return settings.again_ms
        full_ms = min(settings.not_yet_most_ms, settings.not_yet_first_ms << min(state.rounds - 1, 20))
        return int(full_ms * (0.5 + 0.5 * self._chance()))

    def _look(self, now_ms: int) -> None:
        """Send elsewhere what was not proven for too long; look for the rest."""
        late = [kept for kept in self._uncovered if self._is_late(self._kept[kept], now_ms)]
        for kept in late:
            self._doubt(kept)
        if self._uncovered:
            self._checking = True
            self._effects.append(AskCheckpoint(self._kept[next(iter(self._uncovered))].site))

    def _is_late(self, state: _Kept, now_ms: int) -> bool:
        return not state.proven and now_ms >= state.stood_ms + self._settings.cover_ms

    def _doubt(self, kept: int) -> None:
        """What one site said is not believed any more."""
        self._uncovered.pop(kept, None)
        self._at_home.discard(kept)
        if self._kept[kept].abroad:
            self._effects.append(LookNoMore(kept))
        heapq.heappush(self._due, (0, kept))

    def _send_again(self, kept: int, state: _Kept) -> None:
        state.waiting = state.open = state.count
        state.standing, state.stands = 0, {}
        state.proven = False
        state.told = None
        state.soon = False
        state.under_way = True
        self._background += 1
        self._effects.append(Deliver(kept, state.site or None))

    def _stored(self, kept: int) -> None:
        if not self._kept[kept].abroad:
            self._drop(kept)
            return
        del self._uncovered[kept]
        self._at_home.add(kept)
        self._effects.append(AtHome(kept))

    def _drop(self, kept: int) -> None:
        state = self._kept.pop(kept, None)
        self._uncovered.pop(kept, None)
        self._at_home.discard(kept)
        if state is not None and state.abroad:
            self._effects.append(LookNoMore(kept))
        self._effects.append(Forget(kept))
