"""The rules of apply once more, as plainly as they can be said: dictionaries, no layers, no memo, no batches. What product code decides is compared with this.

Form and signatures are decoded by the contract's own functions (they have their golden vectors); everything decided from them is written here a second
time, from the order of checks in the design and not from the code: known ids, permission, budget, predecessors, groups, positions, chains, tree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from sento_node.ordering.port import OrderedBlock
from sento_proto.block import Block, decode_block, site_signature_holds
from sento_proto.chain import FIRST_LINK, next_link
from sento_proto.errors import FINAL_CODES, Code
from sento_proto.genesis import Author, Genesis
from sento_proto.header import ZERO16, ZERO32
from sento_proto.keys import PublicKey
from sento_proto.merkle import Frontier
from sento_proto.record import Record
from sento_proto.submission import Submission, author_signatures_hold, decode_submission
from sento_proto.wire import Malformed

NO_POSITION = 0xFFFF_FFFF_FFFF_FFFF


class Outcome(NamedTuple):
    """What became of a record."""

    record_hash: bytes
    code: Code
    position: int


class Stand(NamedTuple):
    """A record that stands."""

    position: int
    record: Record
    author: str
    link: bytes


class Judged(NamedTuple):
    """A block after the rules: as a `BlockResult`, told in the reference's words."""

    number: int
    refusal: Code | None
    submissions: tuple[tuple[Code | None, tuple[Outcome, ...]], ...]
    standing: tuple[Stand, ...]
    size_after: int
    root: bytes


@dataclass(slots=True)
class Facts:
    """What stands, by every name that the rules ask for."""

    stands: list[Stand] = field(default_factory=list)
    by_id: dict[tuple[str, bytes], int] = field(default_factory=dict)
    head: dict[tuple[str, bytes], bytes] = field(default_factory=dict)
    versions: dict[tuple[str, bytes], list[bytes]] = field(default_factory=dict)
    links: dict[tuple[str, bytes], bytes] = field(default_factory=dict)


class Reference:
    """One ledger by the rules. `window` is the length of the budget window in positions."""

    def __init__(self, genesis: Genesis, epoch: int, window: int) -> None:
        self._genesis = genesis
        self._epoch = epoch
        self._window = window
        self._keys: dict[bytes, tuple[Author, PublicKey]] = {
            key.key_id: (author, key) for author in genesis.authors for key in author.keys
        }
        self.facts = Facts()
        self.blocks: list[Judged] = []
        self.roots: list[bytes] = [Frontier().root()]
        self._tree = Frontier()

    @property
    def size(self) -> int:
        """Records that stand."""
        return len(self.facts.stands)

    def apply(self, ordered: OrderedBlock) -> Judged:
        """Judge the next block."""
        refusal, block = self._open(ordered)
        first = self.size
        submissions = [] if block is None else [self._submission(data) for data in block.submissions]
        for stand in self.facts.stands[first:]:
            self._tree.append(stand.record.record_hash)
            self.roots.append(self._tree.root())
        judged = Judged(
            ordered.number,
            refusal,
            tuple(submissions),
            tuple(self.facts.stands[first:]),
            self.size,
            self.roots[-1],
        )
        self.blocks.append(judged)
        return judged

    def _open(self, ordered: OrderedBlock) -> tuple[Code | None, Block | None]:
        try:
            block = decode_block(ordered.data)
        except Malformed:
            return Code.MALFORMED, None
        if (block.ledger_id, block.epoch) != (self._genesis.ledger_id, self._epoch):
            return Code.WRONG_LEDGER, None
        if (str(block.lane), block.seq) != (ordered.lane, ordered.seq):
            return Code.MALFORMED, None
        site = self._genesis.site(block.lane.site)
        if site is None or site.key.key_id != block.site_key_id:
            return Code.NOT_PERMITTED, None
        return (None, block) if site_signature_holds(block, site.key) else (Code.BAD_SIGNATURE, None)

    def open_submission(self, data: bytes) -> tuple[Code | None, Author | None, Submission | None]:
        """What is wrong with a submission as a whole, or its author and its content."""
        try:
            submission = decode_submission(data)
        except Malformed:
            return Code.MALFORMED, None, None
        if submission.ledger_id != self._genesis.ledger_id:
            return Code.WRONG_LEDGER, None, None
        if submission.is_act:
            return Code.NOT_PERMITTED, None, None
        author, key = self._keys.get(submission.author_key_id, (None, None))
        if author is None or key is None:
            return Code.UNKNOWN_AUTHOR, None, None
        if not author_signatures_hold(submission, [key]):
            return Code.BAD_SIGNATURE, None, None
        return None, author, submission

    def _submission(self, data: bytes) -> tuple[Code | None, tuple[Outcome, ...]]:
        refusal, author, submission = self.open_submission(data)
        if author is None or submission is None:
            return refusal, ()
        outcomes: list[Outcome | None] = [None] * len(submission.records)
        for index, record in enumerate(submission.records):
            if outcomes[index] is None and record.header.group == ZERO16:
                outcomes[index] = self._record(author, record)
            elif outcomes[index] is None:
                members = [
                    at
                    for at, other in enumerate(submission.records)
                    if other.header.group == record.header.group
                ]
                for at, outcome in zip(
                    members, self._group(author, [submission.records[at] for at in members]), strict=True
                ):
                    outcomes[at] = outcome
        return None, tuple(outcome for outcome in outcomes if outcome is not None)

    def _group(self, author: Author, records: list[Record]) -> list[Outcome]:
        before = self.size
        tried = [self._record(author, record) for record in records]
        if all(outcome.code in (Code.ACCEPTED, Code.KNOWN) for outcome in tried):
            return tried
        while self.size > before:
            self._take_back()
        return [self._dragged(outcome, tried) for outcome in tried]

    @staticmethod
    def _dragged(outcome: Outcome, tried: list[Outcome]) -> Outcome:
        """What a member is told that would have stood alone."""
        if outcome.code is not Code.ACCEPTED:
            return outcome
        return Outcome(outcome.record_hash, Code.GROUP_REFUSED, NO_POSITION)

    def would(self, author: Author, record: Record) -> Code:
        """What the rules would say of a record now, alone; nothing changes."""
        before = self.size
        code = self._record(author, record).code
        while self.size > before:
            self._take_back()
        return code

    def _record(self, author: Author, record: Record) -> Outcome:
        header, facts = record.header, self.facts
        known = facts.by_id.get((author.name, header.record_id))
        if known is not None:
            if facts.stands[known].record.record_hash == record.record_hash:
                return Outcome(record.record_hash, Code.KNOWN, known)
            return Outcome(record.record_hash, Code.RECORD_ID_REUSED, NO_POSITION)
        code = self._refusal(author, record)
        if code is not None:
            return Outcome(record.record_hash, code, NO_POSITION)
        return Outcome(record.record_hash, Code.ACCEPTED, self._stand(author, record))

    def _refusal(self, author: Author, record: Record) -> Code | None:
        header = record.header
        if not any(scope.covers(header.registry, header.compartment) for scope in author.may_write):
            return Code.NOT_PERMITTED
        start = self.size - self.size % self._window
        used = [stand for stand in self.facts.stands[start:] if stand.author == author.name]
        subjects = {stand.record.header.subject for stand in used} | {header.subject}
        if len(used) + 1 > author.budget.records or len(subjects) > author.budget.subjects:
            return Code.HELD
        name = (header.registry, header.fact)
        if header.previous == self.facts.head.get(name, ZERO32):
            return None
        earlier = self.facts.versions.get(name, [])
        if header.previous == ZERO32 or header.previous in earlier:
            return Code.STALE
        return Code.PREDECESSOR_MISSING

    def _stand(self, author: Author, record: Record) -> int:
        header, facts, position = record.header, self.facts, self.size
        of_subject = (header.registry, header.subject)
        link = next_link(facts.links.get(of_subject, FIRST_LINK), record.record_hash)
        facts.links[of_subject] = link
        facts.by_id[author.name, header.record_id] = position
        facts.head[header.registry, header.fact] = record.record_hash
        facts.versions.setdefault((header.registry, header.fact), []).append(record.record_hash)
        facts.stands.append(Stand(position, record, author.name, link))
        return position

    def _take_back(self) -> None:
        """Undo the last record that stood."""
        facts = self.facts
        stand = facts.stands.pop()
        header = stand.record.header
        del facts.by_id[stand.author, header.record_id]
        versions = facts.versions[header.registry, header.fact]
        versions.pop()
        if versions:
            facts.head[header.registry, header.fact] = versions[-1]
        else:
            del facts.head[header.registry, header.fact]
        of_subject = (header.registry, header.subject)
        earlier = [
            other.link
            for other in facts.stands
            if (other.record.header.registry, other.record.header.subject) == of_subject
        ]
        facts.links[of_subject] = earlier[-1] if earlier else FIRST_LINK


def is_final(code: Code) -> bool:
    """Whether the contract says that this can never come true later."""
    return code in FINAL_CODES
