"""The shell around `holding`: asks for a checkpoint that a site abroad cosigned, learns of later epochs, and tells the outbox and the keeper what follows.

One question for everything that is held, beside the callers' work: where no site abroad has cosigned anything new, any quorum's newest checkpoint is asked for,
because a ledger that goes on elsewhere shows itself by that. Where it does not verify by what is known of governance, the asker follows the acts of the site
that gave it; where it does, since the same sites cosign on, its epoch says that there are acts to follow.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence

from sento_client.composing import Ports
from sento_client.outbox.holding import (
    AskAbroad,
    Effect,
    Held,
    HeldCounts,
    Holding,
    LetGo,
    SendAgain,
    Settings,
)
from sento_client.outbox.outbox import Outbox
from sento_client.outbox.shelf import HeldAs
from sento_client.proving import Prover
from sento_proto.checkpoint import Checkpoint
from sento_proto.errors import SentoError
from sento_proto.governance.epoch_parts import Epoch
from sento_proto.governance.placing import sites_abroad
from sento_proto.governance.state import Governance

ASK_TIMEOUT_MS = 6_000
"""Two sites' shares of a question's time; one that was silent is not asked first the next time."""
_LOG = logging.getLogger(__name__)


class HoldingLook:
    """One outbox's holdings. `governance`: what is followed now; `send_again`: offers submissions for delivery; `epoch_began`: hears of a later epoch once;
    `spawn`: runs work on the loop; `follow`: asks the sites for acts that are not followed yet."""

    def __init__(
        self,
        outbox: Outbox,
        prover: Prover,
        ports: Ports,
        governance: Callable[[], Governance],
        send_again: Callable[[Sequence[int]], None],
        epoch_began: Callable[[Epoch], None],
        spawn: Callable[[Coroutine[None, None, None]], None],
        settings: Settings | None = None,
        follow: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._outbox = outbox
        self._prover = prover
        self._ports = ports
        self._governance = governance
        self._follow = follow
        self._send_again = send_again
        self._epoch_began = epoch_began
        self._spawn = spawn
        self._holding = Holding(settings)
        self._epoch = governance().epoch
        self._placed: tuple[object, bool] = (None, False)
        self._timer: asyncio.TimerHandle | None = None
        self._seen: Checkpoint | None = None
        self._closed = False
        outbox.when_full = self._disk_full
        self._holding.epochs_are(governance().epochs, ports.steady_ms())

    @property
    def counts(self) -> HeldCounts:
        """How much is held, and how much was let go for want of room."""
        return self._holding.counts

    @property
    def wanted(self) -> bool:
        """Whether the ledger has a site abroad, so that there is something to hold for."""
        sites = self._governance().sites
        if self._placed[0] is not sites:
            self._placed = (sites, bool(sites_abroad(self._governance())))
        return self._placed[1]

    def hold(self, kept: int, held: HeldAs) -> None:
        """Its receipts are on disk: keep it on for a site abroad."""
        self._outbox.hold(kept, held)
        self._apply(self._holding.hold([self._of(kept, held)], self._ports.steady_ms()))

    def adopt(self, kept: Sequence[int]) -> list[int]:
        """Hold on what an earlier program held; those that are not held, to be sent."""
        found = [(each, held) for each in kept if (held := self._outbox.held_as(each)) is not None]
        if found:
            self.look_at_epochs()
            self._apply(
                self._holding.hold(
                    [self._of(each, held) for each, held in found],
                    self._ports.steady_ms(),
                )
            )
        held_ones = {each for each, _ in found}
        return [each for each in kept if each not in held_ones]

    async def heard(self, checkpoint: Checkpoint) -> None:
        """A checkpoint verified: one of a later epoch than is followed asks for the acts that began it."""
        if checkpoint.epoch > self._governance().epoch and self._follow is not None:
            await self._follow()
        self.look_at_epochs()

    def look_at_epochs(self) -> None:
        """Whether governance, as far as it is followed, knows a later epoch than was known here."""
        governance = self._governance()
        if governance.epoch <= self._epoch:
            return
        self._epoch = governance.epoch
        _LOG.warning("the ledger goes on in epoch %d: what it lacks is sent again", governance.epoch)
        # What was held comes first, as it is older than what still waits.
        self._apply(self._holding.epochs_are(governance.epochs, self._ports.steady_ms()))
        self._epoch_began(governance.epochs[-1])

    def close(self) -> None:
        """Stop; what is held stays on disk."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    # How it is done.

    def _of(self, kept: int, held: HeldAs) -> Held:
        records, size_bytes = self._outbox.size_of(kept)
        return Held(kept, records, size_bytes, held.epoch, held.needs_size)

    def _apply(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, LetGo):
                self._outbox.let_go(effect.kept, uncovered=effect.uncovered)
            elif isinstance(effect, AskAbroad):
                self._spawn(self._ask())
            elif isinstance(effect, SendAgain):
                self._send_again(effect.kept)
        self._plan()

    def _plan(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake_ms = self._holding.wake_ms
        if wake_ms is not None and not self._closed:
            delay_ms = max(0, wake_ms - self._ports.steady_ms())
            self._timer = asyncio.get_running_loop().call_later(delay_ms / 1000, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._apply(self._holding.tick(self._ports.steady_ms()))

    async def _ask(self) -> None:
        if not self.wanted:
            self._apply(self._holding.none_abroad())
            self._failed()
            return
        found: Checkpoint | None = None
        try:
            found, _ = await self._prover.checkpoint_abroad(0, ASK_TIMEOUT_MS)
        except SentoError as error:
            # What is held waits on; who was told that it stands holds a receipt.
            _LOG.debug("no site shows a checkpoint that a site abroad cosigned: %s", error.code.name)
        except Exception:
            self._failed()
            raise
        try:
            if found is not None:
                await self.heard(found)
            if found is None or found == self._seen:
                await self._learn_epoch()
        except Exception:
            self._failed()
            raise
        self._seen = found
        if found is None:
            self._failed()
        else:
            self._apply(self._holding.checkpoint(found.epoch, found.size, self._ports.steady_ms()))

    async def _learn_epoch(self) -> None:
        """No site abroad has cosigned anything new, or none answers: perhaps the ledger goes on in another epoch, which its newest checkpoint would show."""
        try:
            await self.heard(await self._prover.checkpoint(0, ASK_TIMEOUT_MS))
        except SentoError as error:
            _LOG.debug("no site shows a checkpoint: %s", error.code.name)
            self.look_at_epochs()

    def _failed(self) -> None:
        self._holding.failed(self._ports.steady_ms())
        self._plan()

    def _disk_full(self) -> None:
        self._apply(self._holding.disk_full())
