"""A block that another site gives for mending, proven: from an offer to what may be written.

 1. the checkpoint is this ledger's and a quorum of the receipt set in force at its size cosigned it
 2. each standing record's body makes the hash that the block names, and that hash stands at its position under the checkpoint's root
 3. each submission's signature holds over all its hashes; a record called known stands where it says in this ledger
 4. positions lie without a gap from where the block begins

What a hash or a signature does not cover (lane, sequence, revision, the code of a refusal) is the other site's word, as it is when a site catches up.
"""

from __future__ import annotations

from collections.abc import Callable

from sento_node.ledger.adopt import OfferedBlock, OfferedSubmission
from sento_node.ledger.lmdb_repair import ProvenBlock, ProvenRecord
from sento_node.ledger.results import NOWHERE, RecordOutcome, SubmissionResult
from sento_node.ledger.store import KeptBlock
from sento_node.ledger.verify_blocks import author_of, is_signed
from sento_node.peers import OfferedProof
from sento_proto import header as header_layout
from sento_proto.checkpoint import cosigners
from sento_proto.errors import STANDING_CODES, Code
from sento_proto.governance.state import Governance
from sento_proto.merkle import verify_inclusion
from sento_proto.record import record_hash_of
from sento_proto.wire import Malformed

HashAt = Callable[[int], bytes | None]
"""The record hash that this ledger has at a position; None when it cannot tell."""


class NotProven(Exception):
    """The offer does not prove what it says; nothing may be written from it."""


def prove_block(offered: OfferedProof, governance: Governance, hash_at: HashAt) -> ProvenBlock:
    """What may be written of an offered block. Raises NotProven."""
    note = offered.checkpoint
    receipt = governance.receipt_quorum_at(note.size)
    if note.ledger_id != governance.ledger_id or len(cosigners(note, receipt.keys)) < receipt.quorum:
        raise NotProven("the checkpoint is not one that a quorum of this ledger cosigned")
    block = offered.block
    records: list[ProvenRecord] = []
    submissions: list[SubmissionResult] = []
    for number, submission in enumerate(block.submissions):
        result = _submission(submission, governance, hash_at)
        submissions.append(result)
        records += [
            _record(offered, governance, result, number, nth)
            for nth, outcome in enumerate(result.outcomes)
            if outcome.code is Code.ACCEPTED
        ]
    records.sort()
    end = block.size_before + len(records)
    if [record.position for record in records] != list(range(block.size_before, end)):
        raise NotProven("the block's records do not lie one behind the other")
    if block.refusal is not None and block.submissions:
        raise NotProven("a refused block has submissions")
    return ProvenBlock(_kept(block, end, submissions), tuple(records))


def _kept(block: OfferedBlock, end: int, submissions: list[SubmissionResult]) -> KeptBlock:
    return KeptBlock(
        block.number,
        block.revision,
        block.lane,
        block.seq,
        block.site,
        block.size_before,
        end,
        block.refusal,
        tuple(submissions),
    )


def _submission(offered: OfferedSubmission, governance: Governance, hash_at: HashAt) -> SubmissionResult:
    if offered.refusal is not None:
        return SubmissionResult(offered.refusal, b"", (), ())
    outcomes = tuple(
        RecordOutcome(
            record.record_hash, record.code, record.position if record.code in STANDING_CODES else NOWHERE
        )
        for record in offered.records
    )
    for outcome in outcomes:
        if outcome.code is Code.KNOWN and hash_at(outcome.position) != outcome.record_hash:
            raise NotProven("a record called known does not stand where the block says")
    result = SubmissionResult(
        None, offered.author_key_id, offered.signatures, outcomes, offered.officers, offered.epoch
    )
    if not outcomes or not is_signed(governance, result, [outcome.record_hash for outcome in outcomes]):
        raise NotProven("a submission's signature does not hold")
    return result


def _record(
    offered: OfferedProof, governance: Governance, submission: SubmissionResult, number: int, nth: int
) -> ProvenRecord:
    outcome = submission.outcomes[nth]
    body, path = offered.bodies.get(outcome.position), offered.paths.get(outcome.position)
    if body is None or path is None or record_hash_of(*body) != outcome.record_hash:
        raise NotProven("a record's body is not the one that was signed")
    note = offered.checkpoint
    if not verify_inclusion(outcome.record_hash, outcome.position, note.size, path, note.root):
        raise NotProven("a record does not stand under the checkpoint")
    try:
        header = header_layout.decode(body[0])
    except Malformed as error:
        raise NotProven(f"a record is malformed ({error})") from None
    destroyed = governance.destroyed_by(
        outcome.record_hash, header.registry, header.subject, outcome.position
    )
    return ProvenRecord(
        outcome.position,
        number,
        nth,
        author_of(governance, submission.author_key_id),
        *body,
        outcome.record_hash,
        destroyed is not None,
    )
