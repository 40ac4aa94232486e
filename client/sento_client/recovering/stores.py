"""What this computer, or a copied directory, knows of acknowledged records: receipt stores, single receipt files, and outboxes. Changes none of it; blocks.

A store is its institution's own, whose client verified each receipt before it went in, and is taken at its word; a single file, which anybody may bring, is
verified here. What cannot be read is told in words and never left out silently: a record that nobody names is a record that nobody misses.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from sento_client.delivery_values import code_of
from sento_client.outbox.shelf import (
    BUSY_TIMEOUT_S,
    FORMAT_WITHOUT_ABROAD,
    FORMAT_WITHOUT_HELD,
    Belongs,
    shelves_in,
)
from sento_client.receipts.store import SUFFIX, ReceiptStore
from sento_client.recovering.collected import Known
from sento_client.setup_errors import SetupError
from sento_proto.checkpoint import encode_checkpoint
from sento_proto.governance.state import Governance
from sento_proto.header import decode as decode_header
from sento_proto.receipt import FILE_SUFFIX, RECEIPT_MAX_BYTES, decode_receipt, verify_receipt
from sento_proto.submission import decode_submission
from sento_proto.wire import Malformed

CHECKPOINTS_KEPT = 3
_UNREADABLE = (sqlite3.Error, SetupError, Malformed, OSError, TypeError, ValueError)


@dataclass(slots=True)
class Found:
    """What the directories gave. `notes`: what could not be read or does not count, in words."""

    known: list[Known] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_receipts(directory: Path, governance: Governance, found: Found, *, named: bool = True) -> None:
    """Every store (`*.receipts`) and every receipt file (`*.receipt.json`) in `directory`, into `found`; that there is none in one that was
    named is said, too."""
    if named and not any(next(directory.glob(f"*{ending}"), None) for ending in (SUFFIX, FILE_SUFFIX)):
        found.notes.append(f"{directory}: no receipts are in it; name the directory that holds *{SUFFIX}")
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        try:
            _read_store(path, governance.ledger_id, found)
        except _UNREADABLE as error:
            found.notes.append(_note(path, error))
    for path in sorted(directory.glob(f"*{FILE_SUFFIX}")):
        try:
            known = _receipt_file(path, governance)
        except _UNREADABLE as error:
            found.notes.append(_note(path, error))
        else:
            found.known.append(known)


def _read_store(path: Path, ledger_id: bytes, found: Found) -> None:
    institution = path.name.removesuffix(SUFFIX)
    store = ReceiptStore.open(path.parent, Belongs(ledger_id, institution))
    with closing(store):
        newest = store.newest_checkpoints(CHECKPOINTS_KEPT)
        known = [
            Known(one.record_hash, one.record_id, institution, "", one.epoch, one.position)
            for one in store.held()
        ]
    found.known += known
    found.checkpoints += [encode_checkpoint(checkpoint).decode() for checkpoint in newest]


def _receipt_file(path: Path, governance: Governance) -> Known:
    """Raises OSError, Malformed: it is not in form, or does not verify."""
    with path.open("rb") as file:
        receipt = decode_receipt(file.read(RECEIPT_MAX_BYTES + 1))
    verified = verify_receipt(receipt, governance)
    failed = [step for step in verified.steps if not step.holds and step.check != "epoch"]
    if failed:
        raise Malformed(f"receipt: {failed[0].why}")
    author, registry, record_id = "", "", bytes(16)
    if receipt.record is not None:
        header = decode_header(receipt.record.header_bytes or b"")
        author, registry, record_id = verified.author, header.registry, header.record_id
    return Known(receipt.record_hash, record_id, author, registry, receipt.checkpoint.epoch, receipt.position)


def read_outbox(directory: Path, ledger_id: bytes, found: Found, *, named: bool = True) -> None:
    """Every shelf in `directory`, into `found`: what is kept, whether a quorum had it, and what its client was last told; that there is none in one that was
    named is said, too."""
    shelves = list(shelves_in(directory))
    if named and not shelves:
        found.notes.append(
            f"{directory}: no outbox is in it; name the directory that outbox.directory of its sento.toml names"
        )
    for path in shelves:
        try:
            found.known += list(_kept(path, ledger_id))
        except _UNREADABLE as error:
            found.notes.append(_note(path, error))


def _kept(path: Path, ledger_id: bytes) -> Iterator[Known]:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as database:
        belongs = Belongs(*database.execute("SELECT ledger_id, institution FROM belongs").fetchone())
        if belongs.ledger_id != ledger_id:
            raise Malformed(f"it is of ledger {belongs.ledger_id.hex()[:16]}")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        home = "home_ms" if version > FORMAT_WITHOUT_ABROAD else "0"
        held = "h.epoch, h.left_out FROM kept LEFT JOIN held h ON h.id = kept.id"
        held = held if version > FORMAT_WITHOUT_HELD else "NULL, NULL FROM kept"
        rows = database.execute(f"SELECT submission, code, {home}, {held} ORDER BY kept.id").fetchall()
    for submission, code, home_ms, epoch, left_out in rows:
        refused = {int(place) for place in (left_out or "").split()}
        told = code_of(code).name if code else ""
        for place, record in enumerate(decode_submission(bytes(submission)).records):
            at_home = bool(home_ms) or (epoch is not None and place not in refused)
            header = record.header
            yield Known(
                record.record_hash, header.record_id, belongs.institution, header.registry, epoch or 0, None, at_home, True, told,
            )  # fmt: skip


def _note(path: Path, error: Exception) -> str:
    """Which file, and why, in one line."""
    return " ".join(f"{path}: {error}; what is in it is not counted".split())
