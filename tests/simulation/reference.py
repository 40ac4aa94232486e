"""The rules of apply once more, as plainly as they can be said: dictionaries, no layers, no memo, no batches. What product code decides is compared with this.

Form and signatures are decoded by the contract's own functions (they have their golden vectors); everything decided from them is written here a second
time, from the order of checks in the design and not from the code: known ids, permission, budget, predecessors, groups, acts, announcements, positions, chains,
tree. What acts come to stands in `rulebook_changes.py`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.simulation.rulebook import ACTS_FROM, COMPANIONS_FROM, READ_LOG_FROM
from tests.simulation.rulebook_changes import Governed, at_genesis
from tests.simulation.rulebook_epochs import EPOCHS_FROM, begins

from sento_node.ordering.port import OrderedBlock
from sento_proto.block import Block, decode_block, site_signature_holds
from sento_proto.chain import FIRST_LINK, next_link
from sento_proto.errors import FINAL_CODES, Code
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.keys import PublicKey, Suite, verifies
from sento_proto.merkle import Frontier
from sento_proto.record import Record
from sento_proto.submission import Submission, act_signed_bytes, author_signatures_hold, decode_submission
from sento_proto.wire import Malformed

NO_POSITION = 0xFFFF_FFFF_FFFF_FFFF
OFFICERS = "/officers"
SITE = "/sites/"
ACT_SUBJECT = hashlib.sha256(b"sento governance").digest()


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
    """One ledger by the rules. `window` is the length of the budget window in positions; `books` are the rulebooks behind each block."""

    def __init__(self, genesis: bytes, epoch: int, window: int) -> None:
        self._ledger_id = hashlib.sha256(genesis).digest()
        self._epoch = self._first_epoch = epoch
        self._window = window
        self._genesis = genesis
        self.book = at_genesis(genesis)
        self.books: list[Governed] = [self.book]
        self.facts = Facts()
        self.blocks: list[Judged] = []
        self.roots: list[bytes] = [Frontier().root()]
        self._tree = Frontier()
        self._block = 0
        self.acts_together = 0
        self._starts: dict[int, int] = {}

    def begins_at(self, block: int, epoch: int) -> None:
        """Blocks behind this one come from this epoch's log."""
        self._starts[block + 1] = epoch

    @property
    def _opening(self) -> bool:
        return self.book.rules >= EPOCHS_FROM and self._epoch > self.book.epoch

    def anew(self) -> Reference:
        """The same ledger, empty."""
        after = Reference(self._genesis, self._first_epoch, self._window)
        after._starts = dict(self._starts)
        return after

    @property
    def size(self) -> int:
        """Records that stand."""
        return len(self.facts.stands)

    def apply(self, ordered: OrderedBlock) -> Judged:
        """Judge the next block."""
        self._epoch = self._starts.get(ordered.number, self._epoch)
        self._block = ordered.number - 1
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
        self.book = self.book.next_block()
        self.books.append(self.book)
        return judged

    def _open(self, ordered: OrderedBlock) -> tuple[Code | None, Block | None]:
        try:
            block = decode_block(ordered.data)
        except Malformed:
            return Code.MALFORMED, None
        if (block.ledger_id, block.epoch) != (self._ledger_id, self._epoch):
            return Code.WRONG_LEDGER, None
        if (str(block.lane), block.seq) != (ordered.lane, ordered.seq):
            return Code.MALFORMED, None
        key = self.book.sites.get(block.lane.site)
        if key is None or key.key_id != block.site_key_id:
            return Code.NOT_PERMITTED, None
        return (None, block) if site_signature_holds(block, key) else (Code.BAD_SIGNATURE, None)

    def author_of(self, submission: Submission) -> str | None:
        """Whose submission it says it is."""
        if submission.is_act:
            return OFFICERS
        key = self.book.keys.get(submission.author_key_id)
        if key is not None:
            return key.author
        site = self.book.site_keys.get(submission.author_key_id)
        return None if site is None else SITE + site[0]

    def open_submission(self, data: bytes) -> tuple[Code | None, str | None, Submission | None]:
        """What is wrong with a submission as a whole, or its author and its content."""
        try:
            submission = decode_submission(data)
        except Malformed:
            return Code.MALFORMED, None, None
        if submission.ledger_id != self._ledger_id:
            return Code.WRONG_LEDGER, None, None
        if self._opening and not submission.is_act:
            return Code.NOT_READY, None, None
        refusal = self._act_refusal(submission) if submission.is_act else self._signature_refusal(submission)
        if refusal is not None:
            return refusal, None, None
        return None, self.author_of(submission), submission

    def _signature_refusal(self, submission: Submission) -> Code | None:
        key_id = submission.author_key_id
        known, site = self.book.keys.get(key_id), self.book.site_keys.get(key_id)
        keys: list[PublicKey]
        if known is not None:
            keys = [known.key] if known.companion is None else [known.key, known.companion]
        elif site is not None and self.book.rules >= ACTS_FROM:
            keys = [site[1]]
        else:
            return Code.UNKNOWN_AUTHOR
        if keys[0].suite == Suite.ECDSA_P256 and self.book.rules < ACTS_FROM:
            return Code.BAD_SIGNATURE
        if len(keys) > 1 and self.book.rules < COMPANIONS_FROM:
            return Code.BAD_SIGNATURE
        return None if author_signatures_hold(submission, keys) else Code.BAD_SIGNATURE

    def _act_refusal(self, act: Submission) -> Code | None:
        """An act as a whole: rules, epoch, its fixed fields, and every signature by somebody who ever was an officer or a deputy."""
        if self.book.rules < ACTS_FROM:
            return Code.NOT_PERMITTED
        if act.epoch != self._epoch:
            return Code.WRONG_LEDGER
        (record,) = act.records
        header = record.header
        fixed = (header.registry, header.kind, header.compartment, header.subject, header.fact, header.group)
        if fixed != ("governance", "act", "", ACT_SUBJECT, ACT_SUBJECT[:16], ZERO16):
            return Code.MALFORMED
        if header.key_epoch or header.author_key_id != ZERO16:
            return Code.MALFORMED
        message = act_signed_bytes(self._ledger_id, self._epoch, record.record_hash)
        for key_id, signature in act.officers:
            key = self.book.officer_keys.get(key_id)
            if key is None:
                return (
                    Code.NOT_AN_OFFICER
                    if self._predecessor(header) is not Code.PREDECESSOR_MISSING
                    else Code.PREDECESSOR_MISSING
                )
            if not verifies(key, signature, message):
                return Code.BAD_SIGNATURE
        return None

    def _submission(self, data: bytes) -> tuple[Code | None, tuple[Outcome, ...]]:
        refusal, author, submission = self.open_submission(data)
        if author is None or submission is None:
            return refusal, ()
        if submission.is_act:
            return None, (self._act(submission),)
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

    def _group(self, author: str, records: list[Record]) -> list[Outcome]:
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

    def _record(self, author: str, record: Record) -> Outcome:
        header, facts = record.header, self.facts
        known = facts.by_id.get((author, header.record_id))
        if known is not None:
            if facts.stands[known].record.record_hash == record.record_hash:
                return Outcome(record.record_hash, Code.KNOWN, known)
            return Outcome(record.record_hash, Code.RECORD_ID_REUSED, NO_POSITION)
        if author.startswith(SITE):
            code, after = self._sites_own(author.removeprefix(SITE), record)
        else:
            code, after = self._refusal(author, record), self.book
        if code is not None:
            return Outcome(record.record_hash, code, NO_POSITION)
        self.book = after
        return Outcome(record.record_hash, Code.ACCEPTED, self._stand(author, record))

    def _act(self, submission: Submission) -> Outcome:
        """Officers' act: known, then its predecessor, then those in office, then its changes."""
        (record,) = submission.records
        known = self.facts.by_id.get((OFFICERS, record.header.record_id))
        if known is not None:
            if self.facts.stands[known].record.record_hash == record.record_hash:
                return Outcome(record.record_hash, Code.KNOWN, known)
            return Outcome(record.record_hash, Code.RECORD_ID_REUSED, NO_POSITION)
        code = self._predecessor(record.header)
        if code is None:
            code = self._wrong_place(record.header.content)
        if code is None:
            signers = [officer.officer_key_id for officer in submission.officers]
            code, after = self.book.act(record.header.content, signers, self.size, self._window)
            if code is None:
                self.book = after
                return Outcome(record.record_hash, Code.ACCEPTED, self._stand(OFFICERS, record))
        return Outcome(record.record_hash, code, NO_POSITION)

    def _wrong_place(self, content: bytes) -> Code | None:
        """An epoch's first record begins it, from this very tree; no other one begins an epoch."""
        if self._opening:
            here = begins(content, self._epoch, self.size, self._tree.root(), self._block)
            return None if here else Code.ACT_REFUSED
        return None

    def _sites_own(self, site: str, record: Record) -> tuple[Code | None, Governed]:
        """A record by a site itself: which rules it knows, or where releases are recorded also one of those and the seals of its KEKs."""
        header, book = record.header, self.book
        if header.group != ZERO16:
            return Code.NOT_PERMITTED, book
        if book.rules < READ_LOG_FROM or header.registry == "governance":
            return self._announcement(site, header)
        refusal = book.site_refusal(site, header)
        return (self._predecessor(header) if refusal is None else refusal), book

    def _announcement(self, site: str, header: Header) -> tuple[Code | None, Governed]:
        """It says which rules the site knows, when that is news."""
        book = self.book
        try:
            said = json.loads(header.content)
            rules, name = set(said["rules"]), said["site"]
            good = said["format"] == "sento-site-rules-1" and set(said) == {
                "format",
                "site",
                "rules",
                "release",
            }
        except (ValueError, KeyError, TypeError):
            return Code.MALFORMED, book
        if not good:
            return Code.MALFORMED, book
        subject = hashlib.sha256(b"sento site rules" + site.encode()).digest()
        fixed = (header.registry, header.kind, header.compartment, header.subject, header.fact)
        if site not in book.sites or name != site or book.announced.get(site) == rules:
            return Code.NOT_PERMITTED, book
        if fixed != ("governance", "site-rules", "", subject, subject[:16]) or header.payload_bytes:
            return Code.NOT_PERMITTED, book
        if header.key_epoch or header.dek_commit != ZERO32:
            return Code.NOT_PERMITTED, book
        return self._predecessor(header), book.announce(site, rules)

    def _refusal(self, author: str, record: Record) -> Code | None:
        header = record.header
        refusal = self.book.record_refusal(author, header)
        if refusal is not None:
            return refusal
        start = self.size - self.size % self._window
        used = [stand for stand in self.facts.stands[start:] if stand.author == author]
        subjects = {stand.record.header.subject for stand in used} | {header.subject}
        most_records, most_subjects = self.book.budget(author, self.size, self._window)
        if len(used) + 1 > most_records or len(subjects) > most_subjects:
            return Code.HELD
        return self._predecessor(header)

    def _predecessor(self, header: Header) -> Code | None:
        name = (header.registry, header.fact)
        if header.previous == self.facts.head.get(name, ZERO32):
            return None
        earlier = self.facts.versions.get(name, [])
        if header.previous == ZERO32 or header.previous in earlier:
            return Code.STALE
        return Code.PREDECESSOR_MISSING

    def _stand(self, author: str, record: Record) -> int:
        header, facts, position = record.header, self.facts, self.size
        of_subject = (header.registry, header.subject)
        link = next_link(facts.links.get(of_subject, FIRST_LINK), record.record_hash)
        facts.links[of_subject] = link
        facts.by_id[author, header.record_id] = position
        facts.head[header.registry, header.fact] = record.record_hash
        facts.versions.setdefault((header.registry, header.fact), []).append(record.record_hash)
        facts.stands.append(Stand(position, record, author, link))
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
