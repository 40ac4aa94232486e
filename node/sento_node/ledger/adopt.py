"""Adopt: taking blocks from another site's ledger instead of from the ordering log, after they are proven.

A site whose place in the ordering log was trimmed away catches up from a peer. The peer is not believed: a chunk of blocks ends at a checkpoint that a
receipt-set quorum cosigned, and the chunk is adopted whole or not at all. Checked for each chunk, before anything of the state is changed:

 1. block numbers, revisions and sizes go on exactly from this ledger's tip
 2. each submission's signature verifies, by its author's key, over the root of all its record hashes
 3. each standing record's header and payload (or the payload's hash, where the peer gives no payload) give the hash that was signed, and it takes the
    next position
 4. officers' acts and sites' announcements among them fit the governance before them, which goes on with them
 5. a record that is called known stands at the position that is named
 6. the tree at the chunk's end has the size and root of the checkpoint, and the receipt set in force there cosigned it
 7. where a new epoch begins inside the chunk, the act that begins it is the first record of that epoch, from the tree before it, and the checkpoint is of
    the epoch at the chunk's end

A peer's word that a payload was erased is not believed either: what this ledger's own orders do not cover is awaited, from that peer or another.

What apply would have refused cannot be told from the chunk alone; that the quorum's root is reached says that exactly these records stand.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from sento_node.ledger.apply import check_rules_known
from sento_node.ledger.judging import judge_site_record, judge_standing_act
from sento_node.ledger.results import NOWHERE, BlockResult, RecordOutcome, StandingRecord, SubmissionResult
from sento_node.ledger.rows import POSITION_MAX
from sento_node.ledger.scratch import Place, Scratch
from sento_node.ledger.state import FactHead, Layer, LedgerState
from sento_proto import header as header_layout
from sento_proto import limits, merkle
from sento_proto.checkpoint import Checkpoint, cosigners
from sento_proto.errors import Code
from sento_proto.governance.acts import OFFICERS_AUTHOR, act_signatures_refusal, is_act_header
from sento_proto.governance.site_rules import site_of_author
from sento_proto.governance.state import Governance
from sento_proto.header import ZERO16
from sento_proto.keys import Signature
from sento_proto.merkle import HASH_BYTES
from sento_proto.record import PAYLOAD_HASH_OF_NOTHING, Record, record_hash_of
from sento_proto.rules import RULES
from sento_proto.submission import OfficerSignature, signatures_hold
from sento_proto.wire import Malformed


class NotProven(Exception):
    """The chunk does not follow from this ledger and the quorum's checkpoint; nothing was adopted. The text names block and check."""


class OtherTree(NotProven):
    """The chunk's records do not lead from this ledger's tree to the one that a quorum cosigned: one of the two is false, and it may be this ledger's."""


class PayloadNotProven(NotProven):
    """A payload that came beside a spine is not the record's: whoever gave the payload is at fault, and not whoever gave the spine. Nothing was adopted."""


LANE_ROW_MAX_BYTES = 0xFFFF
"""A refused block may stand under any lane; its name goes into a row as it is."""


class OfferedRecord(NamedTuple):
    """A record of an offered submission. Only an ACCEPTED one has header and payload, and may leave out its hash, which follows from them. With
    `payload_hash` the payload is not given, and that is its hash, or it came by another way than the record (`PayloadNotProven`)."""

    record_hash: bytes
    code: Code
    position: int
    header_bytes: bytes
    payload: bytes
    payload_hash: bytes = b""


class OfferedSubmission(NamedTuple):
    """A submission as a peer's ledger keeps it; with a `refusal` it has nothing else."""

    refusal: Code | None
    author_key_id: bytes
    signatures: tuple[Signature, ...]
    records: tuple[OfferedRecord, ...]
    officers: tuple[OfficerSignature, ...] = ()
    epoch: int = 0


class OfferedBlock(NamedTuple):
    """A block as a peer's ledger keeps it."""

    number: int
    revision: int
    lane: str
    seq: int
    site: str
    size_before: int
    refusal: Code | None
    submissions: tuple[OfferedSubmission, ...]


def adopt_chunk(
    state: LedgerState,
    blocks: Sequence[OfferedBlock],
    checkpoint: Checkpoint,
    by_officers: Checkpoint | None = None,
) -> list[BlockResult]:
    """Prove the chunk and make it part of `state`. `by_officers`: a tree that officers signed a plan over, which needs no cosignatures.

    Raises NotProven or UnknownRules, with the state unchanged."""
    if checkpoint.ledger_id != state.governance.ledger_id or checkpoint.epoch < state.epoch:
        raise NotProven("The checkpoint is of another ledger or an older epoch.")
    scratch = Scratch(state)
    frontier = scratch.before = state.frontier.copy()
    number, revision = state.block, state.revision
    results: list[tuple[BlockResult, Governance, int]] = []
    for at, block in enumerate(blocks):
        check_rules_known(scratch.governance)
        epoch = _epoch_of(blocks, at, scratch, revision)
        if epoch != scratch.epoch:
            scratch.epoch, revision = epoch, 0
        scratch.block = number
        if block.number != number + 1 or block.revision <= revision or block.size_before != frontier.size:
            raise NotProven(f"Block {block.number} does not follow block {number} at size {frontier.size}.")
        number, revision = block.number, block.revision
        _check_frame(block)
        with state.held():
            submissions, standing = _prove_submissions(scratch, block)
        frontier.extend([item.record.record_hash for item in standing])
        result = BlockResult(
            number, revision, block.lane, block.seq, block.site, block.size_before, block.refusal,
            tuple(submissions), tuple(standing), frontier.root(),
        )  # fmt: skip
        scratch.governance = scratch.governance.next_block
        results.append((result, scratch.governance, scratch.epoch))
    if checkpoint.epoch != scratch.epoch or scratch.opening:
        raise NotProven(
            f"The checkpoint is of epoch {checkpoint.epoch}, and the chunk ends in epoch {scratch.epoch}."
        )
    if (frontier.size, frontier.root()) != (checkpoint.size, checkpoint.root):
        raise OtherTree(f"The tree after block {number} is not the one that the quorum cosigned.")
    receipt = scratch.governance.receipt_quorum_at(checkpoint.size)
    signed_by_officers = by_officers is not None and checkpoint.text == by_officers.text
    if not signed_by_officers and len(cosigners(checkpoint, receipt.keys)) < receipt.quorum:
        raise NotProven("The checkpoint at the chunk's end has no quorum of cosignatures.")
    for result, governance, epoch in results:
        if epoch != state.epoch:
            state.enter_epoch(epoch)
        state.absorb(result, governance, Layer())
    state.absorb_records(scratch.layer, frontier)
    return [result for result, _, _ in results]


def _epoch_of(blocks: Sequence[OfferedBlock], at: int, scratch: Scratch, revision: int) -> int:
    """The epoch whose log this block is of. An act signed for a later one begins it; the blocks of that log before the act, which did nothing, are told by
    revisions that begin anew."""
    if not RULES[scratch.governance.rules].epochs:
        return scratch.epoch
    ahead = itertools.islice(blocks, at, None if blocks[at].revision <= revision else at + 1)
    signed_for = (offered.epoch for block in ahead for offered in block.submissions if offered.officers)
    return next((epoch for epoch in signed_for if epoch > scratch.epoch), scratch.epoch)


def _check_frame(block: OfferedBlock) -> None:
    """Refuse what no ledger holds, so that nothing is adopted that could not be written to the disk and read again."""
    site_fits = block.site.isascii() and len(block.site) <= limits.NAME_MAX_BYTES
    if not site_fits or len(block.lane.encode()) > LANE_ROW_MAX_BYTES or block.revision > POSITION_MAX:
        raise NotProven(f"Block {block.number} names a site, a lane or a place in the order that cannot be.")


def _prove_submissions(
    scratch: Scratch, block: OfferedBlock
) -> tuple[list[SubmissionResult], list[StandingRecord]]:
    results: list[SubmissionResult] = []
    standing: list[StandingRecord] = []
    for number, offered in enumerate(block.submissions):
        if offered.refusal is not None:
            results.append(SubmissionResult(offered.refusal, b"", (), ()))
            continue
        outcomes, accepted = _prove_records(block.number, offered)
        author = _prove_signature(
            scratch, block.number, offered, [outcome.record_hash for outcome in outcomes]
        )
        if any(at != position for at, (position, _, _) in enumerate(accepted, scratch.next_position)):
            raise NotProven(f"Block {block.number} has a record out of its position.")
        if author != OFFICERS_AUTHOR and site_of_author(author) is None:
            standing += scratch.stand_all(author, number, [(nth, proven) for _, nth, proven in accepted])
        else:
            for _, nth, proven in accepted:
                fact_head = scratch.fact_head(proven.header.registry, proven.header.fact)
                after = _prove_governance(scratch, block.number, author, offered, proven, fact_head)
                standing.append(scratch.stand(Place(author, number, nth), proven, fact_head))
                scratch.governance = after
        _prove_known(scratch, block.number, offered)
        results.append(
            SubmissionResult(
                None,
                offered.author_key_id,
                offered.signatures,
                tuple(outcomes),
                offered.officers,
                offered.epoch,
            )
        )
    return results, standing


def _prove_records(
    block: int, offered: OfferedSubmission
) -> tuple[list[RecordOutcome], list[tuple[int, int, Record]]]:
    """What is said of each record, and (position, number in the submission, record) of those that stand, in order of position."""
    outcomes: list[RecordOutcome] = []
    accepted: list[tuple[int, int, Record]] = []
    for nth, record in enumerate(offered.records):
        record_hash, code, position, _, _, _ = record
        if code is Code.ACCEPTED:
            proven = _prove_record(block, record)
            accepted.append((position, nth, proven))
            record_hash = proven.record_hash
        elif len(record_hash) != HASH_BYTES:
            raise NotProven(f"Block {block} has a record hash of another length.")
        elif code is not Code.KNOWN:
            position = NOWHERE
        outcomes.append(RecordOutcome._make((record_hash, code, position)))
    accepted.sort()
    return outcomes, accepted


def _prove_known(scratch: Scratch, block: int, offered: OfferedSubmission) -> None:
    """A known record's hash is kept by its position alone: another's position would make this ledger name another record under the author's signature."""
    for record in offered.records:
        if record.code is Code.KNOWN and (
            record.position >= scratch.next_position
            or scratch.record_hash_at(record.position) != record.record_hash
        ):
            raise NotProven(f"Block {block} calls a record known that does not stand where it says.")


def _prove_signature(
    scratch: Scratch, block: int, offered: OfferedSubmission, hashes: Sequence[bytes]
) -> str:
    """Whose the submission is, after its signatures over these record hashes verified."""
    governance = scratch.governance
    if offered.author_key_id == ZERO16:
        refusal = (
            act_signatures_refusal(governance, offered.epoch, hashes[0], offered.officers)
            if len(hashes) == 1 and offered.officers and offered.epoch == scratch.epoch
            else Code.MALFORMED
        )
        if refusal is not None or not RULES[governance.rules].acts:
            raise NotProven(f"Block {block} has an act that officers did not sign.")
        return OFFICERS_AUTHOR
    if scratch.opening:
        raise NotProven(f"Block {block} has records before the act that begins epoch {scratch.epoch}.")
    author, keys = governance.signing_keys(offered.author_key_id) or ("", ())
    if (
        not keys
        or not governance.may_sign(keys)
        or not signatures_hold(
            governance.ledger_id, merkle.root_of(hashes), len(hashes), keys, offered.signatures
        )
    ):
        raise NotProven(f"Block {block} has a submission whose author did not sign it.")
    return author


def _prove_governance(
    scratch: Scratch,
    block: int,
    author: str,
    offered: OfferedSubmission,
    proven: Record,
    head: FactHead | None,
) -> Governance:
    """The governance behind a record that stands, after an act or an announcement was judged as apply judges it."""
    if author == OFFICERS_AUTHOR:
        refusal, after = judge_standing_act(scratch, offered.officers, proven, head)
        if not is_act_header(proven.header):
            refusal = Code.MALFORMED
    else:
        refusal, after = judge_site_record(scratch, author, proven.header, head)
    if refusal is not None:
        raise NotProven(f"Block {block} has an act or announcement that may not stand: {refusal.name}.")
    return after


def _prove_record(block: int, offered: OfferedRecord) -> Record:
    record_hash, _, position, header_bytes, payload, by_spine = offered
    try:
        header = header_layout.decode(header_bytes)
    except Malformed as error:
        raise NotProven(f"Block {block} has a malformed record ({error}).") from None
    size_bytes = header.payload_bytes
    payload_hash = by_spine or hashlib.sha256(payload).digest()
    proven_hash = record_hash_of(header_bytes, payload_hash)
    fits = (
        size_bytes > 0 and len(payload_hash) == HASH_BYTES and payload_hash != PAYLOAD_HASH_OF_NOTHING
        if by_spine
        else len(payload) == size_bytes
    )
    if not fits or (record_hash and record_hash != proven_hash):
        raise NotProven(f"Block {block} has a record whose content is not what was signed.")
    if by_spine and payload and (len(payload) != size_bytes or hashlib.sha256(payload).digest() != by_spine):
        raise PayloadNotProven(f"The payload at position {position} is not what was signed.")
    return Record._make((header, header_bytes, payload, payload_hash, proven_hash))
