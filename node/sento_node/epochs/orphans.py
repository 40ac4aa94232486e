"""Submissions of a former epoch's ledger, made again byte for byte from what it keeps, for records that a plan takes over.

An author signed a submission whole and named no epoch in it, so it can be ordered again, whole. Where its bytes cannot be made again, or it would bring a
record that the plan does not list, it is named with the reason and left to people.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from sento_node.ledger.results import SubmissionResult
from sento_node.ledger.state import Tip
from sento_node.ledger.store import KeptBlock, KeptRecord, LedgerDamaged
from sento_proto.errors import Code
from sento_proto.header import ZERO16
from sento_proto.header import decode as decode_header
from sento_proto.record import Record, record_of
from sento_proto.submission import encode_submission
from sento_proto.wire import Malformed


class FormerLedger(Protocol):
    """What is asked of a ledger that was set aside; see `LedgerStore`."""

    @property
    def tip(self) -> Tip:
        """How far it goes."""
        ...

    def position_of_hash(self, record_hash: bytes) -> int | None:
        """Position of a record hash."""
        ...

    def record(self, position: int, *, with_payload: bool = True) -> KeptRecord:
        """The record at a position."""
        ...

    def block(self, number: int) -> KeptBlock:
        """A block."""
        ...

    def subtree(self, level: int, index: int) -> bytes:
        """A part of the tree."""
        ...


class Readmitted(NamedTuple):
    """A submission to be ordered again: its listed records' hashes, and its bytes; or the reason why it cannot be, with bytes empty."""

    hashes: tuple[bytes, ...]
    data: bytes
    why: str = ""


def submissions_again(
    orphans: FormerLedger, ledger_id: bytes, listed: Sequence[bytes], fork_size: int
) -> Iterator[Readmitted]:
    """Each submission that brought one of the listed records, once, in the order of their former positions.

    Raises LedgerFailed."""
    wanted = frozenset(listed)
    places: dict[tuple[int, int], list[bytes]] = {}
    nowhere: list[bytes] = []
    for position, record_hash in sorted(_positions(orphans, listed, nowhere)):
        kept = orphans.record(position, with_payload=False)
        places.setdefault((kept.block, kept.submission), []).append(record_hash)
    for (block, number), hashes in places.items():
        submission = orphans.block(block).submissions[number]
        yield _again(orphans, ledger_id, submission, wanted, tuple(hashes), fork_size)
    for record_hash in nowhere:
        yield Readmitted((record_hash,), b"", "This site's former ledger does not hold it.")


def _positions(
    orphans: FormerLedger, listed: Sequence[bytes], nowhere: list[bytes]
) -> Iterator[tuple[int, bytes]]:
    for record_hash in listed:
        position = orphans.position_of_hash(record_hash)
        if position is None:
            nowhere.append(record_hash)
        else:
            yield position, record_hash


def _again(
    orphans: FormerLedger,
    ledger_id: bytes,
    submission: SubmissionResult,
    wanted: frozenset[bytes],
    hashes: tuple[bytes, ...],
    fork_size: int,
) -> Readmitted:
    def cannot(why: str) -> Readmitted:
        return Readmitted(hashes, b"", why)

    if submission.author_key_id == ZERO16:
        return cannot("Officers signed it for the former epoch; let them sign it again for this one.")
    records: list[Record] = []
    for outcome in submission.outcomes:
        if outcome.code not in (Code.ACCEPTED, Code.KNOWN):
            return cannot(
                "Its submission has a record that was refused and is kept nowhere, so its signature cannot be shown again."
            )
        if outcome.position >= fork_size and outcome.record_hash not in wanted:
            return cannot(
                "Its submission holds a record that the plan does not list; its author signed them together."
            )
        try:
            kept = orphans.record(outcome.position)
            record = _record(kept)
        except (LedgerDamaged, Malformed) as error:
            return cannot(f"This site's former ledger cannot give it ({error}).")
        if record is None:
            return cannot("A payload of its submission is erased or missing here.")
        records.append(record)
    return Readmitted(
        hashes, encode_submission(ledger_id, submission.author_key_id, records, submission.signatures)
    )


def _record(kept: KeptRecord) -> Record | None:
    if kept.payload is None:
        return None
    return record_of(decode_header(kept.header_bytes), kept.header_bytes, kept.payload)
