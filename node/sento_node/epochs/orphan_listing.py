"""What a former epoch's ledger holds that the ledger in use lacks, submission by submission, with what speaks against offering it again.

    an orphan             stands in a ledger that was set aside, and nowhere in the ledger in use; it is looked for from where the two trees part, which is
                          below the fork where a recovery chose another site's state
    its submission        what its author signed whole; made again byte for byte where that can be done, else the reason why not
    it stands against     the newest version of its fact, where that is another one than the orphan was written on: two versions for a person to compare

An orphan that was written on another orphan stands against nothing by itself: they come back in their order. Of several ledgers set aside of one epoch a
record is listed from the first that holds it. Memory: one submission at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from sento_node.compose import root_at
from sento_node.epochs.orphans import FormerLedger, Readmitted, submissions_again
from sento_node.ledger.results import SubmissionResult
from sento_node.ledger.state import Indexes, Tip
from sento_node.ledger.store import HoldsTree
from sento_proto.errors import Code
from sento_proto.governance.acts import REGISTRY as GOVERNANCE_REGISTRY
from sento_proto.governance.state import site_of_author
from sento_proto.header import ZERO32, Header
from sento_proto.header import decode as decode_header

AN_ANNOUNCEMENT = "A site announced itself by it; sites repeat that by themselves."
_STANDS = (Code.ACCEPTED, Code.KNOWN)


class LedgerInUse(Indexes, HoldsTree, Protocol):
    """What is asked of the ledger in use; see `LedgerStore`."""

    @property
    def tip(self) -> Tip:
        """How far it goes."""
        ...


class Orphan(NamedTuple):
    """One record. `stands_against`: the position of its fact's newest version, where a person has to decide; None where nobody has."""

    record_hash: bytes
    author: str
    header: Header
    position: int
    stands_against: int | None


class OrphanSubmission(NamedTuple):
    """The orphans of one submission, and its bytes to be offered again; empty where `why_not` says that it cannot be."""

    orphans: tuple[Orphan, ...]
    data: bytes
    why_not: str


def orphan_submissions(
    ledger: LedgerInUse, set_aside: Sequence[FormerLedger], ledger_id: bytes, fork_size: int
) -> Iterator[OrphanSubmission]:
    """Each submission with an orphan in it, in the order of the ledgers set aside and of their positions. Raises LedgerFailed, LedgerDamaged."""
    parted = [common_size(ledger, former, fork_size) for former in set_aside]
    for number, former in enumerate(set_aside):
        from_size = parted[number]
        if former.tip.size <= from_size:
            continue
        first_block = former.record(from_size, with_payload=False).block
        for block in range(first_block, former.tip.block + 1):
            for submission in former.block(block).submissions:
                hashes = [
                    outcome.record_hash
                    for outcome in submission.outcomes
                    if outcome.code is Code.ACCEPTED
                    and outcome.position >= from_size
                    and ledger.position_of_hash(outcome.record_hash) is None
                    and not _listed_before(outcome.record_hash, set_aside[:number], parted)
                ]
                if hashes:
                    yield _submission(ledger, former, ledger_id, submission, hashes, from_size)


def common_size(ledger: LedgerInUse, former: FormerLedger, at_most: int) -> int:
    """How many records, `at_most` so many, the two ledgers have in common from the first one on."""
    low, high = 0, min(at_most, ledger.tip.size, former.tip.size)
    while low < high:
        middle = (low + high + 1) // 2
        if root_at(ledger, middle) == root_at(former, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _listed_before(record_hash: bytes, former: Sequence[FormerLedger], parted: Sequence[int]) -> bool:
    positions = (one.position_of_hash(record_hash) for one in former)
    return any(
        position is not None and position >= from_size
        for position, from_size in zip(positions, parted, strict=False)
    )


def _submission(
    ledger: Indexes,
    former: FormerLedger,
    ledger_id: bytes,
    submission: SubmissionResult,
    hashes: Sequence[bytes],
    fork_size: int,
) -> OrphanSubmission:
    orphans = tuple(_orphan(ledger, former, record_hash, fork_size) for record_hash in hashes)
    first = orphans[0]
    if site_of_author(first.author) is not None and first.header.registry == GOVERNANCE_REGISTRY:
        return OrphanSubmission(orphans, b"", AN_ANNOUNCEMENT)
    again = _again(former, ledger_id, submission, hashes, fork_size)
    return OrphanSubmission(orphans, again.data, again.why)


def _again(
    former: FormerLedger,
    ledger_id: bytes,
    submission: SubmissionResult,
    hashes: Sequence[bytes],
    fork_size: int,
) -> Readmitted:
    """Made again with everything that it brought, also what an earlier submission had brought already."""
    everything = [one.record_hash for one in submission.outcomes if one.code in _STANDS]
    found = submissions_again(former, ledger_id, everything, fork_size)
    return next(each for each in found if hashes[0] in each.hashes)


def _orphan(ledger: Indexes, former: FormerLedger, record_hash: bytes, fork_size: int) -> Orphan:
    position = former.position_of_hash(record_hash)
    assert position is not None, "its own ledger holds it"
    kept = former.record(position, with_payload=False)
    header = decode_header(kept.header_bytes)
    return Orphan(record_hash, kept.author, header, position, _stands_against(ledger, former, header))


def _stands_against(ledger: Indexes, former: FormerLedger, header: Header) -> int | None:
    head = ledger.fact_head(header.registry, header.fact)
    if head is None:
        return None
    base = header.previous
    while base != ZERO32 and ledger.position_of_hash(base) is None:
        position = former.position_of_hash(base)
        if position is None:
            break
        base = decode_header(former.record(position, with_payload=False).header_bytes).previous
    return None if base == head.record_hash else head.position
