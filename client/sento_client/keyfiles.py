"""The key files of one institution: their forms on disk, written and read by the same code.

    signing.key      PKCS #8 PEM, Ed25519
    seal.key         one line: "sento-seal-key-1 " base64 of 96 bytes (an X-Wing secret)
    kek-seals.json   {"format": "sento-kek-seals-1", "seals": [{"author", "registry", "compartment", "key_epoch", "seal": base64}]}
    pseudonyms.json  {"format": "sento-pseudonyms-1", "registries": {"<registry>": base64 of 32 bytes}}

A key that others could read may be theirs as well, so a file that group or others can read is refused, in words. Files are made under mode 0600
from their first byte, beside their place, and moved there whole. Every reader raises SetupError with the file's name, never with its content.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, cast

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sento_client.setup_errors import Setup, SetupError
from sento_proto.kek_seal import XWING_SECRET_BYTES
from sento_proto.keys import Ed25519Signer
from sento_proto.pseudonyms import PSEUDONYM_KEY_BYTES

SEAL_KEY_FORMAT = "sento-seal-key-1"
KEK_SEALS_FORMAT = "sento-kek-seals-1"
PSEUDONYMS_FORMAT = "sento-pseudonyms-1"
FILE_MAX_BYTES = 64 * 1024 * 1024
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SealedKek(NamedTuple):
    """A KEK as it lies in kek-seals.json: what it is for, and the seal to this institution's seal key."""

    author: str
    registry: str
    compartment: str
    key_epoch: int
    seal: bytes


def read_secret(path: Path) -> bytes:
    """The bytes of a file that only its owner can read. Raises SetupError KEY_FILE_MISSING, KEY_FILE_OPEN."""
    try:
        # Permissions are asked of the opened file: the path could name another one a moment later.
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & _OPEN_TO_OTHERS:
                raise SetupError(Setup.KEY_FILE_OPEN, f"{path} has mode {stat.S_IMODE(mode):04o}")
            data = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise SetupError(Setup.KEY_FILE_MISSING, f"{path}: {error.strerror}") from None
    if len(data) > FILE_MAX_BYTES:
        raise _invalid(path, f"it is over {FILE_MAX_BYTES} bytes")
    return data


def write_secret(path: Path, data: bytes) -> None:
    """Put `data` at `path` with mode 0600, whole or not at all, flushed. Replaces what was there. Raises OSError."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def write_signing_key(path: Path, seed: bytes) -> None:
    """A 32-byte Ed25519 seed as PKCS #8 PEM."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    write_secret(
        path,
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def read_signing_key(path: Path) -> Ed25519Signer:
    """The signer in the file."""
    try:
        private = serialization.load_pem_private_key(read_secret(path), password=None)
    except (ValueError, TypeError):
        raise _invalid(path, "it is not an unencrypted PKCS #8 PEM key") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise _invalid(path, "it is not an Ed25519 key")
    return Ed25519Signer(private.private_bytes_raw())


def write_seal_key(path: Path, secret: bytes) -> None:
    """A 96-byte X-Wing secret. Raises ValueError on another size."""
    if len(secret) != XWING_SECRET_BYTES:
        raise ValueError(f"a seal key has {XWING_SECRET_BYTES} bytes")
    write_secret(path, f"{SEAL_KEY_FORMAT} {_encode(secret)}\n".encode())


def read_seal_key(path: Path) -> bytes:
    """The 96-byte X-Wing secret in the file."""
    form, _, rest = read_secret(path).decode("ascii", "replace").partition(" ")
    if form != SEAL_KEY_FORMAT:
        raise _invalid(path, f"it does not begin with {SEAL_KEY_FORMAT}")
    secret = _decode(rest.removesuffix("\n"), path, "the key")
    if len(secret) != XWING_SECRET_BYTES:
        raise _invalid(path, f"the key does not have {XWING_SECRET_BYTES} bytes")
    return secret


def write_kek_seals(path: Path, seals: Iterable[SealedKek]) -> None:
    """All seals that this institution holds."""
    entries = [{**seal._asdict(), "seal": _encode(seal.seal)} for seal in seals]
    write_secret(path, _json({"format": KEK_SEALS_FORMAT, "seals": entries}))


def read_kek_seals(path: Path) -> tuple[SealedKek, ...]:
    """The seals in the file."""
    entries = _read_json(path, KEK_SEALS_FORMAT, "seals")
    if not isinstance(entries, list):
        raise _invalid(path, "seals is not a list")
    return tuple(_seal(entry, path, f"seals[{index}]") for index, entry in enumerate(entries))


def _seal(entry: object, path: Path, place: str) -> SealedKek:
    if not isinstance(entry, dict) or set(entry) != set(SealedKek._fields):
        raise _invalid(path, f"{place} does not have exactly the fields {', '.join(SealedKek._fields)}")
    fields = cast("dict[str, object]", entry)
    author, registry, compartment, seal = (
        fields[name] for name in ("author", "registry", "compartment", "seal")
    )
    epoch = fields["key_epoch"]
    if not (isinstance(author, str) and isinstance(registry, str) and isinstance(compartment, str)):
        raise _invalid(path, f"{place}: author, registry and compartment must be text")
    if type(epoch) is not int or not 0 <= epoch <= 0xFFFFFFFF:
        raise _invalid(path, f"{place}.key_epoch is not a whole number from 0 to 4294967295")
    return SealedKek(author, registry, compartment, epoch, _decode(seal, path, f"{place}.seal"))


def write_pseudonyms(path: Path, keys: Mapping[str, bytes]) -> None:
    """The pseudonym key of each registry, 32 bytes each. Raises ValueError on another size."""
    if any(len(key) != PSEUDONYM_KEY_BYTES for key in keys.values()):
        raise ValueError(f"a pseudonym key has {PSEUDONYM_KEY_BYTES} bytes")
    registries = {registry: _encode(key) for registry, key in keys.items()}
    write_secret(path, _json({"format": PSEUDONYMS_FORMAT, "registries": registries}))


def read_pseudonyms(path: Path) -> dict[str, bytes]:
    """Registry -> its pseudonym key."""
    registries = _read_json(path, PSEUDONYMS_FORMAT, "registries")
    if not isinstance(registries, dict):
        raise _invalid(path, "registries is not an object")
    keys: dict[str, bytes] = {}
    for registry, text in cast("dict[str, object]", registries).items():
        keys[registry] = _decode(text, path, f"registries.{registry}")
        if len(keys[registry]) != PSEUDONYM_KEY_BYTES:
            raise _invalid(path, f"registries.{registry} does not have {PSEUDONYM_KEY_BYTES} bytes")
    return keys


def _read_json(path: Path, form: str, field: str) -> object:
    """The one field beside `format`. Raises SetupError."""
    try:
        value = json.loads(read_secret(path))
    except ValueError:
        raise _invalid(path, "it is not JSON in UTF-8") from None
    if not isinstance(value, dict) or set(value) != {"format", field} or value["format"] != form:
        raise _invalid(path, f'it is not an object of "format": "{form}" and "{field}"')
    return cast("object", value[field])


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: object, path: Path, field: str) -> bytes:
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise _invalid(path, f"{field} is not base64")


def _invalid(path: Path, why: str) -> SetupError:
    return SetupError(Setup.KEY_FILE_INVALID, f"{path}: {why}")
