"""What offices see of a simulated site: submissions in, answers out, and linearizable reads that wait for the flushed ledger to hold the log's head."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.checkers import ReadBegun

from sento_node.ledger.apply import check_submission
from sento_node.ledger.results import NOWHERE
from sento_node.ordering.engine import OrderEngine
from sento_node.ordering.port import Head
from sento_node.site import Reply
from sento_proto.errors import STANDING_CODES, Code

if TYPE_CHECKING:
    from tests.simulation.site_host import SiteHost

READ_TIMEOUT_MS = 2_000

Tell = Callable[[int, int, list[tuple[int, int, bytes]], int], None]
"""(submission id, epoch, (code, position, record hash) for each record, error code or 0)."""


def _head_of(engine: OrderEngine) -> Head:
    return engine.head


class Answering:
    """One site's callers; each life begins without any."""

    def __init__(self, host: SiteHost) -> None:
        self._host = host
        self._submitted: dict[int, tuple[Tell, int, bytes]] = {}
        self._answered: dict[int, None] = {}
        self._reads: dict[int, tuple[ReadBegun, tuple[str, bytes]]] = {}

    def new_life(self) -> None:
        """Nobody of the last life waits any more."""
        self._submitted, self._answered, self._reads = {}, {}, {}

    def submit(self, tell: Tell, submission_id: int, data: bytes, *, opens: bool = False) -> None:
        """A submission arrives. `opens`: it is part of how an epoch is opened."""
        host = self._host
        if host.state != "running" or not host.serving:
            tell(submission_id, 0, [], Code.NOT_READY)
            return
        if host.lies == "drops" and self._lie(tell, submission_id, data):
            return
        ticket = host.next_ticket()
        self._submitted[ticket] = (tell, submission_id, data)
        host.carry_out(host.site.submit(ticket, data, host.wall_s, opens=opens))

    def _lie(self, tell: Tell, submission_id: int, data: bytes) -> bool:
        """Acknowledge what is never ordered, at positions that could be true; False for what everybody sees to be false."""
        _, _, submission = check_submission(self._host.site.state, self._host.site.state.governance, data)
        if submission is None:
            return False
        size = self._host.site.state.size
        answers = [
            (int(Code.ACCEPTED), size + at, record.record_hash)
            for at, record in enumerate(submission.records)
        ]
        self._host.heap.faults["acknowledged and dropped"] += 1
        self._host.around.checkers.lied_about.update(hash_ for _, _, hash_ in answers)
        tell(submission_id, 0, answers, 0)
        return True

    def _flattered(self, answers: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
        """Tell the truth of what stands, and say of the rest that it stands behind it, or all at one position."""
        standing = [position for code, position, _ in answers if code in STANDING_CODES]
        if not standing or len(standing) == len(answers):
            return answers
        behind = itertools.count(max(standing) + 1, self._host.heap.one_of([0, 1, 1, 1]))
        self._host.heap.faults["refused and called accepted"] += 1
        told = [
            one if one[0] in STANDING_CODES else (int(Code.ACCEPTED), next(behind), one[2]) for one in answers
        ]
        self._host.around.checkers.lied_about.update(
            hash_ for code, _, hash_ in answers if code not in STANDING_CODES
        )
        return told

    def reply(self, reply: Reply) -> None:
        """The site answers; its first word is what the office is told, every word is checked."""
        tell, submission_id, data = self._submitted[reply.ticket]
        self._host.around.checkers.replied(self._host.name, data, reply)
        if reply.ticket in self._answered:
            return
        self._answered[reply.ticket] = None
        answers = [
            (int(one.code), 0 if one.position == NOWHERE else one.position, one.record_hash)
            for one in reply.outcomes
        ]
        if self._host.lies == "flatters":
            answers = self._flattered(answers)
        tell(submission_id, reply.epoch, answers, 0 if reply.code is None else int(reply.code))

    def read(self, begun: ReadBegun, fact: tuple[str, bytes]) -> None:
        """A linearizable read of a fact arrives."""
        host = self._host
        if host.state == "running" and host.rebuilding.life is None:
            ticket = host.next_ticket()
            self._reads[ticket] = (begun, fact)
            head_known = functools.partial(host.in_life, host.life, self._head_known, ticket)
            host.order.ask(_head_of, head_known)
            host.later(READ_TIMEOUT_MS, self._give_up, ticket)

    def _head_known(self, ticket: int, head: Head) -> None:
        if ticket in self._reads:
            self._host.carry_out(self._host.site.read_after(ticket, head.revision, self._host.heap.now_ms))

    def _give_up(self, ticket: int) -> None:
        if self._reads.pop(ticket, None) is not None:
            self._host.site.read_given_up(ticket)

    def serve(self, ticket: int) -> None:
        """The flushed ledger holds what this read must see."""
        host = self._host
        begun, fact = self._reads.pop(ticket)
        host.around.checkers.read_answered(begun, host.name, host.disk.store, fact)
        host.heap.faults["linearizable reads answered"] += 1
