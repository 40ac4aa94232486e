"""Notes of volumes that a site did not hear, kept beside the volumes until it did: a site that is away must not make an export fail, nor be forgotten.

    sento-untold.json   {"format": "sento-untold-1", "ledger_id", "notes": [{"site", "number", "kind", "state", "size"}]}

There while a note is owed. The next export or backup into the directory tells them first. What every site's erasure certificates list is what that site was
told, so a note that nobody heard is worth an exit code, and one that a single site missed only a line.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from sento_client.courier.catalogue import unusable, write_flushed
from sento_client.setup_errors import Setup, SetupError
from sento_proto.erasure_certificate import Volume
from sento_proto.strict_json import Fields, load
from sento_proto.wire import Malformed

NAME = "sento-untold.json"
FORMAT = "sento-untold-1"
_SIZE_MAX = 2**63 - 1


class Owed(NamedTuple):
    """A note that a site did not hear."""

    site: str
    volume: Volume


def read_untold(directory: Path, ledger_id: bytes) -> tuple[Owed, ...]:
    """What is owed, oldest first. Raises SetupError VOLUMES_FOREIGN, VOLUMES_UNUSABLE."""
    path = directory / NAME
    try:
        fields = load(path.read_bytes(), NAME)
        fields.choice("format", (FORMAT,))
        of_ledger = fields.hex("ledger_id", 32)
        notes = fields.objects("notes", _read_one)
        fields.end()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise unusable(directory, error) from None
    except Malformed as error:
        raise SetupError(Setup.VOLUMES_UNUSABLE, f"{path}: {error}") from None
    if of_ledger != ledger_id:
        raise SetupError(Setup.VOLUMES_FOREIGN, f"{path} is of ledger {of_ledger.hex()}")
    return tuple(notes)


def write_untold(directory: Path, ledger_id: bytes, owed: Sequence[Owed]) -> None:
    """Keep what is owed now, flushed; no file where nothing is. Raises SetupError VOLUMES_UNUSABLE."""
    path = directory / NAME
    notes = [{"site": one.site, **one.volume._asdict()} for one in dict.fromkeys(owed)]
    value = {"format": FORMAT, "ledger_id": ledger_id.hex(), "notes": notes}
    try:
        if notes:
            write_flushed(path, json.dumps(value, indent=1).encode() + b"\n")
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise unusable(directory, error) from None


def settle_untold(directory: Path, ledger_id: bytes, site: str, numbers: Collection[str]) -> None:
    """The site hears something newer of these volumes now: what it missed before is owed no more. Raises SetupError VOLUMES_FOREIGN, VOLUMES_UNUSABLE."""
    owed = read_untold(directory, ledger_id)
    left = tuple(one for one in owed if one.site != site or one.volume.number not in numbers)
    if left != owed:
        write_untold(directory, ledger_id, left)


def _read_one(fields: Fields) -> Owed:
    volume = Volume(
        fields.text("number"), fields.text("kind"), fields.text("state"), fields.number("size", 0, _SIZE_MAX)
    )
    return Owed(fields.name("site"), volume)
