"""The shell around `abroad`: asks the sites for a checkpoint that a site abroad cosigned, has the records proven under it, and tells whoever waits.

A question takes a while and may never have an answer, so it runs beside the outbox's own look at home and shares nothing with it but the prover.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence

from sento_client.composing import Ports
from sento_client.outbox.abroad import AskAbroad, Effect, ProveAbroad, SendAgain, WaitingAbroad
from sento_client.outbox.keeping import Run
from sento_client.proving import Prover, RunProof
from sento_client.results import Abroad
from sento_proto.checkpoint import Checkpoint
from sento_proto.errors import SentoError
from sento_proto.limits import LIST_PAGE_MAX

ASK_TIMEOUT_MS = 6_000
"""Two sites' shares of a question's time."""
RUNS_AT_ONCE = LIST_PAGE_MAX // 2
TOLD_LATER_MOST = 65_536
"""Records whose answer came before their caller asked for it; of more the oldest are forgotten, and their callers hear `pending`."""
Store = Callable[[Checkpoint, Sequence[tuple[Run, RunProof]]], Awaitable[bool]]


class AbroadLook:
    """One outbox's look abroad. `store`: puts receipts on disk; `stands`, `not_as_said`: what became of a submission; `spawn`: runs work on the loop."""

    def __init__(
        self,
        prover: Prover,
        ports: Ports,
        store: Store,
        stands: Callable[[int], None],
        not_as_said: Callable[[int], None],
        spawn: Callable[[Coroutine[None, None, None]], None],
    ) -> None:
        self._prover = prover
        self._ports = ports
        self._store = store
        self._stands = stands
        self._not_as_said = not_as_said
        self._spawn = spawn
        self._waiting = WaitingAbroad()
        self._timer: asyncio.TimerHandle | None = None
        self._checkpoint: tuple[Checkpoint, str] | None = None
        self._known: dict[bytes, Abroad] = {}
        self._news: asyncio.Future[None] | None = None
        self._closed = False

    @property
    def count(self) -> int:
        """Submissions that wait for a site abroad."""
        return self._waiting.count

    def stands(self, kept: int, epoch: int, runs: Sequence[Run]) -> None:
        """A submission stands where a site said; look for it."""
        self._waiting.stands(kept, epoch, runs, self._ports.steady_ms())
        self._plan()

    def dropped(self, kept: int) -> None:
        """It is looked for no more."""
        self._waiting.dropped(kept)

    async def of(self, record_hashes: Sequence[bytes], timeout_ms: int) -> dict[bytes, Abroad]:
        """What is known of these records when all of them stand abroad, or the time is over; one that is not in it is pending."""
        end_ms = self._ports.steady_ms() + timeout_ms
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                while not all(record_hash in self._known for record_hash in record_hashes):
                    if self._closed or self._ports.steady_ms() >= end_ms:
                        break
                    if self._news is None or self._news.done():
                        self._news = asyncio.get_running_loop().create_future()
                    await asyncio.shield(self._news)
        except TimeoutError:
            pass
        found = {each: self._known[each] for each in record_hashes if each in self._known}
        for each in found:
            del self._known[each]
        return found

    def close(self) -> None:
        """Stop; whoever waits hears what is known."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._tell()

    # How it is done.

    def _plan(self) -> None:
        wake_ms = self._waiting.wake_ms
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wake_ms is not None and not self._closed:
            delay_ms = max(0, wake_ms - self._ports.steady_ms())
            self._timer = asyncio.get_running_loop().call_later(delay_ms / 1000, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._apply(self._waiting.tick(self._ports.steady_ms()))

    def _apply(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, AskAbroad):
                self._spawn(self._ask(effect.at_least_size))
            elif isinstance(effect, ProveAbroad):
                self._spawn(self._prove(effect.runs))
            elif isinstance(effect, SendAgain):
                self._not_as_said(effect.kept)
        self._plan()

    async def _ask(self, at_least_size: int) -> None:
        try:
            found = await self._prover.checkpoint_abroad(at_least_size, ASK_TIMEOUT_MS)
        except SentoError:
            # No site abroad has come so far, or none answers: what waits goes on waiting.
            self._failed()
            return
        except Exception:
            self._failed()
            raise
        self._checkpoint = found
        checkpoint = found[0]
        self._apply(self._waiting.checkpoint(checkpoint.epoch, checkpoint.size, self._ports.steady_ms()))

    async def _prove(self, runs: Sequence[Run]) -> None:
        assert self._checkpoint is not None
        checkpoint, site = self._checkpoint
        try:
            held: list[RunProof | None] = []
            for start in range(0, len(runs), RUNS_AT_ONCE):
                part = runs[start : start + RUNS_AT_ONCE]
                held += await self._prover.prove_runs(part, checkpoint, ASK_TIMEOUT_MS)
            wrong = {run.kept for run, proof in zip(runs, held, strict=True) if proof is None}
            proven = [
                (run, proof)
                for run, proof in zip(runs, held, strict=True)
                if proof is not None and run.kept not in wrong
            ]
            stored = not proven or await self._store(checkpoint, proven)
        except SentoError:
            self._failed()
            return
        except Exception:
            self._failed()
            raise
        for kept in wrong:
            self._waiting.dropped(kept)
            self._not_as_said(kept)
        if not stored:
            self._failed()
            return
        self._covered(proven, Abroad(True, site, checkpoint.size))

    def _covered(self, proven: Sequence[tuple[Run, RunProof]], abroad: Abroad) -> None:
        done = list(dict.fromkeys(run.kept for run, _ in proven))
        self._waiting.covered(done, self._ports.steady_ms())
        for run, _ in proven:
            self._known |= dict.fromkeys(run.record_hashes, abroad)
        while len(self._known) > TOLD_LATER_MOST:
            del self._known[next(iter(self._known))]
        for kept in done:
            self._stands(kept)
        self._tell()
        self._plan()

    def _failed(self) -> None:
        self._waiting.failed(self._ports.steady_ms())
        self._plan()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
