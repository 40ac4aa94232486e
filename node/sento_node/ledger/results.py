"""What applying a block yields: the outcomes that are told, and the records that now stand.

Plain data between apply, the store, sync and the site. A `BlockResult` is everything the ledger keeps of a block, for itself and for other sites:
without the hashes of refused records a submission's signature could not be verified again.
"""

from __future__ import annotations

from typing import NamedTuple

from sento_proto.errors import Code
from sento_proto.keys import Signature
from sento_proto.record import Record
from sento_proto.submission import OfficerSignature

NOWHERE = 0xFFFF_FFFF_FFFF_FFFF
"""The position of a record that does not stand."""


class RecordOutcome(NamedTuple):
    """What became of one record of a submission. `position` is NOWHERE unless the code is ACCEPTED or KNOWN."""

    record_hash: bytes
    code: Code
    position: int


class SubmissionResult(NamedTuple):
    """What became of one submission. With a `refusal` it was refused whole and nothing else of it is kept.

    An officers' act has an author key id of zeros, no `signatures`, the `officers` that signed and the epoch they signed for."""

    refusal: Code | None
    author_key_id: bytes
    signatures: tuple[Signature, ...]
    outcomes: tuple[RecordOutcome, ...]
    officers: tuple[OfficerSignature, ...] = ()
    epoch: int = 0


class StandingRecord(NamedTuple):
    """A record that took a position. `previous_of_subject` and `previous_of_fact` are positions, NOWHERE for the first;
    the record is the `nth` of the block's submission number `submission`."""

    position: int
    record: Record
    author: str
    submission: int
    nth: int
    link: bytes
    previous_of_subject: int
    previous_of_fact: int


class BlockResult(NamedTuple):
    """One block after apply. With a `refusal` it is a numbered no-op. `root` is the tree's after it, `size_before` the tree's size before it."""

    number: int
    revision: int
    lane: str
    seq: int
    site: str
    size_before: int
    refusal: Code | None
    submissions: tuple[SubmissionResult, ...]
    standing: tuple[StandingRecord, ...]
    root: bytes

    @property
    def size_after(self) -> int:
        """The tree's size after this block."""
        return self.size_before + len(self.standing)
