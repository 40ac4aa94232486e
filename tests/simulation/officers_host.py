"""Officers at work: they look at governance at some site, decide, sign, and submit through one site's ordinary ingress, until each act has its end.

An act is sent again, the same bytes, when no answer came, at another site; it has its end when it is refused for good, or stands under a quorum's checkpoint,
or when after several tries it is still "not yet" and people give it up. With too few signatures further officers sign the same act. Each act that stood is
now and then submitted once more, long after, as it was. When a dead site keeps receipts from coming, officers take it out of the receipt set.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.simulation.acts_desk import ActsDesk
from tests.simulation.checkers import Checkers, Violation
from tests.simulation.heap import EventHeap
from tests.simulation.people import Change
from tests.simulation.site_host import SiteHost

from sento_proto.errors import FINAL_CODES, STANDING_CODES, TABLE, Code, Standing
from sento_proto.governance.state import Governance
from sento_proto.record import Record

ANSWER_WITHIN_MS = 900
UNPROVEN_MS = 3_000
NOT_YET_TRIES = 6
ANSWER_LOST = 0.1


@dataclass(slots=True, eq=False)
class Act:
    """An act on its way. `told`: its end."""

    record: Record
    data: bytes
    governance: Governance
    told: Code | None = None
    tries: int = 0
    question: int = 0
    said_to_stand_ms: int | None = None


class OfficersHost:
    """All officers of one world."""

    def __init__(
        self, heap: EventHeap, checkers: Checkers, sites: Mapping[str, SiteHost], desk: ActsDesk
    ) -> None:
        self._heap = heap
        self._checkers = checkers
        self._sites = sites
        self.desk = desk
        self.acts: list[Act] = []
        self.stood: list[Act] = []
        self.writing = True
        self.pause_ms = heap.one_of([(100, 350), (200, 700), (500, 1_800)])
        self.dead: SiteHost | None = None

    def start(self) -> None:
        """Begin."""
        self._heap.after(self._heap.between(600, 1_500), self._work)

    def sees(self) -> Governance | None:
        """Governance as some site has it now."""
        running = [host for host in self._sites.values() if host.state == "running" and host.knows_rules]
        return self._heap.one_of(running).site.state.governance if running else None

    def _work(self) -> None:
        if not self.writing:
            return
        governance = self.sees()
        if governance is not None:
            self.act(governance, self.desk.decide(governance))
            if self._heap.chance(0.12):
                self._heap.faults["two acts that follow the same act"] += 1
                self.act(governance, self.desk.decide(governance))
            if self.stood and self._heap.chance(0.15):
                self._replay(self._heap.one_of(self.stood))
        self._heap.after(self._heap.between(*self.pause_ms), self._work)

    def act(self, governance: Governance, changes: Sequence[Change]) -> None:
        """Sign an act and send it off; one of those who must sign is sometimes forgotten at first."""
        record = self.desk.record(governance, changes)
        few = governance.officers.threshold > 1 and self._heap.chance(0.08)
        count = governance.officers.threshold - 1 if few else None
        signers = self.desk.signers(governance, count)
        act = Act(record, self.desk.sign(governance, record, signers), governance)
        self.acts.append(act)
        self._heap.note(f"officers sign {', '.join(str(change['do']) for change in changes)}")
        self._send(act)

    def _replay(self, act: Act) -> None:
        """The bytes of an act that stands, again, at any site; whatever the answer, nothing may come of it."""
        host = self._heap.one_of(list(self._sites.values()))
        self._heap.faults["act submitted again when it stood"] += 1
        self._heap.after(self._heap.between(1, 3_000), host.answering.submit, _nobody, 0, act.data)

    # -- delivery -----------------------------------------------------------------------------------------------------------

    def _send(self, act: Act) -> None:
        act.question += 1
        host = self._heap.one_of(list(self._sites.values()))
        answer = functools.partial(self._answered, act, act.question)
        if not self._heap.chance(ANSWER_LOST / 2):
            self._heap.after(self._heap.between(1, 30), host.answering.submit, answer, 0, act.data)
        self._heap.after(ANSWER_WITHIN_MS, self._silent, act, act.question)

    def _silent(self, act: Act, question: int) -> None:
        if act.told is None and act.question == question:
            self._heap.faults["act sent again without an answer"] += 1
            self._send(act)

    def _answered(
        self,
        act: Act,
        question: int,
        number: int,
        epoch: int,
        answers: list[tuple[int, int, bytes]],
        error: int,
    ) -> None:
        if not self._heap.chance(ANSWER_LOST):
            code = Code(error or answers[0][0])
            self._heap.after(self._heap.between(1, 30), self._heard, act, question, code)

    def _heard(self, act: Act, question: int, code: Code) -> None:
        if act.told is not None:
            return
        if code in FINAL_CODES:
            self._end(act, code)
        elif act.question == question and code in STANDING_CODES:
            act.question += 1
            act.said_to_stand_ms = self._heap.now_ms
            self._proven(act, act.question, code)
        elif act.question == question:
            act.question += 1
            self._not_now(act, code)

    def _not_now(self, act: Act, code: Code) -> None:
        if TABLE[code].standing is Standing.NOT_YET:
            act.tries += 1
            if act.tries >= NOT_YET_TRIES:
                self._end(act, code)
                return
            if code is Code.TOO_FEW_OFFICERS:
                self._heap.faults["further officers sign an act"] += 1
                act.data = self.desk.sign(act.governance, act.record, self.desk.signers(act.governance))
        self._heap.after(self._heap.between(100, 500), self._again, act, act.question)

    def _again(self, act: Act, question: int) -> None:
        if act.told is None and act.question == question:
            self._send(act)

    def _proven(self, act: Act, question: int, code: Code) -> None:
        """A site said that it stands: believed when a quorum's checkpoint covers it, else asked for again."""
        if act.told is not None or act.question != question or act.said_to_stand_ms is None:
            return
        stands = self._checkers.reference.facts.stands[: self._checkers.quorum_size]
        if any(stand.record.record_hash == act.record.record_hash for stand in stands):
            self.stood.append(act)
            self._end(act, code)
        elif self._heap.now_ms - act.said_to_stand_ms > UNPROVEN_MS:
            self._send(act)
        else:
            self._heap.after(200, self._proven, act, question, code)

    def _end(self, act: Act, code: Code) -> None:
        act.told = code
        self._heap.note(f"officers are told {code.name}")

    # -- the end ------------------------------------------------------------------------------------------------------------

    def look_after_receipts(self) -> None:
        """Faults are over and a site may be dead for good: where those left cannot make a receipt, they are made the receipt set."""
        governance = self.sees()
        alive = [name for name, host in self._sites.items() if host is not self.dead]
        receipt_set = None if governance is None else governance.receipt_set
        if (
            governance is None
            or receipt_set is None
            or any(act.told is None and act.said_to_stand_ms is None for act in self.acts)
        ):
            return
        if sum(name in alive for name in receipt_set.sites) < receipt_set.quorum:
            self._heap.faults["receipt set mended by officers"] += 1
            self.act(governance, [self.desk.receipt_set(alive, len(alive) // 2 + 1)])

    @property
    def settled(self) -> bool:
        """Whether every act has its end."""
        return all(act.told is not None for act in self.acts)

    def check_end(self) -> None:
        """What officers were told is what became of each act."""
        standing = self._checkers.hashes_standing()
        for act in self.acts:
            stands = act.record.record_hash in standing
            if act.told in STANDING_CODES and not stands:
                raise Violation("told-the-truth", "officers were told that an act stands, and it does not")
            if act.told in FINAL_CODES and stands:
                raise Violation("told-the-truth", f"officers were told {act.told}, and the act stands")


def _nobody(number: int, epoch: int, answers: list[tuple[int, int, bytes]], error: int) -> None:
    """Nobody waits."""
