"""Reading a ledger that was set aside: nothing in it is written or tidied, and payloads that an erasure took from it are simply not there.

`LmdbStore.open` refuses a ledger whose segments are missing, because there flushed payloads are lost. Of a ledger set aside an erasure removes whole segments
on purpose, and what is left in it is still wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from sento_node.ledger import rows
from sento_node.ledger.lmdb_files import META_TIP, open_ledger
from sento_node.ledger.lmdb_reads import LmdbReads
from sento_node.ledger.segments import SegmentReader
from sento_node.ledger.store import LedgerFailed
from sento_proto.wire import Malformed


@contextmanager
def reading_set_aside(directory: Path, ledger_id: bytes) -> Iterator[LmdbReads]:
    """The ledger in `directory`, closed at the end. Raises LedgerNotOpened (in use, another ledger's), LedgerFailed (damaged)."""
    try:
        files = open_ledger(directory, ledger_id)
    except (lmdb.Error, OSError) as error:
        raise _unreadable(directory, error) from error
    payloads = SegmentReader(files.payloads, ledger_id)
    try:
        try:
            with files.env.begin() as txn:
                tip = rows.decode_tip(txn.get(META_TIP, b"", db=files.tables.meta))
        except (lmdb.Error, Malformed) as error:
            raise _unreadable(directory, error) from error
        yield LmdbReads(files, tip, payloads)
    finally:
        payloads.close()
        files.close()


def _unreadable(directory: Path, error: Exception) -> LedgerFailed:
    return LedgerFailed(
        f"The ledger in {directory}, which was set aside, cannot be read ({type(error).__name__}: {error}). "
        "Check the disk; another site of that epoch may have set the same records aside."
    )
