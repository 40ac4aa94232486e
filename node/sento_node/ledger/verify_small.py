"""Verification of the small tables: what the database says of itself, and the few facts that the site must not forget."""

from __future__ import annotations

from collections.abc import Iterator

from sento_node.ledger import rows
from sento_node.ledger.findings import META, REMEMBERED, Finding, Kind
from sento_node.ledger.lmdb_files import FORMAT, META_FORMAT, META_LEDGER_ID, META_TIP
from sento_node.ledger.rows import AWAITED_PREFIX, REMEMBERED_CHECK_PREFIX
from sento_node.ledger.verify_image import Image, SeenRecord
from sento_proto.wire import Malformed


def verify_meta(image: Image, ledger_id: bytes) -> Iterator[Finding]:
    """Format, ledger id, and nothing in that table beside them and the tip."""
    form, found = image.meta()
    if form != FORMAT:
        words = "The ledger's format is not one that this release knows."
        yield Finding(None, None, Kind.WRONG, words, META)
    if found != ledger_id:
        yield Finding(None, None, Kind.WRONG, "The ledger is not the genesis file's.", META)
    for key, _ in image.scan(image.tables.meta):
        if key not in (META_FORMAT, META_LEDGER_ID, META_TIP):
            words = "The database's own table has a row that is none of the ledger's."
            yield Finding(None, None, Kind.WRONG, words, META, key)


def verify_remembered(image: Image) -> Iterator[Finding]:
    """Remembered facts against their checks, and awaited payloads against the rows that await them. Facts kept by earlier releases have no check."""
    table = image.tables.remembered
    for key, value in image.scan(table):
        if key.startswith(AWAITED_PREFIX):
            yield from _awaited(image, key)
        elif key.startswith(REMEMBERED_CHECK_PREFIX):
            name = key.removeprefix(REMEMBERED_CHECK_PREFIX)
            fact = image.get(table, name)
            if fact is None or rows.remembered_check(name, fact) != value:
                words = "A remembered fact is not the one that was written, or it is gone."
                yield Finding(None, None, Kind.WRONG, words, REMEMBERED, name)


def _awaited(image: Image, key: bytes) -> Iterator[Finding]:
    try:
        position = rows.awaited_position(key)
    except Malformed:
        position = -1
    seen = image.seen(position) if position >= 0 else None
    if not isinstance(seen, SeenRecord) or seen.row.locator.kind != rows.AWAITED:
        words = "A payload is noted as awaited that no record awaits."
        yield Finding(None, None, Kind.WRONG, words, REMEMBERED, key)
