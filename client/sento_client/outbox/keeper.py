"""The shell around keeping: carries out what the core decides, with the outbox on disk, questions to the sites, and the writer that delivers.

What a quorum holds then is held on for a site abroad (`holding_look.py`) where the ledger has one.

Writer ── keep ──► Outbox (flush) ── told ──► Writer delivers ── settled ──► Keeping ──► forget, deliver again, look for it under a checkpoint
                                                                                  ▲ stored ── Archive (flush) ◄── store receipts ◄── proven ──┘
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence

from sento_client.composing import Ports
from sento_client.delivery_values import Settle
from sento_client.outbox.abroad_look import AbroadLook
from sento_client.outbox.holding import HeldCounts
from sento_client.outbox.holding import Settings as HoldingSettings
from sento_client.outbox.holding_look import HoldingLook
from sento_client.outbox.keeping import (
    AskCheckpoint,
    AskProofs,
    AtHome,
    Counts,
    Deliver,
    Effect,
    Forget,
    Keeping,
    LookAbroad,
    LookNoMore,
    Note,
    Run,
    SetAside,
    Settings,
    StoreReceipts,
)
from sento_client.outbox.outbox import Found, Outbox, Told
from sento_client.outbox.shelf import HeldAs, NewRefused
from sento_client.proving import Prover, RunProof
from sento_client.receipts.archive import Archive, NotStored
from sento_client.receipts.histories import RECEIPTS_LOOKED_AT
from sento_client.receipts.store import NO_ID, ProvenRun
from sento_client.setup_errors import SetupError
from sento_proto.checkpoint import Checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.governance.epoch_parts import Epoch
from sento_proto.governance.state import Governance
from sento_proto.limits import LIST_PAGE_MAX
from sento_proto.record import Record

ADOPT_EVERY_S = 30.0
ASK_TIMEOUT_MS = 5_000
RUNS_AT_ONCE = LIST_PAGE_MAX // 2
_LOG = logging.getLogger(__name__)
DeliverAgain = Callable[[int, bytes, str | None, tuple[int, ...]], bool]
"""Offer the kept submission again, avoiding a site, and without the records at these places; False when the bytes are not a submission."""


class Keeper:
    """One writer's outbox at work. Call `start` on the running loop, `close` at the end. `archive`: where receipts go; None: nowhere."""

    def __init__(
        self,
        outbox: Outbox,
        prover: Prover,
        ports: Ports,
        settings: Settings | None = None,
        archive: Archive | None = None,
        governance: Callable[[], Governance] | None = None,
        holding: HoldingSettings | None = None,
        follow: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """`governance`: what is followed now; None: nothing is held for sites abroad, and no epoch is looked for. `follow`: asks the sites for more of it."""
        self._outbox = outbox
        self._archive = archive
        self._record_ids: dict[int, dict[bytes, bytes]] = {}
        self._shown: dict[Run, RunProof] = {}
        self._prover = prover
        self._ports = ports
        self._keeping = Keeping(settings or Settings(), ports.jitter)
        self.abroad = AbroadLook(
            prover, ports, self._store_abroad, self._stands_abroad, self._not_as_said, self._spawn
        )
        """The look for cosignatures from abroad."""
        self._holding: HoldingLook | None = None
        if governance is not None:
            self._holding = HoldingLook(
                outbox,
                prover,
                ports,
                governance,
                self._send_held,
                self._in_epoch,
                self._spawn,
                holding,
                follow,
            )
        self._at_home: dict[int, HeldAs] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0
        self._checkpoint: Checkpoint | None = None
        self._covered: asyncio.Future[None] | None = None
        self._closed = False

    @property
    def counts(self) -> Counts:
        """What is kept, by state."""
        return self._keeping.counts

    @property
    def held(self) -> HeldCounts:
        """What is held for the sake of sites abroad alone."""
        return HeldCounts() if self._holding is None else self._holding.counts

    def start(self, deliver: DeliverAgain) -> None:
        """Begin to send what earlier processes left, and look every half minute for more."""
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._adopt(self._outbox.left_behind)
        self._spawn(self._adopt_now_and_then())

    def keep(self, submission: bytes, records: int, told: Told, *, abroad: bool = False) -> int:
        """Put a submission on disk. `abroad`: it is to survive the country. Raises SentoError OUTBOX_FULL or OUTBOX_FAILED."""
        return self._outbox.keep(submission, records, told, abroad=abroad)

    def sent(self, kept: int, count: int, *, abroad: bool = False) -> None:
        """It is on disk and its delivery begins."""
        self._keeping.sent(kept, count, abroad=abroad)

    def settled(self, kept: int, settle: Settle, record: Record, *, told: bool) -> None:
        """One of its records has come to an end of this round."""
        if self._archive is not None:
            self._record_ids.setdefault(kept, {})[record.record_hash] = record.header.record_id
        now_ms = self._ports.steady_ms()
        effects = self._keeping.settled(kept, settle, record.record_hash, now_ms, told=told)
        for effect in effects:
            if isinstance(effect, SetAside):
                self._set_aside(record, effect)
        self._apply(effects)

    def replaced(self, kept: int) -> None:
        """Another submission, which is on disk, has taken over what of it is to be sent."""
        self._apply(self._keeping.gone(kept, self._ports.steady_ms()))

    def not_replaced(self, kept: int) -> None:
        """No other submission could be made to take its place."""
        self._apply(self._keeping.put_off(kept, self._ports.steady_ms()))

    async def wait_covered(self, timeout_ms: int) -> None:
        """Wait until everything that stands is proven, at most so long."""
        if self._keeping.counts.uncovered:
            self._covered = self._loop.create_future()
            await asyncio.wait([self._covered], timeout=timeout_ms / 1000)

    async def close(self) -> None:
        """Stop; what is kept stays on disk."""
        self._closed = True
        self.abroad.close()
        if self._holding is not None:
            self._holding.close()
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._outbox.close()

    # Effects.

    def _apply(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Forget):
                self._record_ids.pop(effect.kept, None)
                self._forget(effect.kept)
            elif isinstance(effect, StoreReceipts):
                self._spawn(self._store_receipts(effect.runs))
            elif isinstance(effect, Deliver):
                self._spawn(self._deliver_again(effect))
            elif isinstance(effect, AskCheckpoint):
                self._spawn(self._ask_checkpoint(effect))
            elif isinstance(effect, AskProofs):
                self._spawn(self._ask_proofs(effect.runs))
            elif isinstance(effect, LookAbroad):
                self.abroad.stands(effect.kept, effect.epoch, effect.runs)
            elif isinstance(effect, LookNoMore):
                self.abroad.dropped(effect.kept)
            elif isinstance(effect, AtHome):
                self._outbox.note_at_home(effect.kept)
            elif isinstance(effect, Note):
                self._outbox.note(effect.kept, effect.rounds, effect.code)
        if self._covered is not None and not self._covered.done() and not self._keeping.counts.uncovered:
            self._covered.set_result(None)
        self._plan()

    def _forget(self, kept: int) -> None:
        """Or hold it, where a quorum has it now and a site abroad may come to have it."""
        held = self._at_home.pop(kept, None)
        if held is not None and self._holding is not None and self._holding.wanted:
            self._holding.hold(kept, held)
        else:
            self._outbox.forget(kept)

    def _send_held(self, kept: Sequence[int]) -> None:
        found = [(each, self._outbox.size_of(each)[0]) for each in kept]
        self._apply(self._keeping.adopted(found, self._ports.steady_ms()))

    def _in_epoch(self, epoch: Epoch) -> None:
        self._apply(self._keeping.epoch_began(epoch.number, self._ports.steady_ms()))

    def _plan(self) -> None:
        wake_ms = self._keeping.wake_ms
        if wake_ms is None or self._closed:
            return
        if self._timer is not None:
            if self._timer_ms <= wake_ms:
                return
            self._timer.cancel()
        self._timer_ms = wake_ms
        delay_ms = max(0, wake_ms - self._ports.steady_ms())
        self._timer = self._loop.call_later(delay_ms / 1000, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._apply(self._keeping.tick(self._ports.steady_ms()))

    def _set_aside(self, record: Record, effect: SetAside) -> None:
        at_ms = self._ports.wall_ms()
        self._outbox.set_aside(
            NewRefused(record.header.record_id, at_ms, int(effect.code), record.header_bytes, record.payload)
        )

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        if self._closed:
            work.close()
            return
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Work that waits.

    async def _deliver_again(self, effect: Deliver) -> None:
        try:
            data = await self._outbox.load(effect.kept)
        except SentoError as error:
            # The outbox has ended; what it holds waits on disk for the next process.
            _LOG.error("%s", error)
            return
        if data is None:
            self._apply(self._keeping.gone(effect.kept, self._ports.steady_ms()))
        elif not self._deliver(effect.kept, data, effect.avoid, self._left_out(effect.kept)):
            self._record_ids.pop(effect.kept, None)
            self._apply(self._keeping.unreadable(effect.kept, self._ports.steady_ms()))

    def _left_out(self, kept: int) -> tuple[int, ...]:
        """Places of records that were refused when the others came to stand: what a later epoch would say of them must not surprise who was told."""
        held = self._outbox.held_as(kept)
        return () if held is None else held.left_out

    async def _ask_checkpoint(self, effect: AskCheckpoint) -> None:
        try:
            checkpoint = await self._prover.checkpoint(0, ASK_TIMEOUT_MS, effect.avoid)
        except SentoError:
            # No site has one, or none answers: what stands stays kept, and it is asked again.
            self._look_at_epochs()
            self._apply(self._keeping.check_failed(self._ports.steady_ms()))
            return
        except Exception:
            # Not foreseen, so it is told; but what stands must be looked for again all the same.
            self._apply(self._keeping.check_failed(self._ports.steady_ms()))
            raise
        if self._holding is not None:
            try:
                await self._holding.heard(checkpoint)
            except Exception:
                self._apply(self._keeping.check_failed(self._ports.steady_ms()))
                raise
        self._checkpoint = checkpoint
        self._apply(self._keeping.checkpoint(checkpoint.epoch, checkpoint.size, self._ports.steady_ms()))

    async def _ask_proofs(self, runs: Sequence[Run]) -> None:
        assert self._checkpoint is not None
        try:
            held: list[RunProof | None] = []
            # One submission may be scattered over more runs than one question takes.
            for start in range(0, len(runs), RUNS_AT_ONCE):
                part = runs[start : start + RUNS_AT_ONCE]
                held += await self._prover.prove_runs(part, self._checkpoint, ASK_TIMEOUT_MS)
        except SentoError as error:
            if error.code is Code.DAMAGED:
                await self._look_for_fraud(self._checkpoint, error)
            self._apply(self._keeping.check_failed(self._ports.steady_ms()))
            return
        except Exception:
            self._apply(self._keeping.check_failed(self._ports.steady_ms()))
            raise
        if not all(held):
            _LOG.error(
                "a site acknowledged records that do not stand where it said; they are sent to another site"
            )
        self._shown = {run: proof for run, proof in zip(runs, held, strict=True) if proof is not None}
        stands = [proof is not None for proof in held]
        self._apply(self._keeping.proven(runs, stands, self._ports.steady_ms()))

    async def _store_receipts(self, runs: Sequence[Run]) -> None:
        """Only behind the flush does the outbox forget."""
        if self._archive is not None:
            assert self._checkpoint is not None
            try:
                await self._archive.put(
                    self._checkpoint, [self._proven_run(run, self._shown[run]) for run in runs]
                )
            except NotStored as error:
                _LOG.error("receipts cannot be stored, so the outbox goes on keeping: %s", error)
                self._apply(self._keeping.not_stored(runs, self._ports.steady_ms()))
                return
            except Exception:
                self._apply(self._keeping.not_stored(runs, self._ports.steady_ms()))
                raise
        assert self._checkpoint is not None
        for run in runs:
            so_far = self._at_home.get(run.kept)
            needs_size = run.position + len(run.record_hashes)
            self._at_home[run.kept] = HeldAs(
                self._checkpoint.epoch,
                max(needs_size, 0 if so_far is None else so_far.needs_size),
                self._keeping.refused(run.kept),
            )
        self._apply(self._keeping.stored(runs, self._ports.steady_ms()))
        self._at_home.clear()

    def _look_at_epochs(self) -> None:
        if self._holding is not None:
            self._holding.look_at_epochs()

    async def _store_abroad(self, checkpoint: Checkpoint, proven: Sequence[tuple[Run, RunProof]]) -> bool:
        """Receipts under a checkpoint that a site abroad cosigned; whether they are on disk now."""
        if self._archive is None:
            return True
        runs = [self._proven_run(run, proof) for run, proof in proven]
        try:
            await self._archive.put(checkpoint, runs, renew=True)
        except NotStored as error:
            _LOG.error("receipts cannot be stored, so the outbox goes on keeping: %s", error)
            return False
        return True

    def _stands_abroad(self, kept: int) -> None:
        self._apply(self._keeping.stands_abroad(kept, self._ports.steady_ms()))

    def _not_as_said(self, kept: int) -> None:
        self._apply(self._keeping.not_as_said(kept, self._ports.steady_ms()))

    def _proven_run(self, run: Run, proof: RunProof) -> ProvenRun:
        ids = self._record_ids.get(run.kept, {})
        record_ids = [ids.get(record_hash, NO_ID) for record_hash in run.record_hashes]
        return ProvenRun(run.position, run.record_hashes, record_ids, proof.first, proof.last)

    async def _look_for_fraud(self, checkpoint: Checkpoint, doubt: SentoError) -> None:
        """No site could show what stands under the checkpoint: perhaps it is of another history than the receipts at hand."""
        _LOG.error("%s", doubt)
        if self._archive is None:
            return
        try:
            receipts = await self._archive.newest(checkpoint.epoch, checkpoint.size, RECEIPTS_LOOKED_AT)
            await self._prover.find_fraud(receipts, checkpoint, ASK_TIMEOUT_MS)
        except (SentoError, SetupError) as error:
            _LOG.error("whether a site signed two histories cannot be told: %s", error)

    async def _adopt_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(ADOPT_EVERY_S)
            try:
                found = await self._outbox.adopt()
            except SetupError as error:
                _LOG.error("%s", error)
                continue
            self._adopt(found)

    def _adopt(self, found: Sequence[Found]) -> None:
        abroad = {each.kept for each in found if self._outbox.is_abroad(each.kept)}
        if self._holding is not None:
            sent = set(self._holding.adopt([each.kept for each in found]))
            found = [each for each in found if each.kept in sent]
        self._apply(self._keeping.adopted(found, self._ports.steady_ms(), abroad))
