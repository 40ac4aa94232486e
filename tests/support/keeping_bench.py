"""A bench for the keeping core: it plays callers, delivery, disk and sites, and holds the time."""

from __future__ import annotations

import hashlib

from sento_client.delivery_values import Settle
from sento_client.outbox.keeping import AskProofs, Effect, Keeping, Run, Settings, StoreReceipts
from sento_proto.errors import Code

A, B = "site-a", "site-b"
SETTINGS = Settings(
    cover_ms=30_000,
    check_ms=1_000,
    window=2,
    again_ms=1_000,
    not_yet_first_ms=5_000,
    not_yet_most_ms=300_000,
    runs_most=4,
)
HALF_CHECK_MS = SETTINGS.check_ms // 2


def hash_of(kept: int, place: int) -> bytes:
    return hashlib.sha256(b"%d %d" % (kept, place)).digest()


def run_of(kept: int, position: int, *places: int) -> Run:
    return Run(kept, position, tuple(hash_of(kept, place) for place in places))


class Bench:
    """One core and its time. What the core wants done is what its methods return; the tests look at it."""

    def __init__(self, settings: Settings = SETTINGS, chance: float = 0.0) -> None:
        self.now_ms = 0
        self.core = Keeping(settings, lambda: chance)

    def wait(self, ms: int) -> list[Effect]:
        self.now_ms += ms
        return self.core.tick(self.now_ms)

    def settle(
        self,
        kept: int,
        place: int,
        code: Code,
        position: int = 0,
        *,
        told: bool = True,
        site: str = A,
        epoch: int = 0,
        word: Code | None = None,
        may_stand: bool = False,
        because: bytes | None = None,
    ) -> list[Effect]:
        settle = Settle(1, place, code, position, epoch, site, may_stand, because, word)
        return self.core.settled(kept, settle, hash_of(kept, place), self.now_ms, told=told)

    def stands(self, kept: int, *positions: int, site: str = A, epoch: int = 0) -> list[Effect]:
        """A submission is sent, and a site says of each of its records where it stands."""
        self.core.sent(kept, len(positions))
        return self.said_to_stand(kept, *positions, site=site, epoch=epoch)

    def said_to_stand(self, kept: int, *positions: int, site: str = A, epoch: int = 0) -> list[Effect]:
        effects: list[Effect] = []
        for place, position in enumerate(positions):
            effects += self.settle(kept, place, Code.ACCEPTED, position, site=site, epoch=epoch)
        return effects

    def checkpoint(self, size: int, epoch: int = 0) -> list[Effect]:
        return self.core.checkpoint(epoch, size, self.now_ms)

    def asked(self, size: int, epoch: int = 0) -> tuple[Run, ...]:
        """The runs to be proven under this checkpoint."""
        (ask,) = self.checkpoint(size, epoch)
        assert isinstance(ask, AskProofs)
        return ask.runs

    def proven(self, runs: tuple[Run, ...], *false: Run) -> list[Effect]:
        """The sites show what stands, and the disk takes the receipts."""
        effects = self.shown(runs, *false)
        store = [effect for effect in effects if isinstance(effect, StoreReceipts)]
        left = [effect for effect in effects if effect not in store]
        return left + [effect for each in store for effect in self.core.stored(each.runs, self.now_ms)]

    def shown(self, runs: tuple[Run, ...], *false: Run) -> list[Effect]:
        """The sites show what stands."""
        return self.core.proven(runs, [run not in false for run in runs], self.now_ms)
