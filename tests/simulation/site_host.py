"""One simulated node: carries out what the real `Site` decides, against a simulated log, network and disk, and forgets what was not flushed when it crashes.

This is the simulator's counterpart of the node's runner and keeps its habits: effects in the order given, one writer for everything that is flushed, the
same (lane, seq, bytes) until an append's outcome is known, the log's head asked twice a second, a stream that stays silent while the head moves is opened
again. Decisions are product code: `compose_site`, `Site`, `decide_boot`, `adopt`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tests.simulation.agreeing import Agreeing
from tests.simulation.answering import Answering
from tests.simulation.booting import Booting
from tests.simulation.catch_up import CatchUp
from tests.simulation.checkers import Checkers, Violation
from tests.simulation.disks import SiteDisk
from tests.simulation.erasing import Erasing
from tests.simulation.heap import EventHeap
from tests.simulation.hooks import Hooks
from tests.simulation.joining import Joining
from tests.simulation.network import Network
from tests.simulation.ordering import SimOrdering
from tests.simulation.rebuilding import Rebuilding
from tests.simulation.relaying import Order, OwnOrder, RelayedOrder
from tests.simulation.releases import OLD_RULES, OldSite, release

from sento_node.announcing import announcement, announcement_due
from sento_node.compose import COSIGNED_NAME, Life, compose_site, encode_cosigned
from sento_node.intake.lanes import Append
from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.memory_store import FlushMoment
from sento_node.ledger.store import KeptCheckpoint, LedgerFailed
from sento_node.ordering.engine import OrderEngine
from sento_node.ordering.port import (
    Appended,
    BlockRemoved,
    Compacted,
    Head,
    LogEvent,
    OrderedBlock,
    OrderingError,
)
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
from sento_node.site import Alarm, AlarmOver, Effect, Flush, Reply, ServeRead, Site, TrimLog
from sento_proto.checkpoint import encode_checkpoint
from sento_proto.genesis import Genesis
from sento_proto.ids import uuid7
from sento_proto.keys import Signer
from sento_proto.rules import RULES

TICK_MS = 40
HEAD_EVERY_MS = 500
STALLED_MS = 3_000
APPEND_TIMEOUT_MS = 500
FOLLOW_AGAIN_MS = 100
RETRY_FIRST_MS, RETRY_MAX_MS = 30, 1_000
SERVES_WITHIN_BLOCKS = 64
ANNOUNCE_EVERY_MS = 400
INSTALLED_WITHIN_MS = (500, 6_000)
LANES = 2
WALL_S = 1_767_225_600


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all sites of a world share. `erases`: whether there may be anything to erase."""

    heap: EventHeap
    network: Network
    ordering: SimOrdering
    checkers: Checkers
    genesis: Genesis
    hooks: Hooks
    erases: bool


def _nobody(number: int, epoch: int, answers: list[tuple[int, int, bytes]], error: int) -> None:
    """Nobody waits for what becomes of an announcement: the ledger tells."""


def _head_of(engine: OrderEngine) -> Head:
    return engine.head


@dataclass(slots=True)
class _Attempt:
    done: bool = False


class SiteHost:
    """One site in all its lives. `state`: down, booting, refused, joining, running, or halted."""

    def __init__(
        self, around: Surroundings, name: str, signer: Signer, peers: Mapping[str, SiteHost]
    ) -> None:
        self.around = around
        self.heap = around.heap
        self.name = name
        self.signer = signer
        self.peers = peers
        self.disk = SiteDisk(around.genesis.ledger_id, self._at_flush)
        self.life = 0
        self.state = "down"
        self.serving = False
        self.slow_until_ms = 0
        self.lies_until_ms = 0
        self.way_of_lying = ""
        self.gives_false_until_ms = 0
        self.way_of_giving = ""
        self.copies_meet_liars = True
        self.dies_trimming = False
        self.is_gone = False
        self.flush_fails: FlushMoment | None = None
        self.crash_at: str | None = None
        self.old_release = False
        self.thinning = Thinning()
        self.wall_skew_s = self.heap.between(-30, 30)
        self.streams: dict[tuple[str, int], Callable[[], None]] = {}
        self._site: Site | None = None
        self._tickets = itertools.count(1)
        self._writer_free_ms = 0
        self._progress = (0, 0)
        self.rebuilding = Rebuilding(self)
        self.votes = name in around.genesis.voting_sites
        self.relayed = RelayedOrder(self, around.ordering)
        self.order: Order = OwnOrder(self, around.ordering) if self.votes else self.relayed
        self.booting = Booting(self)
        self.joining = Joining(self)
        self.catch_up = CatchUp(self)
        self.answering = Answering(self)
        self.agreeing = Agreeing(self)
        self.erasing = Erasing(self)

    # -- lives ------------------------------------------------------------------------------------------------------------

    @property
    def lies(self) -> str:
        """How this site lies to offices now: "drops", "flatters", or not at all."""
        return self.way_of_lying if self.heap.now_ms < self.lies_until_ms else ""

    @property
    def false_giving(self) -> str:
        """How this site lies to those who copy its ledger, now."""
        return self.way_of_giving if self.heap.now_ms < self.gives_false_until_ms else ""

    @property
    def site(self) -> Site:
        """The decisions of this life."""
        assert self._site is not None
        return self._site

    @property
    def others(self) -> list[SiteHost]:
        """The other sites."""
        return [peer for name, peer in self.peers.items() if name != self.name]

    @property
    def is_behind(self) -> bool:
        """Whether this site copies another's ledger, or must before it boots."""
        return self.catch_up.busy or self.joining.note is not None or self.rebuilding.goes_on

    @property
    def answers_peers(self) -> bool:
        """Whether the process is there to answer other nodes."""
        return self.state not in ("down", "halted")

    @property
    def kept_fork(self) -> KeptCheckpoint | None:
        """What chunks are given up to without a quorum's checkpoint: nothing, in an epoch that no recovery began."""
        return None

    @property
    def lends(self) -> bool:
        """Whether a site without a member may use this one's."""
        return self.votes and self.state == "running" and self.serving

    def start(self) -> None:
        """Begin a life: the boot rules come first."""
        if self.state in ("down", "halted") and not self.is_gone:
            self._end_life()
            self.state = "booting"
            self.booting.begin()

    def run(self, boot_number: int) -> None:
        """Take part."""
        store = self.disk.store
        self.around.checkers.composed(self.name, store)
        self.around.checkers.new_life(self.name)
        life = Life(self.name, self.signer, boot_number, LANES)
        try:
            with release(old=self.old_release):
                self._site = compose_site(store, self.around.genesis, life, self.heap.now_ms)
        except UnknownRules as unknown:
            self.needs_release(unknown)
            return
        self.around.hooks.composed(self._site)
        if self.old_release and type(self._site) is Site:
            self._site.__class__ = OldSite
        self.around.checkers.governed(self.name, self._site.state)
        self.heap.note(f"{self.name} lives as boot {boot_number} at block {store.tip.block}, {self.state}")
        self.later(TICK_MS, self._tick)
        self.erasing.begin()
        self.state = "running"
        if self.rebuilding.begin() and self.around.hooks.copies_first():
            self.catch_up.begin(0, to_the_end=self.rebuilding.life)
        else:
            self.follow(new_life=True)
        self.later(self.heap.between(1, 50), self._watch_head)
        self.later(self.heap.between(100, ANNOUNCE_EVERY_MS), self._announce)

    def crash(self) -> None:
        """Stop between two instructions: everything that is not on disk is gone."""
        if self.state != "down":
            self.heap.note(f"{self.name} crashes in state {self.state}")
            self._end_life()
            self.state = "down"
            self.crash_at = self.flush_fails = None

    def halt(self, words: str) -> None:
        """The node stops itself in words, as it must when its disk can no longer be trusted."""
        self.heap.note(f"{self.name} halts: {words}")
        self._end_life()
        self.state = "halted"
        self.crash_at = self.flush_fails = None

    def needs_release(self, unknown: UnknownRules) -> None:
        """The node stops in words before the first block that it does not know how to apply; somebody installs what it asks for."""
        needed = [f"install a release that lists rules {one}." for one in RULES if one not in OLD_RULES]
        if not self.old_release or not str(unknown).endswith(tuple(needed)):
            raise unknown
        self.heap.faults["site stopped before rules that its release does not know"] += 1
        self.halt(str(unknown))
        self.heap.after(self.heap.between(*INSTALLED_WITHIN_MS), self.install)

    def install(self) -> None:
        """Somebody installs the newer release and starts the site."""
        self.heap.note(f"{self.name} gets the newer release")
        self.crash()
        self.old_release = False
        self.start()

    @property
    def knows_rules(self) -> bool:
        """Whether this site's release can say what governance is."""
        return not self.old_release or self.site.state.governance.rules in OLD_RULES

    def _announce(self) -> None:
        """The site says in the ledger which rules it knows, while the ledger does not say so."""
        if self.serving:
            state = self.site.state
            with release(old=self.old_release):
                if announcement_due(state, self.name):
                    at_ms = self.wall_s * 1_000
                    record_id = uuid7(at_ms, self.heap.random.randbytes(10))
                    data = announcement(state, self.name, self.signer, "sim", record_id, at_ms)
                    self.heap.faults["rules announced"] += 1
                    self.answering.submit(_nobody, 0, data)
        self.later(ANNOUNCE_EVERY_MS + self.heap.between(0, 400), self._announce)

    def _end_life(self) -> None:
        self.life += 1
        self.serving = False
        self._site = None
        self.answering.new_life()
        self.agreeing.new_life()
        self._writer_free_ms = 0
        self.around.ordering.watches.unfollow(self.name)
        self.relayed.new_life()
        if self.votes:
            self.around.ordering.stop_member(self.name)
        self.disk.end_life()
        streams, self.streams = self.streams, {}
        for lost in streams.values():
            lost()

    def later(self, delay_ms: int, act: Callable[..., None], *args: object) -> None:
        """Do something in this life, or not at all."""
        self.heap.after(delay_ms, self.in_life, self.life, act, *args)

    def in_life(self, life: int, act: Callable[..., None], *args: object) -> None:
        """Do something if it is still that life."""
        if life == self.life:
            act(*args)

    def next_ticket(self) -> int:
        """A number for somebody who waits for the site's answer."""
        return next(self._tickets)

    @property
    def wall_s(self) -> int:
        """This site's wall clock, a little wrong, and now and then ten minutes."""
        return WALL_S + self.wall_skew_s + self.heap.now_ms // 1000

    # -- effects ------------------------------------------------------------------------------------------------------------

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """Do what was decided, in order; a crash in the middle leaves the rest undone."""
        life = self.life
        for effect in effects:
            if life != self.life:
                return
            match effect:
                case Append():
                    self._append(effect, RETRY_FIRST_MS, APPEND_TIMEOUT_MS)
                case Reply():
                    self.answering.reply(effect)
                case Flush():
                    self.around.checkers.sealed(self.name, effect.batch)
                    self._write(self._commit, effect)
                case WriteCosigned():
                    self._cosigns(effect.cosigned)
                case AskCosign():
                    self.agreeing.ask(effect)
                case AnswerCosign():
                    self.agreeing.answer(effect)
                case QuorumReached() | LateCosigned():
                    self._agreed(effect)
                case TrimLog():
                    self._write(self._trim, effect)
                case ServeRead():
                    self.answering.serve(effect.ticket)
                case Alarm() | AlarmOver():
                    self.around.checkers.alarmed(self.name, effect)
                case Diverged():
                    raise Violation("sites-agree", f"{self.name} found a quorum against it at {effect.size}")

    def _cosigns(self, cosigned: Cosigned) -> None:
        if not self.votes:
            self.around.checkers.embassy_decides(self.name, cosigned, self.agreeing.heard)
        self._write(self._note_cosigned, cosigned)

    def write(self, act: Callable[..., None], *args: object) -> None:
        """Hand something over to the one writer."""
        self._write(act, *args)

    def _write(self, act: Callable[..., None], *args: object) -> None:
        """Hand over to the one writer: what was handed over before is on disk before."""
        disk_ms = self.heap.between(2, 30)
        if self.heap.now_ms < self.slow_until_ms:
            disk_ms += self.heap.between(100, 1_500)
        self._writer_free_ms = max(self.heap.now_ms, self._writer_free_ms) + disk_ms
        self.later(self._writer_free_ms - self.heap.now_ms, self._on_disk, act, *args)

    def _on_disk(self, act: Callable[..., None], *args: object) -> None:
        try:
            act(*args)
        except LedgerFailed as error:
            # A flush that failed may have reached the disk all the same: what stands there is what the next life must find.
            self.around.checkers.committed(self.name, self.disk.store.tip)
            self.halt(str(error))

    def _at_flush(self, moment: FlushMoment) -> None:
        if self.flush_fails is moment:
            self.flush_fails = None
            self.heap.fault(f"flush failed, {moment.value}", self.name)
            raise OSError(5, "Input/output error")

    def bomb(self, place: str) -> bool:
        """Crash here if a fault was put here."""
        if self.crash_at != place:
            return False
        self.heap.fault(f"crash {place}", self.name)
        self.crash()
        return True

    def _commit(self, flush: Flush) -> None:
        if self.bomb("before a flush"):
            return
        self.disk.store.commit(flush.batch)
        self.around.checkers.committed(self.name, flush.batch.tip)
        self.around.checkers.destroyed.written(self.name, flush.batch, self.disk.store)
        if not self.bomb("after a flush"):
            self.carry_out(self.site.flushed(self.heap.now_ms, self.wall_s))

    def _note_cosigned(self, cosigned: Cosigned) -> None:
        if self.bomb("before a cosigned note"):
            return
        self.disk.store.remember(COSIGNED_NAME, encode_cosigned(cosigned))
        self.around.checkers.noted(self.name, cosigned)
        if not self.bomb("after a cosigned note"):
            self.carry_out(self.site.cosigned_written(cosigned, self.heap.now_ms, self.wall_s))

    def _keep_checkpoint(self, reached: QuorumReached) -> None:
        if self.bomb("before a checkpoint is kept"):
            return
        store, note = self.disk.store, encode_checkpoint(reached.checkpoint)
        kept = KeptCheckpoint(reached.checkpoint.size, reached.block, note)
        keys = self.site.state.governance.site_keys
        gone = self.thinning.superseded(store.newest_checkpoints(LOOKED_AT), kept, keys)
        store.put_checkpoint(kept, gone)
        self.heap.faults["checkpoints thinned out"] += len(gone)
        self.agreeing.hand_over(reached)

    def _agreed(self, effect: QuorumReached | LateCosigned) -> None:
        if isinstance(effect, LateCosigned):
            self._write(self._add_late, effect)
            return
        self.around.checkers.quorum(self.name, effect.checkpoint, effect.block)
        self._write(self._keep_checkpoint, effect)

    def _add_late(self, late: LateCosigned) -> None:
        add_lines(self.disk.store, late.checkpoint)
        self.heap.faults["late cosignature kept"] += 1
        self.agreeing.hand_over(late)

    def _trim(self, effect: TrimLog) -> None:
        if not self.bomb("before a trim"):
            trim = effect.trim
            self.order.trim(trim.through_seq, trim.through_revision)
            if self.dies_trimming:
                self.heap.after(self.heap.between(20, 200), self.crash)

    # -- the log ------------------------------------------------------------------------------------------------------------

    def _append(self, append: Append, pause_ms: int, timeout_ms: int) -> None:
        attempt = _Attempt()
        answer = functools.partial(self.in_life, self.life, self._append_answered, attempt, append)
        self.order.append(append.lane, append.seq, append.data, answer)
        self.later(timeout_ms, self._append_silent, attempt, append, pause_ms, timeout_ms)

    def _append_answered(self, attempt: _Attempt, append: Append, outcome: Appended | OrderingError) -> None:
        if not attempt.done and isinstance(outcome, Appended):
            attempt.done = True
            self.carry_out(self.site.appended(append.lane, append.seq, outcome))

    def _append_silent(self, attempt: _Attempt, append: Append, pause_ms: int, timeout_ms: int) -> None:
        if attempt.done:
            return
        attempt.done = True
        again, effects = self.site.append_failed(append.lane, append.seq)
        self.carry_out(effects)
        if again is not None:
            more_ms = min(2 * pause_ms, RETRY_MAX_MS)
            self.later(pause_ms, self._append, again, more_ms, min(2 * timeout_ms, 8 * APPEND_TIMEOUT_MS))

    def follow(self, *, new_life: bool = False) -> None:
        """Read the order from where this life's ledger stands, once the log is there for this site."""
        if self.joining.is_shut:
            self.later(FOLLOW_AGAIN_MS, functools.partial(self.follow, new_life=new_life))
            return
        tip = self.site.state.tip
        head = self.around.hooks.resume_from(self.site, Head(tip.block, tip.revision), new_life=new_life)
        self.order.follow(
            head,
            functools.partial(self.in_life, self.life, self._event),
            functools.partial(self.in_life, self.life, self._broken),
        )

    def _event(self, event: LogEvent) -> None:
        match event:
            case OrderedBlock():
                try:
                    effects = self.site.ordered(event, self.heap.now_ms)
                except UnknownRules as unknown:
                    self.needs_release(unknown)
                    return
                self.around.checkers.governed(self.name, self.site.state)
                self.carry_out(effects)
            case BlockRemoved():
                self.carry_out(self.site.removed(event, self.heap.now_ms))

    def _broken(self, error: OrderingError) -> None:
        if isinstance(error, Compacted):
            self.heap.faults["compacted under a follower"] += 1
            self.serving = False
            self.site.current_since_ms = None
            self.catch_up.begin(error.oldest_revision)
        else:
            self.later(self.heap.between(30, 200), self.follow)

    def _tick(self) -> None:
        self.carry_out(self.site.tick(self.heap.now_ms, self.wall_s))
        self.later(TICK_MS, self._tick)

    def _watch_head(self) -> None:
        self.site.checkpoints.is_lead = self.order.is_lead
        if not self.joining.is_shut:
            self.order.ask(_head_of, functools.partial(self.in_life, self.life, self._head))
        self.later(HEAD_EVERY_MS, self._watch_head)

    def _head(self, head: Head) -> None:
        state, now_ms = self.site.state, self.heap.now_ms
        if state.revision == head.revision and state.block != head.number:
            raise Violation("sites-agree", f"{self.name} counts {state.block} blocks, the log {head.number}")
        if state.revision >= head.revision or state.block != self._progress[0]:
            self._progress = (state.block, now_ms)
        elif now_ms - self._progress[1] > STALLED_MS and self.serving:
            self._progress = (state.block, now_ms)
            self.heap.faults["silent stream opened again"] += 1
            self.follow()
        if not self.serving and not self.catch_up.busy and head.number - state.block <= SERVES_WITHIN_BLOCKS:
            self.serving = self.rebuilding.life is None
            self.site.current_since_ms = self.site.current_since_ms or now_ms
