"""The service's keys as a file, and made anew: a pseudonym key and an index key of 32 bytes for each registry.

    pseudonym-keys.json   {"format": "sento-pseudonym-keys-1", "registries": {"<registry>": {"pseudonym": base64, "index": base64}}}
                          {"format": "sento-pseudonym-keys-2", "encrypted": the same under a passphrase, as `key_encryption` encrypts a seal key}

Mode 0600, as every key file; refused when group or others can read it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import cast

from sento_client.key_encryption import WrongPassphrase, decrypt_seal_key, encrypt_seal_key
from sento_client.pseudonym_service.macs import KeyName
from sento_client.secret_files import read_secret, write_secret
from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.passphrases import NO_PASSPHRASE, SecretSource
from sento_proto.pseudonyms import PSEUDONYM_KEY_BYTES, KeyKind

FORMAT = "sento-pseudonym-keys-1"
ENCRYPTED_FORMAT = "sento-pseudonym-keys-2"
REGISTRY_NAME = re.compile(r"[a-z0-9/-]{1,32}")
Keys = Mapping[KeyName, bytes]


def make_keys(registries: Iterable[str], random_bytes: Callable[[int], bytes]) -> dict[KeyName, bytes]:
    """Fresh keys of both kinds for each registry."""
    return {
        KeyName(registry, kind): random_bytes(PSEUDONYM_KEY_BYTES)
        for registry in registries
        for kind in KeyKind
    }


def write_keys(path: Path, keys: Keys, passphrase: bytes | None = None) -> None:
    """Put the keys at `path`, whole or not at all; encrypted when there is a passphrase. Raises ValueError on another size, OSError."""
    if any(len(key) != PSEUDONYM_KEY_BYTES for key in keys.values()):
        raise ValueError(f"a pseudonym or index key has {PSEUDONYM_KEY_BYTES} bytes")
    registries: dict[str, dict[str, str]] = {}
    for name, key in sorted(keys.items()):
        registries.setdefault(name.registry, {})[name.kind.word] = base64.b64encode(key).decode()
    data = _json({"format": FORMAT, "registries": registries})
    if passphrase is not None:
        line = encrypt_seal_key(data, passphrase).decode().removesuffix("\n")
        data = _json({"format": ENCRYPTED_FORMAT, "encrypted": line})
    write_secret(path, data)


def read_keys(path: Path, passphrase: SecretSource = NO_PASSPHRASE) -> dict[KeyName, bytes]:
    """The keys in the file. Raises SetupError KEY_FILE_MISSING, KEY_FILE_OPEN, KEY_FILE_INVALID, PASSPHRASE_MISSING, PASSPHRASE_WRONG."""
    value = _object(read_secret(path), path)
    if value.get("format") == ENCRYPTED_FORMAT:
        value = _decrypted(value, path, passphrase)
    if set(value) != {"format", "registries"} or value["format"] != FORMAT:
        raise _invalid(path, f'it is not an object of "format": "{FORMAT}" and "registries"')
    if not isinstance(value["registries"], dict):
        raise _invalid(path, "registries is not an object")
    keys: dict[KeyName, bytes] = {}
    for registry, entry in cast("dict[str, object]", value["registries"]).items():
        if not REGISTRY_NAME.fullmatch(registry):
            raise _invalid(path, "the name of a registry has 1 to 32 characters of a-z 0-9 / -")
        words = {kind.word: kind for kind in KeyKind}
        if not isinstance(entry, dict) or set(entry) != set(words):
            raise _invalid(path, f"registries.{registry} does not have exactly pseudonym and index")
        for word, text in cast("dict[str, object]", entry).items():
            keys[KeyName(registry, words[word])] = _key(text, path, f"registries.{registry}.{word}")
    return keys


def _decrypted(value: Mapping[str, object], path: Path, passphrase: SecretSource) -> dict[str, object]:
    line = value.get("encrypted")
    if set(value) != {"format", "encrypted"} or not isinstance(line, str):
        raise _invalid(path, f'it is not an object of "format": "{ENCRYPTED_FORMAT}" and "encrypted"')
    secret = passphrase.get(str(path))
    try:
        return _object(decrypt_seal_key(line.encode(), secret), path)
    except WrongPassphrase:
        raise SetupError(Setup.PASSPHRASE_WRONG, str(path)) from None
    except ValueError as error:
        raise _invalid(path, str(error)) from None


def _object(data: bytes, path: Path) -> dict[str, object]:
    try:
        value = json.loads(data)
    except ValueError:
        raise _invalid(path, "it is not JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise _invalid(path, "it is not a JSON object")
    return cast("dict[str, object]", value)


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"


def _key(text: object, path: Path, place: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != PSEUDONYM_KEY_BYTES:
        raise _invalid(path, f"{place} is not base64 of {PSEUDONYM_KEY_BYTES} bytes")
    return key


def _invalid(path: Path, why: str) -> SetupError:
    return SetupError(Setup.KEY_FILE_INVALID, f"{path}: {why}")
