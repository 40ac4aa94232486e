"""What one office's outbox holds on for the sake of a site abroad: the real `Holding` over the simulated disk (the counterpart of `outbox/holding_look.py`).

Receipts are on disk, so callers and people are done with it; it stays until a quorum's checkpoint that a site abroad cosigned covers it, or a later epoch took
it away, and then it is sent again. An office crashes with what it holds, and its next life holds on from where it was.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.simulation.outbox_host import ASK_TIMEOUT_MS, OutboxHost, Owner, Shelved

from sento_client.outbox.holding import AskAbroad, Effect, Held, Holding, LetGo, SendAgain, Settings
from sento_client.outbox.keeping import Effect as KeepingEffect
from sento_client.outbox.keeping import Run
from sento_client.outbox.shelf import HeldAs
from sento_proto.checkpoint import cosigners, decode_checkpoint
from sento_proto.governance.placing import keys_abroad, sites_abroad
from sento_proto.governance.state import Governance

if TYPE_CHECKING:
    from tests.simulation.site_host import SiteHost

SETTINGS = Settings(ask_ms=300, ask_most_ms=1_500, portion=8, portion_pause_ms=20)
NOTES_LOOKED_AT = 40


class HoldingOutbox(OutboxHost):
    """The outbox of an office whose ledger has sites abroad."""

    _holding: Holding | None = None
    _governance: Governance | None = None

    @property
    def waiting(self) -> int:
        """How many submissions on disk are not merely held: their delivery or their receipts are outstanding. All of them while the office is down."""
        return len(self.disk) - (0 if self._holding is None else self._holding.counts.submissions)

    def start(self) -> None:
        """A life begins: what was held is held on, what was not is sent."""
        self._holding = Holding(SETTINGS)
        if self._governance is not None:
            self._holding.epochs_are(self._governance.epochs, self._heap.now_ms)
        super().start()
        found = [(kept, shelved.held) for kept, shelved in self.disk.items() if shelved.held is not None]
        self._heap.faults["held submission held on by the next life"] += len(found)
        self._hold(self._holding.hold([self._of(kept, held) for kept, held in found], self._heap.now_ms))

    def crash(self) -> None:
        """What is held stays on disk."""
        self._holding = None
        super().crash()

    def adopted(self) -> list[tuple[int, int]]:
        """What an earlier life left to be sent."""
        return [(kept, len(one.owners)) for kept, one in self.disk.items() if one.held is None]

    def _receipts_flushed(self, runs: Sequence[Run]) -> None:
        assert self._keeping is not None
        assert self._checkpoint is not None
        self._at_home: dict[int, HeldAs] = {}
        for run in runs:
            so_far = self._at_home.get(run.kept)
            size = max(run.position + len(run.record_hashes), 0 if so_far is None else so_far.needs_size)
            self._at_home[run.kept] = HeldAs(self._checkpoint.epoch, size, self._keeping.refused(run.kept))
        super()._receipts_flushed(runs)
        self._at_home = {}

    def _forget(self, kept: int) -> None:
        held = getattr(self, "_at_home", {}).pop(kept, None)
        wanted = self._governance is None or bool(sites_abroad(self._governance))
        if held is None or not wanted or kept not in self.disk or not self._hooks.holds():
            super()._forget(kept)
            return
        assert self._holding is not None
        self.disk[kept].held = held
        self._heap.faults["submission held for a site abroad"] += 1
        self._hold(self._holding.hold([self._of(kept, held)], self._heap.now_ms))

    def _of(self, kept: int, held: HeldAs) -> Held:
        shelved = self.disk[kept]
        return Held(kept, len(shelved.owners), len(shelved.data), held.epoch, held.needs_size)

    # -- effects --------------------------------------------------------------------------------------------------------------

    def _hold(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case LetGo(gone, uncovered):
                    assert not uncovered, "there is room for everything"
                    for kept in gone:
                        self._heap.faults["held submission let go"] += 1
                        self._checks.forgotten(self.disk.pop(kept).owners, self.receipts)
                case AskAbroad():
                    self._ask_abroad()
                case SendAgain(again):
                    self._heap.faults["held submission sent again in a later epoch"] += len(again)
                    self._send_again(again)
        assert self._holding is not None
        if self._holding.wake_ms is not None:
            self._later(max(0, self._holding.wake_ms - self._heap.now_ms), self._tick_held)

    def _tick_held(self) -> None:
        assert self._holding is not None
        if (self._holding.wake_ms or self._heap.now_ms + 1) <= self._heap.now_ms:
            self._hold(self._holding.tick(self._heap.now_ms))

    def _send_again(self, again: Sequence[int]) -> None:
        assert self._keeping is not None
        for kept in again:
            self._leave_out(self.disk[kept])
        found = [(kept, len(self.disk[kept].owners)) for kept in again]
        self._carry_out(self._keeping.adopted(found, self._heap.now_ms))

    def _leave_out(self, shelved: Shelved) -> None:
        """Records that were refused when the others came to stand are not offered again: who was told so must not be surprised."""
        if shelved.held is not None and shelved.held.left_out:
            places = set(shelved.held.left_out)
            shelved.owners = [one for at, one in enumerate(shelved.owners) if at not in places]
            shelved.data = self._sign_again(shelved.owners)
            shelved.held = shelved.held._replace(left_out=())

    def _sign_again(self, owners: Sequence[Owner]) -> bytes:
        return self._office.sign_again(owners)

    # -- questions ------------------------------------------------------------------------------------------------------------

    def _ask_abroad(self) -> None:
        able = [host for name, host in self._sites.items() if host.state == "running" and self._reaches(name)]
        host = self._heap.one_of(able) if able else None
        delay_ms = self._heap.between(2, 60) if host is not None else ASK_TIMEOUT_MS
        life = None if host is None else host.life
        self._later(delay_ms, functools.partial(self._shown_abroad, host, life))

    def _shown_abroad(self, host: SiteHost | None, life: int | None) -> None:
        assert self._holding is not None
        now_ms = self._heap.now_ms
        if (
            host is None
            or host.state != "running"
            or host.life != life
            or not self._reaches(host.name)
            or not self._holding.counts.submissions
        ):
            self._holding.failed(now_ms)
            self._hold([])
            return
        self._look_at_epochs(host)
        found = self._cosigned_abroad(host)
        if found is None:
            self._holding.failed(now_ms)
            self._hold([])
        else:
            self._hold(self._holding.checkpoint(*found, now_ms))

    def _cosigned_abroad(self, host: SiteHost) -> tuple[int, int] | None:
        """Epoch and size of the newest checkpoint there that verifies as one of a quorum and a site abroad."""
        governance = self._governance
        if governance is None:
            return None
        abroad = keys_abroad(governance)
        for kept in host.disk.store.newest_checkpoints(NOTES_LOOKED_AT):
            note, wanted = decode_checkpoint(kept.note), governance.receipt_quorum_at(kept.size)
            if len(cosigners(note, wanted.keys)) >= wanted.quorum and cosigners(note, abroad):
                return note.epoch, note.size
        return None

    def _look_at_epochs(self, host: SiteHost) -> None:
        """Follow governance as the site has it: of a later epoch, what was held is looked at first, as it is older than what still waits."""
        assert self._holding is not None
        assert self._keeping is not None
        seen, known = host.site.state.governance, self._governance
        if known is not None and seen.epoch < known.epoch:
            return
        self._governance = seen
        if seen.epoch > (0 if known is None else known.epoch):
            self._epoch = seen.epoch
            self._hold(self._holding.epochs_are(seen.epochs, self._heap.now_ms))
            self._carry_out(self._keeping.epoch_began(seen.epoch, self._heap.now_ms))

    def _checkpoint_of(self, host: SiteHost) -> Sequence[KeepingEffect] | None:
        self._look_at_epochs(host)
        return super()._checkpoint_of(host)
