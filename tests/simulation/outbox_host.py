"""One office's outbox: the real `Keeping` over a simulated disk, questions to simulated sites, and what survives a crash of the office.

A submission is on disk some moments after it was put there, unless the office crashes first. After a crash the next life finds what the disk has, and nothing
else. A site's answers about checkpoints and proofs come from its store and travel like everything; a proof is verified as the client verifies it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Protocol

from tests.simulation.heap import EventHeap
from tests.simulation.hooks import Hooks
from tests.simulation.office_checks import OfficeChecks
from tests.simulation.workload import Write

from sento_client.delivery_values import Settle
from sento_client.outbox.keeping import (
    AskCheckpoint,
    AskProofs,
    Deliver,
    Effect,
    Forget,
    Keeping,
    Run,
    SetAside,
    Settings,
    StoreReceipts,
)
from sento_client.outbox.shelf import HeldAs
from sento_node.ledger import reading
from sento_proto import merkle
from sento_proto.checkpoint import Checkpoint, decode_checkpoint
from sento_proto.errors import Code

if TYPE_CHECKING:
    from tests.simulation.site_host import SiteHost

SETTINGS = Settings(
    cover_ms=3_000,
    check_ms=200,
    window=4,
    again_ms=100,
    not_yet_first_ms=300,
    not_yet_most_ms=2_000,
    store_again_ms=400,
)
RECEIPTS_DISK_FULL = 0.04
RECEIPTS_SEED = 5
"""Chance of its own, the same in every run: what a seed makes of everything else does not hang on how often receipts are stored."""
ASK_TIMEOUT_MS = 400

Owner = tuple[Write, int]


@dataclass(slots=True)
class Shelved:
    """A submission on disk, with the writes that its records belong to."""

    data: bytes
    owners: list[Owner]
    held: HeldAs | None = None
    """As what it is held for a site abroad (`holding_host`)."""


class Office(Protocol):
    """What the outbox wants from the office that it belongs to."""

    def gives_up(self, shelved: Shelved) -> bool:
        """Whether somebody discards it, now that it would be sent again."""

    def deliver_again(self, kept: int, shelved: Shelved, avoid: str | None) -> None:
        """Deliver what nobody waits for, at `avoid` only if there is no other site."""

    def sign_again(self, owners: Sequence[Owner]) -> bytes:
        """A submission of these records alone."""

    def set_aside(self, owner: Owner, code: Code) -> None:
        """A record was refused for good when nobody waited for it."""


class OutboxHost:
    """The outbox of one office. `reaches`: whether the office reaches a site now."""

    def __init__(
        self,
        heap: EventHeap,
        checks: OfficeChecks,
        hooks: Hooks,
        sites: Mapping[str, SiteHost],
        reaches: Callable[[str], bool],
        office: Office,
    ) -> None:
        self._heap = heap
        self._checks = checks
        self._hooks = hooks
        self._sites = sites
        self._reaches = reaches
        self._office = office
        self.disk: dict[int, Shelved] = {}
        self._to_flush: dict[int, Shelved] = {}
        self._receipts_disk = Random(RECEIPTS_SEED)
        self.receipts_disk_full = RECEIPTS_DISK_FULL
        self.receipts: set[bytes] = set()
        """Record hashes whose receipts are on disk."""
        self._numbers = itertools.count(1)
        self._keeping: Keeping | None = None
        self._life = 0
        self._checkpoint: Checkpoint | None = None
        self._epoch = 0

    @property
    def flushing(self) -> bool:
        """Whether a submission is on its way to the disk."""
        return bool(self._to_flush)

    def start(self) -> None:
        """A life begins: what is on disk is taken over."""
        self._life += 1
        self._keeping = self._hooks.keeping(Keeping(SETTINGS, self._heap.random.random))
        found = self.adopted()
        if found:
            self._heap.faults["submission taken over from an outbox"] += len(found)
        self._carry_out(self._keeping.adopted(found, self._heap.now_ms))

    def adopted(self) -> list[tuple[int, int]]:
        """What an earlier life left to be sent, with its number of records."""
        return [(kept, len(shelved.owners)) for kept, shelved in self.disk.items()]

    def crash(self) -> None:
        """What is not on disk is gone; a flush that was going on may have come to its end, and nobody was told."""
        self._life += 1
        self._keeping = None
        for kept, shelved in self._to_flush.items():
            if self._heap.chance(0.5):
                self.disk[kept] = shelved
                self._heap.faults["client crashed after the flush and before the sending"] += 1
        self._to_flush = {}

    def keep(self, data: bytes, owners: Sequence[Owner], on_disk: Callable[[int], None]) -> None:
        """Put a submission on disk; `on_disk` is called once it is there."""
        kept = next(self._numbers)
        self._to_flush[kept] = Shelved(data, list(owners))
        self._later(self._heap.between(0, 4), self._flushed, kept, on_disk)

    def _flushed(self, kept: int, on_disk: Callable[[int], None]) -> None:
        assert self._keeping is not None
        self.disk[kept] = shelved = self._to_flush.pop(kept)
        self._keeping.sent(kept, len(shelved.owners))
        on_disk(kept)

    def settled(self, kept: int, settle: Settle, record_hash: bytes, *, told: bool) -> None:
        """Delivery ended one record's round."""
        if self._keeping is not None:
            now_ms = self._heap.now_ms
            self._carry_out(self._keeping.settled(kept, settle, record_hash, now_ms, told=told))

    def holds(self, owner: Owner) -> bool:
        """Whether the record is on disk."""
        return any(owner in shelved.owners for shelved in self.disk.values())

    # -- effects --------------------------------------------------------------------------------------------------------------

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Forget(kept):
                    self._forget(kept)
                case Deliver(kept, avoid):
                    self._later(self._heap.between(0, 3), self._load, kept, avoid)
                case AskCheckpoint(avoid):
                    self._ask(avoid, self._checkpoint_of)
                case AskProofs(runs):
                    self._ask(None, functools.partial(self._proofs_of, runs))
                case StoreReceipts(stored):
                    self._later(self._receipts_disk.randint(0, 4), self._receipts_flushed, stored)
                case SetAside(kept, place, code):
                    self._heap.faults[f"set aside {code.name}"] += 1
                    self._office.set_aside(self.disk[kept].owners[place], code)
        if self._keeping is not None and self._keeping.wake_ms is not None:
            self._later(max(0, self._keeping.wake_ms - self._heap.now_ms), self._tick)

    def _forget(self, kept: int) -> None:
        shelved = self.disk.pop(kept, None)
        if shelved is not None:
            self._checks.forgotten(shelved.owners, self.receipts)

    def _tick(self) -> None:
        if (
            self._keeping is not None
            and (self._keeping.wake_ms or self._heap.now_ms + 1) <= self._heap.now_ms
        ):
            self._carry_out(self._keeping.tick(self._heap.now_ms))

    def _receipts_flushed(self, runs: Sequence[Run]) -> None:
        assert self._keeping is not None
        if self._receipts_disk.random() < self.receipts_disk_full:
            self._heap.faults["receipts not stored: the disk is full"] += 1
            self._carry_out(self._keeping.not_stored(runs, self._heap.now_ms))
            return
        self.receipts.update(record_hash for run in runs for record_hash in run.record_hashes)
        self._carry_out(self._keeping.stored(runs, self._heap.now_ms))

    def _load(self, kept: int, avoid: str | None) -> None:
        assert self._keeping is not None
        shelved = self.disk[kept]
        if self._office.gives_up(shelved):
            self._heap.faults["submission discarded"] += 1
            del self.disk[kept]
            self._carry_out(self._keeping.gone(kept, self._heap.now_ms))
        else:
            self._office.deliver_again(kept, shelved, avoid)

    # -- questions --------------------------------------------------------------------------------------------------------------

    def _ask(self, avoid: str | None, answer: Callable[[SiteHost], Sequence[Effect] | None]) -> None:
        """Ask one site that can be reached; where it fails, or none can be, the question has failed."""
        able = [host for name, host in self._sites.items() if host.state == "running" and self._reaches(name)]
        others = [host for host in able if host.name != avoid] or able
        host = self._heap.one_of(others) if others else None
        delay_ms = self._heap.between(2, 60) if host is not None else ASK_TIMEOUT_MS
        self._later(delay_ms, self._answered, host, None if host is None else host.life, answer)

    def _answered(
        self, host: SiteHost | None, life: int | None, answer: Callable[[SiteHost], Sequence[Effect] | None]
    ) -> None:
        assert self._keeping is not None
        effects = None
        if host is not None and host.state == "running" and host.life == life and self._reaches(host.name):
            effects = answer(host)
        self._carry_out(self._keeping.check_failed(self._heap.now_ms) if effects is None else effects)

    def _checkpoint_of(self, host: SiteHost) -> Sequence[Effect] | None:
        assert self._keeping is not None
        kept = host.disk.store.checkpoint(0)
        if kept is None:
            return None
        self._checkpoint = decode_checkpoint(kept.note)
        begun: list[Effect] = []
        if self._checkpoint.epoch > self._epoch:
            self._epoch = self._checkpoint.epoch
            begun = self._keeping.epoch_began(self._epoch, self._heap.now_ms)
        now_ms = self._heap.now_ms
        return begun + self._keeping.checkpoint(self._checkpoint.epoch, self._checkpoint.size, now_ms)

    def _proofs_of(self, runs: Sequence[Run], host: SiteHost) -> Sequence[Effect] | None:
        assert self._keeping is not None
        assert self._checkpoint is not None
        size, root, store = self._checkpoint.size, self._checkpoint.root, host.disk.store
        if store.tip.size < size:
            return None
        held = []
        for run in runs:
            ends = (run.position, run.position + len(run.record_hashes) - 1)
            first, last = (reading.inclusion(store, position, size) for position in ends)
            held.append(merkle.verify_run(run.record_hashes, run.position, size, first, last, root))
        if not all(held):
            self._heap.faults["a site's false word found out"] += held.count(False)
        return self._keeping.proven(runs, held, self._heap.now_ms)

    def _later(self, delay_ms: int, act: Callable[..., None], *args: object) -> None:
        self._heap.after(delay_ms, self._in_life, self._life, act, args)

    def _in_life(self, life: int, act: Callable[..., None], args: tuple[object, ...]) -> None:
        if life == self._life:
            act(*args)
