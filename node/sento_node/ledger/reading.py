"""Questions that a ledger answers: versions of a fact, records about a subject, proofs. Over any store; nothing here writes.

Lists go newest first along the pointers that apply laid (`previous_of_fact`, `previous_of_subject`), so they need no index of their own and are complete by
construction: a subject's list can be checked against its links. A state "as of a size" is the ledger's first records alone: the list from the newest
version below it. A walk takes at most `STEPS_MAX` records for one page, so a page may be short, or empty, and still have a next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sento_node.ledger.results import NOWHERE
from sento_node.ledger.store import KeptRecord, LedgerDamaged, LedgerStore, frontier_of
from sento_proto import header as header_layout
from sento_proto import merkle
from sento_proto.header import Header
from sento_proto.keys import Signature
from sento_proto.submission import OfficerSignature
from sento_proto.wire import Malformed

STEPS_MAX = 2_000
_Previous = Callable[[KeptRecord], int]


class Page(NamedTuple):
    """A part of a list, newest first. `next_before` goes into the question for the next part; None at the list's end."""

    records: tuple[KeptRecord, ...]
    next_before: int | None


class SubmissionProof(NamedTuple):
    """What shows that an author signed a record: its place and path in the submission that brought it, and the signatures over that root."""

    author_key_id: bytes
    record_count: int
    nth: int
    path: tuple[bytes, ...]
    signatures: tuple[Signature, ...]
    officers: tuple[OfficerSignature, ...] = ()
    epoch: int = 0


def fact_versions(
    store: LedgerStore,
    registry: str,
    fact: bytes,
    *,
    limit: int,
    before: int | None = None,
    as_of_size: int | None = None,
    with_payload: bool = True,
) -> Page:
    """Versions of a fact below position `before`, in the ledger's first `as_of_size` records (None: all); at most `limit`, at least 1.

    Raises IndexError when `as_of_size` is beyond the tip, LedgerDamaged."""
    below = _below(store, before, as_of_size)
    start = _place_in_chain(
        store,
        before,
        lambda kept: kept.previous_of_fact,
        lambda header: (header.registry, header.fact) == (registry, fact),
    )
    if start is None:
        head = store.fact_head(registry, fact)
        start = NOWHERE if head is None else head.position
    return _walk(store, start, below, limit, lambda kept: kept.previous_of_fact, with_payload)


def subject_records(
    store: LedgerStore,
    registry: str,
    subject: bytes,
    *,
    limit: int,
    before: int | None = None,
    as_of_size: int | None = None,
    with_payload: bool = True,
) -> Page:
    """Records about a subject in a registry, as `fact_versions` lists versions."""
    below = _below(store, before, as_of_size)
    start = _place_in_chain(
        store, before, lambda kept: kept.previous_of_subject,
        lambda header: (header.registry, header.subject) == (registry, subject),
    )  # fmt: skip
    if start is None:
        head = store.subject_head(registry, subject)
        start = NOWHERE if head is None else head.position
    return _walk(store, start, below, limit, lambda kept: kept.previous_of_subject, with_payload)


def _below(store: LedgerStore, before: int | None, as_of_size: int | None) -> int:
    if as_of_size is not None and not 0 <= as_of_size <= store.tip.size:
        raise IndexError(f"size {as_of_size} is beyond the {store.tip.size} records that are flushed")
    bounds = [bound for bound in (before, as_of_size) if bound is not None]
    return min(bounds, default=NOWHERE)


def _place_in_chain(
    store: LedgerStore, before: int | None, previous: _Previous, belongs: Callable[[Header], bool]
) -> int | None:
    """Where to go on when `before` is itself in the list, as it is for every page but the first; None: begin at the head."""
    if before is None or not 0 <= before < store.tip.size:
        return None
    kept = store.record(before, with_payload=False)
    return previous(kept) if belongs(_header(kept)) else None


def _header(kept: KeptRecord) -> Header:
    try:
        return header_layout.decode(kept.header_bytes)
    except Malformed as error:
        raise LedgerDamaged(
            f"The ledger's copy of position {kept.position} does not verify: {error}. Run sento-node verify and ask another site meanwhile."
        ) from error


def _walk(
    store: LedgerStore, position: int, below: int, limit: int, previous: _Previous, with_payload: bool
) -> Page:
    """At most `limit` records from `position` along `previous`, leaving out those not below `below`."""
    found: list[KeptRecord] = []
    for _ in range(STEPS_MAX):
        if position == NOWHERE:
            return Page(tuple(found), None)
        wanted = position < below
        kept = store.record(position, with_payload=with_payload and wanted)
        if wanted:
            found.append(kept)
        if previous(kept) != NOWHERE and previous(kept) >= position:
            raise LedgerDamaged(
                f"The list through position {position} does not go back. Run sento-node verify."
            )
        last, position = position, previous(kept)
        if len(found) >= limit:
            return Page(tuple(found), None if position == NOWHERE else last)
    return Page(tuple(found), None if position == NOWHERE else last)


def submission_proof(store: LedgerStore, kept: KeptRecord) -> SubmissionProof:
    """The proof that comes with a record. Raises LedgerDamaged when its block does not name it."""
    block = store.block(kept.block)
    try:
        submission = block.submissions[kept.submission]
        named = submission.outcomes[kept.nth]
    except IndexError:
        named = None
    if named is None or (named.position, named.record_hash) != (kept.position, kept.record_hash):
        raise LedgerDamaged(
            f"Block {kept.block} does not name the record at position {kept.position}. Run sento-node verify."
        )
    hashes = [outcome.record_hash for outcome in submission.outcomes]
    path = merkle.inclusion_proof(merkle.subtree_reader(hashes), kept.nth, len(hashes))
    return SubmissionProof(
        submission.author_key_id,
        len(hashes),
        kept.nth,
        tuple(path),
        submission.signatures,
        submission.officers,
        submission.epoch,
    )


def root_at(store: LedgerStore, size: int) -> bytes:
    """Root of the tree of the first `size` records. Raises IndexError beyond the tip."""
    _check_size(store, size)
    return merkle.Frontier(size, frontier_of(store, size)).root()


def inclusion(store: LedgerStore, position: int, size: int) -> list[bytes]:
    """Path of the record at `position` to the root of the first `size` records. Raises IndexError unless position < size <= tip."""
    _check_size(store, size)
    if not 0 <= position < size:
        raise IndexError(f"position {position} is not in the tree of {size} records")
    return merkle.inclusion_proof(store.subtree, position, size)


def consistency(store: LedgerStore, old_size: int, new_size: int) -> list[bytes]:
    """Proof that the tree of `old_size` is a prefix of that of `new_size`. Raises IndexError unless old_size <= new_size <= tip."""
    _check_size(store, new_size)
    if not 0 <= old_size <= new_size:
        raise IndexError(f"a tree of {old_size} records is not within one of {new_size}")
    return merkle.consistency_proof(store.subtree, old_size, new_size)


def _check_size(store: LedgerStore, size: int) -> None:
    if not 0 <= size <= store.tip.size:
        raise IndexError(f"size {size} is beyond the {store.tip.size} records that are flushed")
