"""What a joining site must not forget over a kill: what it is about, how far the local steps are, and which member it became.

    data/joining             JSON {"format":"sento-joining-1","kind","aside","set_aside","ledger_made","confirmed","member_id"}; there until the site serves
    data/joining-bootstrap   the bootstrap file that it was begun with, if there was one
    data/tie-breaker-bootstrap   the same file, kept at a site that has no ledger to tell it what it is
    data/replaced-<n>/       what lay in data/ when the disk was replaced, never removed by the node
    data/access-keys.json    stays where it lies, on the old disk or put there from a backup: no other site has these keys, and each is compared with the ledger

Each step is done before the note says so, and every step may be done again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from sento_node.durable_files import sync_directory, write_durably
from sento_node.releases.kek_file import NAME as ACCESS_KEYS
from sento_proto.bootstrap import SignedBootstrap, decode_bootstrap
from sento_proto.strict_json import Fields, load
from sento_proto.wire import Malformed

FORMAT = "sento-joining-1"
JOIN, REPLACE_DISK, VOTE = "join", "replace-disk", "vote"
KINDS = (JOIN, REPLACE_DISK, VOTE)
"""`vote`: a running site was given a vote; it keeps its ledger, answers and follows meanwhile, and joins the ordering log only."""
NOTE_FILE, BOOTSTRAP_FILE = "joining", "joining-bootstrap"
TIE_BREAKER_FILE = "tie-breaker-bootstrap"
ASIDE = "replaced-"
_NUMBER_MAX = 2**64 - 1


class NoteDamaged(Exception):
    """The note cannot be read. The text is one sentence of cause and one of remedy."""


@dataclass(frozen=True, slots=True)
class Note:
    """`aside`: the number under which the former data are set aside (0: none were there to be). `confirmed`: another site confirmed this disk's first boot.
    `member_id`: the member that this disk became (0: none yet)."""

    kind: str
    aside: int = 0
    set_aside: bool = False
    ledger_made: bool = False
    confirmed: bool = False
    member_id: int = 0


class NoteFiles:
    """The note of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._note = data_dir / NOTE_FILE
        self._bootstrap = data_dir / BOOTSTRAP_FILE

    def read(self) -> Note | None:
        """The note; None when this site is not joining. Raises NoteDamaged, OSError."""
        try:
            data = self._note.read_bytes()
        except FileNotFoundError:
            return None
        try:
            fields = load(data, "joining")
            fields.choice("format", (FORMAT,))
            note = _read_note(fields)
            fields.end()
        except Malformed as error:
            raise NoteDamaged(
                f"{self._note} does not hold how far the joining is ({error}). Check the disk, then run sento-node replace-disk --anew."
            ) from error
        return note

    def write(self, note: Note) -> None:
        """Keep it, flushed. Raises OSError."""
        write_durably(self._note, json.dumps({"format": FORMAT, **asdict(note)}).encode())

    def begin(self, note: Note, bootstrap: bytes | None) -> None:
        """Begin: the bootstrap file first, and one that is not wanted any more last, so that a note never stands without its own. Raises OSError."""
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if bootstrap is not None:
            write_durably(self._bootstrap, bootstrap)
        self.write(note)
        if bootstrap is None:
            self._bootstrap.unlink(missing_ok=True)
            sync_directory(self.data_dir)

    def end(self) -> None:
        """The site serves: nothing is joining any more. Raises OSError."""
        self._note.unlink(missing_ok=True)
        sync_directory(self.data_dir)
        self._bootstrap.unlink(missing_ok=True)
        sync_directory(self.data_dir)

    def bootstrap(self) -> SignedBootstrap | None:
        """The bootstrap file that it was begun with. Raises NoteDamaged, OSError."""
        return _read_bootstrap(self._bootstrap)

    def kept_bootstrap(self) -> SignedBootstrap | None:
        """What a tie-breaker was begun with, once its joining is over; before that what it is begun with. Raises NoteDamaged, OSError."""
        return self.bootstrap() or _read_bootstrap(self.data_dir / TIE_BREAKER_FILE)

    def keep_bootstrap(self) -> None:
        """Keep the file beyond the end of the joining, flushed; nothing where it was begun without. Raises OSError."""
        if self._bootstrap.exists():
            write_durably(self.data_dir / TIE_BREAKER_FILE, self._bootstrap.read_bytes())

    # -- what lies in the directory ----------------------------------------------------------------------------------------

    def former(self) -> list[Path]:
        """What is set aside when a disk is replaced: all but the note, what was set aside before, and the keys of access records."""
        return sorted(path for path in _entries(self.data_dir) if not _stays(path.name))

    def next_aside(self) -> int:
        """The number for what is set aside now; 0 where there is nothing."""
        if not self.former():
            return 0
        names = (path.name.removeprefix(ASIDE) for path in self.data_dir.glob(f"{ASIDE}*"))
        return max((int(name) for name in names if name.isascii() and name.isdigit()), default=0) + 1

    def move_aside(self, number: int) -> None:
        """Move the former data into their directory; goes on where a kill left it. Raises OSError."""
        if not number:
            return
        aside = self.data_dir / f"{ASIDE}{number}"
        aside.mkdir(mode=0o700, exist_ok=True)
        for path in self.former():
            path.rename(aside / path.name)
        sync_directory(aside)
        sync_directory(self.data_dir)


def _read_bootstrap(path: Path) -> SignedBootstrap | None:
    try:
        return decode_bootstrap(path.read_bytes())
    except FileNotFoundError:
        return None
    except Malformed as error:
        raise NoteDamaged(
            f"{path} was altered ({error}). Check the disk, and begin again with the file that the officers signed."
        ) from error


def _entries(directory: Path) -> Iterable[Path]:
    return directory.iterdir() if directory.exists() else ()


def _stays(name: str) -> bool:
    return name.startswith((NOTE_FILE, ASIDE)) or name in ("lost+found", ACCESS_KEYS)


def _read_note(fields: Fields) -> Note:
    return Note(
        kind=fields.choice("kind", KINDS),
        aside=fields.number("aside", 0, 1_000_000),
        set_aside=fields.flag("set_aside"),
        ledger_made=fields.flag("ledger_made"),
        confirmed=fields.flag("confirmed"),
        member_id=fields.number("member_id", 0, _NUMBER_MAX),
    )
