"""What must hold of one office: its outbox forgets nothing too early (kept-until-proven), and what it was told is what became of it (told-the-truth)."""

from __future__ import annotations

from collections.abc import Sequence, Set

from tests.simulation.checkers import Checkers, Violation
from tests.simulation.reference import is_final
from tests.simulation.workload import Write

from sento_proto.errors import STANDING_CODES


class OfficeChecks:
    """Compares what one office's people and programs do and hear with what `seen` knows of the order and of the sites' words."""

    def __init__(self, seen: Checkers, office: str) -> None:
        self._seen = seen
        self._office = office
        self._never: set[bytes] = set()

    def covered(self, record_hash: bytes) -> bool:
        """Whether it stands under a checkpoint that some site took for a quorum's."""
        stands = self._seen.reference.facts.stands[: self._seen.quorum_size]
        return any(stand.record.record_hash == record_hash for stand in reversed(stands))

    def refusal_told(self, record_hash: bytes, because: bytes | None) -> None:
        """A caller was told that the record is refused for good; `because`: the refused record that took it along."""
        if because is not None and because not in self._seen.told_final and because not in self._never:
            raise Violation("told-the-truth", f"{self._office} ended a record because of one that may stand")
        self._never.add(record_hash)

    def set_aside(self, write: Write, index: int) -> None:
        """An outbox put a record aside: refused for good when nobody waited for it. It does not stand, and who said that it does has lied."""
        record_hash = write.records[index].record_hash
        if record_hash in self._seen.hashes_standing():
            raise Violation("kept-until-proven", f"{self._office} set a record aside that stands")
        self._will_not_stand(write, index)

    def given_up(self, write: Write, index: int) -> None:
        """Somebody at the office gave a record up. Where nobody lied this is right only for what no site would ever take."""
        together = write.together(index)
        grounds = (
            write.bad,
            any(one.record_hash in self._seen.held for one in together),
            any(one.record_hash in self._seen.not_permitted for one in together),
            any(one.header.previous in self._seen.told_final for one in together),
            any(one.header.previous in self._never for one in together),
        )
        if not any(grounds):
            raise Violation("kept-until-proven", f"{self._office} gave up a record of kind {write.kind}")
        self._will_not_stand(write, index)

    def _will_not_stand(self, write: Write, index: int) -> None:
        record_hash = write.records[index].record_hash
        if write.told[index] in STANDING_CODES and record_hash not in self._seen.lied_about:
            words = f"was told truly that a record of kind {write.kind} stands, and keeps it no longer"
            raise Violation("kept-until-proven", f"{self._office} {words}")
        self._never.add(record_hash)

    def forgotten(self, owners: Sequence[tuple[Write, int]], receipts: Set[bytes]) -> None:
        """An outbox has forgotten a submission that holds these records of these writes; `receipts`: record hashes whose receipts are on its disk."""
        for write, index in owners:
            told, record_hash = write.told[index], write.records[index].record_hash
            if told is not None and told not in STANDING_CODES:
                continue
            if record_hash not in self._never and not self.covered(record_hash):
                words = f"forgot a record of kind {write.kind} that no quorum's checkpoint covers"
                raise Violation("kept-until-proven", f"{self._office} {words}")
            if record_hash not in self._never and record_hash not in receipts:
                words = f"forgot a record of kind {write.kind} whose receipt is not on disk"
                raise Violation("kept-until-proven", f"{self._office} {words}")

    def told_the_truth(self, write: Write) -> None:
        """Compare what an office was told of a write in the end with what stands."""
        hashes = self._seen.hashes_standing()
        for told, sent_as in zip(write.told, write.sent_as, strict=True):
            standing = [record_hash for record_hash in sent_as if record_hash in hashes]
            if len(standing) > 1:
                raise Violation(
                    "told-the-truth", f"{self._office}: one write of kind {write.kind} stands twice"
                )
            if told in STANDING_CODES and not standing and self._never.isdisjoint(sent_as):
                raise Violation(
                    "told-the-truth", f"{self._office} was told that a write stands, and it does not"
                )
            if told is not None and is_final(told) and standing and write.kind != "tampered":
                raise Violation(
                    "told-the-truth", f"{self._office} was told {told.name}, and the write stands"
                )
