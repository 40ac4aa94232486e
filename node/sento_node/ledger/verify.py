"""Verify: everything on a ledger's disk derived anew from the genesis file, in the order of positions.

 1. the database's pages, from outside (verify_files.py); a damaged database is not opened
 2. format, ledger id, tip; what the site remembers (verify_small.py)
 3. block by block (verify_walk.py): order and sizes, the author's signature over each submission's hashes, the outcomes' places (verify_blocks.py)
 4. record by record within its block: row, header, hash, payload, links and pointers, index entries (verify_records.py)
 5. at each block's end: kept checkpoints against the root so far, their ledger and quorum (verify_tree.py)
 6. the tip's tree, all tiles, what indexes and tables hold beyond that (verify_indexes.py), segment files

Damage is named and passed by: the walk goes on behind it. It takes the ledger's lock, so the site must be stopped; it changes nothing. It cannot tell that an
outcome was the right one where a record was refused (refused records are not kept), nor that this is the newest ledger: other sites' checkpoints can.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import lmdb

from sento_node.ledger.findings import Finding, Kind, Summary
from sento_node.ledger.lmdb_files import (
    LedgerNotOpened,
    lock_directory,
    open_to_verify,
    payloads_directory,
)
from sento_node.ledger.segments import SegmentReader
from sento_node.ledger.verify_files import verify_pages, verify_segments
from sento_node.ledger.verify_image import Image
from sento_node.ledger.verify_indexes import verify_ends, verify_indexes
from sento_node.ledger.verify_records import RecordVerifier
from sento_node.ledger.verify_small import verify_meta, verify_remembered
from sento_node.ledger.verify_tree import verify_tiles
from sento_node.ledger.verify_walk import Progress, governance_on, no_progress, verify_blocks
from sento_proto.genesis import Genesis
from sento_proto.merkle import Frontier


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
        yield from verify_meta(image, self._genesis.ledger_id)
        yield from verify_remembered(image)
        tip, finding = image.tip()
        if finding is not None:
            yield finding
        governance, unfit = governance_on(image, self._genesis)
        yield from unfit
        records = RecordVerifier(image, payloads, governance, tip.size, self.summary)
        frontier = Frontier()
        yield from verify_blocks(image, records, frontier, tip, governance, self.summary, self._progress)
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
