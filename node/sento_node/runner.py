"""The shell around one site's decisions: carries out effects, and comes back with what happened.

Tasks, each with one job: follow the order, keep the lanes' appends going, flush (one writer thread), tick, and watch (`watch.py`).
All of them call `Site` on the event loop's thread, so that decisions never race. A failure that makes this site untrustworthy ends in `halt`:
state "stopped" or "diverged", words for people, no further answers but reads of what is flushed (none when diverged). A ledger that is not what a quorum
cosigned, or does not verify where apply reads it, ends this life in state "rebuilding": the next one makes it anew (`rebuild/`).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

from sento_node import bounds
from sento_node.appending import Appender
from sento_node.clock import Clock
from sento_node.compose import COSIGNED_NAME, encode_cosigned, root_at
from sento_node.condition import NEXT_LIFE, Condition, Rebuilding
from sento_node.follow import AnotherLedger, Follower, NobodyToCopyFrom
from sento_node.intake.lanes import Append
from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.forking import OtherFork
from sento_node.ledger.state import Batch
from sento_node.ledger.store import KeptCheckpoint, LedgerDamaged, LedgerFailed, LedgerStore
from sento_node.ordering.port import (
    OrderingError,
    OrderingLog,
)
from sento_node.peers import Peers, PeerSilent
from sento_node.quorum.effects import (
    AnswerCosign,
    AskCosign,
    Cosigned,
    Diverged,
    LateCosigned,
    QuorumReached,
    WriteCosigned,
)
from sento_node.quorum.merging import add_lines
from sento_node.quorum.thinning import LOOKED_AT, Thinning
from sento_node.rebuild.deciding import Rebuild
from sento_node.site import Alarm, AlarmOver, Effect, Flush, Reply, ServeRead, Site, TrimLog
from sento_node.sync.receiving import Receiving
from sento_node.tallies import Tallies
from sento_node.waiting import Waiting, settle
from sento_node.watch import HEAD_TIMEOUT_MS, TwoOrders, Watch
from sento_proto.checkpoint import Checkpoint, encode_checkpoint
from sento_proto.errors import Code, SentoError

TICK_MS = 20
TRIM_TIMEOUT_MS = 5_000

_STOPS_IN_WORDS = (
    LedgerFailed,
    UnknownRules,
    OtherFork,
    OrderingError,
    NobodyToCopyFrom,
    AnotherLedger,
    TwoOrders,
)
"""What ends the node's part; each says itself what happened and what to do."""

_REFUSALS = {
    "diverged": Code.DIVERGED,
    "rebuilding": Code.REBUILDING,
    "epoch-ended": Code.EPOCH_ENDED,
    "two-epochs": Code.TWO_EPOCHS,
    NEXT_LIFE: Code.STOPPING,
}

_T = TypeVar("_T")


class Runner:
    """Runs one life of one site. `start` returns when tasks run; `stop` flushes and ends them."""

    def __init__(
        self,
        site: Site,
        store: LedgerStore,
        log: OrderingLog,
        peers: Peers,
        clock: Clock,
        condition: Condition,
        writer: ThreadPoolExecutor,
        tallies: Tallies | None = None,
        rebuild: Rebuild | None = None,
        receiving: Receiving | None = None,
    ) -> None:
        self.site = site
        self.store = store
        self.condition = condition
        self._tallies = tallies or Tallies()
        self._log = log
        self._peers = peers
        self._clock = clock
        self._waiting = Waiting()
        self._writer = writer
        self._tasks: set[asyncio.Task[Any]] = set()
        self._head_asked: asyncio.Task[int] | None = None
        self._halted = asyncio.Event()
        self._thinning = Thinning()
        self.receiving = receiving
        self._follower = Follower(
            site,
            log,
            peers,
            clock,
            condition,
            self.carry_out,
            rebuild,
            receiving,
            functools.partial(root_at, store),
        )
        self._watch = Watch(site, store, log, clock, condition, self._follower.restart)
        self._appender = Appender(site, log, condition, self._tallies, self.carry_out)
        self._log_lines = structlog.get_logger("sento.node")

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to follow, flush, propose and watch."""
        self.condition.state = "catching-up"
        self.condition.explanation = "The node is reading the order of the blocks it missed."
        for name, job in (("follow", self._follower.run), ("tick", self._tick), ("watch", self._watch.run)):
            self._spawn(job(), name)

    def also_run(self, job: Coroutine[Any, Any, None], name: str) -> None:
        """A further task for as long as this life lasts; if it fails, the node stops in words."""
        self._spawn(job, name)

    def begin_stop(self) -> None:
        """Take nothing new; what waits goes on."""
        if self.condition.state not in (
            "stopped",
            "diverged",
            "rebuilding",
            "epoch-ended",
            "two-epochs",
            "next-epoch",
            NEXT_LIFE,
        ):
            self.condition.state = "stopping"
            self.condition.explanation = "The node is being stopped."

    async def drained(self, timeout_ms: int) -> None:
        """Return when every submission is answered, or after `timeout_ms`."""
        await self._waiting.drained(timeout_ms)

    async def stop(self) -> None:
        """End all tasks, flush what is applied, and refuse what waits. Raises LedgerFailed."""
        self.begin_stop()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._waiting.refuse_all(Code.STOPPING)
        if self.condition.state == "stopping":
            for effect in self.site.flush_now():
                if isinstance(effect, Flush):
                    await self.in_writer(functools.partial(self.store.commit, effect.batch))

    async def halted(self) -> None:
        """Return when the node stopped itself."""
        await self._halted.wait()

    def halt(self, state: str, words: str) -> None:
        """Stop taking part: this site can no longer be trusted to."""
        if self.condition.state in (
            "stopped",
            "diverged",
            "rebuilding",
            "epoch-ended",
            "two-epochs",
            "stopping",
        ):
            return
        self.condition.state, self.condition.explanation = state, words
        self._log_lines.error("node halted", state=state, words=words)
        self._waiting.refuse_all(_REFUSALS.get(state, Code.STOPPED))
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._halted.set()

    def rebuild_asked(self, reason: str, disputed_size: int = 0) -> None:
        """This ledger must be made anew: end this life, answer nothing; the next one begins with that. `reason`: one sentence of cause.
        `disputed_size`: where a quorum has another root (0: nowhere). A site that has nobody to copy from stops in words."""
        if not self._peers:
            self.halt(
                "diverged", f"{reason} There is no other site to copy the ledger from (runbook: rebuild)."
            )
            return
        if self.condition.rebuilding is None:
            self.condition.rebuilding = Rebuilding(reason)
        self.condition.rebuilding.reason = reason
        self.condition.rebuilding.disputed_size = disputed_size
        self.halt("rebuilding", "What is on disk is examined and set aside first.")

    def _spawn(self, job: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(self._guarded(job), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(
            lambda _: job.close()
        )  # a task cancelled before its first step never began the job

    async def _guarded(self, job: Coroutine[Any, Any, None]) -> None:
        """No task of a node may end unnoticed: what is not foreseen stops the node, in words."""
        try:
            await job
        except LedgerDamaged as error:
            self.rebuild_asked(f"Apply met something in the ledger that does not verify ({error}).")
        except _STOPS_IN_WORDS as error:
            self.halt("stopped", str(error))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary where the unforeseen becomes a stop
            self._log_lines.exception("unforeseen condition")
            self.halt(
                "stopped",
                f"The node met a condition it does not know ({type(error).__name__}) and stopped itself.",
            )

    async def in_writer(self, work: Callable[[], _T]) -> _T:
        """Do something in the thread that writes the ledger, behind what it was given before."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    @property
    def copies(self) -> bool:
        """Whether this site copies another's ledger instead of following the order: what was brought by hand may be adopted beside it."""
        return self._follower.copies

    # -- what the services ask ------------------------------------------------------------------------------------------

    async def submit(self, data: bytes, *, opens: bool = False) -> Reply:
        """Order a submission and wait for its outcomes; `opens`: see `Site.submit`. Raises SentoError."""
        if not self.condition.takes_writes:
            raise SentoError(self.condition.code)
        if len(self._waiting.replies) >= bounds.TICKETS_MAX:
            raise SentoError(Code.QUEUE_FULL)
        with self._waiting.place(self._waiting.replies) as (ticket, outcomes):
            try:
                async with asyncio.timeout(bounds.WRITE_ANSWER_TIMEOUT_MS / 1000):
                    self.carry_out(self.site.submit(ticket, data, self._clock.wall_ms() // 1000, opens=opens))
                    return await outcomes
            except TimeoutError:
                raise SentoError(Code.NO_ORDERING) from None

    async def fresh(self, timeout_ms: int) -> None:
        """Wait until the flushed ledger holds everything acknowledged before this call. Raises SentoError NOT_FRESH."""
        if len(self._waiting.reads) >= bounds.READS_WAITING_MAX:
            raise SentoError(Code.QUEUE_FULL)
        with self._waiting.place(self._waiting.reads) as (ticket, flushed):
            try:
                async with asyncio.timeout(timeout_ms / 1000):
                    revision = await self._shared_head()
                    self.carry_out(self.site.read_after(ticket, revision, self._clock.now_ms()))
                    await flushed
            except (TimeoutError, OrderingError):
                raise SentoError(Code.NOT_FRESH) from None
            finally:
                self.site.read_given_up(ticket)

    async def _shared_head(self) -> int:
        """Revision of the linearizable head, asked after this call began; callers that wait together share one question."""
        asked = self._head_asked
        if asked is not None:
            with contextlib.suppress(OrderingError):
                await asyncio.shield(asked)
        if self._head_asked is None or self._head_asked is asked:
            self._head_asked = asyncio.create_task(self._ask_head())
        return await asyncio.shield(self._head_asked)

    async def _ask_head(self) -> int:
        try:
            head = await self._log.head(timeout_ms=HEAD_TIMEOUT_MS)
        finally:
            self._head_asked = None
        return head.revision

    async def cosign(self, proposer: str, checkpoint: Checkpoint, block: int) -> AnswerCosign:
        """Answer another site's proposal. Raises SentoError when this site takes no part."""
        if self.condition.state not in ("serving", "no-majority", "catching-up") or self.condition.rebuilding:
            raise SentoError(self.condition.code)
        with self._waiting.place(self._waiting.cosigns) as (ticket, answer):
            self.carry_out(
                self.site.cosign_request(ticket, proposer, checkpoint, block, self._clock.now_ms())
            )
            return await answer

    def published(self, checkpoint: Checkpoint, block: int) -> None:
        """Another site hands over a quorum's checkpoint. Raises SentoError when this site takes no part."""
        if self.condition.state in ("stopped", "diverged", "rebuilding"):
            raise SentoError(self.condition.code)
        self.carry_out(self.site.published(checkpoint, block, self._clock.now_ms()))

    # -- effects ----------------------------------------------------------------------------------------------------------

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """Do what was decided, in order."""
        for effect in effects:
            match effect:
                case Reply():
                    settle(self._waiting.replies, effect.ticket, effect)
                case ServeRead():
                    settle(self._waiting.reads, effect.ticket, None)
                case AnswerCosign():
                    settle(self._waiting.cosigns, effect.ticket, effect)
                case Append():
                    self._spawn(self._appender.append(effect), "append")
                case Flush():
                    self._spawn(self._flush(effect), "flush")
                case WriteCosigned():
                    self._spawn(self._write_cosigned(effect.cosigned), "write-cosigned")
                case AskCosign():
                    self._spawn(self._ask_cosign(effect), "ask-cosign")
                case QuorumReached():
                    self._spawn(self._keep_checkpoint(effect), "keep-checkpoint")
                case LateCosigned():
                    self._spawn(self._add_late(effect), "add-late-cosignatures")
                case TrimLog():
                    self._spawn(self._trim(effect), "trim")
                case Alarm() | AlarmOver():
                    self._tell(effect)
                case Diverged():
                    self.rebuild_asked(
                        f"This site's tree at size {effect.size} is not the one that a quorum cosigned.",
                        effect.size,
                    )

    def _tell(self, effect: Alarm | AlarmOver) -> None:
        if isinstance(effect, Alarm):
            self.condition.raise_alarm(effect.name, effect.words)
        else:
            self.condition.end_alarm(effect.name)

    async def _flush(self, flush: Flush) -> None:
        self._tallies.flushed(await self.in_writer(lambda: _seconds_of(self.store.commit, flush.batch)))
        self.carry_out(self.site.flushed(self._clock.now_ms(), self._clock.wall_ms() // 1000))
        self._watch.flushed()
        self._follower.flushed()

    async def _write_cosigned(self, cosigned: Cosigned) -> None:
        await self.in_writer(lambda: self.store.remember(COSIGNED_NAME, encode_cosigned(cosigned)))
        self.carry_out(
            self.site.cosigned_written(cosigned, self._clock.now_ms(), self._clock.wall_ms() // 1000)
        )

    async def _ask_cosign(self, ask: AskCosign) -> None:
        peer = self._peers.get(ask.site)
        if peer is None:
            return
        try:
            answer = await peer.cosign(ask.checkpoint, ask.block, bounds.PEER_CALL_TIMEOUT_MS)
        except PeerSilent as error:
            self._log_lines.debug("no cosignature", site=ask.site, why=str(error)[:200])
            return
        if answer.code is Code.DIVERGED:
            self.condition.raise_alarm(
                "cosignature-refused",
                f"{ask.site} has another tree at size {ask.checkpoint.size}: one of the two is damaged.",
            )
        self.carry_out(
            self.site.cosign_reply(
                ask.site,
                ask.checkpoint.size,
                answer.lines,
                answer.flushed_block,
                self._clock.now_ms(),
                answer.quorum_block,
                self._clock.wall_ms() // 1000,
            )
        )

    async def _keep_checkpoint(self, reached: QuorumReached) -> None:
        kept = KeptCheckpoint(reached.checkpoint.size, reached.block, encode_checkpoint(reached.checkpoint))
        keys = self.site.state.governance.site_keys

        def put() -> None:
            newest = self.store.newest_checkpoints(LOOKED_AT)
            self.store.put_checkpoint(kept, self._thinning.superseded(newest, kept, keys))

        await self.in_writer(put)
        for name in reached.publish_to:
            if name in self._peers:
                self._spawn(self._publish(name, reached), "publish")

    async def _add_late(self, late: LateCosigned) -> None:
        await self.in_writer(lambda: add_lines(self.store, late.checkpoint))
        for name in late.publish_to:
            if name in self._peers:
                self._spawn(self._publish(name, late), "publish-again")

    async def _publish(self, name: str, reached: QuorumReached | LateCosigned) -> None:
        with contextlib.suppress(PeerSilent):  # a silent site gets the next one
            await self._peers[name].publish(reached.checkpoint, reached.block, bounds.PEER_CALL_TIMEOUT_MS)

    async def _trim(self, effect: TrimLog) -> None:
        trim = effect.trim
        await self.in_writer(
            _nothing
        )  # the checkpoint that covers it was handed to the writer before: now it is on disk
        try:
            await self._log.trim(trim.through_seq, trim.through_revision, timeout_ms=TRIM_TIMEOUT_MS)
        except OrderingError as error:
            self._log_lines.warning("trimming failed, it is tried again", why=str(error)[:200])

    # -- the rest ---------------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            self.carry_out(self.site.tick(self._clock.now_ms(), self._clock.wall_ms() // 1000))
            await asyncio.sleep(TICK_MS / 1000)

    async def handed_over(self, to_site: str, timeout_ms: int) -> None:
        """Hand the lead to another site's member. Raises SentoError."""
        try:
            await self._log.hand_over_lead(to_site, timeout_ms=timeout_ms)
        except OrderingError as error:
            raise SentoError(Code.NO_ORDERING, str(error)) from error


def _seconds_of(commit: Callable[[Batch], None], batch: Batch) -> float:
    """Commit, and how long it took by itself, without the wait for the writer."""
    began_s = time.perf_counter()
    commit(batch)
    return time.perf_counter() - began_s


def _nothing() -> None:
    """Work that ends when the writer has done everything before it."""
