"""How an outbox looks: a sentence, tables for people, values for programs. Ids, registries and kinds alone: nothing else of a record is readable here."""

from __future__ import annotations

import datetime as dt
import time

from rich.box import SIMPLE_HEAD
from rich.table import Table

from sento_client.outbox.inspecting import KeptRecord, RefusedRecord, ShelfLook
from sento_client.receipts.store import StoreLook


def sentence(shelves: list[ShelfLook]) -> str:
    """What people read first."""
    records, refused = sum(shelf.records for shelf in shelves), sum(shelf.refused for shelf in shelves)
    damaged = sum(bool(shelf.trouble) for shelf in shelves)
    left = sum(shelf.records for shelf in shelves if not shelf.in_use)
    oldest = min((shelf.oldest_ms for shelf in shelves if shelf.oldest_ms is not None), default=None)
    parts = []
    if records:
        age_s = max(0, time.time() - (oldest or 0) / 1000)
        size_kib = sum(shelf.size_bytes for shelf in shelves) // 1024
        parts.append(
            f"{records} records wait ({size_kib} KiB), the oldest for {dt.timedelta(seconds=int(age_s))}"
        )
        if left:
            parts.append(f"{left} of them were left by programs that ended: sento outbox send")
    pending = sum(shelf.pending_abroad for shelf in shelves)
    if pending:
        parts.append(f"{pending} of them are held by a quorum at home and wait for a site abroad alone")
    held, let_go = sum(shelf.held for shelf in shelves), sum(shelf.let_go for shelf in shelves)
    if held:
        parts.append(
            f"{held} records stand at home and are held until a site abroad has them ({sum(shelf.held_bytes for shelf in shelves) // 1024} KiB)"
        )
    if let_go:
        parts.append(f"{let_go} submissions that were held so had to make room (outbox.hold_mib)")
    if refused:
        parts.append(f"{refused} were refused for good with nobody there to be told")
    if damaged:
        parts.append(f"{damaged} files cannot be read: move them away and look at them, do not delete them")
    return (
        "; ".join(parts) + "."
        if parts
        else "The outbox is empty: everything that was handed over has its end."
    )


def receipts_sentence(look: StoreLook | None) -> str:
    """How many receipts there are, and what they take."""
    if look is None:
        return "There are no receipts yet."
    if look.trouble:
        return f"The receipts in {look.path} cannot be read: {look.trouble}. Move the file away and keep it."
    kib = look.size_bytes / 1024
    size = f"{kib / 1024:.1f} MiB" if kib >= 1024 else f"{kib:.0f} KiB"
    return f"{look.receipts} receipts are kept ({size}): sento receipt list."


def kept_table(kept: list[KeptRecord]) -> Table:
    """Records that wait."""
    table = _table("record id", "registry", "kind", "since", "tried", "last word")
    for record in kept:
        word = record.code.name if record.code is not None else ""
        if record.home_ms:
            word = f"abroad pending since {_when(record.home_ms)}"
        table.add_row(
            record.record_id.hex(),
            record.registry,
            record.kind,
            _when(record.kept_at_ms),
            str(record.rounds or ""),
            word,
        )
    return table


def refused_table(refused: list[RefusedRecord]) -> Table:
    """Records that were refused for good."""
    table = _table("refused id", "registry", "kind", "when", "code")
    for record in refused:
        table.add_row(
            record.record_id.hex(),
            record.registry,
            record.kind,
            _when(record.refused_at_ms),
            record.code.name,
        )
    return table


def _table(id_title: str, *titles: str) -> Table:
    """The id is what one copies into the next command, so it is never cut; the rest may wrap."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column(id_title, no_wrap=True, min_width=32)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _when(time_ms: int) -> str:
    return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def file_value(shelf: ShelfLook) -> dict[str, object]:
    """A file for programs."""
    return {
        "path": str(shelf.path),
        "in_use": shelf.in_use,
        "submissions": shelf.submissions,
        "records": shelf.records,
        "size_bytes": shelf.size_bytes,
        "oldest_ms": shelf.oldest_ms,
        "refused": shelf.refused,
        "trouble": shelf.trouble,
        "pending_abroad": shelf.pending_abroad,
        "held_for_abroad": shelf.held,
        "held_bytes": shelf.held_bytes,
        "let_go_for_room": shelf.let_go,
    }


def kept_value(record: KeptRecord) -> dict[str, object]:
    """A record that waits, for programs."""
    return {
        "record_id": record.record_id.hex(),
        "registry": record.registry,
        "kind": record.kind,
        "kept_at_ms": record.kept_at_ms,
        "rounds": record.rounds,
        "code": None if record.code is None else record.code.name,
        "abroad": record.abroad,
        "abroad_pending_since_ms": record.home_ms or None,
    }


def refused_value(record: RefusedRecord) -> dict[str, object]:
    """A refused record, for programs."""
    return {
        "record_id": record.record_id.hex(),
        "registry": record.registry,
        "kind": record.kind,
        "refused_at_ms": record.refused_at_ms,
        "code": record.code.name,
    }
