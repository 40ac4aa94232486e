"""Volumes as files: written under another name until they are whole and flushed, read in pieces, never whole in memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from sento_client.courier.catalogue import flush_directory
from sento_proto.keys import Signer
from sento_proto.volume import VolumeHeader, VolumeWriter, volume_name

SUFFIX = ".sento-volume"
PART_SUFFIX = ".part"
READ_BYTES = 1024 * 1024


class VolumeFile:
    """One volume being written into `directory`. Nothing of it counts before `finish` has returned. Raises OSError everywhere."""

    def __init__(self, directory: Path, header: VolumeHeader, key: bytes | None) -> None:
        self._directory = directory
        self._path = directory / volume_name(header.set_id, header.number)
        self._part = self._path.with_name(self._path.name + PART_SUFFIX)
        self._writer = VolumeWriter(header, key)
        self._file = self._part.open("wb")
        self._put([self._writer.begin()])

    @property
    def size_bytes(self) -> int:
        """How long it is so far."""
        return self._writer.size_bytes

    def add(self, chunk: bytes) -> None:
        """Write a chunk."""
        self._put(self._writer.add(chunk))

    def finish(self, signer: Signer) -> Path:
        """Sign it, flush it, give it its name."""
        self._put(self._writer.finish(signer))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)
        flush_directory(self._directory)
        return self._path

    def drop(self) -> None:
        """Give it up; a disk that is full has its space back."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._part.unlink()

    def _put(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._file.write(piece)


def pieces_of(path: Path) -> Iterator[bytes]:
    """A file's bytes in pieces. Raises OSError."""
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            yield piece
