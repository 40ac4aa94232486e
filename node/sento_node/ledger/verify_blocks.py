"""Verification of one block after another: its place in the order, its submissions' signatures over the hashes of all their records, and its positions.

A record's hash stands twice: in the tree's tile, and made anew from its row. Where the two differ, the author's signature over the submission decides
which of them is the true one, so that a single damaged place is named once and what comes after it still verifies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from sento_node.ledger.findings import Finding, Kind
from sento_node.ledger.results import SubmissionResult
from sento_node.ledger.store import KeptBlock
from sento_node.ledger.verify_image import UNKNOWN_HASH, Image, SeenRecord
from sento_proto.errors import STANDING_CODES, Code
from sento_proto.governance.acts import OFFICERS_AUTHOR, act_signatures_refusal
from sento_proto.governance.site_rules import site_author
from sento_proto.governance.state import Governance
from sento_proto.header import ZERO16
from sento_proto.merkle import root_of
from sento_proto.submission import signatures_hold

_Hashes = Callable[[int], bytes | None]


class BlockVerifier:
    """Verifies the submissions of blocks and says which hash is the true one at each position."""

    def __init__(self, image: Image, governance: Governance) -> None:
        self._image = image
        self._governance = governance

    def extent(
        self, number: int, start: int, size: int, last_block: int
    ) -> tuple[KeptBlock | None, int, list[Finding]]:
        """(the block if it can be read and goes on at `start`, the size after it, what is the matter).

        A block that cannot be read ends where the next one that can begins."""
        block = self._image.block(number)
        if isinstance(block, Finding):
            return None, self._next_start(number, start, size, last_block), [block]
        if block.size_before == start and block.size_after <= size:
            return block, block.size_after, []
        words = f"The block goes from size {block.size_before} to {block.size_after} where {start} is next."
        return (
            None,
            self._next_start(number, start, size, last_block),
            [Finding(None, number, Kind.WRONG, words)],
        )

    def _next_start(self, number: int, start: int, size: int, last_block: int) -> int:
        for later in range(number + 1, last_block + 1):
            block = self._image.block(later)
            if isinstance(block, KeptBlock) and start <= block.size_before <= size:
                return block.size_before
        return size

    def verify(
        self, block: KeptBlock, seen: Mapping[int, SeenRecord]
    ) -> tuple[dict[int, bytes], list[Finding]]:
        """(true record hashes by position, findings). `seen` holds the block's records that could be read."""
        truth: dict[int, bytes] = {}
        findings: list[Finding] = []
        named: set[int] = set()
        for index, submission in enumerate(block.submissions):
            if submission.refusal is None:
                findings += self._places(block, index, submission, seen, named)
                findings += self._signature(block, index, submission, seen, truth)
        for position in range(block.size_before, block.size_after):
            if position not in named:
                words = "No submission of its block names this position."
                findings.append(Finding(position, block.number, Kind.WRONG, words))
        if block.refusal is not None and (block.submissions or block.size_after != block.size_before):
            findings.append(Finding(None, block.number, Kind.WRONG, "A refused block has records."))
        return truth, findings

    def _places(
        self,
        block: KeptBlock,
        index: int,
        submission: SubmissionResult,
        seen: Mapping[int, SeenRecord],
        named: set[int],
    ) -> Iterator[Finding]:
        """Every outcome that stands must lead to a record that leads back."""
        author = author_of(self._governance, submission.author_key_id)
        for nth, outcome in enumerate(submission.outcomes):
            position = outcome.position
            if outcome.code not in STANDING_CODES:
                continue
            if outcome.code is Code.KNOWN:
                known = self._image.seen(position) if position < block.size_after else None
                if known is None or (isinstance(known, SeenRecord) and known.row.author != author):
                    words = f"Submission {index} knows record {nth} at position {position}, which is not its author's."
                    yield Finding(None, block.number, Kind.WRONG, words)
                continue
            if not block.size_before <= position < block.size_after or position in named:
                words = (
                    f"Submission {index} puts record {nth} at position {position}, which is not free for it."
                )
                yield Finding(None, block.number, Kind.WRONG, words)
                continue
            named.add(position)
            found = seen.get(position)
            if found is not None and found.row[:3] != (block.number, index, nth):
                words = "The row names another block, submission or number than the block does."
                yield Finding(position, block.number, Kind.WRONG, words)

    def _signature(
        self,
        block: KeptBlock,
        index: int,
        submission: SubmissionResult,
        seen: Mapping[int, SeenRecord],
        truth: dict[int, bytes],
    ) -> Iterator[Finding]:
        """Which hashes the author signed: those of the tree, or those of the rows."""

        def of_row(position: int) -> bytes | None:
            found = seen[position] if position in seen else self._image.seen(position)
            return found.record_hash if isinstance(found, SeenRecord) else None

        in_tree = [outcome.record_hash for outcome in submission.outcomes]
        in_rows = [
            (of_row(outcome.position) if outcome.code in STANDING_CODES else None) or outcome.record_hash
            for outcome in submission.outcomes
        ]
        signed = next(
            (hashes for hashes in (in_tree, in_rows) if is_signed(self._governance, submission, hashes)), None
        )
        if signed is None:
            words = f"The author's signature over submission {index} does not verify."
            yield Finding(None, block.number, Kind.WRONG, words)
        for nth, outcome in enumerate(submission.outcomes):
            if outcome.code is not Code.ACCEPTED:
                continue
            truth[outcome.position] = (signed or in_tree)[nth]
            if in_tree[nth] != in_rows[nth]:
                yield Finding(
                    outcome.position,
                    block.number,
                    Kind.MISSING if in_tree[nth] == UNKNOWN_HASH else Kind.WRONG,
                    _which_differs(signed, in_tree, in_rows),
                )


def is_signed(governance: Governance, submission: SubmissionResult, hashes: Sequence[bytes]) -> bool:
    """Whether the submission's author, or enough officers, signed these hashes, with keys ever enrolled."""
    if submission.officers:
        refusal = act_signatures_refusal(governance, submission.epoch, hashes[0], submission.officers)
        return len(hashes) == 1 and refusal is None
    known = governance.author_keys.get(submission.author_key_id)
    site = governance.site_keys_ever.get(submission.author_key_id)
    keys = known.keys if known is not None else () if site is None else (site[1],)
    return bool(keys) and signatures_hold(
        governance.ledger_id, root_of(hashes), len(hashes), keys, submission.signatures
    )


def author_of(governance: Governance, author_key_id: bytes) -> str:
    """Whose records are signed with that key: an institution's, a site's, or the officers'. Empty when nobody ever had it."""
    if author_key_id == ZERO16:
        return OFFICERS_AUTHOR
    known = governance.author_keys.get(author_key_id)
    if known is not None:
        return known.author
    site = governance.site_keys_ever.get(author_key_id)
    return "" if site is None else site_author(site[0])


def _which_differs(signed: list[bytes] | None, in_tree: list[bytes], in_rows: list[bytes]) -> str:
    if signed is in_tree:
        return "The record's row does not make the hash that its author signed."
    if signed is in_rows:
        return "The tree does not hold the hash that its author signed."
    return "The record's row does not make the hash that the tree holds."
