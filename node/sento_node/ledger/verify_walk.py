"""The walk of verification: governance as the disk gives it, then block after block and record after record, each derived anew.

The same walk serves a stopped site (`verify.py`, over the whole ledger) and a running one (`scrub/`, over as much as stood when it began).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.findings import Finding, Kind, Summary
from sento_node.ledger.replay import governance_of
from sento_node.ledger.state import Tip
from sento_node.ledger.store import LedgerDamaged
from sento_node.ledger.verify_blocks import BlockVerifier
from sento_node.ledger.verify_image import UNKNOWN_HASH, Image, ImageLedger, SeenRecord
from sento_node.ledger.verify_records import RecordVerifier
from sento_node.ledger.verify_tree import CheckpointVerifier
from sento_proto.genesis import Genesis
from sento_proto.governance.state import Governance, from_genesis
from sento_proto.merkle import Frontier

Progress = Callable[[int, int], None]
"""(records verified, records in all); called after each block."""


def no_progress(done: int, total: int) -> None:
    """Nobody watches."""


def governance_on(image: Image, genesis: Genesis) -> tuple[Governance, list[Finding]]:
    """Behind everything on disk. Where an act is damaged: of the genesis file alone, so that keys enrolled later are found unknown too."""
    try:
        ledger = ImageLedger(image)
        return governance_of(genesis, ledger, ledger.signers_at), []
    except (LedgerDamaged, UnknownRules) as error:
        words = f"The officers' acts cannot be followed: {error}"
        return from_genesis(genesis), [Finding(None, None, Kind.WRONG, words)]


def verify_blocks(
    image: Image,
    records: RecordVerifier,
    frontier: Frontier,
    tip: Tip,
    governance: Governance,
    summary: Summary,
    progress: Progress,
) -> Iterator[Finding]:
    """Block after block up to `tip`, record after record, kept checkpoints between them. `frontier` and `summary` grow with it."""
    blocks = BlockVerifier(image, governance)
    checkpoints = CheckpointVerifier(image, governance)
    revision, whole = 0, True
    logs_begin = {begun.block_base + 1 for begun in governance.epochs}
    for number in range(1, tip.block + 1):
        start = frontier.size
        block, end, findings = blocks.extent(number, start, tip.size, tip.block)
        seen: dict[int, SeenRecord] = {}
        for position in range(start, end):
            found = image.seen(position)
            if isinstance(found, Finding):
                findings.append(found._replace(block=number))
                continue
            seen[position] = found
            findings += records.verify(found, number)
        truth: dict[int, bytes] = {}
        if block is not None:
            truth, more = blocks.verify(block, seen)
            findings += more
            if number in logs_begin:
                revision = 0
            if block.revision <= revision:
                findings.append(
                    Finding(
                        None,
                        number,
                        Kind.WRONG,
                        "The block's revision is not higher than the one before.",
                    )
                )
            revision = block.revision
        yield from sorted(findings, key=lambda one: -1 if one.position is None else one.position)
        for position in range(start, end):
            leaf = truth.get(position) or image.leaf(position) or UNKNOWN_HASH
            whole = whole and leaf != UNKNOWN_HASH
            frontier.append(leaf)
        yield from checkpoints.block_ended(number, end, frontier.root() if whole else None)
        summary.blocks, summary.records = number, end
        summary.checkpoints = checkpoints.verified
        progress(end, tip.size)
    if frontier.size < tip.size:
        words = f"The blocks end at size {frontier.size} and the tip says {tip.size}."
        yield Finding(frontier.size, tip.block, Kind.MISSING, words)
    yield from checkpoints.beyond()
    summary.checkpoints = checkpoints.verified
