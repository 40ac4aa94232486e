"""The local steps of joining, before a node starts: former data set aside, an empty ledger made that knows that it is to be copied.

`joining_at_start` is asked by every start: a site that was killed while it joined goes on, whichever command starts it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from sento_node.compose import FLOOR_NAME
from sento_node.durable_files import write_durably
from sento_node.epochs.places import note_epoch
from sento_node.joining.deciding import GoOn, MakeLedger, SetAside, local_step
from sento_node.joining.note import JOIN, Note, NoteFiles
from sento_node.ledger.lmdb_files import lock_directory
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.rebuild.boot_memories import FORMAT as MEMORIES_FORMAT
from sento_node.rebuild.boot_memories import LOST_NAME, memories_path
from sento_node.rebuild.deciding import NOTE_NAME, encode_note
from sento_node.rebuild.deciding import Note as RebuildNote
from sento_node.rebuild.places import Places
from sento_node.sync.deciding import Anchor
from sento_proto.bootstrap import Bootstrap, SignedBootstrap
from sento_proto.wire import u64

REASONS = {
    JOIN: "This site is new, and copies the ledger.",
    "replace-disk": "This site's disk was replaced, and the ledger is copied.",
}


class Begun:
    """A joining on this disk. `bootstrap`: what the officers signed of the ledger, if the joining was begun with it."""

    def __init__(self, files: NoteFiles, note: Note, bootstrap: SignedBootstrap | None) -> None:
        self.files = files
        self.note = note
        self.bootstrap: Bootstrap | None = None if bootstrap is None else bootstrap.content

    @property
    def anchor(self) -> Anchor | None:
        """The tree that the copied ledger must come to, as the officers signed it."""
        content = self.bootstrap
        return None if content is None else Anchor(content.epoch, content.size, content.root)

    def noted(self, **fields: object) -> None:
        """The note with these fields set, on disk. Raises OSError."""
        self.note = replace(self.note, **fields)  # type: ignore[arg-type]  # each caller names fields of its own types
        self.files.write(self.note)


def joining_at_start(data_dir: Path, ledger_id: bytes, *, has_ledger: bool = True) -> Begun | None:
    """The joining that this disk is in, its local steps done; None when it is in none. `has_ledger`: false for a tie-breaker. Raises NoteDamaged, OSError,
    LedgerFailed."""
    files = NoteFiles(data_dir)
    note = files.read()
    if note is None:
        return None
    begun = Begun(files, note, files.bootstrap())
    while True:
        match local_step(begun.note):
            case SetAside(number):
                files.move_aside(number)
                begun.noted(set_aside=True)
            case MakeLedger():
                if has_ledger:
                    make_ledger(data_dir, ledger_id, begun)
                lose_memories(data_dir, begun)
                begun.noted(ledger_made=True)
            case GoOn():
                return begun


def make_ledger(data_dir: Path, ledger_id: bytes, begun: Begun) -> None:
    """An empty ledger that remembers that it is made from others: nothing is answered or cosigned before it is whole, and no other site's boot confirmed by
    what it never heard. Raises OSError, LedgerFailed."""
    floor_size = 0 if begun.anchor is None else begun.anchor.size
    store = LmdbStore.open(Places(data_dir).ledger, ledger_id)
    try:
        store.remember(NOTE_NAME, encode_note(RebuildNote(REASONS[begun.note.kind], 1, floor_size, 0)))
        store.remember(FLOOR_NAME, u64(floor_size))
        store.remember(LOST_NAME, b"1")
    finally:
        store.close()


def lose_memories(data_dir: Path, begun: Begun) -> None:
    """What a disk without a former life knows: in which epoch it joins, and that it does not remember other sites' boots. Raises OSError."""
    if begun.anchor is not None and begun.anchor.epoch:
        note_epoch(data_dir, begun.anchor.epoch)
    if not memories_path(data_dir).exists():
        lost = b'{"format":"%s","sites":{},"lost":true}' % MEMORIES_FORMAT.encode()
        write_durably(memories_path(data_dir), lost)


def check_stopped(data_dir: Path) -> None:
    """Raises LedgerNotOpened while a node has the ledger of this directory open."""
    ledger = Places(data_dir).ledger
    if ledger.exists():
        os.close(lock_directory(ledger))
