"""The ledger store as a port: flushed records, blocks, tree, indexes and the few facts a site must not forget.

Two forms: `lmdb_store` (production: LMDB for everything small, segment files for payloads) and `memory_store` (simulator, tests: forgets what was not
flushed when told to crash). Both pass one contract suite.

What every form promises:

1. **All or nothing.** After `commit` returns, all of the batch is flushed; after a crash at any moment, all of it is there or none.
2. **Positions are dense.** A store at tip (block b, size n) holds exactly blocks 1..b and records 0..n-1. After a start by sync too.
3. **Failure is final.** A commit that fails raises LedgerFailed and the store refuses everything after: the next commit might succeed and lie.
4. **Reading does not wait.** Readers see a committed state, never a part of one, and never hold writers up; a long read reopens by position.
5. **Names are exact.** A lookup compares the whole name, whatever the index keeps of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sento_node.ledger.results import SubmissionResult
from sento_node.ledger.state import Batch, Indexes, StandingBrief, Tip
from sento_proto.errors import Code


class LedgerFailed(Exception):
    """The store can no longer be trusted to keep what it is told (EIO, no space, failed flush, lock lost). The node must stop, in words.

    The text is one sentence of cause and one of remedy."""


class LedgerDamaged(Exception):
    """What was read back does not verify (hash, length, form). The record or block is named by number; nothing of it is given out."""


class KeptRecord(NamedTuple):
    """A record as the ledger keeps it. `payload` is None when it was erased (`erased`), is to come from another site (`awaited`) or is missing, and
    b"" when the record has none or it was not asked for.

    `previous_of_subject` and `previous_of_fact` are positions or NOWHERE; `block`, `submission`, `nth` say where it came from."""

    position: int
    header_bytes: bytes
    payload_hash: bytes
    record_hash: bytes
    link: bytes
    previous_of_subject: int
    previous_of_fact: int
    block: int
    submission: int
    nth: int
    author: str
    payload: bytes | None
    erased: bool = False
    awaited: bool = False


class KeptBlock(NamedTuple):
    """A block as the ledger keeps it for others: everything of a BlockResult but the records themselves."""

    number: int
    revision: int
    lane: str
    seq: int
    site: str
    size_before: int
    size_after: int
    refusal: Code | None
    submissions: tuple[SubmissionResult, ...]


class KeptCheckpoint(NamedTuple):
    """A checkpoint that a receipt-set quorum cosigned: its size, the block it ends, the C2SP note with its signature lines."""

    size: int
    block: int
    note: bytes


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Space on the file system that holds the ledger."""

    free_bytes: int
    total_bytes: int


class ErasureStep(NamedTuple):
    """What one step of `erase` did; `done` when no byte of the payloads named is left in a file of this ledger."""

    done: bool
    payloads_erased: int
    segments_rewritten: int


class LedgerStore(Indexes, Protocol):
    """One site's flushed ledger. One thread writes (`commit`, `put_checkpoint`, `remember`, `erase`, `fill`); any thread reads."""

    @property
    def tip(self) -> Tip:
        """How far the flushed ledger goes."""
        ...

    def window(self) -> tuple[StandingBrief, ...]:
        """The records of the running budget window, in order, to fill LedgerState at start."""
        ...

    def commit(self, batch: Batch) -> None:
        """Flush payloads, then everything else in one transaction. Blocks until flushed. Raises LedgerFailed."""
        ...

    def put_checkpoint(self, checkpoint: KeptCheckpoint, instead_of: Collection[int] = ()) -> None:
        """Keep a quorum checkpoint (replacing one of the same size) and drop those of the sizes `instead_of`, all or nothing, flushed. Raises LedgerFailed."""
        ...

    def remember(self, name: str, value: bytes) -> None:
        """Keep a small fact under a name (boot numbers of peers, what was last cosigned), flushed. Raises LedgerFailed."""
        ...

    def erase(self, positions: Sequence[int]) -> ErasureStep:
        """One bounded step towards a disk without the payloads at these positions; call it again until it says `done`. What is erased stays so: after a
        crash the same call goes on where it was. Raises LedgerFailed, IndexError beyond the tip."""
        ...

    def awaited(self, limit: int, from_position: int = 0) -> list[int]:
        """Positions from `from_position` on whose payloads this site should hold and does not, rising, at most `limit`."""
        ...

    def fill(self, payloads: Sequence[tuple[int, bytes]]) -> int:
        """Store awaited payloads, (position, payload) each, flushed; what is not awaited any more is passed over. Returns how many were stored.

        Raises ValueError for bytes that are not that record's payload, with nothing stored; LedgerFailed."""
        ...

    def fence(self, records: frozenset[int], blocks: frozenset[int]) -> None:
        """From here on these records and blocks, and no others, are not to be given out: `block` and `check_given_out` raise LedgerDamaged for them."""
        ...

    def check_given_out(self, position: int) -> None:
        """Raises LedgerDamaged for a record that is fenced. The site's own work goes on with it."""
        ...

    def recall(self, name: str) -> bytes | None:
        """A remembered fact."""
        ...

    def checkpoint(self, at_least_size: int = 0) -> KeptCheckpoint | None:
        """The newest quorum checkpoint if `at_least_size` is 0, else the smallest of at least that size."""
        ...

    def newest_checkpoints(self, limit: int) -> list[KeptCheckpoint]:
        """The last quorum checkpoints, newest first, at most `limit`."""
        ...

    def checkpoint_by_block(self, block: int) -> KeptCheckpoint | None:
        """The first quorum checkpoint that ends at this block or later."""
        ...

    def record(self, position: int, *, with_payload: bool = True) -> KeptRecord:
        """The record at a flushed position. Raises LedgerDamaged when it does not verify, IndexError beyond the tip."""
        ...

    def records(self, start: int, end: int, *, with_payload: bool = True) -> Iterator[KeptRecord]:
        """Records [start, end) in order, reopening its read transaction often enough never to pin old pages for a second."""
        ...

    def block(self, number: int) -> KeptBlock:
        """A flushed block. Raises IndexError beyond the tip."""
        ...

    def subtree(self, level: int, index: int) -> bytes:
        """Hash of the complete subtree over leaves [index << level, (index + 1) << level), within the flushed size (merkle.SubtreeHash)."""
        ...

    def space(self) -> DiskSpace:
        """Space left."""
        ...

    def close(self) -> None:
        """Give the files back. Nothing is flushed that was not already."""
        ...


class HoldsTree(Protocol):
    """What a tree's roots are read from."""

    def subtree(self, level: int, index: int) -> bytes:
        """See `LedgerStore.subtree`."""
        ...


def frontier_of(store: HoldsTree, size: int) -> Sequence[bytes]:
    """The frontier hashes of the tree's first `size` leaves, read from a store: for a site that rebuilds from a size."""
    hashes: list[bytes] = []
    at = 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            hashes.append(store.subtree(level, at >> level))
            at += 1 << level
    return hashes
