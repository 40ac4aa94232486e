"""What lies in a directory of volumes: each file read to its end and called by what it is, so that nothing is used that is not whole and no gap goes unnamed.

good       whole, signed by somebody whom governance knows, of this ledger and set, open to this key (or in clear)
damaged    torn, altered, or no volume
duplicate  good, and another copy of it was met before
foreign    of another ledger        other-set   of another export
not-ours   sealed to others         unsigned    by a key that governance never knew, or with a signature that does not hold
missing    its number belongs to the set, and no good copy is here
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sento_client.courier.volume_files import SUFFIX, pieces_of
from sento_proto.governance.state import Governance
from sento_proto.keys import PublicKey
from sento_proto.seal import SealOpener
from sento_proto.sealing import CannotOpen
from sento_proto.volume import VolumeHeader, VolumeReader, label_of
from sento_proto.wire import Malformed

GOOD, DAMAGED, DUPLICATE, FOREIGN = "good", "damaged", "duplicate", "foreign"
OTHER_SET, NOT_OURS, UNSIGNED, MISSING = "other-set", "not-ours", "unsigned", "missing"
MISSING_NAMED_MAX = 10_000
_LABEL = re.compile(r"[0-9a-f]{16}-[0-9]{5,7}")
_FILE_NAME = re.compile(r"([0-9a-f]{16})-([0-9]{5,7})\.sento-volume")


class Found(NamedTuple):
    """One volume, or the lack of one. `label`: what stands on it; `digest`: SHA-256 of the file, empty where it was not read to its end."""

    label: str
    verdict: str
    words: str = ""
    path: Path | None = None
    header: VolumeHeader | None = None
    digest: bytes = b""


class FoundSet(NamedTuple):
    """One set as it lies in a directory: its good volumes by number, and everything else. `closed`: how many there are is known."""

    header: VolumeHeader
    good: tuple[Found, ...]
    others: tuple[Found, ...]
    closed: bool

    @property
    def complete(self) -> bool:
        """Whether every volume is here and good."""
        return self.closed and not any(
            one.verdict in (MISSING, DAMAGED, NOT_OURS, UNSIGNED) for one in self.others
        )

    def holding(self, content: str) -> list[Found]:
        """The good volumes with this content, in order."""
        return [one for one in self.good if one.header is not None and one.header.content == content]


class Judge(NamedTuple):
    """Against what volumes are judged: ledger, whose signatures count (None: anybody's, since chunks prove themselves), the key that opens them."""

    ledger_id: bytes
    signers: Mapping[bytes, PublicKey] | None
    opener: SealOpener | None


def signers_of(governance: Governance) -> dict[bytes, PublicKey]:
    """Everybody whose signature under a volume counts: who ever was an officer or had an author's key."""
    authors = {key_id: known.signing.key for key_id, known in governance.author_keys.items()}
    return authors | dict(governance.officer_keys_ever)


def read_volume(path: Path, judge: Judge, on_chunk: Callable[[bytes], None] = lambda _: None) -> Found:
    """Read a volume to its end; `on_chunk` is given each chunk that can be read, before the signature is known. Raises OSError for a file that is gone."""
    match = _FILE_NAME.fullmatch(path.name)
    named = f"{match[1]}-{match[2]}" if match else path.name[:64]
    reader = VolumeReader(judge.opener)
    try:
        for piece in pieces_of(path):
            for chunk in reader.feed(piece):
                on_chunk(chunk)
        digest = reader.end()
    except FileNotFoundError:
        raise
    except CannotOpen as error:
        label = named if reader.header is None else label_of(reader.header)
        return Found(label, NOT_OURS, str(error), path, reader.header)
    except (Malformed, OSError) as error:
        return Found(named, DAMAGED, str(error), path)
    header = reader.header
    if header is None:
        return Found(named, DAMAGED, "it ends before it begins", path)
    found = Found(label_of(header), GOOD, "", path, header, digest)
    if header.ledger_id != judge.ledger_id:
        return found._replace(verdict=FOREIGN, words=f"it is of ledger {header.ledger_id.hex()}")
    return found if judge.signers is None else _judge_signature(found, header, reader, judge.signers)


def _judge_signature(
    found: Found, header: VolumeHeader, reader: VolumeReader, signers: Mapping[bytes, PublicKey]
) -> Found:
    key = signers.get(header.made_by_key)
    if key is None:
        return found._replace(
            verdict=UNSIGNED,
            words=f"governance knows no key {header.made_by_key.hex()} that may sign volumes",
        )
    if not reader.signed_by(key):
        return found._replace(verdict=DAMAGED, words="its signature is not over these bytes")
    return found


def volume_paths(directories: Iterable[Path]) -> list[Path]:
    """The volumes in these directories, by name. Raises OSError."""
    return sorted(
        (path for directory in directories for path in directory.iterdir() if path.name.endswith(SUFFIX)),
        key=lambda path: path.name,
    )


def scan(
    paths: Sequence[Path], judge: Judge, on_progress: Callable[[int, int], None] = lambda _done, _of: None
) -> list[Found]:
    """Every file read and judged for itself, by name."""
    found = []
    for done, path in enumerate(paths):
        on_progress(done, len(paths))
        found.append(read_volume(path, judge))
    on_progress(len(paths), len(paths))
    return found


def sets_in(found: Iterable[Found]) -> list[bytes]:
    """The ids of the sets of which there is a good volume, by how far they reach."""
    reach: dict[bytes, tuple[int, int, int]] = {}
    for one in found:
        if one.verdict == GOOD and one.header is not None:
            header = one.header
            at = (header.epoch, header.to_block, header.made_at_ms)
            reach[header.set_id] = max(reach.get(header.set_id, (0, 0, 0)), at)
    return sorted(reach, key=lambda set_id: reach[set_id])


def sort_set(found: Sequence[Found], set_id: bytes) -> FoundSet:
    """One set of what was found: doubles set apart, gaps named. Raises KeyError when no good volume of it is there."""
    good: dict[int, Found] = {}
    others: list[Found] = []
    for one in found:
        if one.verdict != GOOD or one.header is None:
            elsewhere = _LABEL.fullmatch(one.label) and not one.label.startswith(set_id.hex())
            others.append(one._replace(verdict=OTHER_SET) if elsewhere and one.verdict != FOREIGN else one)
        elif one.header.set_id != set_id:
            others.append(one._replace(verdict=OTHER_SET, words=f"it is of set {one.header.set_id.hex()}"))
        elif one.header.number in good:
            others.append(
                one._replace(verdict=DUPLICATE, words=f"{good[one.header.number].path} is the same")
            )
        else:
            good[one.header.number] = one
    if not good:
        raise KeyError(set_id.hex())
    closing = next((one for one in good.values() if one.header is not None and one.header.of), None)
    last = max(good)
    header = good[last].header
    assert header is not None, "only good ones are kept"
    missing = list(_missing(good, others, set_id, last))
    if closing is None:
        missing.append(
            Found(
                f"{set_id.hex()}-{last + 1:05}",
                MISSING,
                "and perhaps more behind it: the closing volume is not here",
            )
        )
    kept = tuple(good[number] for number in sorted(good))
    return FoundSet(header, kept, (*_beside(others, good), *missing), closing is not None)


def _missing(good: Mapping[int, Found], others: Sequence[Found], set_id: bytes, last: int) -> Iterator[Found]:
    """The numbers that nothing good is here for, and no bad file is named after either."""
    bad = {one.label for one in others}
    count = 0
    for number in range(1, last + 1):
        label = f"{set_id.hex()}-{number:05}"
        if number in good or label in bad:
            continue
        count += 1
        if count > MISSING_NAMED_MAX:
            return
        yield Found(label, MISSING, "no copy of it is here")


def _beside(others: Sequence[Found], good: Mapping[int, Found]) -> Iterator[Found]:
    """The others; a bad copy of a volume that is good elsewhere is a double and no harm."""
    labels = {one.label for one in good.values()}
    for one in others:
        if one.verdict in (DAMAGED, UNSIGNED, NOT_OURS) and one.label in labels:
            yield one._replace(verdict=DUPLICATE, words=f"spoiled ({one.words}), and another copy is good")
        else:
            yield one
