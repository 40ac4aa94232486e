"""Spines that wait for the blocks before them, on disk under data/sync/imported, bounded: one damaged volume holds up no others, nor a later import.

    <after block>-<through block>-<chunk id>.chunk       the chunk's bytes; proven again by its digest when it is taken up

Payloads do not wait here: they are large, and the courier brings them again. Nothing that waits is proven yet, so when there is no room what lies farthest from
the ledger's end makes room for what lies nearer: whoever brings spines of blocks that will never be keeps nobody else's out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from sento_node.durable_files import sync_directory, write_durably
from sento_proto.chunk import ChunkName, chunk_id

STAGED_MAX_BYTES = 1024 * 1024 * 1024
"""Spines of some three million records."""
STAGED_MAX = 4_096
"""So many spines at most, however small: each has some 2,000 records."""
_NAME = re.compile(r"([0-9]{1,19})-([0-9]{1,19})-([0-9a-f]{64})\.chunk")


class Staged(NamedTuple):
    """A spine that waits."""

    after_block: int
    through_block: int
    chunk_id: bytes
    path: Path
    size_bytes: int


class StageFull(Exception):
    """So much waits already, all of it nearer to the ledger's end, that this is not taken."""


class Stage:
    """The directory of what waits. Raises OSError."""

    def __init__(
        self, directory: Path, max_bytes: int = STAGED_MAX_BYTES, max_count: int = STAGED_MAX
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._max_count = max_count
        if not directory.exists():
            directory.mkdir(mode=0o700, parents=True)
            sync_directory(directory.parent)
        self._staged = {}
        for path in sorted(directory.iterdir()):
            match = _NAME.fullmatch(path.name)
            if match is None:
                path.unlink()  # a draft of a former life
                continue
            staged = Staged(int(match[1]), int(match[2]), bytes.fromhex(match[3]), path, path.stat().st_size)
            self._staged[staged.chunk_id] = staged

    def put(self, name: ChunkName, data: bytes) -> None:
        """Keep a spine, flushed. Raises StageFull."""
        identity = chunk_id(data)
        if identity in self._staged:
            return
        self._make_room(name, len(data))
        path = self._directory / f"{name.after_block}-{name.through_block}-{identity.hex()}.chunk"
        write_durably(path, data)
        self._staged[identity] = Staged(name.after_block, name.through_block, identity, path, len(data))

    def _make_room(self, name: ChunkName, size_bytes: int) -> None:
        """Drop what begins farther off than the new one, the farthest first. Raises StageFull, with nothing dropped, where that is not enough."""
        bytes_left = self._max_bytes - size_bytes - sum(one.size_bytes for one in self._staged.values())
        count_left = self._max_count - 1 - len(self._staged)
        dropped: list[Staged] = []
        for farthest in sorted(self._staged.values(), key=lambda one: one.after_block, reverse=True):
            if (bytes_left >= 0 and count_left >= 0) or farthest.after_block <= name.after_block:
                break
            dropped.append(farthest)
            bytes_left, count_left = bytes_left + farthest.size_bytes, count_left + 1
        if bytes_left < 0 or count_left < 0:
            raise StageFull
        for staged in dropped:
            self._drop(staged)

    def next(self, block: int) -> tuple[bytes, bytes] | None:
        """(id, bytes) of a spine that goes on from this block, kept until `done`; what ends before it is dropped. None: nothing goes on."""
        for staged in list(self._staged.values()):
            if staged.through_block <= block:
                self._drop(staged)
        fits = [one for one in self._staged.values() if one.after_block <= block]
        if not fits:
            return None
        best = max(fits, key=lambda one: one.through_block)
        return best.chunk_id, best.path.read_bytes()

    def done(self, identity: bytes) -> None:
        """The spine of this id is part of the ledger, flushed, or of no use."""
        self._drop(self._staged[identity])

    def _drop(self, staged: Staged) -> None:
        staged.path.unlink(missing_ok=True)
        del self._staged[staged.chunk_id]
