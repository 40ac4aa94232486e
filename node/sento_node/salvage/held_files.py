"""A member's write-ahead files, held open while they are read, so that a member that runs may remove or prolong them meanwhile and nothing is copied.

A file that the member removes stays readable for whoever has it open; one that it prolongs is read up to where it had come. A record that is half written at
that moment looks torn or damaged, and is whole at the next look. Nothing here is written to, also not a lock: the directory may be a copy that cannot be
changed. Files that the member prepares (`*.tmp`) and copies of torn ones (`*.broken`) are passed over.

Source: etcd 3.4, wal/wal.go (cut, readWALNames), pkg/fileutil/purge.go.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from sento_node.ordering.etcd.write_ahead import wal_directory, wal_files
from sento_node.salvage.steps import Step, step_of
from sento_node.salvage.tail import LedgerBlocks, Tail, tail_of
from sento_node.salvage.wal import UNCHECKED, Wal, WalFile, read_wal

BROUGHT: Final = "etcd-brought-*"
"""Copies of other members' data directories, beside the own member's."""
_LOOKS: Final = 4
"""A file that is gone between listing and opening, or a record that is half written, is looked at again so often."""
_BEFORE: Final = 1
"""So many files are read before the first one that was needed: an append and its repetition may lie in two."""


def logs_of(member_dir: Path) -> list[Path]:
    """The directories under which this site has logs of one epoch: of its own member first, then of members whose data somebody brought here.

    A tie-breaker has no ledger, and a dead site's disk may give its log alone: a copy of that member's directory, put beside the own one as
    `etcd-brought-<name>`, is read as if it were this site's."""
    brought = sorted(member_dir.parent.glob(BROUGHT))
    return [directory for directory in (member_dir, *brought) if _is_log(directory)]


def _is_log(directory: Path) -> bool:
    return wal_directory(directory).is_dir() and bool(wal_files(directory))


def has_log(member_dir: Path) -> bool:
    """Whether there is a log, the own or one that was brought."""
    return bool(logs_of(member_dir))


def read_tail(member_dir: Path, ledger: LedgerBlocks) -> Tail:
    """The blocks behind the ledger's end in the log under `member_dir`, of a member that runs or not; of several logs of one cluster, by the one that can be
    read and goes furthest (raft, 5.4.1), else the own one. Raises OSError.

    Read from the end: most often the newest files are enough. The ledger's end is looked for first, and checksums are compared from there on."""
    first, *others = [_read_steady(directory, ledger) for directory in logs_of(member_dir)]
    of_one = [first, *(tail for tail in others if tail.cluster_id == first.cluster_id)]
    return max(of_one, key=lambda tail: (not tail.trouble, tail.last_term, tail.last_index))


def _read_steady(member_dir: Path, ledger: LedgerBlocks) -> Tail:
    """A record that is being written looks torn: looked at again until nothing changes."""
    tail = _look(member_dir, ledger)
    for _ in range(_LOOKS - 1):
        if not (tail.trouble or tail.ended):
            break
        again = _look(member_dir, ledger)
        if (again.last_index, again.trouble, again.ended) == (tail.last_index, tail.trouble, tail.ended):
            break
        tail = again
    return tail


def _look(member_dir: Path, ledger: LedgerBlocks) -> Tail:
    with held_files(member_dir) as files:
        count = 1 + _BEFORE
        while True:
            found = tail_of(_read(files[-count:], UNCHECKED), ledger)
            if found.joined and not found.trouble:
                return tail_of(_read(files[-count:], found.joined_at), ledger)
            if count >= len(files):
                return tail_of(_read(files, check_from=0), ledger)
            count *= 2


def _read(files: Sequence[BinaryIO], check_from: int) -> Wal[Step]:
    return read_wal(_contents(files), step_of, check_from)


def _contents(files: Sequence[BinaryIO]) -> Iterator[WalFile]:
    for file in files:
        size = os.fstat(file.fileno()).st_size
        yield WalFile(Path(file.name).name, os.pread(file.fileno(), size, 0))


@contextmanager
def held_files(member_dir: Path) -> Iterator[Sequence[BinaryIO]]:
    """The write-ahead files, oldest first, each open to read. Raises OSError."""
    directory = wal_directory(member_dir)
    for look in range(_LOOKS):
        with ExitStack() as opened:
            try:
                files = [
                    opened.enter_context((directory / name).open("rb")) for name in wal_files(member_dir)
                ]
            except FileNotFoundError:
                if look + 1 == _LOOKS:
                    raise
                continue
            yield files
            return
