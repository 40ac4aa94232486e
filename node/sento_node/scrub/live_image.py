"""The ledger as it lies on disk under a running site: many short looks instead of one long one, bounded in bytes a second.

A round verifies what stood when it began (`tip`); what is committed behind its back changes none of that but heads of indexes, short tiles (they grow) and
payloads' places (an erasure moves what lives). So the transaction is given back after half a second or before a pause, and the next look takes a newer
commit; a tile is cut to what it had to hold then; a payload that is not where its row said is looked for where the row says now.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import lmdb

from sento_node.ledger import rows
from sento_node.ledger.findings import Finding
from sento_node.ledger.lmdb_files import META_TIP, Tables
from sento_node.ledger.segments import FRAME_BYTES, PayloadMissing, PayloadWrong, SegmentReader
from sento_node.ledger.state import Tip
from sento_node.ledger.tiles import TILE_BITS, TILE_HASHES
from sento_node.ledger.verify_image import Image, SeenRecord
from sento_node.scrub.pace import Pace
from sento_node.scrub.pages import PageDamaged
from sento_proto.merkle import HASH_BYTES

LOOK_S = 0.5
ROWS_PER_SCAN = 128


class Ends(NamedTuple):
    """The tip, how many rows of records and blocks there are, the newest checkpoint's key and row, and the last block's row, in one commit."""

    tip: Tip
    rows: int
    blocks: int
    newest_checkpoint: tuple[bytes, bytes] | None
    last_block: bytes | None


class LiveImage(Image):
    """`Image` over a database that is being written. `tip` is how far this round goes."""

    grows = True

    def __init__(self, env: lmdb.Environment, tables: Tables, pace: Pace) -> None:
        self._env = env
        self._pace = pace
        self._began_s = time.monotonic()
        super().__init__(env.begin(), tables)
        self.pinned_tip, self._tip_finding = super().tip()
        self.accounts_at_start = self._accounts()

    def close(self) -> None:
        """Give the last look back."""
        self._txn.abort()

    def _look(self, spent_bytes: int = 0) -> None:
        """Before each look: pause if this round is ahead of its pace, and take a newer commit if this look is old."""
        pause_s = self._pace.spent(spent_bytes)
        if pause_s == 0 and time.monotonic() - self._began_s < LOOK_S:
            return
        self._txn.abort()
        self._pace.pause(pause_s)
        self.renew()

    def renew(self) -> None:
        """Take the newest commit from here on."""
        self._txn.abort()
        self._txn = self._env.begin()
        self._began_s = time.monotonic()

    def get(self, table: lmdb._Database, key: bytes) -> bytes | None:
        """The row under a key. Raises PageDamaged where the engine cannot follow its pages."""
        self._look()
        try:
            found = self._txn.get(key, db=table)
        except lmdb.Error as error:
            raise PageDamaged(f"The engine cannot read a row ({type(error).__name__}).") from error
        self._pace.spent(len(found or b""))
        return found

    def accounts_now(self) -> dict[int, bytes]:
        """The segments' accounts as the newest commit has them, by number."""
        self.renew()
        return self._accounts()

    def _accounts(self) -> dict[int, bytes]:
        with self._txn.cursor(self.tables.segments) as cursor:
            return {int.from_bytes(key, "big"): row for key, row in cursor}

    def together(self, table: lmdb._Database, *keys: bytes) -> list[bytes | None]:
        """Rows as one commit has them."""
        self.renew()
        return [self._txn.get(key, db=table) for key in keys]

    def scan(self, table: lmdb._Database, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows in the order of their keys, a few from each look. Checkpoints end with this round's size."""
        while True:
            self._look()
            with self._txn.cursor(table) as cursor:
                found = cursor.set_range(start) if start else cursor.first()
                items = list(islice(cursor.iternext(), ROWS_PER_SCAN)) if found else []
            self._pace.spent(sum(len(key) + len(value) for key, value in items))
            for key, value in items:
                if table is self.tables.checkpoints and key > rows.position_key(self.pinned_tip.size):
                    return
                yield key, value
            if len(items) < ROWS_PER_SCAN:
                return
            start = items[-1][0] + b"\0"

    def tip(self) -> tuple[Tip, Finding | None]:
        """How far this round goes, with what was the matter with it."""
        return self.pinned_tip, self._tip_finding

    def ends(self) -> Ends:
        """How far everything goes in one commit. Raises Malformed when its tip cannot be read."""
        self.renew()
        tip = rows.decode_tip(self._txn.get(META_TIP, b"", db=self.tables.meta))
        with self._txn.cursor(self.tables.checkpoints) as cursor:
            newest = cursor.item() if cursor.last() else None
        row_count, block_count = (
            self._txn.stat(table)["entries"] for table in (self.tables.rows, self.tables.blocks)
        )
        return Ends(
            tip,
            row_count,
            block_count,
            newest,
            self._txn.get(rows.position_key(tip.block), db=self.tables.blocks),
        )

    def size_now(self, size: int) -> int:
        """How many records the commit of this look holds."""
        return rows.decode_tip(self._txn.get(META_TIP, b"", db=self.tables.meta)).size

    def entries(self, table: lmdb._Database) -> int:
        """How many rows a table has in the newest commit, which the next question about sizes is answered from too."""
        self.renew()
        return super().entries(table)

    def tile(self, level: int, index: int) -> bytes:
        """A tile as this round's size needs it."""
        count = (self.pinned_tip.size >> TILE_BITS * level) - index * TILE_HASHES
        return super().tile(level, index)[: max(0, min(count, TILE_HASHES)) * HASH_BYTES]

    def read_payload(self, payloads: SegmentReader, seen: SeenRecord) -> None:
        """Read a stored payload where its row says, or says now. Raises PayloadMissing, PayloadWrong."""
        self._look(FRAME_BYTES + seen.row.locator.length)
        try:
            payloads.read(seen.position, seen.row.payload_hash, seen.row.locator)
        except (PayloadMissing, PayloadWrong):
            payloads.forget(seen.row.locator.segment)
            self.renew()
            fresh = self._seen(seen.position)
            if not isinstance(fresh, SeenRecord) or fresh.row.locator == seen.row.locator:
                raise
            if fresh.row.locator.kind == rows.STORED:
                payloads.read(fresh.position, fresh.row.payload_hash, fresh.row.locator)
