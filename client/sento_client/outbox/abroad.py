"""Abroad: which kept submissions still wait for a cosignature of a site abroad, when one is asked for, and when the wait is over.

The rules, all of them:

1. A submission enters when it stands by a site's word, whether a quorum has been seen over it or not; the two looks do not wait for each other, so that an
   embassy that is lost holds nobody up at home.
2. One question is under way at a time: a quorum's checkpoint over the submission that needs the least, which a site abroad cosigned as well. What stands under
   it is proven record by record, as at home; where the proof shows something else the site's word was false, and the submission is sent again.
3. It leaves when its receipts under such a checkpoint are on disk. Nothing else ends the wait: not time, not a new program, not a checkpoint of the home sites.
4. After a question without an answer comes a pause that doubles, up to half a minute.

Pure: events in, effects out; no clock of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sento_client.outbox.keeping import Run


class AskAbroad(NamedTuple):
    """Fetch a quorum's checkpoint of at least this size that a site abroad cosigned; report `checkpoint` or `failed`."""

    at_least_size: int


class ProveAbroad(NamedTuple):
    """Have these proven under it and their receipts stored, whole submissions; report `covered` and `doubted`, or `failed`."""

    runs: tuple[Run, ...]


class SendAgain(NamedTuple):
    """What was said of the submission does not hold in this epoch any more: offer it for delivery again."""

    kept: int


Effect = AskAbroad | ProveAbroad | SendAgain


@dataclass(frozen=True, slots=True)
class Settings:
    """The pause after a question without an answer doubles from `first_ms` to `most_ms`; `runs_most` go into one question."""

    first_ms: int = 1_000
    most_ms: int = 30_000
    runs_most: int = 200


class _Waits(NamedTuple):
    epoch: int
    runs: tuple[Run, ...]

    @property
    def needs_size(self) -> int:
        last = self.runs[-1]
        return last.position + len(last.record_hashes)


class WaitingAbroad:
    """The core."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._waits: dict[int, _Waits] = {}
        self._asking = False
        self._failures = 0
        self._due_ms = 0

    @property
    def count(self) -> int:
        """Submissions that wait."""
        return len(self._waits)

    @property
    def wake_ms(self) -> int | None:
        """When `tick` has something to do next; None while nothing waits, or a question is under way."""
        return None if self._asking or not self._waits else self._due_ms

    def stands(self, kept: int, epoch: int, runs: Sequence[Run], now_ms: int) -> None:
        """A submission stands where a site said."""
        if not self._waits:
            self._failures = 0
        self._waits[kept] = _Waits(epoch, tuple(runs))
        soon_ms = now_ms + (self._settings.first_ms if self._failures else 0)
        self._due_ms = soon_ms if len(self._waits) == 1 else min(self._due_ms, soon_ms)

    def dropped(self, kept: int) -> None:
        """It needs no look any more, or what was said of it is not believed any more."""
        self._waits.pop(kept, None)

    def tick(self, now_ms: int) -> list[Effect]:
        """Time has passed."""
        if self._asking or not self._waits or now_ms < self._due_ms:
            return []
        self._asking = True
        return [AskAbroad(min(each.needs_size for each in self._waits.values()))]

    def checkpoint(self, epoch: int, size: int, now_ms: int) -> list[Effect]:
        """A checkpoint that a site abroad cosigned is at hand."""
        runs: list[Run] = []
        again: list[Effect] = []
        for kept, each in list(self._waits.items()):
            if each.epoch < epoch:
                # The ledger went on in a new epoch: where the record stands there, if it does, is for a site to say.
                del self._waits[kept]
                again.append(SendAgain(kept))
            elif each.epoch == epoch and each.needs_size <= size:
                if runs and len(runs) + len(each.runs) > self._settings.runs_most:
                    break
                runs += each.runs
        if not runs:
            self.failed(now_ms)
            return again
        return [*again, ProveAbroad(tuple(runs))]

    def covered(self, kept: Sequence[int], now_ms: int) -> None:
        """Receipts of these are on disk, under a checkpoint that a site abroad cosigned."""
        for each in kept:
            self._waits.pop(each, None)
        self._asking = False
        self._failures = 0
        self._due_ms = now_ms

    def failed(self, now_ms: int) -> None:
        """Nobody could show it, or it could not be stored; it is asked for again later."""
        self._asking = False
        settings = self._settings
        self._due_ms = now_ms + min(settings.most_ms, settings.first_ms << min(self._failures, 20))
        self._failures += 1
