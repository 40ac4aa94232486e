"""Planted bugs: each is product code with one thing wrong, put in through `Hooks` or a subclass. A simulator that does not find them would prove nothing.

python -m tests.simulation --planted --seeds 0:100      prints the table that stands in README.md
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Container, Iterable, Sequence
from typing import NamedTuple

from tests.simulation.hooks import Hooks
from tests.simulation.planted_copies import (
    BootsUnderAUsedNumber,
    CosignsWithoutPayloads,
    EmbassySignsAlone,
    UnprovenPayloadStored,
)
from tests.simulation.planted_erasure import (
    AwayKeepsWhatWasDestroyed,
    CertifiedBeforeErased,
    DestroyedGivenToOthers,
    DestroyedWrittenAgain,
)
from tests.simulation.planted_governance import (
    ActHoldsFromTheNextBlock,
    ActReplayedCounts,
    AdoptedActsWithoutEffect,
    CompanionNotAskedFor,
    DeputyCounted,
    GovernanceForgottenAtRestart,
    GrantLastsForEver,
    KeyEpochNotChecked,
    PresentReceiptSetForAll,
    RetiredOfficerCounts,
    RevokedKeyAccepted,
    RulesWithinTheBlock,
)
from tests.simulation.planted_proofs import ForgottenBeforeTheReceipt, HeadOfToday
from tests.simulation.planted_read_log import (
    CarriedOutErasureWithdrawn,
    DelayHoldsEverywhere,
    ErasedByOneAct,
    FormerSiteRecordsReleases,
    InstitutionsWriteAccessRecords,
    LaterRecordsDestroyedToo,
    ReleaseUnderAClosedKeyEpoch,
)
from tests.simulation.planted_rebuild import FloorForgotten, KeepsWhatIsDisputed
from tests.simulation.world import simulate

from sento_client.outbox.keeping import AskProofs, Keeping, _Kept
from sento_client.outbox.keeping import Effect as KeepingEffect
from sento_node.intake.lanes import Append
from sento_node.ledger.adopt import OfferedBlock
from sento_node.ledger.apply import check_submission
from sento_node.ledger.results import NOWHERE, BlockResult, RecordOutcome
from sento_node.ledger.scratch import Scratch
from sento_node.ledger.state import LedgerState
from sento_node.ordering.boot import Announcement, BootDecision, Refuse, Start
from sento_node.ordering.port import Head, OrderedBlock
from sento_node.quorum.checkpoints import Checkpoints
from sento_node.quorum.effects import Cosigned, WriteCosigned
from sento_node.quorum.trimming import decide_trim
from sento_node.site import Effect, Reply, ServeRead, Site, TrimLog
from sento_proto.checkpoint import Checkpoint
from sento_proto.errors import Code
from sento_proto.governance.state import Governance
from sento_proto.header import ZERO16, ZERO32
from sento_proto.record import Record
from sento_proto.submission import Submission


class AcknowledgeBeforeOrdering(Hooks):
    """acknowledges a submission when it comes in, at the position that it will probably get"""

    def composed(self, site: Site) -> None:
        site.__class__ = _Early


class _Early(Site):
    def submit(self, ticket: int, data: bytes, now_s: int, *, opens: bool = False) -> list[Effect]:
        effects = super().submit(ticket, data, now_s, opens=opens)
        _, _, submission = check_submission(self.state, self.state.governance, data)
        if submission is None or any(isinstance(effect, Reply) for effect in effects):
            return effects
        outcomes = tuple(
            RecordOutcome(record.record_hash, Code.ACCEPTED, self.state.size + at)
            for at, record in enumerate(submission.records)
        )
        return [Reply(ticket, self.state.epoch, outcomes), *effects]


class ApplyTwiceAfterRestart(Hooks):
    """reads its last blocks from the log again after a restart, and does not know their records any more"""

    def composed(self, site: Site) -> None:
        site.__class__ = _Renumbering
        site.state.__class__ = _Forgetful

    def resume_from(self, site: Site, head: Head, *, new_life: bool) -> Head:
        return Head(head.number, max(1, head.revision - 3)) if new_life else head


class _Renumbering(Site):
    """Takes whatever comes as the next block."""

    def ordered(self, block: OrderedBlock, now_ms: int) -> list[Effect]:
        revision = max(block.revision, self.state.revision + 1)
        return super().ordered(
            dataclasses.replace(block, number=self.state.block + 1, revision=revision), now_ms
        )


class _Forgetful(LedgerState):
    def position_of_id(self, author: str, record_id: bytes) -> int | None:
        found = super().position_of_id(author, record_id)
        return found if found is None or found in self._pending.standing else None


class GapAfterResume(Hooks):
    """goes on behind the next block when its stream of blocks broke"""

    def composed(self, site: Site) -> None:
        site.__class__ = _Renumbering

    def resume_from(self, site: Site, head: Head, *, new_life: bool) -> Head:
        return head if new_life else Head(head.number, head.revision + 1)


class TrimTooEarly(Hooks):
    """trims what it has flushed itself, without a quorum's word"""

    def composed(self, site: Site) -> None:
        site.__class__ = _Eager


class _Eager(Site):
    def _settle_quorum(self, effects: list[Effect], now_ms: int) -> list[Effect]:
        settled = super()._settle_quorum(effects, now_ms)
        trim = decide_trim(self._retained, self.flushed_head.number, {}, now_ms)
        return settled if trim is None or not self.checkpoints.is_lead else [*settled, TrimLog(trim)]


class TrimBeforeOthersCanProve(Hooks):
    """trims when it holds a quorum's checkpoint itself, though no other disk may have it"""

    def composed(self, site: Site) -> None:
        site.checkpoints.__class__ = _AloneIsEnough


class _AloneIsEnough(Checkpoints):
    @property
    def held_block(self) -> int:
        return self.quorum.block


class SkipPermission(Hooks):
    """lets every author write everywhere"""

    def composed(self, site: Site) -> None:
        held = site.state.governance
        fields = {field.name: getattr(held, field.name) for field in dataclasses.fields(held)}
        site.state.governance = _Open(**fields)


class _Open(Governance):
    def may_write(self, author: str, registry: str, compartment: str) -> bool:
        return True


class BudgetForgottenAtRestart(Hooks):
    """begins each life as if the running budget window were empty"""

    def composed(self, site: Site) -> None:
        site.state._usage.clear()


class LostAnswerRetriedAsNewRecord(Hooks):
    """the client gives a record whose answer was lost a new id"""

    def resent(self, record: Record, reseal: Callable[[Record], Record]) -> Record:
        return reseal(record) if record.header.group == ZERO16 else record


class ForgottenWhenAcknowledged(Hooks):
    """the outbox forgets a submission when one site says that it stands"""

    def keeping(self, keeping: Keeping) -> Keeping:
        keeping.__class__ = _Credulous
        return keeping


class _Credulous(Keeping):
    def _round_over(self, kept: int, state: _Kept, now_ms: int) -> None:
        super()._round_over(kept, state, now_ms)
        if kept in self._uncovered:
            self._drop(kept)


class OneRecordProvesAll(Hooks):
    """the outbox has one record of a submission proven, and believes the site about its neighbours"""

    def keeping(self, keeping: Keeping) -> Keeping:
        keeping.__class__ = _Sampling
        return keeping


class _Sampling(Keeping):
    def checkpoint(self, epoch: int, size: int, now_ms: int) -> list[KeepingEffect]:
        return [
            AskProofs(tuple(run._replace(record_hashes=run.record_hashes[:1]) for run in effect.runs))
            if isinstance(effect, AskProofs)
            else effect
            for effect in super().checkpoint(epoch, size, now_ms)
        ]


class OutboxNotTakenOver(Hooks):
    """a program that starts again does not send what its last life left in the outbox"""

    def keeping(self, keeping: Keeping) -> Keeping:
        keeping.__class__ = _Unmindful
        return keeping


class _Unmindful(Keeping):
    def adopted(
        self, found: Iterable[tuple[int, int]], now_ms: int, abroad: Container[int] = ()
    ) -> list[KeepingEffect]:
        return super().adopted([], now_ms, abroad)


class LostAnswerRetriedAsNewBlock(Hooks):
    """a site whose append got no answer sends the same submissions as the lane's next block"""

    def composed(self, site: Site) -> None:
        site.__class__ = _Restless


class _Restless(Site):
    def append_failed(self, lane: str, seq: int) -> tuple[Append | None, list[Effect]]:
        own = self.lanes._kept.pop((lane, seq), None)
        if own is None or own.seen_as:
            return None, []
        self.lanes._lanes[lane].in_flight = None
        self.lanes.queues.put_back(list(own.items))
        return None, list(self.lanes.start_blocks())


class CosignBeforeFlush(Hooks):
    """cosigns what it has applied and not yet flushed"""

    def composed(self, site: Site) -> None:
        site.checkpoints.__class__ = _Unflushed


class _Unflushed(Checkpoints):
    def applied(self, result: BlockResult, governance: Governance) -> None:
        super().applied(result, governance)
        self._flushed = self._trees[-1]


class SignBeforeWritingDown(Hooks):
    """lets a cosignature go before what it signed is noted on disk"""

    def composed(self, site: Site) -> None:
        site.__class__ = _SignsFirst


class _SignsFirst(Site):
    def cosign_request(
        self, ticket: int, proposer: str, checkpoint: Checkpoint, block: int, now_ms: int
    ) -> list[Effect]:
        effects: list[Effect] = []
        for effect in super().cosign_request(ticket, proposer, checkpoint, block, now_ms):
            effects.append(effect)
            if isinstance(effect, WriteCosigned):
                effects += self.cosigned_written(effect.cosigned, now_ms, 0)
        return effects


class SmallerNoteAfterLarger(Hooks):
    """looks at what it has cosigned, and not at what is on its way to the disk, before it promises a smaller size"""

    def composed(self, site: Site) -> None:
        site.checkpoints.__class__ = _ShortSighted


class _ShortSighted(Checkpoints):
    def _promised_size(self) -> int:
        cosigned: Cosigned | None = self.last_cosigned
        return 0 if cosigned is None else cosigned.size


class LostDiskUnderOldId(Hooks):
    """starts the ordering member whatever the boot rules say, under a number that nobody had"""

    def __init__(self) -> None:
        self._numbers = itertools.count(500)

    def decided(self, decision: BootDecision, announced: int) -> BootDecision:
        return Start(next(self._numbers)) if isinstance(decision, Refuse) else decision


class RefusalWearsOff(Hooks):
    """raises the boot number anew at each start, also after a start that was refused"""

    def unconfirmed(self, announcement: Announcement | None) -> Announcement | None:
        return None


class WrongTicket(Hooks):
    """gives the answers of one block's submissions to one another's senders"""

    def composed(self, site: Site) -> None:
        site.__class__ = _Mixed


class _Mixed(Site):
    def ordered(self, block: OrderedBlock, now_ms: int) -> list[Effect]:
        return _tickets_turned(super().ordered(block, now_ms))

    def adopt(self, blocks: Sequence[OfferedBlock], checkpoint: Checkpoint, now_ms: int) -> list[Effect]:
        return _tickets_turned(super().adopt(blocks, checkpoint, now_ms))


def _tickets_turned(effects: list[Effect]) -> list[Effect]:
    tickets = [effect.ticket for effect in effects if isinstance(effect, Reply)]
    turned = iter([*tickets[1:], *tickets[:1]])
    return [
        effect._replace(ticket=next(turned)) if isinstance(effect, Reply) else effect for effect in effects
    ]


class ReadWithoutAsking(Hooks):
    """answers linearizable reads at once from what it has flushed"""

    def composed(self, site: Site) -> None:
        site.__class__ = _AtOnce


class _AtOnce(Site):
    def read_after(self, ticket: int, revision: int, now_ms: int) -> list[Effect]:
        return [ServeRead(ticket)]


class MissingCalledStale(Hooks):
    """a site that has not seen a record's predecessor refuses the record for good"""

    def composed(self, site: Site) -> None:
        site.__class__ = _Hasty


class _Hasty(Site):
    def _foreseen(self, author: str, submission: Submission) -> tuple[RecordOutcome, ...] | None:
        foreseen = super()._foreseen(author, submission)
        header = submission.records[0].header
        scratch = Scratch(self.state)
        if foreseen is not None or len(submission.records) > 1 or header.previous == ZERO32:
            return foreseen
        if scratch.is_version_of(header.registry, header.fact, header.previous):
            return None
        return (RecordOutcome(submission.records[0].record_hash, Code.STALE, NOWHERE),)


class Planted(NamedTuple):
    """A bug, the checkers that may be the first to see it, and the seed that finds it in every run of the tests. A change of product or simulator moves it, and
    `--planted` says where to. Without seeds: none is known now, and only `--planted` looks for it."""

    bug: type[Hooks]
    found_by: tuple[str, ...]
    seeds: range


DECIDED_WRONGLY = ("permission-decision-equality", "same-ledger", "acknowledged-is-ordered", "final-is-final")
"""Who first sees that a site decided otherwise than the reference depends on the world."""
PLANTED = (
    Planted(AcknowledgeBeforeOrdering, ("acknowledged-is-ordered",), range(1)),
    Planted(ApplyTwiceAfterRestart, ("same-ledger", "final-is-final", "acknowledged-is-ordered"), range(1)),
    Planted(TrimTooEarly, ("trim-is-covered",), range(1)),
    Planted(SkipPermission, DECIDED_WRONGLY, range(1)),
    Planted(ForgottenWhenAcknowledged, ("kept-until-proven",), range(1)),
    Planted(OneRecordProvesAll, ("kept-until-proven",), range(1)),
    Planted(OutboxNotTakenOver, ("progress",), range(1, 2)),
    Planted(LostAnswerRetriedAsNewRecord, ("told-the-truth", "progress"), range(1, 2)),
    Planted(LostAnswerRetriedAsNewBlock, ("one-lane-one-order",), range(1, 2)),
    Planted(CosignBeforeFlush, ("cosigned-is-flushed",), range(1)),
    Planted(SignBeforeWritingDown, ("cosigned-is-flushed",), range(1)),
    Planted(LostDiskUnderOldId, ("acknowledged-kept",), range(6, 7)),
    Planted(RefusalWearsOff, ("acknowledged-kept", "permission-decision-equality"), range(27, 28)),
    Planted(WrongTicket, ("answers-fit",), range(1)),
    Planted(GapAfterResume, (*DECIDED_WRONGLY, "sites-agree"), range(1, 2)),
    Planted(ReadWithoutAsking, ("reads-are-fresh",), range(1)),
    Planted(BudgetForgottenAtRestart, ("same-ledger",), range(1, 2)),
    Planted(MissingCalledStale, ("final-is-final",), range(1, 2)),
    Planted(SmallerNoteAfterLarger, ("cosigned-never-smaller",), range(0)),
    Planted(TrimBeforeOthersCanProve, ("progress",), range(143, 144)),
    Planted(DeputyCounted, DECIDED_WRONGLY, range(5, 6)),
    Planted(RetiredOfficerCounts, DECIDED_WRONGLY, range(11, 12)),
    Planted(ActReplayedCounts, DECIDED_WRONGLY, range(19, 20)),
    Planted(RevokedKeyAccepted, DECIDED_WRONGLY, range(2, 3)),
    Planted(KeyEpochNotChecked, DECIDED_WRONGLY, range(1)),
    Planted(GovernanceForgottenAtRestart, DECIDED_WRONGLY, range(1)),
    Planted(ActHoldsFromTheNextBlock, DECIDED_WRONGLY, range(2, 3)),
    Planted(AdoptedActsWithoutEffect, DECIDED_WRONGLY, range(1, 2)),
    Planted(GrantLastsForEver, DECIDED_WRONGLY, range(1)),
    Planted(RulesWithinTheBlock, DECIDED_WRONGLY, range(58, 59)),
    Planted(CompanionNotAskedFor, DECIDED_WRONGLY, range(1, 2)),
    Planted(FloorForgotten, ("cosigned-never-smaller",), range(0)),
    Planted(KeepsWhatIsDisputed, ("nothing-unforeseen", "same-ledger"), range(51, 52)),
    Planted(PresentReceiptSetForAll, DECIDED_WRONGLY, range(1)),
    Planted(ForgottenBeforeTheReceipt, ("kept-until-proven",), range(1)),
    Planted(HeadOfToday, ("heads-are-true",), range(1)),
    Planted(DestroyedWrittenAgain, ("destroyed-is-gone",), range(11, 12)),
    Planted(DestroyedGivenToOthers, ("destroyed-is-gone",), range(91, 92)),
    Planted(AwayKeepsWhatWasDestroyed, ("destroyed-is-gone",), range(39, 40)),
    Planted(CertifiedBeforeErased, ("destroyed-is-gone",), range(7, 8)),
    Planted(ErasedByOneAct, DECIDED_WRONGLY, range(7, 8)),
    Planted(CarriedOutErasureWithdrawn, DECIDED_WRONGLY, range(11, 12)),
    Planted(LaterRecordsDestroyedToo, DECIDED_WRONGLY, range(7, 8)),
    Planted(InstitutionsWriteAccessRecords, DECIDED_WRONGLY, range(7, 8)),
    Planted(FormerSiteRecordsReleases, DECIDED_WRONGLY, range(55, 56)),
    Planted(ReleaseUnderAClosedKeyEpoch, DECIDED_WRONGLY, range(35, 36)),
    Planted(DelayHoldsEverywhere, DECIDED_WRONGLY, range(19, 20)),
    Planted(EmbassySignsAlone, ("embassy-signs-last",), range(1, 2)),
    Planted(BootsUnderAUsedNumber, ("one-lane-one-order", "acknowledged-kept"), range(18, 19)),
    Planted(UnprovenPayloadStored, ("payload-as-signed",), range(7, 8)),
    Planted(CosignsWithoutPayloads, ("cosigned-is-flushed",), range(7, 8)),
)


class Found(NamedTuple):
    """Where a planted bug was found."""

    seed: int
    checker: str
    words: str


def look_for(bug: type[Hooks], seeds: range) -> Found | None:
    """The first seed that finds the bug."""
    for seed in seeds:
        violation = simulate(seed, bug()).violation
        if violation is not None:
            return Found(seed, violation.checker, str(violation))
    return None


def print_table(seeds: range) -> int:
    """The table of README.md; exit code 1 when a bug is not found."""
    print("| planted bug | what it does | found by | first seed |")
    print("|---|---|---|---|")
    missed = 0
    for planted in PLANTED:
        found = look_for(planted.bug, seeds)
        missed += found is None
        words = ("nothing", "none") if found is None else (found.checker, str(found.seed))
        print(f"| {planted.bug.__name__} | {planted.bug.__doc__} | {words[0]} | {words[1]} |", flush=True)
    return 1 if missed else 0
