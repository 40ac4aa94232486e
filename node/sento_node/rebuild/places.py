"""Where a rebuild keeps its files, and what they say.

data/rebuild-asked        JSON {"reason", "attempt", "disputed_size"}: the next start makes the ledger anew; stays until the new one is in place
data/ledger-draft/        the new ledger while it is made; dropped and begun again after a crash, unless it is ready
data/ledger-draft-ready   the draft is whole and flushed: whatever happens, it becomes data/ledger
data/ledger-closed        JSON: what the ledger's files looked like when the node closed them; files that look so still need no check of their pages
data/damaged-<n>/         ledgers that were set aside, never removed by the node
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from sento_node.durable_files import sync_directory, write_durably
from sento_node.ledger.lmdb_files import database_directory, payloads_directory
from sento_node.ledger.segments import segment_numbers, segment_path


class Asked(NamedTuple):
    """Why the ledger is to be made anew, how often it was in a row, and at which size a quorum had another root (0: none)."""

    reason: str
    attempt: int = 1
    disputed_size: int = 0


class Places:
    """The files of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.ledger = data_dir / "ledger"
        self.draft = data_dir / "ledger-draft"
        self.ready = data_dir / "ledger-draft-ready"
        self._asked = data_dir / "rebuild-asked"
        self._closed = data_dir / "ledger-closed"

    @property
    def has_database(self) -> bool:
        """Whether there is a database that is not empty."""
        data = database_directory(self.ledger) / "data.mdb"
        return data.exists() and data.stat().st_size > 0

    def ask(self, asked: Asked) -> None:
        """Ask for a new ledger at the next start, flushed. Raises OSError."""
        write_durably(self._asked, json.dumps(asked._asdict()).encode())

    def asked(self) -> Asked | None:
        """What was asked for. A file that cannot be read asks all the same: whoever wrote it wanted a new ledger."""
        try:
            data = self._asked.read_bytes()
        except FileNotFoundError:
            return None
        try:
            found = json.loads(data)
            return Asked(str(found["reason"]), int(found["attempt"]), int(found["disputed_size"]))
        except (ValueError, KeyError, TypeError):
            return Asked("A new ledger was asked for, and the file that says why cannot be read.")

    def drop_draft(self) -> None:
        """What a life that was killed left of a draft holds payloads, and nobody would look for them there. Raises OSError."""
        if self.draft.exists():
            shutil.rmtree(self.draft)
            sync_directory(self.data_dir)

    def no_longer_asked(self) -> None:
        """The new ledger is in place."""
        self._asked.unlink(missing_ok=True)
        sync_directory(self.data_dir)

    def aside(self) -> list[int]:
        """Numbers of the ledgers that were set aside, rising."""
        names = (path.name.removeprefix("damaged-") for path in self.data_dir.glob("damaged-*"))
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    # -- whether the files are as they were closed -----------------------------------------------------------------------

    def note_closed(self) -> None:
        """Note how the ledger's files look now that nobody has them open. Raises OSError."""
        write_durably(self._closed, json.dumps(self._looks()).encode())

    def as_closed(self) -> bool:
        """Whether the files look as they did when a node closed them in order."""
        try:
            return bool(json.loads(self._closed.read_bytes()) == self._looks())
        except (OSError, ValueError):
            return False

    def opened(self) -> None:
        """The ledger is about to be written to."""
        self._closed.unlink(missing_ok=True)

    def _looks(self) -> dict[str, list[int]]:
        payloads = payloads_directory(self.ledger)
        paths = [database_directory(self.ledger) / "data.mdb"]
        paths += [segment_path(payloads, number) for number in segment_numbers(payloads)]
        stats = [(path, path.stat()) for path in paths]
        return {path.name: [stat.st_ino, stat.st_size, stat.st_mtime_ns] for path, stat in stats}
