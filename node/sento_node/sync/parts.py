"""Chunks that have arrived in part or whole, on disk under data/sync/, so that a cut line and a kill lose no byte that came.

    <kind>-<after>-<through>-<from>-<to>-<registry>@<site>.part  =  chunk id 32 || u64 total bytes || u64 acts || the bytes so far

A part belongs to the site that gave it, so that a false byte has one author. `acts` is how many erasures were carried out when it began: a part with payloads
that was begun before another one is dropped, for it may hold what that act had destroyed. What a power cut leaves is proven by the digest in the chunk and
begun again if torn; flushing only bounds how much that can be.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sento_node.durable_files import write_all
from sento_proto.chunk import CHUNK_MAX_BYTES, Kind
from sento_proto.wire import Reader, u64

HEAD_BYTES = 32 + 8 + 8
ROOM_LEFT_BYTES = 64 * 1024 * 1024
"""Nothing is received that would leave less: the ledger needs room for what is here already."""
_NAME = re.compile(r"(spine|payloads)-\d+-(\d+)-\d+-\d+-[a-z0-9+-]*@([a-z0-9-]+)\.part")


class Wanted(NamedTuple):
    """A chunk to be fetched. For a spine the blocks and positions are those of the plan; payloads may end before `to_position`."""

    kind: Kind
    after_block: int
    through_block: int
    from_position: int
    to_position: int
    registry: str = ""


class NoRoom(Exception):
    """The disk has no room for what is to come; what came is kept. The text is one sentence of cause and one of remedy."""


def _free_bytes(directory: Path) -> int:
    stats = os.statvfs(directory)
    return stats.f_bavail * stats.f_frsize


class Part:
    """One chunk from one site, as far as it has come. `inherited`: some of it was received by a former life, which may have lost power."""

    def __init__(self, path: Path, descriptor: int, acts: int, room_bytes: Callable[[], int]) -> None:
        self.path = path
        self._descriptor = descriptor
        self._acts = acts
        self._room_bytes = room_bytes
        self.chunk_id = b""
        self.total_bytes = 0
        self.size_bytes = 0
        self.inherited = False
        self.dropped = False
        self._find()

    def _find(self) -> None:
        length = os.fstat(self._descriptor).st_size
        if length < HEAD_BYTES:
            return
        head = Reader(os.pread(self._descriptor, HEAD_BYTES, 0), "part")
        chunk_id, total, acts = head.take(32, "chunk id"), head.u64("total"), head.u64("acts")
        size = length - HEAD_BYTES
        if acts == self._acts and size <= total <= CHUNK_MAX_BYTES:
            self.chunk_id, self.total_bytes, self.size_bytes, self.inherited = chunk_id, total, size, True

    @property
    def is_whole(self) -> bool:
        """Whether every byte is here."""
        return 0 < self.total_bytes == self.size_bytes

    def begin(self, chunk_id: bytes, total_bytes: int) -> None:
        """Another chunk than the one so far: from its beginning. Raises NoRoom, OSError."""
        if self._room_bytes() < total_bytes + ROOM_LEFT_BYTES:
            raise _no_room(total_bytes)
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._write(chunk_id + u64(total_bytes) + u64(self._acts))
        self.chunk_id, self.total_bytes, self.size_bytes, self.inherited = chunk_id, total_bytes, 0, False

    def append(self, data: bytes) -> None:
        """The next bytes. Raises NoRoom, OSError."""
        os.lseek(self._descriptor, HEAD_BYTES + self.size_bytes, os.SEEK_SET)
        self._write(data)
        self.size_bytes += len(data)

    def _write(self, data: bytes) -> None:
        try:
            write_all(self._descriptor, data)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                os.ftruncate(self._descriptor, HEAD_BYTES + self.size_bytes if self.total_bytes else 0)
                raise _no_room(len(data)) from error
            raise

    def flush(self) -> None:
        """Onto the medium: what is flushed is not received twice, whatever happens to the power. Raises OSError."""
        os.fdatasync(self._descriptor)

    def first(self, size_bytes: int) -> bytes:
        """The first bytes of the chunk. Raises OSError."""
        return os.pread(self._descriptor, min(size_bytes, self.size_bytes), HEAD_BYTES)

    def close(self) -> None:
        """Keep it for later."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _no_room(wanted_bytes: int) -> NoRoom:
    return NoRoom(
        f"The disk has no room for {wanted_bytes:,} bytes of another site's ledger. "
        "Free space or enlarge the disk: copying goes on by itself where it is, and nothing that came is lost."
    )


def _acts_of(path: Path) -> int | None:
    """How many erasures were carried out when the part began; None for a torn one."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return int.from_bytes(head[-8:], "big") if len(head) == HEAD_BYTES else None


class Parts:
    """All parts of one site. One event loop owns it. `room_bytes` says how much is free."""

    def __init__(self, directory: Path, room_bytes: Callable[[], int] | None = None) -> None:
        self.directory = directory
        self._room_bytes = room_bytes or (lambda: _free_bytes(directory))
        self._acts = 0
        self._open: dict[Path, Part] = {}
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def part(self, site: str, wanted: Wanted) -> Part:
        """The part of a chunk from a site: what is there of it, or nothing yet; one for one name at a time. Raises OSError."""
        path = self._path(site, wanted)
        former = self._open.get(path)
        if former is not None:
            former.close()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        acts = self._acts if wanted.kind is Kind.PAYLOADS else 0
        part = self._open[path] = Part(path, descriptor, acts, self._room_bytes)
        return part

    def _path(self, site: str, wanted: Wanted) -> Path:
        numbers = "-".join(map(str, wanted[1:5]))
        registry = wanted.registry.replace("/", "+")
        return self.directory / f"{wanted.kind.name.lower()}-{numbers}-{registry}@{site}.part"

    def kept_bytes(self, site: str, wanted: Wanted) -> int:
        """How much of a chunk from a site is on disk."""
        try:
            return max(0, self._path(site, wanted).stat().st_size - HEAD_BYTES)
        except FileNotFoundError:
            return 0

    def read(self, site: str, wanted: Wanted) -> bytes:
        """The bytes of a part that is whole; from any thread. Raises FileNotFoundError when it was dropped, OSError."""
        return self._path(site, wanted).read_bytes()[HEAD_BYTES:]

    def remove(self, site: str, wanted: Wanted) -> None:
        """It is adopted, or of no use. Raises OSError."""
        self._drop(self._path(site, wanted))

    def erasures_carried_out(self, count: int) -> None:
        """How many erasure orders were carried out by act so far: payloads that came before the last of them are dropped. Raises OSError."""
        if count == self._acts:
            return
        self._acts = count
        for path, (kind, _, _) in self._known():
            if kind is Kind.PAYLOADS and _acts_of(path) != count:
                self._drop(path)

    def forget(self, *, site: str = "", through_block: int = 0, everything: bool = False) -> None:
        """Remove what a site gave, spines that end at `through_block` or before it, or all. Raises OSError."""
        for path, (kind, through, giver) in self._known():
            passed = kind is Kind.SPINE and through <= through_block
            if everything or passed or giver == site:
                self._drop(path)

    def _drop(self, path: Path) -> None:
        part = self._open.pop(path, None)
        if part is not None:
            part.dropped = True
        path.unlink(missing_ok=True)

    def _known(self) -> list[tuple[Path, tuple[Kind, int, str]]]:
        """What lies in the directory under a name of ours; other files are not ours to touch."""
        found = []
        for path in self.directory.glob("*.part"):
            match = _NAME.fullmatch(path.name)
            if match is not None:
                found.append((path, (Kind[match[1].upper()], int(match[2]), match[3])))
        return found
