"""One site's decisions, whole: events go in, effects come out. No clock, no IO, no randomness, no `async`.

    client submission ─► ingress checks ─► fair queue ─► lanes ─► Append                       (intake/)
    ordered block     ─► apply ─► Reply to whoever waits, pending layer ─► Flush               (ledger/)
    flushed           ─► parked reads, checkpoints: propose, cosign, quorum ─► Trim            (quorum/)

The shell (`runner.py`) carries out effects in the order given and comes back with what happened; the simulator does the same with a simulated world.
Every method takes the time it happens at, in milliseconds of a clock that never goes back; `now_s` is the wall clock in seconds, used for cosignatures, and at
ingress to refuse records of a time that has not come: what is ordered is applied whatever any clock says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sento_node.intake.lanes import KEPT_MAX_BYTES, Append, Lanes, OwnBlock, Unknown
from sento_node.intake.queues import Waiting
from sento_node.ledger.adopt import OfferedBlock, adopt_chunk
from sento_node.ledger.apply import apply_block, check_submission
from sento_node.ledger.judging import foreseen_refusal
from sento_node.ledger.results import NOWHERE, BlockResult, RecordOutcome
from sento_node.ledger.scratch import Place, Scratch
from sento_node.ledger.state import Batch, LedgerState, destroyed_among
from sento_node.ordering.port import Appended, BlockRemoved, Head, OrderedBlock
from sento_node.quorum import clocks
from sento_node.quorum.checkpoints import Checkpoints
from sento_node.quorum.effects import CheckpointEffect, ClockHeard, Cosigned, QuorumReached
from sento_node.quorum.trimming import RetainedBlock, Trim, decide_trim
from sento_proto import limits
from sento_proto.checkpoint import Checkpoint, NoteSignature
from sento_proto.errors import Code
from sento_proto.governance.state import Governance
from sento_proto.submission import Submission

FLUSH_WITH_READER_MS = 20
FLUSH_AT_MOST_MS = 250
FLUSH_RECORDS = 4_096
OPENING = "the act that begins this epoch is not on disk yet"
"""A recovery forks where no quorum may have cosigned: a note of the new epoch over the former one's tree proves nothing, and nobody can adopt under it."""
PAYLOADS_AWAITED = "payloads-awaited"
"""Why this site vouches for nothing while payloads are missing that no order covers: it holds them not."""
REMOVAL_GRACE_MS = 5_000
"""How long a block may be gone from the log before the checkpoint that allows it has reached us."""


class Reply(NamedTuple):
    """Answer a submission: one outcome for each record, or one code for all of it."""

    ticket: int
    epoch: int
    outcomes: tuple[RecordOutcome, ...]
    code: Code | None = None


class Flush(NamedTuple):
    """Make this batch durable, then call `flushed`. At most one is out at a time."""

    batch: Batch


class TrimLog(NamedTuple):
    """Remove these blocks from the ordering log."""

    trim: Trim


class ServeRead(NamedTuple):
    """The flushed ledger now holds what this read must see."""

    ticket: int


class Alarm(NamedTuple):
    """Tell the operators: a stable name and words."""

    name: str
    words: str


class AlarmOver(NamedTuple):
    """What this alarm told is mended."""

    name: str


Effect = Append | Reply | Flush | TrimLog | ServeRead | Alarm | AlarmOver | CheckpointEffect


@dataclass(slots=True)
class SiteParts:
    """What a site's decisions are made of: state, lanes, checkpoints; and the blocks that the log is thought to hold."""

    state: LedgerState
    lanes: Lanes
    checkpoints: Checkpoints
    retained: deque[RetainedBlock]


class Site:
    """The decisions of one site in one life."""

    def __init__(self, parts: SiteParts) -> None:
        self.state = parts.state
        self.lanes = parts.lanes
        self.checkpoints = parts.checkpoints
        self._retained = parts.retained
        self._retained_at = {(block.lane, block.seq): block for block in parts.retained}
        self._reads: list[tuple[int, int]] = []
        self._removed: deque[tuple[int, int]] = deque()
        self._pending_since_ms: int | None = None
        self._flushing: Batch | None = None
        self.flushed_head = Head(self.state.block, self.state.revision)
        self.flushed_size = self.state.size
        self._began_size = self.state.size
        self.trimmed_block = 0
        self._clocks = clocks.Clocks()
        self.current_since_ms: int | None = None
        """Since when this site has read all of the order; None while it is behind. Set by the shell, which knows the log's head."""
        self.ingress_closed: Code | None = None
        self.opening = False
        """While an epoch is opened: submissions that are not taken over from the former one are NOT_READY."""
        self.by_officers: Checkpoint | None = None
        """The tree at a recovery's fork, as officers signed it: what is copied up to it needs no quorum's cosignatures."""

    # -- writing ----------------------------------------------------------------------------------------------------

    def submit(self, ticket: int, data: bytes, now_s: int, *, opens: bool = False) -> list[Effect]:
        """A client's submission. It is refused, answered as known, or put in line. `opens`: it is part of how an epoch is opened."""
        if len(data) > limits.SUBMISSION_MAX_BYTES:
            return [self._refuse(ticket, Code.TOO_LARGE)]
        refusal, author, submission = check_submission(self.state, self.state.governance, data)
        if submission is None:
            return [self._refuse(ticket, refusal or Code.INTERNAL)]
        outcomes = self._foreseen(author, submission)
        if outcomes is not None:
            return [Reply(ticket, self.state.epoch, outcomes)]
        if is_ahead(submission, now_s):
            return [self._refuse(ticket, Code.CLOCK_AHEAD)]
        if self.opening and not opens:
            return [self._refuse(ticket, Code.NOT_READY)]
        if self.ingress_closed is not None:
            return [self._refuse(ticket, self.ingress_closed)]
        if self.lanes.kept_bytes > KEPT_MAX_BYTES:
            return [self._refuse(ticket, Code.ORDERING_FULL)]
        if not self.lanes.queues.offer(Waiting(ticket, author, data)):
            return [self._refuse(ticket, Code.QUEUE_FULL)]
        return list(self.lanes.start_blocks())

    def _refuse(self, ticket: int, code: Code) -> Reply:
        return Reply(ticket, self.state.epoch, (), code)

    def _foreseen(self, author: str, submission: Submission) -> tuple[RecordOutcome, ...] | None:
        """The outcomes, if every record is known or refused already; else None, and the order will tell."""
        scratch = Scratch(self.state)
        outcomes = []
        for record in submission.records:
            header = record.header
            known = scratch.known(author, header.record_id)
            if known is not None:
                same = known[1] == record.record_hash
                code, position = (Code.KNOWN, known[0]) if same else (Code.RECORD_ID_REUSED, NOWHERE)
            else:
                refusal = foreseen_refusal(scratch, Place(author, 0, 0, submission.officers), record)
                if refusal is None:
                    return None
                code, position = refusal, NOWHERE
            outcomes.append(RecordOutcome(record.record_hash, code, position))
        return tuple(outcomes)

    def appended(self, lane: str, seq: int, place: Appended) -> list[Effect]:
        """The log holds the block."""
        self.lanes.appended(lane, seq, place)
        return list(self.lanes.start_blocks())

    def append_failed(self, lane: str, seq: int) -> tuple[Append | None, list[Effect]]:
        """A try ended with unknown outcome: what to try again after a pause (None: the order has shown it), and what to tell now."""
        again, unknown = self.lanes.append_failed(lane, seq)
        return again, self._tell_unknown(unknown)

    def _tell_unknown(self, unknown: Unknown | None) -> list[Effect]:
        tickets = () if unknown is None else unknown.tickets
        return [self._refuse(ticket, Code.NO_ORDERING) for ticket in tickets]

    # -- the order --------------------------------------------------------------------------------------------------

    def ordered(self, block: OrderedBlock, now_ms: int) -> list[Effect]:
        """The next block of the order: applied, answered, and laid aside to be flushed. Blocks already applied are passed over."""
        if block.number <= self.state.block:
            return []
        own = self.lanes.seen(block.lane, block.seq, block.data, block.number)
        result = apply_block(self.state, block)
        self._retain(RetainedBlock(block.number, block.revision, block.lane, block.seq, len(block.data)))
        effects = self._after_apply(result, own, now_ms)
        return effects + list(self.lanes.start_blocks())

    def adopt(self, blocks: Sequence[OfferedBlock], checkpoint: Checkpoint, now_ms: int) -> list[Effect]:
        """A chunk of another site's ledger, proven here. Raises NotProven, with the ledger unchanged. The log no longer holds what it brings."""
        effects: list[Effect] = []
        results = adopt_chunk(self.state, blocks, checkpoint, self.by_officers)
        if awaits_payloads(results, self.state.governance):
            self.checkpoints.hold_back(PAYLOADS_AWAITED, on=True)
        self._retained.clear()
        self._retained_at.clear()
        for result in results:
            own = self.lanes.settled_elsewhere([(result.lane, result.seq, result.number)])
            effects += self._after_apply(result, None, now_ms)
            # A refusal in a peer's ledger is its word alone, and it may be false: authors ask again, by the same ids.
            effects += [self._refuse(item.ticket, Code.NO_ORDERING) for block in own for item in block.items]
        return effects

    def _after_apply(self, result: BlockResult, own: OwnBlock | None, now_ms: int) -> list[Effect]:
        self.checkpoints.applied(result, self.state.governance)
        if self._pending_since_ms is None:
            self._pending_since_ms = now_ms
        effects: list[Effect] = []
        if own is not None and result.refusal is None:
            for item, submission in zip(own.items, result.submissions, strict=True):
                effects.append(Reply(item.ticket, self.state.epoch, submission.outcomes, submission.refusal))
        elif own is not None:
            effects += [self._refuse(item.ticket, result.refusal or Code.INTERNAL) for item in own.items]
            effects.append(
                Alarm(
                    "own-block-refused", f"Block {result.number} of this site was a no-op: {result.refusal}."
                )
            )
        return effects + self._flush_if_due(now_ms)

    def _retain(self, block: RetainedBlock) -> None:
        self._retained.append(block)
        self._retained_at[block.lane, block.seq] = block

    def removed(self, event: BlockRemoved, now_ms: int) -> list[Effect]:
        """A block left the log. It is an alarm unless a quorum checkpoint covers it, or does so soon."""
        block = self._retained_at.pop((event.lane, event.seq), None)
        if block is None:
            return []
        if block.number > self.checkpoints.quorum.block:
            self._removed.append((now_ms, block.number))
        self.trimmed_block = max(self.trimmed_block, block.number)
        self._forget_trimmed()
        return []

    def _forget_trimmed(self) -> None:
        """Trimming goes by prefix: what a former life saw trimmed is gone too, though this one heard of no removal."""
        while self._retained:
            block = self._retained[0]
            if block.number > self.trimmed_block and (block.lane, block.seq) in self._retained_at:
                return
            self._retained.popleft()
            self._retained_at.pop((block.lane, block.seq), None)

    def trim_through(self, block: int, now_ms: int) -> list[Effect]:
        """Erasure wants everything up to this block out of the ordering log: trim now if a quorum's checkpoints on disk allow it that far."""
        trim = decide_trim(self._retained, self.checkpoints.held_block, self.checkpoints.progress, now_ms)
        return [] if trim is None or trim.through_block < block else [TrimLog(trim)]

    # -- flushing and reading ---------------------------------------------------------------------------------------

    def read_after(self, ticket: int, revision: int, now_ms: int) -> list[Effect]:
        """A linearizable read that must see everything up to this revision of the log."""
        if revision <= self.flushed_head.revision:
            return [ServeRead(ticket)]
        self._reads.append((revision, ticket))
        return self._flush_if_due(now_ms)

    def read_given_up(self, ticket: int) -> None:
        """The reader's deadline passed."""
        self._reads = [item for item in self._reads if item[1] != ticket]

    def _flush_if_due(self, now_ms: int) -> list[Effect]:
        since = self._pending_since_ms
        if self._flushing is not None or since is None:
            return []
        wait_ms = FLUSH_WITH_READER_MS if self._reads else FLUSH_AT_MOST_MS
        if now_ms - since < wait_ms and self.state.pending_records < FLUSH_RECORDS:
            return []
        batch = self.state.seal_batch()
        if batch is None:
            return []
        self._flushing, self._pending_since_ms = batch, None
        return [Flush(batch)]

    def flush_now(self) -> list[Effect]:
        """Flush what is pending without waiting: before a stop, or at the end of a chunk."""
        batch = None if self._flushing is not None else self.state.seal_batch()
        if batch is None:
            return []
        self._flushing, self._pending_since_ms = batch, None
        return [Flush(batch)]

    def flushed(self, now_ms: int, now_s: int) -> list[Effect]:
        """The batch that was out is durable."""
        batch = self._flushing
        if batch is None:
            raise ValueError("nothing was being flushed")
        self.state.batch_flushed()
        self._flushing = None
        self.flushed_head = Head(batch.tip.block, batch.tip.revision)
        self.flushed_size = batch.tip.size
        if batch.tip.size > self._began_size:
            self.checkpoints.hold_back(OPENING, on=False)
        served = [ticket for revision, ticket in self._reads if revision <= batch.tip.revision]
        self._reads = [item for item in self._reads if item[0] > batch.tip.revision]
        effects: list[Effect] = [ServeRead(ticket) for ticket in served]
        effects += self.checkpoints.flushed(batch.tip.block, now_ms, now_s)
        return self._settle_quorum(effects, now_ms) + self._flush_if_due(now_ms)

    # -- agreement --------------------------------------------------------------------------------------------------

    def cosign_request(
        self, ticket: int, proposer: str, checkpoint: Checkpoint, block: int, now_ms: int
    ) -> list[Effect]:
        """Another site asks for a cosignature."""
        return list(self.checkpoints.cosign_request(ticket, proposer, checkpoint, block, now_ms))

    def cosigned_written(self, cosigned: Cosigned, now_ms: int, now_s: int) -> list[Effect]:
        """What this site is about to cosign is on disk."""
        return self._settle_quorum(list(self.checkpoints.cosigned_written(cosigned, now_s)), now_ms)

    def cosign_reply(
        self,
        site: str,
        size: int,
        lines: Sequence[NoteSignature],
        flushed_block: int,
        now_ms: int,
        quorum_block: int,
        now_s: int,
    ) -> list[Effect]:
        """Another site answered our proposal of `size`; `quorum_block` is the block of the newest quorum checkpoint on its disk."""
        self.checkpoints.heard(site, flushed_block, now_ms, quorum_block)
        effects: list[Effect] = []
        for effect in self.checkpoints.cosign_reply(site, size, lines, now_s):
            effects += self.clock_heard(*effect) if isinstance(effect, ClockHeard) else [effect]
        return self._settle_quorum(effects, now_ms)

    def clock_heard(self, site: str, off_s: int) -> list[Effect]:
        """Another site told its time, so far ahead of this site's clock."""
        words = self._clocks.heard(site, off_s)
        if words is None:
            return []
        return [Alarm(clocks.ALARM, words) if words else AlarmOver(clocks.ALARM)]

    def published(self, checkpoint: Checkpoint, block: int, now_ms: int) -> list[Effect]:
        """Another site hands over a quorum's checkpoint."""
        return self._settle_quorum(list(self.checkpoints.published(checkpoint, block, now_ms)), now_ms)

    def _settle_quorum(self, effects: list[Effect], now_ms: int) -> list[Effect]:
        """After a quorum's word: own blocks need not be kept, and what it covers may leave the log."""
        reached = [effect for effect in effects if isinstance(effect, QuorumReached)]
        if not reached:
            return effects
        block = self.checkpoints.quorum.block
        self.lanes.covered(block)
        trim = decide_trim(self._retained, self.checkpoints.held_block, self.checkpoints.progress, now_ms)
        if trim is None:
            return effects
        if reached[-1].publish_to:
            effects.append(TrimLog(trim))
        return effects

    def tick(self, now_ms: int, now_s: int) -> list[Effect]:
        """Time went by: several times a second."""
        effects: list[Effect] = self._flush_if_due(now_ms)
        effects += self._settle_quorum(list(self.checkpoints.tick(now_ms, now_s)), now_ms)
        effects += self._judge_removals(now_ms)
        for own in self.lanes.vanished(self.state.revision):
            effects.append(
                Alarm(
                    "block-vanished",
                    f"The ordering log acknowledged block {own.lane}/{own.seq} and lost it; it is ordered again.",
                )
            )
        return effects + list(self.lanes.start_blocks())

    def _judge_removals(self, now_ms: int) -> list[Effect]:
        """Alarms for removals that no checkpoint covers. A site that reads what it missed is behind with checkpoints too: it judges later."""
        alarms: list[Effect] = []
        current_since_ms = self.current_since_ms
        if current_since_ms is None:
            return alarms
        while self._removed and now_ms - max(self._removed[0][0], current_since_ms) >= REMOVAL_GRACE_MS:
            _, number = self._removed.popleft()
            if number > self.checkpoints.quorum.block:
                alarms.append(
                    Alarm(
                        "uncovered-removal",
                        f"Block {number} left the ordering log and no quorum checkpoint covers it.",
                    )
                )
        return alarms


def awaits_payloads(results: Sequence[BlockResult], governance: Governance) -> bool:
    """Whether adopted records lack payloads that no carried-out order covers."""
    destroyed = destroyed_among(results, governance)
    return any(
        not item.record.payload and item.record.header.payload_bytes and item.position not in destroyed
        for result in results
        for item in result.standing
    )


def is_ahead(submission: Submission, now_s: int) -> bool:
    """Whether a record is of a time that has not come by far: its author's clock is wrong, or this site's. However old it is does not matter."""
    latest_ms = max(record.header.time_ms for record in submission.records)
    return latest_ms > (now_s + clocks.CLOCK_APART_MAX_S) * 1000
