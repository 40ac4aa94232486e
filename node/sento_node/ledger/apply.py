"""Apply: what a block does to the ledger, decided the same at every site from (state, block) alone.

No clock, no randomness, no configuration, no network; nothing that is encrypted or can be erased. The order of checks is part of the rules:

 1. the block's form, its ledger and epoch, its place in its lane, its site's signature   else the block is a numbered no-op with its reason
 2. a submission's form, its ledger, an enrolled key, the author's signature              else the submission is refused whole
 3. (author, record id) known: the same hash is KNOWN at its position, another is RECORD_ID_REUSED
 4. permission of the author for registry and compartment                                 else NOT_PERMITTED
 5. the author's budget in the window this position falls into                            else HELD
 6. the fact's `previous`: it must be the head; an older version, or nothing where a head stands, is STALE;
    anything else that is not there is PREDECESSOR_MISSING

Records stand or fall one by one, in order; a group is tried as one where its first member stands, and stands whole or not at all, a member that
is known counting as standing. The rules have a number that is part of the state (`sento_proto.rules`); this module holds all that there are. Under rules 1
officers' acts are NOT_PERMITTED. From rules 2 on check 4 asks more, of the governance in force at the record's position:

 4. the signing key was not revoked or closed (KEY_ENDED); the author may write there (NOT_PERMITTED); the key epoch is open (KEY_EPOCH_CLOSED);
    in registry `keys` the form and the place of KEK seals

An officers' act is judged in another order: its form, its predecessor (so that replays are KNOWN and the second of two acts is STALE), then whether those
in office signed it, then whether its changes fit. It holds for the records behind it, in the same block too; a new rules number from the next block on.
A site's own records announce which rules it knows.
"""

from __future__ import annotations

from typing import NamedTuple

from sento_node.ledger.results import (
    NOWHERE,
    BlockResult,
    RecordOutcome,
    StandingRecord,
    SubmissionResult,
)
from sento_node.ledger.state import FactHead, Layer, LedgerState, SubjectHead
from sento_node.ordering.port import OrderedBlock
from sento_proto.block import Block, decode_block, site_signature_holds
from sento_proto.chain import next_link
from sento_proto.errors import Code
from sento_proto.governance.acts import (
    OFFICERS_AUTHOR,
    act_signatures_refusal,
    is_act_header,
    judge_act,
    with_act,
)
from sento_proto.governance.acts import REGISTRY as GOVERNANCE_REGISTRY
from sento_proto.governance.site_rules import judge_site_rules, site_of_author
from sento_proto.governance.state import BUDGET_WINDOW_POSITIONS as BUDGET_WINDOW
from sento_proto.governance.state import Governance
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.kek_record import REGISTRY as KEYS_REGISTRY
from sento_proto.kek_record import kek_seals_refusal
from sento_proto.record import Record
from sento_proto.rules import RULES
from sento_proto.submission import OfficerSignature, Submission
from sento_proto.wire import Malformed


class UnknownRules(Exception):
    """The ledger is under rules that this release does not have: it stops before the block and says which release is needed."""

    def __init__(self, rules: int) -> None:
        known = ", ".join(str(number) for number in RULES)
        super().__init__(
            f"The ledger is under rules {rules} and this release knows rules {known}; install a release that lists rules {rules}."
        )


class Place(NamedTuple):
    """Where in the block a record came from; `officers` signed it if it is an act."""

    author: str
    submission: int
    nth: int
    officers: tuple[OfficerSignature, ...] = ()


class Checked(NamedTuple):
    """A submission after check 2: the reason of refusal, or whose it is and what is in it."""

    refusal: Code | None
    author: str
    submission: Submission | None


class Scratch:
    """What a block has changed so far, over the state; a group works in a child that is merged or thrown away."""

    def __init__(self, state: LedgerState, parent: Scratch | None = None) -> None:
        self.state = state
        self.parent = parent
        self.layer = Layer()
        self.governance: Governance = parent.governance if parent else state.governance
        self.next_position: int = parent.next_position if parent else state.size

    @property
    def standing(self) -> list[StandingRecord]:
        """The records that took a position here, in order of position."""
        return list(self.layer.standing.values())

    def known(self, author: str, record_id: bytes) -> tuple[int, bytes] | None:
        """(position, record hash) of an author's record id."""
        found = self.layer.ids.get((author, record_id))
        if found is not None:
            return found, self.layer.standing[found].record.record_hash
        if self.parent is not None:
            return self.parent.known(author, record_id)
        position = self.state.position_of_id(author, record_id)
        return None if position is None else (position, self.state.record_hash_at(position))

    def fact_head(self, registry: str, fact: bytes) -> FactHead | None:
        """The fact's standing version here."""
        found = self.layer.facts.get((registry, fact))
        if found is not None:
            return found
        return (self.parent or self.state).fact_head(registry, fact)

    def is_version_of(self, registry: str, fact: bytes, record_hash: bytes) -> bool:
        """Whether this hash is a version of this fact."""
        found = self.layer.is_version_of(registry, fact, record_hash)
        if found is not None:
            return found
        return (self.parent or self.state).is_version_of(registry, fact, record_hash)

    def subject_head(self, registry: str, subject: bytes) -> SubjectHead:
        """The end of the subject's chain here."""
        found = self.layer.subjects.get((registry, subject))
        if found is not None:
            return found
        return (self.parent or self.state).subject_head(registry, subject)

    def items(self) -> list[StandingRecord]:
        """All records that took a position in this block so far."""
        return (self.parent.items() if self.parent else []) + self.standing

    def stand(self, place: Place, record: Record, fact_head: FactHead | None) -> StandingRecord:
        """Give the record the next position, and its links in the chains of its subject and of its fact, whose head is `fact_head`."""
        header = record.header
        subject_head = self.subject_head(header.registry, header.subject)
        item = StandingRecord(
            self.next_position,
            record,
            place.author,
            place.submission,
            place.nth,
            next_link(subject_head.link, record.record_hash),
            subject_head.position,
            NOWHERE if fact_head is None else fact_head.position,
        )
        self.layer.add(item)
        self.next_position += 1
        return item

    def merge(self, child: Scratch) -> None:
        """Take in all of a child that stood whole."""
        self.layer.merge(child.layer)
        self.governance = child.governance
        self.next_position = child.next_position


def apply_block(state: LedgerState, ordered: OrderedBlock) -> BlockResult:
    """Decide what `ordered` does and make it part of `state`. Raises UnknownRules, or ValueError out of order, before anything is changed."""
    check_rules_known(state.governance)
    if ordered.number != state.block + 1 or ordered.revision <= state.revision:
        raise ValueError("blocks are applied in order, each once")
    scratch = Scratch(state)
    refusal, site, block = _open_block(state, ordered)
    submissions: list[SubmissionResult] = []
    if block is not None:
        with state.held():
            submissions = [
                _apply_submission(scratch, number, data) for number, data in enumerate(block.submissions)
            ]
    size_before = state.size
    standing = tuple(scratch.standing)
    for item in standing:
        state.frontier.append(item.record.record_hash)
    result = BlockResult(
        number=ordered.number,
        revision=ordered.revision,
        lane=ordered.lane,
        seq=ordered.seq,
        site=site,
        size_before=size_before,
        refusal=refusal,
        submissions=tuple(submissions),
        standing=standing,
        root=state.frontier.root(),
    )
    state.absorb(result, scratch.governance.next_block, scratch.layer)
    return result


def check_rules_known(governance: Governance) -> None:
    """Raises UnknownRules: whoever cannot apply a block as all others do stops before it."""
    if governance.rules not in RULES:
        raise UnknownRules(governance.rules)


def _open_block(state: LedgerState, ordered: OrderedBlock) -> tuple[Code | None, str, Block | None]:
    """Check 1: (reason of refusal, name of the site, the block)."""
    try:
        block = decode_block(ordered.data)
    except Malformed:
        return Code.MALFORMED, "", None
    if block.ledger_id != state.governance.ledger_id or block.epoch != state.epoch:
        return Code.WRONG_LEDGER, "", None
    if (str(block.lane), block.seq) != (ordered.lane, ordered.seq):
        return Code.MALFORMED, "", None
    known = state.governance.site_of_key(block.site_key_id)
    if known is None or known[0] != block.lane.site:
        return Code.NOT_PERMITTED, "", None
    site, key = known
    if not site_signature_holds(block, key):
        return Code.BAD_SIGNATURE, "", None
    return None, site, block


def check_submission(
    state: LedgerState, governance: Governance, data: bytes, scratch: Scratch | None = None
) -> Checked:
    """Check 2, which ingress makes too. `governance` is the one in force behind what went before in the block, which is in `scratch`."""
    if governance.rules not in RULES:
        return Checked(Code.STOPPED, "", None)
    try:
        submission, verified_by, digest = state.verified.decode(data)
    except Malformed:
        return Checked(Code.MALFORMED, "", None)
    if submission.ledger_id != governance.ledger_id:
        return Checked(Code.WRONG_LEDGER, "", None)
    if submission.is_act:
        return _check_act(scratch or Scratch(state), governance, submission)
    signing = governance.signing_keys(submission.author_key_id)
    if signing is None:
        return Checked(Code.UNKNOWN_AUTHOR, "", None)
    author, keys = signing
    if not governance.may_sign(keys) or not state.verified.verify(submission, keys, verified_by, digest):
        return Checked(Code.BAD_SIGNATURE, "", None)
    return Checked(None, author, submission)


def _check_act(scratch: Scratch, governance: Governance, submission: Submission) -> Checked:
    if not RULES[governance.rules].acts:
        return Checked(Code.NOT_PERMITTED, "", None)
    if submission.epoch != scratch.state.epoch:
        return Checked(Code.WRONG_LEDGER, "", None)
    record = submission.records[0]
    if not is_act_header(record.header):
        return Checked(Code.MALFORMED, "", None)
    refusal = act_signatures_refusal(governance, submission.epoch, record.record_hash, submission.officers)
    if refusal is Code.NOT_AN_OFFICER:
        # An act that has not arrived here may be the one that put the person into office: that is not final.
        head = scratch.fact_head(record.header.registry, record.header.fact)
        if _predecessor_refusal(scratch, record.header, head) is Code.PREDECESSOR_MISSING:
            refusal = Code.PREDECESSOR_MISSING
    if refusal is not None:
        return Checked(refusal, "", None)
    return Checked(None, OFFICERS_AUTHOR, submission)


def _apply_submission(scratch: Scratch, number: int, data: bytes) -> SubmissionResult:
    refusal, author, submission = check_submission(scratch.state, scratch.governance, data, scratch)
    if submission is None:
        return SubmissionResult(refusal, b"", (), ())
    outcomes: dict[int, RecordOutcome] = {}
    for index, record in enumerate(submission.records):
        if index in outcomes:
            continue
        if record.header.group == ZERO16:
            place = Place(author, number, index, submission.officers)
            outcomes[index] = _apply_record(scratch, place, record)
        else:
            members = [
                i for i, other in enumerate(submission.records) if other.header.group == record.header.group
            ]
            outcomes.update(_apply_group(scratch, author, number, submission, members))
    in_order = tuple(outcomes[index] for index in range(len(submission.records)))
    return SubmissionResult(
        None,
        submission.author_key_id,
        submission.signatures,
        in_order,
        submission.officers,
        submission.epoch,
    )


def _apply_group(
    scratch: Scratch, author: str, number: int, submission: Submission, members: list[int]
) -> dict[int, RecordOutcome]:
    """All members or none: tried in a child that is merged only if every member stands."""
    child = Scratch(scratch.state, scratch)
    tried = {i: _apply_record(child, Place(author, number, i), submission.records[i]) for i in members}
    if all(outcome.code in (Code.ACCEPTED, Code.KNOWN) for outcome in tried.values()):
        scratch.merge(child)
        return tried
    return {
        i: RecordOutcome(outcome.record_hash, Code.GROUP_REFUSED, NOWHERE)
        if outcome.code is Code.ACCEPTED
        else outcome
        for i, outcome in tried.items()
    }


def _apply_record(scratch: Scratch, place: Place, record: Record) -> RecordOutcome:
    """Checks 3 to 6, and the record's place if it stands."""
    known = scratch.known(place.author, record.header.record_id)
    if known is not None:
        position, record_hash = known
        if record_hash == record.record_hash:
            return RecordOutcome(record_hash, Code.KNOWN, position)
        return RecordOutcome(record.record_hash, Code.RECORD_ID_REUSED, NOWHERE)
    head = scratch.fact_head(record.header.registry, record.header.fact)
    refusal, after = _judge(scratch, place, record, head)
    if refusal is not None:
        return RecordOutcome(record.record_hash, refusal, NOWHERE)
    item = scratch.stand(place, record, head)
    scratch.governance = after
    return RecordOutcome(record.record_hash, Code.ACCEPTED, item.position)


def _judge(
    scratch: Scratch, place: Place, record: Record, head: FactHead | None
) -> tuple[Code | None, Governance]:
    """Checks 4 to 6: the reason of refusal, or None and the governance behind the record."""
    header, governance = record.header, scratch.governance
    if place.author == OFFICERS_AUTHOR:
        return judge_standing_act(scratch, place.officers, record, head)
    if site_of_author(place.author) is not None:
        return judge_site_record(scratch, place.author, header, head)
    refusal = permission_refusal(governance, place.author, header)
    if refusal is None and over_budget(scratch, place.author, header.subject):
        refusal = Code.HELD
    return refusal or _predecessor_refusal(scratch, header, head), governance


def foreseen_refusal(scratch: Scratch, place: Place, record: Record) -> Code | None:
    """What ingress can tell of a record that is not known, before anything is ordered; None when the order must tell. An institution's predecessor may
    be on its way in another block, so it is not asked for here."""
    if site_of_author(place.author) is None and place.author != OFFICERS_AUTHOR:
        refusal = permission_refusal(scratch.governance, place.author, record.header)
        if refusal is None and over_budget(scratch, place.author, record.header.subject):
            return Code.HELD
        return refusal
    head = scratch.fact_head(record.header.registry, record.header.fact)
    refusal, _ = _judge(scratch, place, record, head)
    return None if refusal is Code.PREDECESSOR_MISSING else refusal


def judge_standing_act(
    scratch: Scratch, officers: tuple[OfficerSignature, ...], record: Record, head: FactHead | None
) -> tuple[Code | None, Governance]:
    """An act whose signatures verified: why it may not stand at the next position, or None and the governance after it."""
    governance = scratch.governance
    refusal = _predecessor_refusal(scratch, record.header, head)
    if refusal is not None:
        return refusal, governance
    at = scratch.next_position
    signers = [officer.officer_key_id for officer in officers]
    judged = judge_act(governance, record.header.content, signers, at)
    if judged.code is not Code.ACCEPTED:
        return judged.code, governance
    return None, with_act(judged.after, record.record_hash, at)


def judge_site_record(
    scratch: Scratch, author: str, header: Header, head: FactHead | None
) -> tuple[Code | None, Governance]:
    """A record that a site signed itself: why it may not stand, or None and the governance after it."""
    if header.group != ZERO16:
        return Code.NOT_PERMITTED, scratch.governance
    refusal, after = judge_site_rules(scratch.governance, site_of_author(author) or "", header)
    return refusal or _predecessor_refusal(scratch, header, head), after


def permission_refusal(governance: Governance, author: str, header: Header) -> Code | None:
    """Check 4, which ingress makes too: why an institution may not write this record now."""
    if not RULES[governance.rules].acts:
        return (
            None if governance.may_write(author, header.registry, header.compartment) else Code.NOT_PERMITTED
        )
    known = governance.author_keys[header.author_key_id]
    if known.ended_at is not None:
        return Code.KEY_ENDED
    if governance.authors[author].post_quantum and known.signing.companion is None:
        return Code.NOT_PERMITTED
    if header.registry == KEYS_REGISTRY:
        return kek_seals_refusal(governance, author, header)
    if header.registry == GOVERNANCE_REGISTRY or not governance.may_write(
        author, header.registry, header.compartment
    ):
        return Code.NOT_PERMITTED
    return governance.key_epoch_refusal(header.registry, header.key_epoch)


def _predecessor_refusal(scratch: Scratch, header: Header, head: FactHead | None) -> Code | None:
    """Check 6."""
    if header.previous == (ZERO32 if head is None else head.record_hash):
        return None
    if header.previous == ZERO32 or scratch.is_version_of(header.registry, header.fact, header.previous):
        return Code.STALE
    return Code.PREDECESSOR_MISSING


def over_budget(scratch: Scratch, author: str, subject: bytes) -> bool:
    """Whether one more record about `subject` would exceed the author's budget in the window of its position."""
    position = scratch.next_position
    budget = scratch.governance.budget(author, position)
    window_start = position - position % BUDGET_WINDOW
    records, subjects = scratch.state.usage(author, position)
    in_block = scratch.next_position - scratch.state.size
    if records + in_block < budget.records and len(subjects) + in_block < budget.subjects:
        return False
    here = [item for item in scratch.items() if item.author == author and item.position >= window_start]
    distinct = subjects | {item.record.header.subject for item in here} | {subject}
    return records + len(here) >= budget.records or len(distinct) > budget.subjects
