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
is known counting as standing. Checks 4 to 6 are made in `judging`. The rules have a number that is part of the state (`sento_proto.rules`); the two modules
hold all that there are. Under rules 1 officers' acts are NOT_PERMITTED. From rules 2 on check 4 asks more, of the governance in force at the record's position:

 4. the signing key was not revoked or closed (KEY_ENDED); the author may write there (NOT_PERMITTED); the key epoch is open (KEY_EPOCH_CLOSED);
    in registry `keys` the form and the place of KEK seals

An officers' act is judged in another order: its form, its predecessor (so that replays are KNOWN and the second of two acts is STALE), then whether those
in office signed it, then whether its changes fit. It holds for the records behind it, in the same block too; a new rules number from the next block on.
A site's own records announce which rules it knows.

From rules 5 on an epoch's log begins with the act that begins the epoch, from this very ledger. Before it stands everything else is NOT_READY there; after it
no act begins another epoch in that log.
"""

from __future__ import annotations

from typing import NamedTuple

from sento_node.ledger.forking import stop_at_other_fork
from sento_node.ledger.judging import judge_record, predecessor_refusal
from sento_node.ledger.results import NOWHERE, BlockResult, RecordOutcome, SubmissionResult
from sento_node.ledger.scratch import Place, Scratch
from sento_node.ledger.state import LedgerState
from sento_node.ordering.port import OrderedBlock
from sento_proto.block import Block, decode_block, site_signature_holds
from sento_proto.errors import Code
from sento_proto.governance.acts import OFFICERS_AUTHOR, act_signatures_refusal, is_act_header
from sento_proto.governance.state import Governance
from sento_proto.header import ZERO16
from sento_proto.record import Record
from sento_proto.rules import RULES
from sento_proto.submission import Submission
from sento_proto.wire import Malformed


class UnknownRules(Exception):
    """The ledger is under rules that this release does not have: it stops before the block and says which release is needed."""

    def __init__(self, rules: int) -> None:
        known = ", ".join(str(number) for number in RULES)
        super().__init__(
            f"The ledger is under rules {rules} and this release knows rules {known}; install a release that lists rules {rules}."
        )


class Checked(NamedTuple):
    """A submission after check 2: the reason of refusal, or whose it is and what is in it."""

    refusal: Code | None
    author: str
    submission: Submission | None


def apply_block(state: LedgerState, ordered: OrderedBlock) -> BlockResult:
    """Decide what `ordered` does and make it part of `state`. Raises UnknownRules or OtherFork, or ValueError out of order, before anything is changed."""
    check_rules_known(state.governance)
    if ordered.number != state.block + 1 or ordered.revision <= state.revision:
        raise ValueError("blocks are applied in order, each once")
    scratch = Scratch(state)
    refusal, site, block = _open_block(state, ordered)
    submissions: list[SubmissionResult] = []
    if block is not None:
        if scratch.opening:
            stop_at_other_fork(scratch, block.submissions)
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
    scratch = scratch or Scratch(state)
    if submission.is_act:
        return _check_act(scratch, governance, submission)
    if scratch.opening:
        return Checked(Code.NOT_READY, "", None)
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
    if submission.epoch != scratch.epoch:
        return Checked(Code.WRONG_LEDGER, "", None)
    record = submission.records[0]
    if not is_act_header(record.header):
        return Checked(Code.MALFORMED, "", None)
    refusal = act_signatures_refusal(governance, submission.epoch, record.record_hash, submission.officers)
    if refusal is Code.NOT_AN_OFFICER:
        # An act that has not arrived here may be the one that put the person into office: that is not final.
        head = scratch.fact_head(record.header.registry, record.header.fact)
        if predecessor_refusal(scratch, record.header, head) is Code.PREDECESSOR_MISSING:
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
    refusal, after = judge_record(scratch, place, record, head)
    if refusal is not None:
        return RecordOutcome(record.record_hash, refusal, NOWHERE)
    item = scratch.stand(place, record, head)
    scratch.governance = after
    return RecordOutcome(record.record_hash, Code.ACCEPTED, item.position)
