"""Planted bugs of moved capitals: each is a recovery, a return or a relocation with one thing wrong, and must be found in a moving world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tests.simulation.hooks import Hooks
from tests.simulation.moving import simulate_moving
from tests.simulation.people import AUTHORS, author_signers
from tests.simulation.planted import ForgottenWhenAcknowledged, Found

from sento_node.ledger.memory_store import MemoryDisk
from sento_node.ordering.port import OrderedBlock
from sento_proto.header import ZERO16, Header
from sento_proto.record import make_record
from sento_proto.submission import decode_submission, sign_submission


class TailThrownAway(Hooks):
    """goes on from the survivors' ledgers, and throws away what their ordering logs hold behind them"""

    def tail(self, blocks: Sequence[OrderedBlock]) -> Sequence[OrderedBlock]:
        return ()


class KeepsWhatTheForkCutsOff(Hooks):
    """begins an epoch with the ledger as it is, whatever stands above the fork"""

    def begun(self, before: MemoryDisk, kept: MemoryDisk) -> MemoryDisk:
        if kept.tip.revision == 0 and before.tip.size > kept.tip.size:
            before.tip = before.tip._replace(epoch=kept.tip.epoch, revision=0)
            return before
        return kept


class LateEntriesUnderNewIds(Hooks):
    """takes orphans in again as new records, each under an id of its own"""

    def late_entry(self, data: bytes) -> bytes:
        old = decode_submission(data)
        keys = [author_signers(author).get(old.author_key_id) for author in AUTHORS]
        signer = next((key for key in keys if key is not None), None)
        if signer is None or any(record.header.group != ZERO16 for record in old.records):
            return data
        records = [make_record(_under_another_id(record.header), record.payload) for record in old.records]
        return sign_submission(old.ledger_id, records, signer)


def _under_another_id(header: Header) -> Header:
    flipped = bytes(one ^ 0xFF for one in header.record_id[9:])
    return header._replace(record_id=header.record_id[:9] + flipped)


class OldCapitalGoesOn(Hooks):
    """goes on acknowledging in an epoch that ended, although it was shown the later one's plan"""

    def stops_when_shown(self, *, two: bool) -> bool:
        return two


class TwoPlansGoOn(Hooks):
    """goes on when it meets a site that began the same epoch by another plan"""

    def stops_when_shown(self, *, two: bool) -> bool:
        return not two


class OpensBeforeThePlansActs(Hooks):
    """takes submissions in as soon as the epoch has begun, before the acts that the plan puts behind its first record"""

    def acts_before_ingress(self, count: int) -> int:
        return 1


class TakesTheShortestSurvivor(Hooks):
    """goes on from the first survivor by name, whatever the others hold"""

    def chosen(self, best: str, survivors: Sequence[str]) -> str:
        return min(survivors)


class ForgetsAtHomeReceipts(Hooks):
    """the outbox forgets what a quorum at home has, and holds nothing on for a site abroad"""

    def holds(self) -> bool:
        return False


class PlantedMoving(NamedTuple):
    """A planted bug, the checkers that may find it, and the seeds to look in."""

    bug: type[Hooks]
    found_by: tuple[str, ...]
    seeds: range


PLANTED_MOVING = (
    PlantedMoving(TailThrownAway, ("survivors-keep",), range(41, 42)),
    PlantedMoving(KeepsWhatTheForkCutsOff, ("permission-decision-equality", "same-ledger"), range(11, 12)),
    PlantedMoving(LateEntriesUnderNewIds, ("orphans-accounted", "once"), range(11, 12)),
    PlantedMoving(OldCapitalGoesOn, ("ended-is-silent",), range(12, 13)),
    PlantedMoving(TwoPlansGoOn, ("ended-is-silent",), range(3, 4)),
    PlantedMoving(OpensBeforeThePlansActs, ("plan-before-ingress",), range(12, 13)),
    PlantedMoving(TakesTheShortestSurvivor, ("survivors-keep",), range(11, 12)),
    PlantedMoving(ForgetsAtHomeReceipts, ("held-until-abroad",), range(11, 12)),
    PlantedMoving(ForgottenWhenAcknowledged, ("kept-until-proven", "acknowledged-accounted"), range(12, 13)),
)


def look_for_moving(bug: type[Hooks], seeds: range) -> Found | None:
    """The first seed that finds the bug."""
    for seed in seeds:
        violation = simulate_moving(seed, bug()).violation
        if violation is not None:
            return Found(seed, violation.checker, str(violation))
    return None


def print_moving_table(seeds: range) -> int:
    """The table of README.md; exit code 1 when a bug is not found."""
    missed = 0
    for planted in PLANTED_MOVING:
        found = look_for_moving(planted.bug, seeds)
        missed += found is None
        words = ("nothing", "none") if found is None else (found.checker, str(found.seed))
        print(f"| {planted.bug.__name__} | {planted.bug.__doc__} | {words[0]} | {words[1]} |", flush=True)
    return 1 if missed else 0
