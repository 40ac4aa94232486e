"""A ledger in memory that decides as every site decides: codes, positions, links and roots are those that a real one would give.

It stands on `sento_proto` alone and is written to be read, not to be fast: a submission is applied to the ledger itself, and a group that does not
stand whole is taken back. A contract test drives it beside the node's own apply and demands the same answers.

The checks, in the order that the rules give: form; ledger; the author's key, or that officers signed the act; the signatures; then for each record
whether its (author, record id) stands already, permission, budget, and the fact's `previous`. Who may do what is `sento_proto.governance`'s to say, of
the governance in force at the record's position. Under rules 1 acts have no power; from rules 2 on they hold for what stands behind them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from sento_proto.chain import FIRST_LINK, next_link
from sento_proto.errors import Code
from sento_proto.genesis import Genesis
from sento_proto.governance.acts import (
    OFFICERS_AUTHOR,
    act_signatures_refusal,
    is_act_header,
    judge_act,
    with_act,
)
from sento_proto.governance.acts import REGISTRY as GOVERNANCE_REGISTRY
from sento_proto.governance.site_records import judge_site_record
from sento_proto.governance.state import Governance, from_genesis, site_of_author
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.kek_record import REGISTRY as KEYS_REGISTRY
from sento_proto.kek_record import kek_seals_refusal
from sento_proto.merkle import Frontier
from sento_proto.record import Record
from sento_proto.rules import RULES
from sento_proto.submission import Submission, author_signatures_hold, decode_submission
from sento_proto.wire import Malformed

EPOCH = 1
BUDGET_WINDOW_POSITIONS = 10_000
"""Budgets count anew at each multiple of this position: the genesis file names them "per 10,000 positions"."""


class Decided(NamedTuple):
    """What became of one record; `position` is None unless it stands."""

    code: Code
    record_hash: bytes
    position: int | None


class Refused(NamedTuple):
    """A submission that was refused whole; `detail` says what is malformed."""

    code: Code
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """A record in the ledger: the `place`-th of its submission; `link` ends its subject's chain at this position."""

    position: int
    author: str
    record: Record
    submission: Submission
    place: int
    link: bytes
    previous_of_subject: int | None

    @property
    def fact(self) -> tuple[str, bytes]:
        """(registry, fact)."""
        return self.record.header.registry, self.record.header.fact

    @property
    def subject(self) -> tuple[str, bytes]:
        """(registry, subject)."""
        return self.record.header.registry, self.record.header.subject


class Ledger:
    """One ledger in its first epoch. `records` are in order of position; `governance` is what holds for the next one."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.governance: Governance = from_genesis(genesis)
        self.records: list[Placed] = []
        self._frontier = Frontier()
        self._names: dict[tuple[str, bytes], int] = {}
        self._hashes: dict[bytes, int] = {}
        self._facts: defaultdict[tuple[str, bytes], list[int]] = defaultdict(list)
        self._subjects: defaultdict[tuple[str, bytes], list[int]] = defaultdict(list)
        self._written: Counter[tuple[str, int]] = Counter()
        self._about: defaultdict[tuple[str, int], Counter[bytes]] = defaultdict(Counter)

    # What it answers.

    @property
    def size(self) -> int:
        """How many records stand."""
        return len(self.records)

    @property
    def root(self) -> bytes:
        """RFC 6962 tree hash over the record hashes."""
        return self._frontier.root()

    def position_of_name(self, author: str, record_id: bytes) -> int | None:
        """Where an institution's record of that id stands."""
        return self._names.get((author, record_id))

    def position_of_hash(self, record_hash: bytes) -> int | None:
        """Where the record of that hash stands."""
        return self._hashes.get(record_hash)

    def versions_of_fact(self, registry: str, fact: bytes) -> list[int]:
        """Positions of a fact's versions, oldest first."""
        return self._facts.get((registry, fact), [])

    def records_of_subject(self, registry: str, subject: bytes) -> list[int]:
        """Positions of the records about a subject in a registry, oldest first."""
        return self._subjects.get((registry, subject), [])

    # What it decides.

    def apply(self, data: bytes) -> tuple[Decided, ...] | Refused:
        """Take in one submission: an outcome for each record in order, or one refusal for all of it."""
        try:
            submission = decode_submission(data)
        except Malformed as error:
            return Refused(Code.MALFORMED, str(error))
        if submission.ledger_id != self.genesis.ledger_id:
            return Refused(Code.WRONG_LEDGER)
        author = self._author_of_act(submission) if submission.is_act else self._author(submission)
        if isinstance(author, Refused):
            return author
        decided: dict[int, Decided] = {}
        for place, record in enumerate(submission.records):
            if record.header.group == ZERO16:
                decided[place] = self._try(author, submission, place)
            elif place not in decided:
                decided |= self._try_group(author, submission, record.header.group)
        for placed in self.records[self._frontier.size :]:
            self._frontier.append(placed.record.record_hash)
        self.governance = self.governance.next_block
        return tuple(decided[place] for place in range(len(submission.records)))

    def _author(self, submission: Submission) -> str | Refused:
        """Whose submission it is, a site's too."""
        signing = self.governance.signing_keys(submission.author_key_id)
        if signing is None:
            return Refused(Code.UNKNOWN_AUTHOR)
        author, keys = signing
        if not self.governance.may_sign(keys) or not author_signatures_hold(submission, keys):
            return Refused(Code.BAD_SIGNATURE)
        return author

    def _author_of_act(self, act: Submission) -> str | Refused:
        if not RULES[self.governance.rules].acts:
            return Refused(Code.NOT_PERMITTED)
        if act.epoch != EPOCH:
            return Refused(Code.WRONG_LEDGER)
        if not is_act_header(act.records[0].header):
            return Refused(Code.MALFORMED)
        record_hash = act.records[0].record_hash
        refusal = act_signatures_refusal(self.governance, act.epoch, record_hash, act.officers)
        header = act.records[0].header
        arrived = header.previous == ZERO32 or self._is_version(header.previous, header.registry, header.fact)
        if refusal is Code.NOT_AN_OFFICER and not arrived:
            refusal = Code.PREDECESSOR_MISSING  # what has not arrived may have put that person into office
        return OFFICERS_AUTHOR if refusal is None else Refused(refusal)

    def _try_group(self, author: str, submission: Submission, group: bytes) -> dict[int, Decided]:
        """All members, where the first of them stands, or none: a member's own refusal takes the others with it."""
        size = self.size
        members = [place for place, record in enumerate(submission.records) if record.header.group == group]
        decided = {place: self._try(author, submission, place) for place in members}
        if all(one.position is not None for one in decided.values()):
            return decided
        self._take_back(size)
        return {
            place: Decided(Code.GROUP_REFUSED, one.record_hash, None) if one.code is Code.ACCEPTED else one
            for place, one in decided.items()
        }

    def _try(self, author: str, submission: Submission, place: int) -> Decided:
        record = submission.records[place]
        known = self._names.get((author, record.header.record_id))
        if known is not None:
            if self.records[known].record.record_hash == record.record_hash:
                return Decided(Code.KNOWN, record.record_hash, known)
            return Decided(Code.RECORD_ID_REUSED, record.record_hash, None)
        refusal, after = self._judge(author, submission, record)
        if refusal is not None:
            return Decided(refusal, record.record_hash, None)
        self.governance = after
        return Decided(Code.ACCEPTED, record.record_hash, self._place(author, submission, place))

    def _judge(self, author: str, submission: Submission, record: Record) -> tuple[Code | None, Governance]:
        """Why the record may not stand, or None and the governance behind it."""
        governance, header = self.governance, record.header
        if author == OFFICERS_AUTHOR:
            refusal = self._predecessor_refusal(header)
            if refusal is not None:
                return refusal, governance
            signers = [officer.officer_key_id for officer in submission.officers]
            judged = judge_act(governance, header.content, signers, self.size)
            if judged.code is not Code.ACCEPTED:
                return judged.code, governance
            return None, with_act(judged.after, record.record_hash, self.size)
        site = site_of_author(author)
        if site is not None:
            if header.group != ZERO16:
                return Code.NOT_PERMITTED, governance
            refusal, after = judge_site_record(governance, site, header)
            return refusal or self._predecessor_refusal(header), after
        refusal = _permission_refusal(governance, author, header)
        if refusal is None and self._over_budget(author, header.subject):
            refusal = Code.HELD
        return refusal or self._predecessor_refusal(header), governance

    def _predecessor_refusal(self, header: Header) -> Code | None:
        versions = self.versions_of_fact(header.registry, header.fact)
        head = self.records[versions[-1]].record.record_hash if versions else ZERO32
        if header.previous == head:
            return None
        if header.previous == ZERO32 or self._is_version(header.previous, header.registry, header.fact):
            return Code.STALE
        return Code.PREDECESSOR_MISSING

    def _is_version(self, record_hash: bytes, registry: str, fact: bytes) -> bool:
        position = self._hashes.get(record_hash)
        return position is not None and self.records[position].fact == (registry, fact)

    def _over_budget(self, author: str, subject: bytes) -> bool:
        window = (author, self.size // BUDGET_WINDOW_POSITIONS)
        budget, subjects = self.governance.budget(author, self.size), self._about[window]
        one_more = subject not in subjects and len(subjects) >= budget.subjects
        return self._written[window] >= budget.records or one_more

    # What it keeps.

    def _place(self, author: str, submission: Submission, place: int) -> int:
        record, position = submission.records[place], self.size
        about = self.records_of_subject(record.header.registry, record.header.subject)
        before = self.records[about[-1]] if about else None
        link = next_link(FIRST_LINK if before is None else before.link, record.record_hash)
        previous = None if before is None else before.position
        placed = Placed(position, author, record, submission, place, link, previous)
        self.records.append(placed)
        self._names[author, record.header.record_id] = position
        self._hashes[record.record_hash] = position
        self._facts[placed.fact].append(position)
        self._subjects[placed.subject].append(position)
        self._count(placed, 1)
        return position

    def _take_back(self, size: int) -> None:
        """Undo what was placed from position `size` on."""
        while self.size > size:
            placed = self.records.pop()
            del self._names[placed.author, placed.record.header.record_id]
            del self._hashes[placed.record.record_hash]
            self._facts[placed.fact].pop()
            self._subjects[placed.subject].pop()
            self._count(placed, -1)

    def _count(self, placed: Placed, by: int) -> None:
        window = (placed.author, placed.position // BUDGET_WINDOW_POSITIONS)
        subject, subjects = placed.record.header.subject, self._about[window]
        self._written[window] += by
        subjects[subject] += by
        if not subjects[subject]:
            del subjects[subject]


def _permission_refusal(governance: Governance, author: str, header: Header) -> Code | None:
    """Why an institution may not write this record now."""
    may_write = governance.may_write(author, header.registry, header.compartment)
    if not RULES[governance.rules].acts:
        return None if may_write else Code.NOT_PERMITTED
    known = governance.author_keys[header.author_key_id]
    if known.ended_at is not None:
        return Code.KEY_ENDED
    if governance.authors[author].post_quantum and known.signing.companion is None:
        return Code.NOT_PERMITTED
    if header.registry == KEYS_REGISTRY:
        return kek_seals_refusal(governance, author, header)
    if header.registry == GOVERNANCE_REGISTRY or not may_write:
        return Code.NOT_PERMITTED
    return governance.key_epoch_refusal(header.registry, header.key_epoch)
