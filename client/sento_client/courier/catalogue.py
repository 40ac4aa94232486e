"""The catalogue of a directory of volumes: which sets were made here, and how far the unfinished one has come.

    sento-catalogue.json   {"format": "sento-catalogue-1", "ledger_id", "sets": [{"set", "kind", "epoch", "from_block", "from_size", "to_block", "to_size",
                           "root", "tail_block", "stages": ["spine", "payloads:residency", ..., "spine", "close"], "volumes", "stage", "at",
                           "made_at_ms"}]}

It is written anew, whole and flushed, behind each volume: whoever was killed goes on at the first volume that it does not count. The volumes themselves may be
carried off meanwhile. It proves nothing, and whoever reads volumes does without it. One program at a time works in a directory (flock on the file `.lock`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sento_client.setup_errors import Setup, SetupError
from sento_proto.merkle import HASH_BYTES
from sento_proto.strict_json import Fields, load
from sento_proto.volume import KINDS, SET_ID_BYTES, VOLUMES_MAX
from sento_proto.wire import Malformed

NAME = "sento-catalogue.json"
LOCK_NAME = ".sento-lock"
FORMAT = "sento-catalogue-1"
SPINE, CLOSE, PAYLOADS = "spine", "close", "payloads:"
_NUMBER_MAX = 2**63 - 1


class SetEntry(NamedTuple):
    """One set. `stages`: what it holds, in order; `volumes`: how many are whole; the next one begins in `stage` at `at` (a block or a position).

    It holds the blocks in (from_block, to_block]; `root`: of the tree over `to_size` records. The spine's last chunk, from `tail_block` on, lies beside the
    catalogue until the set is whole: sites keep the newest checkpoints for a minute only, and the set is to end at the one that it began with."""

    set_id: bytes
    kind: str
    epoch: int
    from_block: int
    from_size: int
    to_block: int
    to_size: int
    root: bytes
    tail_block: int
    stages: tuple[str, ...]
    made_at_ms: int
    volumes: int = 0
    stage: int = 0
    at: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is left to be made."""
        return self.stage == len(self.stages)


class Catalogue(NamedTuple):
    """The sets of one directory, oldest first."""

    ledger_id: bytes
    sets: tuple[SetEntry, ...] = ()

    def with_set(self, entry: SetEntry) -> Catalogue:
        """With this set, in place of what is known of it so far."""
        others = tuple(one for one in self.sets if one.set_id != entry.set_id)
        return self._replace(sets=(*others, entry))

    def unfinished(self, kind: str) -> SetEntry | None:
        """The set of this kind that was begun and not ended."""
        return next((one for one in reversed(self.sets) if one.kind == kind and not one.whole), None)

    def newest_whole(self, kind: str) -> SetEntry | None:
        """The set of this kind that reaches furthest."""
        whole = [one for one in self.sets if one.kind == kind and one.whole]
        return max(whole, key=lambda one: (one.epoch, one.to_block), default=None)


@contextlib.contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Make the directory, and keep other programs out of it while inside. Raises SetupError VOLUMES_UNUSABLE, VOLUMES_TAKEN."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise unusable(directory, error) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupError(Setup.VOLUMES_TAKEN, str(directory)) from None
        except OSError as error:
            raise unusable(directory, error) from None
        yield
    finally:
        os.close(descriptor)


def read_catalogue(directory: Path, ledger_id: bytes) -> Catalogue:
    """The directory's catalogue; an empty one where there is none. Raises SetupError VOLUMES_FOREIGN for another ledger's, VOLUMES_UNUSABLE."""
    try:
        data = (directory / NAME).read_bytes()
    except FileNotFoundError:
        return Catalogue(ledger_id)
    except OSError as error:
        raise unusable(directory, error) from None
    try:
        catalogue = decode_catalogue(data)
    except Malformed as error:
        raise SetupError(Setup.VOLUMES_UNUSABLE, f"{directory / NAME}: {error}") from None
    if catalogue.ledger_id != ledger_id:
        raise SetupError(
            Setup.VOLUMES_FOREIGN, f"{directory} holds volumes of ledger {catalogue.ledger_id.hex()}"
        )
    return catalogue


def tail_path(directory: Path, entry: SetEntry) -> Path:
    """Where the last chunk of the set's spine lies until the set is whole."""
    return directory / f"{entry.set_id.hex()}.sento-tail"


def write_flushed(path: Path, data: bytes) -> None:
    """Put a file there, whole or not at all, flushed. Raises OSError."""
    draft = path.with_name(path.name + ".new")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    flush_directory(path.parent)


def write_catalogue(directory: Path, catalogue: Catalogue) -> None:
    """Put it there, whole or not at all, flushed. Raises OSError."""
    write_flushed(directory / NAME, encode_catalogue(catalogue))


def flush_directory(directory: Path) -> None:
    """So that a file that was renamed in it stays so. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems of removable disks that flush no directories
            raise
    finally:
        os.close(descriptor)


def unusable(directory: Path, error: OSError) -> SetupError:
    """What a person is told of a disk that takes or gives no more."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return SetupError(Setup.VOLUMES_FULL, f"{directory}: {error.strerror}")
    return SetupError(Setup.VOLUMES_UNUSABLE, f"{error.filename or directory}: {error.strerror}")


def encode_catalogue(catalogue: Catalogue) -> bytes:
    """The file's bytes."""
    sets = []
    for entry in catalogue.sets:
        value = entry._asdict() | {"root": entry.root.hex()}
        sets.append({"set": value.pop("set_id").hex(), **value})
    value = {"format": FORMAT, "ledger_id": catalogue.ledger_id.hex(), "sets": sets}
    return json.dumps(value, indent=1).encode() + b"\n"


def decode_catalogue(data: bytes) -> Catalogue:
    """The catalogue in `data`. Raises Malformed."""
    fields = load(data, "catalogue")
    fields.choice("format", (FORMAT,))
    catalogue = Catalogue(fields.hex("ledger_id", 32), fields.objects("sets", _entry))
    fields.end()
    return catalogue


def _entry(fields: Fields) -> SetEntry:
    entry = SetEntry(
        set_id=fields.hex("set", SET_ID_BYTES),
        kind=fields.choice("kind", KINDS),
        epoch=fields.number("epoch", 0, 2**32 - 1),
        from_block=fields.number("from_block", 0, _NUMBER_MAX),
        from_size=fields.number("from_size", 0, _NUMBER_MAX),
        to_block=fields.number("to_block", 0, _NUMBER_MAX),
        to_size=fields.number("to_size", 0, _NUMBER_MAX),
        root=fields.hex("root", HASH_BYTES),
        tail_block=fields.number("tail_block", 0, _NUMBER_MAX),
        stages=fields.texts("stages"),
        made_at_ms=fields.number("made_at_ms", 0, _NUMBER_MAX),
        volumes=fields.number("volumes", 0, VOLUMES_MAX),
        stage=fields.number("stage", 0, 2**31),
        at=fields.number("at", 0, _NUMBER_MAX),
    )
    if entry.stage > len(entry.stages):
        raise fields.wrong("stage", "is beyond the last one")
    return entry
