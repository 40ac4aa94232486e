"""Verify: everything on a ledger's disk derived anew from the genesis file, in the order of positions.

 1. the database's pages, from outside (verify_files.py); a damaged database is not opened
 2. format, ledger id, tip
 3. block by block: order and sizes, the author's signature over each submission's hashes, the outcomes' places (verify_blocks.py)
 4. record by record within its block: row, header, hash, payload, links and pointers, index entries (verify_records.py)
 5. at each block's end: kept checkpoints against the root so far, their ledger and quorum (verify_tree.py)
 6. the tip's tree, all tiles, what indexes and tables hold beyond that (verify_indexes.py), segment files

Damage is named and passed by: the walk goes on behind it. It takes the ledger's lock, so the site must be stopped; it changes nothing. It cannot tell that an
outcome was the right one where a record was refused (refused records are not kept), nor that this is the newest ledger: other sites' checkpoints can.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb

from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.findings import Finding, Kind, Summary
from sento_node.ledger.lmdb_files import (
    FORMAT,
    LedgerNotOpened,
    lock_directory,
    open_to_verify,
    payloads_directory,
)
from sento_node.ledger.replay import governance_of
from sento_node.ledger.segments import SegmentReader
from sento_node.ledger.state import Tip
from sento_node.ledger.store import LedgerDamaged
from sento_node.ledger.verify_blocks import BlockVerifier
from sento_node.ledger.verify_files import verify_pages, verify_segments
from sento_node.ledger.verify_image import UNKNOWN_HASH, Image, ImageLedger, SeenRecord
from sento_node.ledger.verify_indexes import verify_ends, verify_indexes
from sento_node.ledger.verify_records import RecordVerifier
from sento_node.ledger.verify_tree import CheckpointVerifier, verify_tiles
from sento_proto.genesis import Genesis
from sento_proto.governance.state import Governance, from_genesis
from sento_proto.merkle import Frontier

Progress = Callable[[int, int], None]
"""(records verified, records in all); called after each block."""


def no_progress(done: int, total: int) -> None:
    """Nobody watches."""


class Verification:
    """One run over one directory. `findings` yields what is found as it is found; `summary` is whole when it has ended."""

    def __init__(self, directory: Path, genesis: Genesis, progress: Progress = no_progress) -> None:
        self.summary = Summary()
        self._directory = directory
        self._genesis = genesis
        self._progress = progress

    def findings(self) -> Iterator[Finding]:
        """Every finding, the records' in order of position. Raises LedgerNotOpened when the ledger is in use or not there."""
        lock_fd = lock_directory(self._directory)
        try:
            for finding in self._findings():
                yield self.summary.count(finding)
        finally:
            os.close(lock_fd)

    def _findings(self) -> Iterator[Finding]:
        damaged = False
        for finding in verify_pages(self._directory):
            damaged = True
            yield finding
        if damaged:
            return
        try:
            env, tables = open_to_verify(self._directory)
        except (lmdb.Error, LedgerNotOpened) as error:
            yield Finding(None, None, Kind.WRONG, f"The database cannot be opened: {error}")
            return
        payloads = SegmentReader(payloads_directory(self._directory), self._genesis.ledger_id)
        try:
            with env.begin() as txn:
                yield from self._verify(Image(txn, tables), payloads)
        finally:
            payloads.close()
            env.close()

    def _verify(self, image: Image, payloads: SegmentReader) -> Iterator[Finding]:
        form, ledger_id = image.meta()
        if form != FORMAT:
            yield Finding(None, None, Kind.WRONG, "The ledger's format is not one that this release knows.")
        if ledger_id != self._genesis.ledger_id:
            yield Finding(None, None, Kind.WRONG, "The ledger is not the genesis file's.")
        tip, finding = image.tip()
        if finding is not None:
            yield finding
        governance, unfit = self._governance(image)
        yield from unfit
        records = RecordVerifier(image, payloads, governance, tip.size, self.summary)
        frontier = Frontier()
        yield from self._blocks(image, records, frontier, tip, governance)
        if finding is None and tuple(frontier.hashes) != tip.frontier:
            yield Finding(None, tip.block, Kind.WRONG, "The tip's tree is not the one that the records make.")
        yield from verify_tiles(image, tip.size)
        yield from verify_indexes(image, records.tallies, tip.size)
        yield from verify_ends(image, tip.size, tip.block)
        yield from verify_segments(
            image,
            payloads_directory(self._directory),
            self._genesis.ledger_id,
            records.segment_bytes,
            self.summary,
        )
        self.summary.size, self.summary.root = frontier.size, frontier.root()

    def _governance(self, image: Image) -> tuple[Governance, list[Finding]]:
        """Behind everything on disk. Where an act is damaged: of the genesis file alone, so that keys enrolled later are found unknown too."""
        try:
            ledger = ImageLedger(image)
            return governance_of(self._genesis, ledger, ledger.signers_at), []
        except (LedgerDamaged, UnknownRules) as error:
            words = f"The officers' acts cannot be followed: {error}"
            return from_genesis(self._genesis), [Finding(None, None, Kind.WRONG, words)]

    def _blocks(
        self, image: Image, records: RecordVerifier, frontier: Frontier, tip: Tip, governance: Governance
    ) -> Iterator[Finding]:
        blocks = BlockVerifier(image, governance)
        checkpoints = CheckpointVerifier(image, governance)
        revision, whole = 0, True
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
            self.summary.blocks, self.summary.records = number, end
            self.summary.checkpoints = checkpoints.verified
            self._progress(end, tip.size)
        if frontier.size < tip.size:
            words = f"The blocks end at size {frontier.size} and the tip says {tip.size}."
            yield Finding(frontier.size, tip.block, Kind.MISSING, words)
        yield from checkpoints.beyond()
        self.summary.checkpoints = checkpoints.verified
