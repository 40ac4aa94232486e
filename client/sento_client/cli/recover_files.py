"""The files of `sento recover` on this computer: what was collected, read and written whole, and governance as everything in it was followed."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import click

from sento_client.cli.app import App
from sento_client.governing.following import Followed
from sento_client.governing.place import GoverningPlace, open_place
from sento_client.governing.trust_file import FILE_MAX_BYTES, TrustFile, decode_trust
from sento_client.recovering.collected import (
    COLLECTED_MAX_BYTES,
    FORMAT,
    Collected,
    decode_collected,
)
from sento_client.recovering.forking import furthest
from sento_proto.errors import Code, SentoError
from sento_proto.wire import Malformed

COLLECTED_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class OpenedCollection(NamedTuple):
    """What was collected, whose computer this is, and governance as it was followed furthest: here, or in a trust file that came along."""

    collected: Collected
    place: GoverningPlace
    followed: Followed


def open_collected(app: App, path: Path) -> OpenedCollection:
    """The file at `path`. Raises click.UsageError for a file that is none, SentoError, SetupError."""
    try:
        collected = decode_collected(read_bytes(path, COLLECTED_MAX_BYTES))
    except Malformed as error:
        raise click.UsageError(f"{path} is no collection of `sento recover collect`: {error}.") from None
    place = open_place(app.config)
    if collected.ledger_id != place.trust_file.genesis.ledger_id:
        raise SentoError(
            Code.WRONG_LEDGER, f"{path} was collected for another ledger than the one in this configuration"
        )
    return OpenedCollection(collected, place, followed_furthest(place.trust_file, collected.trusts))


def followed_furthest(trust_file: TrustFile, others: tuple[bytes, ...]) -> Followed:
    """Governance by this computer's trust file and the others'. Raises SentoError, SetupError."""
    followed = [trust_file.read()]
    for data in others:
        try:
            followed.append(decode_trust(data, trust_file.genesis, trust_file.genesis_bytes).followed)
        except Malformed as error:
            raise SentoError(
                Code.PLAN_NOT_FIT, f"a trust file does not hold: {error}. Leave it out"
            ) from None
    return furthest(followed)


def is_collection(path: Path) -> bool:
    """Whether the file says of itself that it is one; for a command that shows either kind."""
    try:
        value = json.loads(read_bytes(path, COLLECTED_MAX_BYTES))
    except ValueError:
        return False
    return isinstance(value, dict) and value.get("format") == FORMAT


def read_bytes(path: Path, most: int = FILE_MAX_BYTES) -> bytes:
    """The file's bytes, at most `most` and one. Raises click.UsageError."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None


def write_new(path: Path, data: bytes) -> None:
    """A new file, flushed when this returns. Raises click.UsageError."""
    with _refused(path), path.open("xb") as file:
        _write(file.fileno(), data)


def write_anew(path: Path, data: bytes) -> None:
    """The file, whole, in place of one that may be there. Raises click.UsageError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with _refused(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("wb") as file:
                _write(file.fileno(), data)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def _write(handle: int, data: bytes) -> None:
    with os.fdopen(os.dup(handle), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _refused(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written: {error.strerror}.") from None


def moment_ms(text: str | None) -> int:
    """A moment with its offset, as "2027-03-01T01:59:00+09:00", in ms since 1970; 0 for none. Raises click.UsageError."""
    if text is None:
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{text} is no moment such as 2027-03-01T01:59:00+09:00.") from None
    if moment.tzinfo is None:
        raise click.UsageError(f"{text} has no offset: write +09:00 or Z behind it.")
    return int(moment.timestamp() * 1000)
