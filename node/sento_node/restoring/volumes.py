"""What lies in a directory of volumes: each file read to its end once, called by what it is, and every chunk in it noted by name for the walk that follows.

Only whole volumes of this ledger that open are used. Who signed one is judged last, when the spine has told whose keys there are: a chunk proves itself anyway,
so an unknown signature is named and spoils nothing. A volume is never held in memory whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sento_proto.chunk import ChunkName, Kind, decode_chunk
from sento_proto.governance.state import Governance
from sento_proto.keys import PublicKey
from sento_proto.seal import SealOpener
from sento_proto.sealing import CannotOpen
from sento_proto.volume import VolumeHeader, VolumeReader, label_of
from sento_proto.wire import Malformed

SUFFIX = ".sento-volume"
READ_BYTES = 1024 * 1024
MISSING_NAMED_MAX = 1_000
_FILE_NAME = re.compile(r"([0-9a-f]{16}-[0-9]{5,7})\.sento-volume")
Report = Callable[[int, int], None]
"""Told how much of how much is done."""


class Trouble(NamedTuple):
    """A volume that is not used, or not as it should be. `verdict`: damaged, missing, foreign, not-ours or unsigned."""

    volume: str
    verdict: str
    words: str

    def __str__(self) -> str:
        return f"{self.volume}: {self.verdict} ({self.words})"


class Volume(NamedTuple):
    """A whole volume of this ledger: its header, the names of the chunks in it, and its reader, which knows the signature."""

    path: Path
    header: VolumeHeader
    chunks: tuple[ChunkName, ...]
    reader: VolumeReader


class Scanned(NamedTuple):
    """A directory of volumes. `troubles`: in order of names."""

    volumes: tuple[Volume, ...]
    troubles: tuple[Trouble, ...]

    def holding(self, kind: Kind) -> list[Volume]:
        """The volumes with chunks of this kind."""
        return [one for one in self.volumes if any(name.kind is kind for name in one.chunks)]


def scan(directory: Path, ledger_id: bytes, opener: SealOpener | None, report: Report) -> Scanned:
    """Read everything in the directory. Raises OSError when the directory itself cannot be read."""
    paths = sorted(path for path in directory.iterdir() if path.name.endswith(SUFFIX))
    total, done = sum(path.stat().st_size for path in paths), 0
    volumes: dict[str, Volume] = {}
    troubles: list[Trouble] = []
    for path in paths:
        found = _read(path, ledger_id, opener)
        if isinstance(found, Trouble):
            troubles.append(found)
        else:
            volumes.setdefault(label_of(found.header), found)
        done += path.stat().st_size
        report(done, total)
    good = [one for one in troubles if one.volume not in volumes]
    good += _missing(list(volumes.values()), {one.volume for one in good})
    return Scanned(tuple(volumes[label] for label in sorted(volumes)), tuple(sorted(good)))


def chunks_of(volume: Volume, opener: SealOpener | None) -> Iterator[bytes]:
    """The chunks of a volume, in order. Raises Malformed, CannotOpen, OSError: it changed since it was scanned."""
    reader = VolumeReader(opener)
    with volume.path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            yield from reader.feed(piece)
    reader.end()


def unsigned(volumes: Sequence[Volume], governance: Governance) -> list[Trouble]:
    """The volumes that nobody signed whom governance ever knew."""
    known: Mapping[bytes, PublicKey] = {
        **{key_id: one.signing.key for key_id, one in governance.author_keys.items()},
        **governance.officer_keys_ever,
    }
    found = []
    for volume in volumes:
        key = known.get(volume.header.made_by_key)
        if key is None or not volume.reader.signed_by(key):
            words = (
                "no key that governance knows made its signature; its chunks prove themselves and are used"
            )
            found.append(Trouble(label_of(volume.header), "unsigned", words))
    return found


def _read(path: Path, ledger_id: bytes, opener: SealOpener | None) -> Volume | Trouble:
    match = _FILE_NAME.fullmatch(path.name)
    label = match[1] if match else path.name[:64]
    reader = VolumeReader(opener)
    names: list[ChunkName] = []
    try:
        with path.open("rb") as file:
            while piece := file.read(READ_BYTES):
                names += [decode_chunk(chunk).name for chunk in reader.feed(piece)]
        reader.end()
    except CannotOpen:
        return Trouble(label, "not-ours", "it is sealed to others; name the key that it is sealed to")
    except (Malformed, OSError) as error:
        return Trouble(label, "damaged", str(error))
    header = reader.header
    if header is None:
        return Trouble(label, "damaged", "it ends before it begins")
    if header.ledger_id != ledger_id or any(name.ledger_id != ledger_id for name in names):
        return Trouble(label, "foreign", f"it is of ledger {header.ledger_id.hex()[:16]}")
    if not reader.opens:
        return Trouble(label, "not-ours", "it is sealed; name the key with --key")
    return Volume(path, header, tuple(names), reader)


def _missing(volumes: Sequence[Volume], bad: set[str]) -> list[Trouble]:
    """Numbers of a set of which there is neither a good file nor a bad one, and sets of which the closing volume is not here."""
    sets: dict[bytes, dict[int, VolumeHeader]] = {}
    for volume in volumes:
        sets.setdefault(volume.header.set_id, {})[volume.header.number] = volume.header
    found: list[Trouble] = []
    for set_id, headers in sets.items():
        last = max(headers)
        labels = (f"{set_id.hex()}-{number:05}" for number in range(1, last + 1) if number not in headers)
        found += [Trouble(label, "missing", "no copy of it is here") for label in labels if label not in bad]
        if not any(header.of for header in headers.values()):
            words = "and perhaps more behind it: the closing volume is not here"
            found.append(Trouble(f"{set_id.hex()}-{last + 1:05}", "missing", words))
    return found[:MISSING_NAMED_MAX]
