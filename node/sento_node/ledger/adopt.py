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

A peer's word that a payload was erased is not believed either: what this ledger's own orders do not cover is awaited, from that peer or another.

What apply would have refused cannot be told from the chunk alone; that the quorum's root is reached says that exactly these records stand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from sento_node.ledger.apply import check_rules_known
from sento_node.ledger.judging import judge_site_record, judge_standing_act
from sento_node.ledger.results import NOWHERE, BlockResult, RecordOutcome, StandingRecord, SubmissionResult
from sento_node.ledger.rows import POSITION_MAX
from sento_node.ledger.scratch import Place, Scratch
from sento_node.ledger.state import FactHead, LedgerState
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


LANE_ROW_MAX_BYTES = 0xFFFF
"""A refused block may stand under any lane; its name goes into a row as it is."""


class OfferedRecord(NamedTuple):
    """A record of an offered submission. Only an ACCEPTED one has header and payload; with `payload_hash` the payload is not given, and that is its hash."""

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
    state: LedgerState, blocks: Sequence[OfferedBlock], checkpoint: Checkpoint
) -> list[BlockResult]:
    """Prove the chunk and make it part of `state`. Raises NotProven or UnknownRules, with the state unchanged."""
    if checkpoint.ledger_id != state.governance.ledger_id or checkpoint.epoch != state.epoch:
        raise NotProven("The checkpoint is of another ledger or epoch.")
    scratch = Scratch(state)
    frontier = state.frontier.copy()
    number, revision = state.block, state.revision
    results: list[tuple[BlockResult, Governance]] = []
    for block in blocks:
        check_rules_known(scratch.governance)
        if block.number != number + 1 or block.revision <= revision or block.size_before != frontier.size:
            raise NotProven(f"Block {block.number} does not follow block {number} at size {frontier.size}.")
        number, revision = block.number, block.revision
        _check_frame(block)
        submissions, standing = _prove_submissions(scratch, block)
        for item in standing:
            frontier.append(item.record.record_hash)
        result = BlockResult(
            number, revision, block.lane, block.seq, block.site, block.size_before, block.refusal,
            tuple(submissions), tuple(standing), frontier.root(),
        )  # fmt: skip
        scratch.governance = scratch.governance.next_block
        results.append((result, scratch.governance))
    if (frontier.size, frontier.root()) != (checkpoint.size, checkpoint.root):
        raise NotProven(f"The tree after block {number} is not the one that the quorum cosigned.")
    receipt = scratch.governance.receipt_quorum_at(checkpoint.size)
    if len(cosigners(checkpoint, receipt.keys)) < receipt.quorum:
        raise NotProven("The checkpoint at the chunk's end has no quorum of cosignatures.")
    for result, governance in results:
        for item in result.standing:
            state.frontier.append(item.record.record_hash)
        state.absorb(result, governance)
    return [result for result, _ in results]


def _check_frame(block: OfferedBlock) -> None:
    """Refuse what no ledger holds, so that nothing is adopted that could not be written to the disk and read again."""
    site_fits = block.site.isascii() and len(block.site) <= limits.NAME_MAX_BYTES
    if not site_fits or len(block.lane.encode()) > LANE_ROW_MAX_BYTES or block.revision > POSITION_MAX:
        raise NotProven(f"Block {block.number} names a site, a lane or a place in the order that cannot be.")
    records = (record for offered in block.submissions for record in offered.records)
    if any(len(record.record_hash) != HASH_BYTES for record in records):
        raise NotProven(f"Block {block.number} has a record hash of another length.")


def _prove_submissions(
    scratch: Scratch, block: OfferedBlock
) -> tuple[list[SubmissionResult], list[StandingRecord]]:
    results: list[SubmissionResult] = []
    standing: list[StandingRecord] = []
    for number, offered in enumerate(block.submissions):
        if offered.refusal is not None:
            results.append(SubmissionResult(offered.refusal, b"", (), ()))
            continue
        author = _prove_signature(scratch, block.number, offered)
        accepted = [
            (record.position, nth, record)
            for nth, record in enumerate(offered.records)
            if record.code is Code.ACCEPTED
        ]
        for position, nth, record in sorted(accepted):
            if position != scratch.next_position:
                raise NotProven(f"Block {block.number} has a record out of its position.")
            proven = _prove_record(block.number, record)
            fact_head = scratch.fact_head(proven.header.registry, proven.header.fact)
            after = _prove_governance(scratch, block.number, author, offered, proven, fact_head)
            standing.append(scratch.stand(Place(author, number, nth), proven, fact_head))
            scratch.governance = after
        _prove_known(scratch, block.number, offered)
        outcomes = tuple(
            RecordOutcome(
                record.record_hash, record.code, record.position if record.code in _STAND else NOWHERE
            )
            for record in offered.records
        )
        results.append(
            SubmissionResult(
                None,
                offered.author_key_id,
                offered.signatures,
                outcomes,
                offered.officers,
                offered.epoch,
            )
        )
    return results, standing


_STAND = (Code.ACCEPTED, Code.KNOWN)


def _prove_known(scratch: Scratch, block: int, offered: OfferedSubmission) -> None:
    """A known record's hash is kept by its position alone: another's position would make this ledger name another record under the author's signature."""
    for record in offered.records:
        if record.code is Code.KNOWN and (
            record.position >= scratch.next_position
            or scratch.record_hash_at(record.position) != record.record_hash
        ):
            raise NotProven(f"Block {block} calls a record known that does not stand where it says.")


def _prove_signature(scratch: Scratch, block: int, offered: OfferedSubmission) -> str:
    """Whose the submission is, after its signatures verified."""
    governance = scratch.governance
    hashes = [record.record_hash for record in offered.records]
    if offered.author_key_id == ZERO16:
        refusal = (
            act_signatures_refusal(governance, offered.epoch, hashes[0], offered.officers)
            if len(hashes) == 1 and offered.officers and offered.epoch == scratch.state.epoch
            else Code.MALFORMED
        )
        if refusal is not None or not RULES[governance.rules].acts:
            raise NotProven(f"Block {block} has an act that officers did not sign.")
        return OFFICERS_AUTHOR
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
    elif site_of_author(author) is not None:
        refusal, after = judge_site_record(scratch, author, proven.header, head)
    else:
        return scratch.governance
    if refusal is not None:
        raise NotProven(f"Block {block} has an act or announcement that may not stand: {refusal.name}.")
    return after


def _prove_record(block: int, offered: OfferedRecord) -> Record:
    try:
        header = header_layout.decode(offered.header_bytes)
    except Malformed as error:
        raise NotProven(f"Block {block} has a malformed record ({error}).") from None
    absent = bool(offered.payload_hash)
    payload_hash = offered.payload_hash if absent else hashlib.sha256(offered.payload).digest()
    record_hash = record_hash_of(offered.header_bytes, payload_hash)
    fits = (
        header.payload_bytes > 0
        and not offered.payload
        and len(payload_hash) == HASH_BYTES
        and payload_hash != PAYLOAD_HASH_OF_NOTHING
        if absent
        else len(offered.payload) == header.payload_bytes
    )
    if record_hash != offered.record_hash or not fits:
        raise NotProven(f"Block {block} has a record whose content is not what was signed.")
    return Record(header, offered.header_bytes, offered.payload, payload_hash, record_hash)
