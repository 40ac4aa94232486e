"""The simulated ordering log: a replicated log of entries with elections, around the engine that both in-memory forms of the port share.

Members flush an entry before they say so; an entry is committed when a majority of voters has it and the lead of the present term says so; a new lead is
somebody whose log a majority finds recent enough. So the faults that matter come out of the model and are not decided by it: an answer is lost though the
block is ordered, an entry that only a deposed lead held disappears, and a voter that lost its disk and comes back under its old id can elect a lead
that never saw what was acknowledged (`rewritten`).

What committed entries mean is decided by `OrderEngine`: exactly-once lanes, dense numbers, trimming, compaction.

Source: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", section 5; left out: votes on disk (one election happens at one instant),
snapshots (logs are kept whole), membership change in more than one step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from tests.simulation.heap import EventHeap
from tests.simulation.members import Answer, AppendOp, Entry, Member, TrimOp, shared_prefix, take_over
from tests.simulation.network import Network
from tests.simulation.watch import Broken, Deliver, Watches

from sento_node.ordering.engine import OrderEngine
from sento_node.ordering.port import (
    Appended,
    BlockRemoved,
    Head,
    OrderedBlock,
    OrderingError,
)

_T = TypeVar("_T")
BEAT_MS = 120
ELECTION_MS = (300, 1_200)
LEAD_LOST_MS = 1_000
"""A member that has not heard a lead for so long breaks its watch."""
QUOTA_BYTES = 1 << 30


class OrderFeed:
    """What a world wants to know of the log itself: told at the instant of commit, before anybody else."""

    def ordered(self, block: OrderedBlock) -> None:
        """A block was committed."""

    def trimmed(self, removed: Sequence[tuple[str, int]]) -> None:
        """Blocks (lane, seq) left the log."""

    def refused(self, op: AppendOp, error: OrderingError) -> None:
        """The engine refused a committed append."""

    def rewritten(self, lost_blocks: int) -> None:
        """A lead was elected that lacks committed entries: the log forgot what it had acknowledged."""


class SimOrdering:
    """One log for `sites`, one member each. All methods return at once; what they cause comes later, or never."""

    def __init__(self, heap: EventHeap, network: Network, sites: Sequence[str], feed: OrderFeed) -> None:
        self._heap = heap
        self._network = network
        self._feed = feed
        self.members = {site: Member(site, 1) for site in sites}
        self.relayed: dict[str, str] = {}
        """Sites without a member, and the site through whose member each follows."""
        self.lead: str | None = None
        self.term = 0
        self.committed: list[Entry] = []
        self.engine = self._new_engine()
        self._reveal = [1]
        self._matched: dict[str, int] = {}
        self.watches = Watches(heap, lambda: self.engine, self._revealed)
        self._lead_lost_at_ms: int | None = 0
        self._election_ms = 0
        self.answers_lost = 0.0
        self.late_repeats = 0.0
        heap.after(BEAT_MS, self._beat)

    def _new_engine(self) -> OrderEngine:
        """An empty log."""
        return OrderEngine(quota_bytes=QUOTA_BYTES)

    # -- what a node asks of its own member -------------------------------------------------------------------------------

    def append(self, site: str, lane: str, seq: int, data: bytes, answer: Answer) -> None:
        """Order a block through the site's member. Without an answer in time the asker does not know."""
        op = AppendOp(site, lane, seq, data, answer)
        self._offer(op)
        if self._heap.chance(self.late_repeats):
            self._heap.fault("append delivered twice")
            self._heap.after(self._heap.between(1, 6_000), self._offer, op)

    def trim(self, site: str, through_seq: Mapping[str, int], through_revision: int) -> None:
        """Remove blocks and forget history."""
        self._offer(TrimOp(site, dict(through_seq), through_revision))

    def head(self, site: str, answer: Callable[[Head], None]) -> None:
        """The linearizable head."""
        self.ask(site, lambda engine: engine.head, answer)

    def ask(self, site: str, question: Callable[[OrderEngine], _T], answer: Callable[[_T], None]) -> None:
        """A linearizable question: the lead's answer, confirmed by a majority after the question came."""
        lead = self.lead
        if self.members[site].up and lead is not None:
            self._network.send(site, lead, self._confirm, site, self.term, question, answer)

    def _confirm(
        self, site: str, term: int, question: Callable[[OrderEngine], _T], answer: Callable[[_T], None]
    ) -> None:
        lead = self.lead
        if lead is None or term != self.term or not self._has_majority(lead):
            return
        told = question(self.engine)
        self._heap.after(self._heap.between(2, 40), self._tell, site, lead, term, told, answer)

    def _tell(self, site: str, lead: str, term: int, told: _T, answer: Callable[[_T], None]) -> None:
        if self.lead == lead and term == self.term and self._has_majority(lead):
            self._network.send(lead, site, answer, told)

    def is_lead(self, site: str) -> bool:
        """What the site's member believes of itself."""
        member = self.members[site]
        return member.up and member.leads_term > 0

    def follow(self, site: str, after: Head, deliver: Deliver, broken: Broken) -> None:
        """Open a stream of everything after `after` through the site's member."""
        self.watches.follow(site, after, deliver, broken)
        if not self.members[site].up:
            self.watches.break_stream(site)

    def _revealed(self, site: str) -> int:
        return self._reveal[self.members[self.relayed.get(site, site)].visible]

    def _pump(self, site: str) -> None:
        """The site's member knows more: its own stream, and those of sites that follow through it."""
        self.watches.pump(site)
        for other, relay in self.relayed.items():
            if relay == site:
                self.watches.pump(other)

    def _break_streams(self, site: str) -> None:
        self.watches.break_stream(site)
        for other, relay in self.relayed.items():
            if relay == site:
                self.watches.break_stream(other)

    # -- members and their disks --------------------------------------------------------------------------------------------

    def start_member(self, site: str) -> None:
        """Start the member on the disk that it has."""
        member = self.members[site]
        if not member.up and not member.removed:
            member.up, member.leads_term, member.heard_ms = True, 0, self._heap.now_ms
            member.has_files = True

    def stop_member(self, site: str) -> None:
        """Kill the member; its disk stays."""
        self.members[site].up = False
        self.members[site].leads_term = 0
        if self.lead == site:
            self.lead = None
        self._break_streams(site)

    def lose_disk(self, site: str) -> None:
        """The member's log is gone."""
        self.roll_back(site, 0)
        self.members[site].has_files = False

    def roll_back(self, site: str, length: int) -> None:
        """The member's log is as it was when it had `length` entries."""
        member = self.members[site]
        del member.log[length:]
        member.visible = min(member.visible, len(member.log))

    def remove_member(self, site: str, number: int) -> None:
        """Remove the site's member of this number, if it is down and a majority of the others can say so. Asked again, nothing happens."""
        if self.members[site].number == number and not self.members[site].up and self._may_change(site):
            self.watches.unfollow(site)
            self.members[site].removed, self.members[site].votes = True, False
            self._matched.pop(site, None)

    def add_learner(self, site: str, number: int) -> None:
        """Add a learner for the site's new disk, where its former member was removed."""
        if self.members[site].removed and self._may_change(site):
            self.members[site] = Member(site, self.members[site].number + 1, votes=False)
            self._matched.pop(site, None)

    def promote(self, site: str, number: int) -> None:
        """Let the learner vote, if it has what is committed."""
        member = self.members[site]
        if member.number == number and not member.votes and not member.removed and self._may_change(site):
            member.votes = self._matched.get(site, 0) >= len(self.committed)

    def _may_change(self, site: str) -> bool:
        lead = self.lead
        others = [member for member in self._voters() if member.site != site]
        reached = [member for member in others if lead is not None and self._in_touch(lead, member.site)]
        return lead is not None and lead != site and 2 * len(reached) > len(others)

    def hand_over(self, to_site: str) -> None:
        """Move the lead, if the site's member may have it."""
        lead = self.lead
        target = self.members[to_site]
        if lead is None or lead == to_site or not target.up or not target.votes:
            return
        if self._in_touch(lead, to_site) and len(target.log) == len(self.members[lead].log):
            self.members[lead].leads_term = 0
            self._lead_with(target, self._reached_by(to_site))

    # -- proposals ------------------------------------------------------------------------------------------------------------

    def _offer(self, op: AppendOp | TrimOp) -> None:
        member = self.members[op.site]
        if not member.up:
            return
        if member.leads_term:
            self._heap.after(1, self._propose, op.site, member.leads_term, op)
        elif self.lead is not None:
            self._network.send(op.site, self.lead, self._propose, self.lead, self.term, op)

    def _propose(self, at: str, term: int, op: AppendOp | TrimOp) -> None:
        member = self.members[at]
        if not member.up or member.leads_term != term:
            return
        member.log.append(Entry(term, op))
        if at == self.lead and term == self.term:
            self._replicate()
            self._count()

    def _replicate(self) -> None:
        lead = self.lead
        if lead is None:
            return
        upto = len(self.members[lead].log)
        for site in self.members:
            if site != lead:
                self._network.send(lead, site, self._receive, site, self.term, upto, len(self.committed))

    def _receive(self, site: str, term: int, upto: int, committed: int) -> None:
        member = self.members[site]
        if not member.up or term != self.term or self.lead is None:
            return
        member.leads_term = 0
        member.heard_ms = self._heap.now_ms
        take_over(member, self.members[self.lead].log, upto)
        member.visible = max(member.visible, min(committed, len(member.log), len(self.committed)))
        self._pump(site)
        self._network.send(site, self.lead, self._acked, site, member.number, term, upto)

    def _acked(self, site: str, number: int, term: int, upto: int) -> None:
        member = self.members[site]
        if self.lead is None or term != self.term or member.number != number:
            return
        self._matched[site] = max(upto, self._matched.get(site, 0))
        self._count()

    def _count(self) -> None:
        """Commit what a majority of voters has flushed, if the present lead put it, or something after it, into the log."""
        assert self.lead is not None
        lead = self.members[self.lead]
        lengths = sorted(
            (len(lead.log) if member is lead else self._matched.get(member.site, 0))
            for member in self._voters()
        )
        upto = lengths[(len(lengths) - 1) // 2]
        if upto > len(self.committed) and lead.log[upto - 1].term == self.term:
            for entry in lead.log[len(self.committed) : upto]:
                self._commit(entry)
            lead.visible = upto
            self._pump(lead.site)
            for site in self.members:
                if site != lead.site:
                    self._network.send(lead.site, site, self._learn, site, self.term, upto)

    def _learn(self, site: str, term: int, upto: int) -> None:
        member = self.members[site]
        if member.up and term == self.term:
            member.visible = max(member.visible, min(upto, len(member.log), len(self.committed)))
            self._pump(site)

    def _commit(self, entry: Entry) -> None:
        op, outcome, removed = self._apply(entry)
        if isinstance(outcome, OrderingError) and isinstance(op, AppendOp):
            self._feed.refused(op, outcome)
        elif isinstance(outcome, Appended) and isinstance(op, AppendOp) and not outcome.repeated:
            self._feed.ordered(OrderedBlock(outcome.number, outcome.revision, op.lane, op.seq, op.data))
        if removed:
            self._feed.trimmed(removed)
        if isinstance(op, AppendOp) and outcome is not None and self.lead is not None:
            if self._heap.chance(self.answers_lost):
                self._heap.fault("answer lost", f"{op.lane}/{op.seq}")
            else:
                self._network.send(self.lead, op.site, op.answer, outcome)

    def _apply(
        self, entry: Entry
    ) -> tuple[AppendOp | TrimOp | None, Appended | OrderingError | None, list[tuple[str, int]]]:
        """Make an entry part of the log: (what it asked, the outcome of an append, what a trim removed)."""
        op, revision = entry.op, self._reveal[-1]
        outcome: Appended | OrderingError | None = None
        removed: list[tuple[str, int]] = []
        try:
            if isinstance(op, AppendOp):
                outcome = place = self.engine.append(op.lane, op.seq, op.data)
                revision = max(revision, 0 if place.repeated else place.revision)
            elif isinstance(op, TrimOp):
                self.engine.trim(op.through_seq, op.through_revision)
                events = self.engine.events_after(revision, limit=1_000_000)
                removed = [(event.lane, event.seq) for event in events if isinstance(event, BlockRemoved)]
                revision = events[-1].revision if events else revision
        except OrderingError as error:
            outcome = error
        self.committed.append(entry)
        self._reveal.append(revision)
        return op, outcome, removed

    # -- leads ------------------------------------------------------------------------------------------------------------------

    def _voters(self) -> list[Member]:
        return [member for member in self.members.values() if member.votes]

    def _in_touch(self, one: str, other: str) -> bool:
        return self.members[other].up and (one == other or self._network.both_ways(one, other))

    def _reached_by(self, site: str) -> list[Member]:
        return [member for member in self._voters() if self._in_touch(site, member.site)]

    def _has_majority(self, site: str) -> bool:
        return self.members[site].up and 2 * len(self._reached_by(site)) > len(self._voters())

    @property
    def serves(self) -> bool:
        """Whether there is a lead with a majority."""
        return self.lead is not None and self._has_majority(self.lead)

    def _beat(self) -> None:
        self._heap.after(BEAT_MS, self._beat)
        now_ms = self._heap.now_ms
        if self.serves:
            self._lead_lost_at_ms = None
            self._replicate()
            self._count()
        elif self._lead_lost_at_ms is None:
            self._lead_lost_at_ms, self._election_ms = now_ms, self._heap.between(*ELECTION_MS)
        elif now_ms - self._lead_lost_at_ms >= self._election_ms:
            self._elect()
        for site, member in self.members.items():
            if member.up and member.leads_term == 0 and now_ms - member.heard_ms > LEAD_LOST_MS:
                self._break_streams(site)

    def _elect(self) -> None:
        candidates = [member for member in self._voters() if member.up]
        self._heap.random.shuffle(candidates)
        for candidate in candidates:
            reached = self._reached_by(candidate.site)
            votes = [member for member in reached if member.recency <= candidate.recency]
            if 2 * len(votes) > len(self._voters()):
                self._lead_with(candidate, reached)
                return

    def _lead_with(self, member: Member, reached: Sequence[Member]) -> None:
        self.term += 1
        self.lead = member.site
        self._heap.note(f"lead {member.site} term {self.term}")
        for other in reached:
            other.leads_term, other.heard_ms = 0, self._heap.now_ms
        kept = shared_prefix(member.log, self.committed)
        if kept < len(self.committed):
            self._rewrite(member, kept)
        member.leads_term = self.term
        member.log.append(Entry(self.term, None))
        self._matched = {}
        self._lead_lost_at_ms = None
        self._replicate()
        self._count()

    def _rewrite(self, lead: Member, kept: int) -> None:
        """The lead lacks committed entries: the log is what the lead has, and what was acknowledged beyond it is gone."""
        before = self.engine.head.number
        committed, self.committed = self.committed[:kept], []
        self.engine = self._new_engine()
        self._reveal = [1]
        for entry in committed:
            self._apply(entry)
        for member in self.members.values():
            member.visible = min(member.visible, kept)
        self._heap.note(f"rewritten to {kept} entries by {lead.site}")
        self._feed.rewritten(before - self.engine.head.number)
