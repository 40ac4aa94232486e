"""Offices in worlds whose capital moves: the same programs, and people who know that what they were told may be lost with an epoch.

An office looks at the newest epoch. What was acknowledged in one that ended need not stand: then it must be known to be missing, or be on somebody's list
(`MovingChecks`). An office gives up a record that follows one which is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set

from tests.simulation.checkers import Violation
from tests.simulation.client_host import ClientHost
from tests.simulation.epochs_host import Epoch, EpochCheckers
from tests.simulation.heap import EventHeap
from tests.simulation.holding_host import HoldingOutbox
from tests.simulation.hooks import Hooks
from tests.simulation.moving_site import MovingSite
from tests.simulation.office_checks import OfficeChecks
from tests.simulation.telling import Telling
from tests.simulation.workload import Desk, Write

from genesis_builder import TestWorld
from sento_proto.errors import STANDING_CODES, Code
from sento_proto.record import Record

PAUSE_MS = (120, 800)
Epochs = Callable[[], Sequence[Epoch]]
"""All epochs of the world, the newest last."""


class MovingChecks(OfficeChecks):
    """What must hold of one office over all epochs. `aside`: record hashes that its outbox put aside, its people gave up, or a caller was told are refused."""

    def __init__(self, epochs: Epochs, office: str) -> None:
        super().__init__(epochs()[-1].checkers, office)
        self._epochs = epochs
        self.aside: set[bytes] = set()

    def covered(self, record_hash: bytes) -> bool:
        """Whether it stands in the newest epoch under a quorum's checkpoint."""
        self._seen = self._epochs()[-1].checkers
        return super().covered(record_hash)

    def _ever_covered(self, record_hash: bytes) -> bool:
        return any(_covers(epoch.checkers, record_hash) for epoch in self._epochs())

    def refusal_told(self, record_hash: bytes, because: bytes | None) -> None:
        """A caller was told that the record is refused for good, whatever a site of an ended epoch had said before."""
        self.aside.add(record_hash)
        self._never.add(record_hash)

    def set_aside(self, write: Write, index: int) -> None:
        """An outbox put a record aside."""
        self.aside.add(write.records[index].record_hash)
        self._never.add(write.records[index].record_hash)

    def given_up(self, write: Write, index: int) -> None:
        """Somebody at the office gave a record up."""
        self.set_aside(write, index)

    def forgotten(self, owners: Sequence[tuple[Write, int]], receipts: Set[bytes]) -> None:
        """An outbox has forgotten a submission: a quorum of some epoch has it, its receipt is on disk, and sites of two countries cosigned it."""
        for write, index in owners:
            told, record_hash = write.told[index], write.records[index].record_hash
            if (told is not None and told not in STANDING_CODES) or record_hash in self._never:
                continue
            if not self._ever_covered(record_hash) or record_hash not in receipts:
                words = f"forgot a record of kind {write.kind} that no quorum's checkpoint covers, or without its receipt"
                raise Violation("kept-until-proven", f"{self._office} {words}")
            if not any(_cosigned_abroad(epoch.checkers, record_hash) for epoch in self._epochs()):
                words = f"forgot a record of kind {write.kind} that sites of one country alone have cosigned"
                raise Violation("held-until-abroad", f"{self._office} {words}")

    def told_the_truth(self, write: Write) -> None:
        """Nothing that this office wrote stands twice."""
        standing = self._epochs()[-1].checkers.hashes_standing()
        for sent_as in write.sent_as:
            if sum(record_hash in standing for record_hash in sent_as) > 1:
                raise Violation(
                    "told-the-truth", f"{self._office}: one write of kind {write.kind} stands twice"
                )


def _covers(checkers: EpochCheckers, record_hash: bytes) -> bool:
    stands = checkers.reference.facts.stands[: checkers.quorum_size]
    return any(stand.record.record_hash == record_hash for stand in reversed(stands))


def _cosigned_abroad(checkers: EpochCheckers, record_hash: bytes) -> bool:
    """Whether sites of two countries signed one tree of this history that holds the record."""
    reference = checkers.reference
    at = next((one.position for one in reference.facts.stands if one.record.record_hash == record_hash), None)
    return at is not None and any(
        at < size <= reference.size and reference.roots[size] == root and _countries(sites) > 1
        for (size, root), sites in checkers.signed.items()
    )


def _countries(sites: Set[str]) -> int:
    """A site's name begins with its country."""
    return len({name.split("-")[0] for name in sites})


class MovingTelling(Telling):
    """What one office knows. `is_lost`: whether a record is known to have stood once, and does not now. Where a key's enrolment was lost with an epoch,
    officers who have gone home enrol it no more."""

    def __init__(self, checks: OfficeChecks, desk: Desk, is_lost: Callable[[bytes], bool]) -> None:
        super().__init__(checks, desk)
        self._is_lost = is_lost

    def _never_will_stand(self, write: Write, together: Sequence[Record]) -> bool:
        if super()._never_will_stand(write, together):
            return True
        if self.writing:
            return False
        words = {self._last_word.get(one.record_hash) for one in together}
        return Code.UNKNOWN_AUTHOR in words or any(self._is_lost(one.header.previous) for one in together)


class MovingClient(ClientHost):
    """One office."""

    def __init__(
        self,
        heap: EventHeap,
        world: TestWorld,
        hooks: Hooks,
        sites: Mapping[str, MovingSite],
        author: str,
        number: int,
        epochs: Epochs,
        is_lost: Callable[[bytes], bool],
    ) -> None:
        super().__init__(heap, world, epochs()[-1].checkers, hooks, sites, author, number)
        self.checks: MovingChecks = MovingChecks(epochs, self.name)
        self.telling = MovingTelling(self.checks, self.desk, is_lost)
        self.outbox: HoldingOutbox = HoldingOutbox(heap, self.checks, hooks, sites, self._reaches, self)
        self._epochs = epochs
        self.pause_ms = PAUSE_MS

    def _read(self) -> None:
        """Linearizable reads are the other worlds' matter."""

    @property
    def knows(self) -> set[bytes]:
        """Record hashes that this office can show: by a receipt, in its outbox, or among what was put aside."""
        kept = {
            write.records[index].record_hash
            for one in self.outbox.disk.values()
            for write, index in one.owners
        }
        return kept | self.outbox.receipts | self.checks.aside
