"""The site's own KEKs for access records, in one file that nobody else can read: made by the site, kept beside the ledger and never in it.

    <data directory>/access-keys.json   mode 0600
    {"format": "sento-access-keys-1", "keks": [{"registry", "key_epoch", "kek": base64, "sealed": true | false}]}

`sealed`: its first seals stand in the ledger. A KEK is on disk before anything is sealed under it or with it. Who has this file opens this site's access
records; who loses it cannot record under the same key epochs any more, because other keys stand for them in the ledger (runbook: read log).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sento_node.config_mistake import ConfigMistake
from sento_node.durable_files import write_durably
from sento_node.keyfile import read_private
from sento_proto.sealing import KEK_BYTES
from sento_proto.strict_json import Fields, load
from sento_proto.wire import Malformed

NAME = "access-keys.json"
FORMAT = "sento-access-keys-1"
KEY_EPOCH_MAX = 2**32 - 1


class KekFileDamaged(Exception):
    """The file cannot be used. The text is one sentence of cause and one of remedy, without anything of what is in it."""


class KekPlace(NamedTuple):
    """What a KEK of this site is for."""

    registry: str
    key_epoch: int


class OwnKek(NamedTuple):
    """A KEK of this site. `sealed`: its first seals stand."""

    kek: bytes
    sealed: bool


def read_keks(directory: Path) -> dict[KekPlace, OwnKek]:
    """All of them; none where there is no file. Raises KekFileDamaged."""
    path = directory / NAME
    if not path.exists():
        return {}
    try:
        fields = load(read_private(NAME, path), "access keys")
        if fields.text("format") != FORMAT:
            raise Malformed(f"access keys: format must be {FORMAT}")
        found = fields.objects("keks", _read_one)
        fields.end()
    except (Malformed, ConfigMistake) as error:
        raise KekFileDamaged(
            f"{path} cannot be used ({error}). Put the file back from this site's backup, or set it aside and let officers start the next key epoch "
            "of each registry (runbook: read log)."
        ) from error
    return dict(found)


def _read_one(fields: Fields) -> tuple[KekPlace, OwnKek]:
    place = KekPlace(fields.name("registry"), fields.number("key_epoch", 1, KEY_EPOCH_MAX))
    kek, sealed = fields.blob("kek"), fields.flag("sealed")
    if len(kek) != KEK_BYTES:
        raise fields.wrong("kek", f"must have {KEK_BYTES} bytes")
    return place, OwnKek(kek, sealed)


def write_keks(directory: Path, keks: Mapping[KekPlace, OwnKek]) -> None:
    """Replace the file, flushed. Raises OSError."""
    value = {
        "format": FORMAT,
        "keks": [
            {
                "registry": place.registry,
                "key_epoch": place.key_epoch,
                "kek": base64.b64encode(own.kek).decode(),
                "sealed": own.sealed,
            }
            for place, own in sorted(keks.items())
        ],
    }
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_durably(directory / NAME, json.dumps(value, indent=1).encode() + b"\n")
