"""One round of the background reading: every page, row, tile, index entry, checkpoint and payload of the ledger as it stood when the round began.

 1. the database's pages from outside, table by table, in slices of a commit each (`pages.py`); with any damage there the engine is not used
 2. what stands in them, through the engine: the walk of verification (`ledger/verify_walk.py`) over a live image
 3. tiles, indexes, checkpoints, remembered facts, segment files

The walk is that of `sento-node verify`, so that both call the same things damage. What is found is found twice or not told: where the site may have changed
something between two looks, the second look is one commit's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import lmdb

from sento_node.ledger import rows
from sento_node.ledger.findings import (
    META,
    PAGES,
    SEGMENT,
    Finding,
    Kind,
    Summary,
)
from sento_node.ledger.lmdb_files import (
    LedgerNotOpened,
    database_directory,
    open_to_read,
    payloads_directory,
    tables_of,
)
from sento_node.ledger.segments import SegmentReader
from sento_node.ledger.state import Tip
from sento_node.ledger.verify_files import verify_segments
from sento_node.ledger.verify_image import UNKNOWN_HASH
from sento_node.ledger.verify_indexes import verify_indexes
from sento_node.ledger.verify_records import AWAITED_WORDS, RecordVerifier
from sento_node.ledger.verify_small import verify_meta, verify_remembered
from sento_node.ledger.verify_tree import verify_tiles
from sento_node.ledger.verify_walk import governance_on, verify_blocks
from sento_node.scrub.live_image import LiveImage
from sento_node.scrub.pace import Pace
from sento_node.scrub.pages import PageDamaged, Pages, read_metas
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.genesis import Genesis
from sento_proto.merkle import Frontier
from sento_proto.wire import Malformed

PAGES_PER_SLICE = 256
PIN_TRIES = 20
Told = Callable[[str], None]
"""Where the round is now, in words: what a round that ends by a signal said last."""


class Round:
    """One round over one running site's ledger. `summary` counts what was read."""

    def __init__(self, directory: Path, genesis: Genesis, pace: Pace, told: Told) -> None:
        self.summary = Summary()
        self._directory = directory
        self._genesis = genesis
        self._pace = pace
        self._told = told

    def findings(self) -> Iterator[Finding]:
        """What is found, as it is found."""
        try:
            yield from self._findings()
        except (PageDamaged, lmdb.Error, LedgerNotOpened) as error:
            words = f"The database's pages are damaged: {error}"
            yield Finding(None, None, Kind.WRONG, words, PAGES)

    def _findings(self) -> Iterator[Finding]:
        self._told("the database's own pages")
        data = database_directory(self._directory) / "data.mdb"
        if not data.exists():
            yield Finding(None, None, Kind.MISSING, "The database file is missing.", PAGES)
            return
        fd = os.open(data, os.O_RDONLY | os.O_CLOEXEC)
        try:
            check_metas(fd)
            env = open_to_read(self._directory, beside_writer=True)
            try:
                self._pages(fd, env)
                yield from self._contents(env)
            finally:
                env.close()
        finally:
            os.close(fd)

    # -- 1: pages ---------------------------------------------------------------------------------------------------

    def _pages(self, fd: int, env: lmdb.Environment) -> None:
        """Raises PageDamaged."""
        with _pinned(fd, env) as pages:
            names = list(pages.tables())
        for name in names:
            after: bytes | None = b""
            while after is not None:
                self._told(f"pages of table {name} behind {len(after)} bytes of key")
                with _pinned(fd, env) as pages:
                    tree = pages.tables().get(name)
                    if tree is None:
                        raise PageDamaged(f"The table {name} is gone.")
                    after = pages.slice(tree, after, name, PAGES_PER_SLICE).last_key
                self._pace.pause(self._pace.spent(pages.bytes_read))

    # -- 2, 3: contents ---------------------------------------------------------------------------------------------

    def _contents(self, env: lmdb.Environment) -> Iterator[Finding]:
        image = LiveImage(env, tables_of(env), self._pace)
        payloads = SegmentReader(payloads_directory(self._directory), self._genesis.ledger_id)
        try:
            yield from self._verify(image, payloads)
        finally:
            payloads.close()
            image.close()

    def _verify(self, image: LiveImage, payloads: SegmentReader) -> Iterator[Finding]:
        self._told("the small tables")
        yield from verify_meta(image, self._genesis.ledger_id)
        yield from self._remembered(image)
        tip, finding = image.tip()
        if finding is not None:
            yield finding._replace(part=META)
            return
        yield from self._ends(image)
        governance, unfit = governance_on(image, self._genesis)
        yield from unfit
        records = RecordVerifier(image, payloads, governance, tip.size, self.summary)
        frontier = Frontier()
        told = lambda done, total: self._told(f"rows from position {done} of {total}")  # noqa: E731
        for found in verify_blocks(image, records, frontier, tip, governance, self.summary, told):
            if not self._is_on_its_way(image, found):
                yield found
        if tuple(frontier.hashes) != tip.frontier:
            words = "The tip's tree is not the one that the records make."
            yield Finding(None, tip.block, Kind.WRONG, words, META)
        self._told("tiles")
        yield from verify_tiles(image, tip.size)
        self._told("indexes")
        yield from verify_indexes(image, records.tallies, tip.size)
        self._told("segments")
        yield from self._segments(image, records)
        self.summary.size, self.summary.root = frontier.size, frontier.root()

    def _is_on_its_way(self, image: LiveImage, finding: Finding) -> bool:
        """Whether it is a payload that copying will bring: awaited by its row and noted as awaited, or here by now. That is no damage: a site that joined over
        a thin line awaits all of them for hours."""
        if finding.words != AWAITED_WORDS or finding.position is None:
            return False
        note_key = rows.awaited_key(finding.position)
        row_key = note_key.removeprefix(rows.AWAITED_PREFIX)
        (note,) = image.together(image.tables.remembered, note_key)
        (row,) = image.together(image.tables.rows, row_key)
        return row is not None and (note is not None or not _awaits(row_key, row))

    def _remembered(self, image: LiveImage) -> Iterator[Finding]:
        """A fact and its check are written together, an awaited payload and its note too: only what one commit holds counts."""
        table = image.tables.remembered
        for finding in verify_remembered(image):
            if finding.key.startswith(rows.AWAITED_PREFIX):
                row_key = finding.key.removeprefix(rows.AWAITED_PREFIX)
                (note,) = image.together(table, finding.key)
                (row,) = image.together(image.tables.rows, row_key)
                (after,) = image.together(table, finding.key)
                if note is not None and after is not None and (row is None or not _awaits(row_key, row)):
                    yield finding
                continue
            fact, check = image.together(table, finding.key, rows.remembered_check_key(finding.key))
            if check is not None and (fact is None or rows.remembered_check(finding.key, fact) != check):
                yield finding

    def _begun(self, image: LiveImage, tip: Tip) -> bool:
        """Whether the tip is of a later epoch than the newest checkpoint by right: it waits for the act that begins it, or the act stands."""
        return tip.revision == 0 or governance_on(image, self._genesis)[0].epoch == tip.epoch

    def _ends(self, image: LiveImage) -> Iterator[Finding]:
        """Tip, rows, blocks, the last block's revision and the newest checkpoint's epoch must agree in one commit."""

        def wrong(words: str) -> Finding:
            return Finding(None, None, Kind.WRONG, words, META)

        ends = image.ends()
        tip = ends.tip
        if (ends.rows, ends.blocks) != (tip.size, tip.block):
            yield wrong("There are more or fewer rows of records or blocks than the tip says.")
        with suppress(Malformed):
            if ends.last_block is not None:
                last = rows.decode_block_row(tip.block, ends.last_block, lambda _: UNKNOWN_HASH)
                if tip.revision not in (
                    last.revision,
                    0,
                ):  # 0: the ledger waits for a new epoch's first block
                    yield wrong("The tip names another revision than its block.")
            if ends.newest_checkpoint is not None:
                note = decode_checkpoint(rows.decode_checkpoint_row(*ends.newest_checkpoint).note)
                if note.epoch > tip.epoch or (note.epoch < tip.epoch and not self._begun(image, tip)):
                    yield wrong("The tip is of another epoch than the newest checkpoint.")

    def _segments(self, image: LiveImage, records: RecordVerifier) -> Iterator[Finding]:
        """Files and accounts; those that the site wrote to or emptied during this round are looked at in the next one."""
        before = image.accounts_at_start
        found = list(
            verify_segments(
                image,
                payloads_directory(self._directory),
                self._genesis.ledger_id,
                records.segment_bytes,
                self.summary,
            )
        )
        now = image.accounts_now()
        for finding in found:
            number = finding.number if finding.part == SEGMENT else int.from_bytes(finding.key, "big")
            if finding.part and before.get(number) == now.get(number):
                yield finding


def _awaits(row_key: bytes, row: bytes) -> bool:
    try:
        found = rows.decode_record_row(rows.number_of(row_key), row)
    except Malformed:
        return True
    return found.locator.kind == rows.AWAITED


def check_metas(fd: int) -> None:
    """Both meta pages; a site that writes one of them at this moment is given another try. Raises PageDamaged."""
    for left in reversed(range(PIN_TRIES)):
        try:
            read_metas(fd)
        except PageDamaged:
            if not left:
                raise
        else:
            return


@contextmanager
def _pinned(fd: int, env: lmdb.Environment) -> Iterator[Pages]:
    """The pages of one commit, kept by a transaction. A commit whose meta page was written over meanwhile is given up for a newer one. Raises PageDamaged."""
    for left in reversed(range(PIN_TRIES)):
        with env.begin() as txn:
            try:
                metas = read_metas(fd)
            except PageDamaged:
                if not left:
                    raise
                continue
            meta = next((meta for meta in metas if meta.txnid == txn.id()), None)
            if meta is not None:
                yield Pages(fd, meta)
                return
    raise PageDamaged("No meta page is of the commit that the engine reads.")
