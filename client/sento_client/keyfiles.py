"""The key files of one institution: their forms on disk, written and read by the same code.

    signing.key      PKCS #8 PEM, Ed25519 or P-256
    keys.companion   PKCS #8 PEM, ML-DSA-65: the companion of the signing key, where it has one
    seal.key         one line: "sento-seal-key-1 " base64 of 96 bytes (an X-Wing secret); or PKCS #8 PEM, P-256
    kek-seals.json   {"format": "sento-kek-seals-1", "seals": [{"author", "registry", "compartment", "key_epoch", "seal": base64}]}
    pseudonyms.json  {"format": "sento-pseudonyms-1", "registries": {"<registry>": base64 of 32 bytes}}

The first three may be encrypted under a passphrase (`key_encryption`), and should be wherever they are not of a drill. A file that group or others can
read is refused
(`secret_files`). Every reader raises SetupError with the file's name, never with its content.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from sento_client.key_encryption import (
    ENCRYPTED_SEAL_KEY_FORMAT,
    WrongPassphrase,
    decrypt_seal_key,
    encrypt_pkcs8,
    encrypt_seal_key,
    is_encrypted,
)
from sento_client.secret_files import FILE_MAX_BYTES, read_secret, write_secret
from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.passphrases import NO_PASSPHRASE, SecretSource
from sento_proto.keys import Ed25519Signer, Signer
from sento_proto.pseudonyms import PSEUDONYM_KEY_BYTES
from sento_proto.seal import XWING_SECRET_BYTES, P256Opener, SealOpener, XWingOpener
from sento_proto.software_signers import EcdsaP256Signer, MlDsa65Signer

__all__ = [
    "FILE_MAX_BYTES",
    "SealedKek",
    "is_encrypted",
    "read_companion_key",
    "read_kek_seals",
    "read_pseudonyms",
    "read_seal_key",
    "read_seal_opener",
    "read_secret",
    "read_signing_key",
    "write_companion_key",
    "write_kek_seals",
    "write_private_key",
    "write_pseudonyms",
    "write_seal_key",
    "write_secret",
    "write_signing_key",
]

PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey | MLDSA65PrivateKey

SEAL_KEY_FORMAT = "sento-seal-key-1"
KEK_SEALS_FORMAT = "sento-kek-seals-1"
PSEUDONYMS_FORMAT = "sento-pseudonyms-1"


class SealedKek(NamedTuple):
    """A KEK as it lies in kek-seals.json: what it is for, and the seal to this institution's seal key."""

    author: str
    registry: str
    compartment: str
    key_epoch: int
    seal: bytes


def write_signing_key(path: Path, seed: bytes, passphrase: bytes | None = None) -> None:
    """A 32-byte Ed25519 seed as PKCS #8 PEM; encrypted where there is a passphrase."""
    write_private_key(path, Ed25519PrivateKey.from_private_bytes(seed), passphrase)


def write_companion_key(path: Path, seed: bytes, passphrase: bytes | None = None) -> None:
    """A 32-byte ML-DSA-65 seed as PKCS #8 PEM; encrypted where there is a passphrase."""
    write_private_key(path, MLDSA65PrivateKey.from_seed_bytes(seed), passphrase)


def write_private_key(path: Path, private: PrivateKey, passphrase: bytes | None = None) -> None:
    """Any key as PKCS #8 PEM; encrypted where there is a passphrase. Raises ValueError on an empty one."""
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    if passphrase is None:
        write_secret(path, private.private_bytes(serialization.Encoding.PEM, *plain))
    elif not passphrase:
        raise ValueError("the passphrase is empty")
    else:
        write_secret(
            path, encrypt_pkcs8(private.private_bytes(serialization.Encoding.DER, *plain), passphrase)
        )


def read_signing_key(path: Path, passphrase: SecretSource = NO_PASSPHRASE) -> Signer:
    """The signer in the file: Ed25519 or P-256. Raises SetupError, PASSPHRASE_MISSING and PASSPHRASE_WRONG among others."""
    private = _private_key(path, read_secret(path), passphrase)
    if isinstance(private, Ed25519PrivateKey):
        return Ed25519Signer(private.private_bytes_raw())
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name == ec.SECP256R1.name:
        return EcdsaP256Signer(private)
    raise _invalid(path, "it is neither an Ed25519 nor a P-256 key")


def read_companion_key(path: Path, passphrase: SecretSource = NO_PASSPHRASE) -> MlDsa65Signer:
    """The ML-DSA-65 signer in the file. Raises SetupError."""
    private = _private_key(path, read_secret(path), passphrase)
    if not isinstance(private, MLDSA65PrivateKey):
        raise _invalid(path, "it is not an ML-DSA-65 key")
    return MlDsa65Signer(private.private_bytes_raw())


def _private_key(path: Path, data: bytes, passphrase: SecretSource) -> object:
    encrypted = is_encrypted(data)
    password = passphrase.get(str(path)) if encrypted else None
    try:
        return serialization.load_pem_private_key(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if encrypted:
            raise SetupError(Setup.PASSPHRASE_WRONG, str(path)) from None
        raise _invalid(path, "it is not a PKCS #8 PEM key") from None


def write_seal_key(path: Path, secret: bytes, passphrase: bytes | None = None) -> None:
    """A 96-byte X-Wing secret; encrypted where there is a passphrase. Raises ValueError on another size or an empty passphrase."""
    if len(secret) != XWING_SECRET_BYTES:
        raise ValueError(f"a seal key has {XWING_SECRET_BYTES} bytes")
    if passphrase is None:
        write_secret(path, f"{SEAL_KEY_FORMAT} {_encode(secret)}\n".encode())
    elif not passphrase:
        raise ValueError("the passphrase is empty")
    else:
        write_secret(path, encrypt_seal_key(secret, passphrase))


def read_seal_key(path: Path, passphrase: SecretSource = NO_PASSPHRASE) -> bytes:
    """The 96-byte X-Wing secret in the file. Raises SetupError."""
    return _xwing_secret(path, read_secret(path), passphrase)


def read_seal_opener(path: Path, passphrase: SecretSource = NO_PASSPHRASE) -> SealOpener:
    """What opens seals made to the key in the file: X-Wing, or P-256 where it is a PKCS #8 PEM key. Raises SetupError."""
    data = read_secret(path)
    if not data.lstrip().startswith(b"-----BEGIN "):
        return XWingOpener(_xwing_secret(path, data, passphrase))
    private = _private_key(path, data, passphrase)
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name == ec.SECP256R1.name:
        return P256Opener(private)
    raise _invalid(path, "a seal key in PEM is a P-256 key")


def _xwing_secret(path: Path, data: bytes, passphrase: SecretSource) -> bytes:
    if is_encrypted(data):
        try:
            secret = decrypt_seal_key(data, passphrase.get(str(path)))
        except WrongPassphrase:
            raise SetupError(Setup.PASSPHRASE_WRONG, str(path)) from None
        except ValueError as error:
            raise _invalid(path, str(error)) from None
    else:
        form, _, rest = data.decode("ascii", "replace").partition(" ")
        if form != SEAL_KEY_FORMAT:
            raise _invalid(path, f"it does not begin with {SEAL_KEY_FORMAT} or {ENCRYPTED_SEAL_KEY_FORMAT}")
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
