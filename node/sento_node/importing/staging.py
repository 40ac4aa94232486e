"""Spines that wait for the blocks before them, on disk under data/sync/imported, bounded: one damaged volume holds up no others, nor a later import.

    <after block>-<through block>-<chunk id>.chunk       the chunk's bytes; proven again by its digest when it is taken up

Payloads do not wait here: they are large, and the courier brings them again.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from sento_node.durable_files import write_durably
from sento_proto.chunk import ChunkName, chunk_id

STAGED_MAX_BYTES = 1024 * 1024 * 1024
"""Spines of some three million records."""
_NAME = re.compile(r"([0-9]{1,19})-([0-9]{1,19})-([0-9a-f]{64})\.chunk")


class Staged(NamedTuple):
    """A spine that waits."""

    after_block: int
    through_block: int
    chunk_id: bytes
    path: Path
    size_bytes: int


class StageFull(Exception):
    """So much waits already that nothing more is taken."""


class Stage:
    """The directory of what waits. Raises OSError."""

    def __init__(self, directory: Path, max_bytes: int = STAGED_MAX_BYTES) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        directory.mkdir(parents=True, exist_ok=True)
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
        if sum(one.size_bytes for one in self._staged.values()) + len(data) > self._max_bytes:
            raise StageFull
        path = self._directory / f"{name.after_block}-{name.through_block}-{identity.hex()}.chunk"
        write_durably(path, data)
        self._staged[identity] = Staged(name.after_block, name.through_block, identity, path, len(data))

    def take(self, block: int) -> bytes | None:
        """The bytes of a spine that goes on from this block, no longer kept; what ends before it is dropped. None: nothing goes on."""
        for staged in list(self._staged.values()):
            if staged.through_block <= block:
                self._drop(staged)
        fits = [one for one in self._staged.values() if one.after_block <= block]
        if not fits:
            return None
        best = max(fits, key=lambda one: one.through_block)
        data = best.path.read_bytes()
        self._drop(best)
        return data

    def _drop(self, staged: Staged) -> None:
        staged.path.unlink(missing_ok=True)
        del self._staged[staged.chunk_id]
