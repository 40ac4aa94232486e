"""What an unlock leaves on disk, and the keyring that a client makes of it.

    unlocked-keks.json  {"format": "sento-unlocked-keks-1", "ledger": hex, "recovery_key": name,
                         "keks": [{"author", "registry", "compartment", "key_epoch", "kek": base64}]}
    pseudonyms.json     as every client has it
    pseudonym-keys.json as the pseudonym service has it: pseudonym and index key of each registry that has both

All under mode 0600, in a directory of mode 0700. These are keys in the open: whoever holds the files reads what was unlocked, until they are destroyed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sento_client.keyfiles import read_pseudonyms, write_pseudonyms
from sento_client.keyring import Keyring
from sento_client.pseudonym_service.key_file import write_keys
from sento_client.recovery.keks import OpenedKeks
from sento_client.recovery.standing import KekScope
from sento_client.recovery.unlocking import RegistryKeys
from sento_client.secret_files import read_secret, write_secret
from sento_client.setup_errors import Setup, SetupError
from sento_proto.pseudonyms import KeyKind
from sento_proto.sealing import KEK_BYTES

KEKS_FORMAT = "sento-unlocked-keks-1"
KEKS_NAME = "unlocked-keks.json"
PSEUDONYMS_NAME = "pseudonyms.json"
SERVICE_KEYS_NAME = "pseudonym-keys.json"


@dataclass(frozen=True, slots=True, repr=False)
class UnlockedKeks:
    """The KEKs in a file, of one ledger."""

    ledger_id: bytes
    recovery_key: str
    keks: dict[KekScope, bytes]

    def __repr__(self) -> str:
        return f"UnlockedKeks({self.recovery_key}, {len(self.keks)} KEKs)"


class UnlockedKeyring(Keyring):
    """A keyring over unlocked KEKs: it reads what they open and writes nothing, because no KEK in it is this institution's to write under."""

    def __init__(self, unlocked: UnlockedKeks, pseudonym_keys: Mapping[str, bytes]) -> None:
        super().__init__(unlocked.ledger_id, None, (), pseudonym_keys)
        self._unlocked = unlocked.keks

    def kek_for(self, author: str, registry: str, compartment: str, key_epoch: int) -> bytes:
        """The 32-byte KEK. Raises SetupError NO_KEK when it was not unlocked."""
        scope = KekScope(author, registry, compartment, key_epoch)
        kek = self._unlocked.get(scope)
        if kek is None:
            raise SetupError(Setup.NO_KEK, f"not among the unlocked: {scope.words}")
        return kek


def write_unlocked(
    directory: Path, ledger_id: bytes, recovery_key: str, opened: OpenedKeks, keys: RegistryKeys
) -> tuple[Path, ...]:
    """Put everything into `directory`, which must not be there yet; the paths. Raises OSError."""
    directory.mkdir(mode=0o700)
    keks = [
        {**scope._asdict(), "kek": base64.b64encode(kek).decode()}
        for scope, kek in sorted(opened.keks.items())
    ]
    value = {"format": KEKS_FORMAT, "ledger": ledger_id.hex(), "recovery_key": recovery_key, "keks": keks}
    write_secret(directory / KEKS_NAME, json.dumps(value, indent=1).encode() + b"\n")
    pseudonyms, indices = keys.of_kind(KeyKind.PSEUDONYM), keys.of_kind(KeyKind.INDEX)
    write_pseudonyms(directory / PSEUDONYMS_NAME, pseudonyms)
    whole = {
        name: key for name, key in keys.keys.items() if name.registry in pseudonyms.keys() & indices.keys()
    }
    write_keys(directory / SERVICE_KEYS_NAME, whole)
    return directory / KEKS_NAME, directory / PSEUDONYMS_NAME, directory / SERVICE_KEYS_NAME


def read_unlocked(directory: Path, ledger_id: bytes) -> UnlockedKeyring:
    """The keyring of an output directory. Raises SetupError KEY_FILE_MISSING, KEY_FILE_OPEN, KEY_FILE_INVALID (also for another ledger's keys)."""
    return UnlockedKeyring(
        read_unlocked_keks(directory / KEKS_NAME, ledger_id), read_pseudonyms(directory / PSEUDONYMS_NAME)
    )


def read_unlocked_keks(path: Path, ledger_id: bytes) -> UnlockedKeks:
    """The KEKs in the file. Raises SetupError as `read_unlocked`."""
    value = _object(path, KEKS_FORMAT, {"ledger", "recovery_key", "keks"})
    if value["ledger"] != ledger_id.hex():
        raise _invalid(path, "it has the keys of another ledger")
    entries, name = value["keks"], value["recovery_key"]
    if not isinstance(entries, list) or not isinstance(name, str):
        raise _invalid(path, "keks is not a list, or recovery_key no text")
    return UnlockedKeks(
        ledger_id, name, dict(_kek(entry, path, f"keks[{index}]") for index, entry in enumerate(entries))
    )


def _kek(entry: object, path: Path, place: str) -> tuple[KekScope, bytes]:
    if not isinstance(entry, dict) or set(entry) != {*KekScope._fields, "kek"}:
        raise _invalid(
            path, f"{place} does not have exactly the fields {', '.join(KekScope._fields)} and kek"
        )
    fields = cast("dict[str, object]", entry)
    author, registry, compartment, epoch = (fields[name] for name in KekScope._fields)
    if not (isinstance(author, str) and isinstance(registry, str) and isinstance(compartment, str)):
        raise _invalid(path, f"{place}: author, registry and compartment must be text")
    if type(epoch) is not int or not 0 <= epoch <= 0xFFFFFFFF:
        raise _invalid(path, f"{place}.key_epoch is not a whole number from 0 to 4294967295")
    return KekScope(author, registry, compartment, epoch), _key(
        fields["kek"], KEK_BYTES, path, f"{place}.kek"
    )


def _object(path: Path, form: str, fields: set[str]) -> dict[str, object]:
    try:
        value = json.loads(read_secret(path))
    except ValueError:
        raise _invalid(path, "it is not JSON in UTF-8") from None
    if not isinstance(value, dict) or set(value) != {"format", *fields} or value["format"] != form:
        raise _invalid(path, f'it is not an object of "format": "{form}" and {", ".join(sorted(fields))}')
    return cast("dict[str, object]", value)


def _key(text: object, size: int, path: Path, place: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        data = b""
    if len(data) != size:
        raise _invalid(path, f"{place} is not base64 of {size} bytes")
    return data


def _invalid(path: Path, why: str) -> SetupError:
    return SetupError(Setup.KEY_FILE_INVALID, f"{path}: {why}")
