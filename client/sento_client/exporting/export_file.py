"""An export on disk: JSON lines, written beside its name and put there only when it is whole, compressed where the name ends in `.gz`.

    {"format": "sento-export-1", "genesis": base64, "ledger_id": hex, "epoch", "size", "checkpoint": "<C2SP note>", "made_at_ms",
     "gaps": [{"epoch", "as_of_ms", "known_missing", "from_size"}] (where a recovery left one that is open)}
    a record object for each position from 0 on (`sento_proto.record_object`)
    {"end": true, "records", "checkpoints": [note], "erasure_certificates": [object], "fraud": [object]}

The file at `<name>.part` is left behind by a crash and overwritten by the next run; the name itself is only ever a whole export.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from sento_proto.checkpoint import Checkpoint, encode_checkpoint
from sento_proto.governance.epoch_parts import Gap
from sento_proto.governance.gaps import gap_value
from sento_proto.record_object import RecordObject, record_value

FORMAT = "sento-export-1"
_COMPRESSED = ".gz"


class _Lines(Protocol):
    """What takes bytes, compressed or not."""

    def write(self, data: bytes, /) -> int: ...


class ExportFile:
    """Lines being written."""

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines

    def begin(
        self, genesis_bytes: bytes, checkpoint: Checkpoint, made_at_ms: int, gaps: Sequence[Gap] = ()
    ) -> None:
        """The first line. `gaps`: those that are open at the checkpoint's size."""
        first: dict[str, object] = {
            "format": FORMAT,
            "genesis": base64.b64encode(genesis_bytes).decode(),
            "ledger_id": checkpoint.ledger_id.hex(),
            "epoch": checkpoint.epoch,
            "size": checkpoint.size,
            "checkpoint": encode_checkpoint(checkpoint).decode(),
            "made_at_ms": made_at_ms,
        }
        if gaps:
            first["gaps"] = [gap_value(gap) for gap in gaps]
        self._line(first)

    def put(self, record: RecordObject) -> None:
        """The next record."""
        self._line(record_value(record))

    def end(
        self,
        records: int,
        checkpoints: Sequence[Checkpoint],
        certificates: Sequence[object],
        frauds: Sequence[object],
    ) -> None:
        """The last line."""
        self._line(
            {
                "end": True,
                "records": records,
                "checkpoints": [encode_checkpoint(each).decode() for each in checkpoints],
                "erasure_certificates": list(certificates),
                "fraud": list(frauds),
            }
        )

    def _line(self, value: object) -> None:
        self._lines.write(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")


@contextlib.contextmanager
def export_file(path: Path) -> Iterator[ExportFile]:
    """The file at `path`, mode 0600: flushed and put under its name when the block ends well, taken away when it does not. Raises OSError."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if path.suffix == _COMPRESSED:
                # Without a name and a time inside, one ledger makes one file.
                with gzip.GzipFile("", "wb", 6, file, mtime=0) as lines:
                    yield ExportFile(lines)
            else:
                yield ExportFile(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _flush_directory(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
