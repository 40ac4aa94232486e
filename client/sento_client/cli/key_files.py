"""`sento keys new | encrypt`: a fresh signing key in a file, with what the officers need to enrol it; and key files put under a passphrase.

No site is asked. A new key is written once and never over another file; what is printed is public. Encrypting replaces a file whole or not at all.
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

import click
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import exit_of
from sento_client.cli.prompts import person_to_ask
from sento_client.key_encryption import is_encrypted
from sento_client.keyfiles import (
    SEAL_KEY_FORMAT,
    PrivateKey,
    read_companion_key,
    read_seal_key,
    read_signing_key,
    write_private_key,
    write_seal_key,
)
from sento_client.secret_files import read_secret
from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.passphrases import passphrase_source
from sento_proto.keys import PublicKey, Suite

SUITES = ("ed25519", "ecdsa-p256")
NEW_FILE = click.Path(path_type=Path, dir_okay=False)
PASSPHRASE_FILE = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="A file with the passphrase in one line, mode 0600. Without it: $SENTO_PASSPHRASE, else you are asked.",
)


@click.command(short_help="Make a signing key in a new file, and print what officers enrol.")
@click.argument("path", type=NEW_FILE, metavar="FILE")
@click.option("--suite", type=click.Choice(SUITES), default=SUITES[0], show_default=True)
@click.option(
    "--companion",
    type=NEW_FILE,
    metavar="FILE",
    help="Make an ML-DSA-65 key beside it in this file: then both sign, and neither can be left out.",
)
@click.option("--plain", is_flag=True, help="Do not encrypt: only for drills and tests.")
@PASSPHRASE_FILE
@pass_app
def new(
    app: App, path: Path, suite: str, companion: Path | None, plain: bool, passphrase_file: Path | None
) -> None:
    """Make a signing key here, where it is to be used, and print the key as an act names it. The private key never leaves the file.

    Give what is printed to the officers; they enrol it with `sento govern propose --file`. Then name the file as keys.signing in sento.toml.

    \b
    Example:
        sento --json keys new signing-2027.key > key.json
    """
    for file in (path, companion):
        if file is not None and (file.exists() or file.is_symlink()):
            raise click.UsageError(f"{file} is there already; a key file is never written over.")
    try:
        passphrase = None if plain else _passphrase(passphrase_file, str(path))
        key = _write(path, _new_private(suite), passphrase)
        beside = None if companion is None else _write(companion, MLDSA65PrivateKey.generate(), passphrase)
    except SetupError as error:
        app.show_error(error)
        sys.exit(exit_of(error))
    value = {"suite": suite, "public_key": base64.b64encode(key.data).decode()}
    if beside is not None:
        value["ml_dsa_65"] = base64.b64encode(beside.data).decode()

    def people(console: Console) -> None:
        console.print(f"{path}: key {key.key_id.hex()}, {'not encrypted' if plain else 'encrypted'}.")
        console.print(
            'Officers enrol it by the change {"do": "enrol-key", "author": "...", "key": KEY} with KEY:'
        )
        for name, text in value.items():
            console.print(f'  "{name}": "{text}"', markup=False, soft_wrap=True)

    app.show({"key_id": key.key_id.hex(), "file": str(path), "key": value}, people)


@click.command(short_help="Put key files under a passphrase.")
@click.argument("paths", nargs=-1, required=True, type=NEW_FILE, metavar="FILE...")
@PASSPHRASE_FILE
@pass_app
def encrypt(app: App, paths: tuple[Path, ...], passphrase_file: Path | None) -> None:
    """Encrypt signing, companion and seal key files in their places; those that are encrypted already are left as they are.

    Afterwards programs need the passphrase: keys.passphrase_file in sento.toml, $SENTO_PASSPHRASE, or a person at a terminal. Copies and backups of the
    former files are not touched: find and destroy them.

    \b
    Example:
        sento keys encrypt signing.key seal.key
    """
    done: dict[str, str] = {}
    try:
        wanted = [path for path in paths if not is_encrypted(read_secret(path))]
        passphrase = _passphrase(passphrase_file, ", ".join(map(str, wanted))) if wanted else b""
        for path in paths:
            done[str(path)] = _encrypt(path, passphrase) if path in wanted else "encrypted already"
    except SetupError as error:
        app.show_error(error)
        sys.exit(exit_of(error))

    def people(console: Console) -> None:
        for path, words in done.items():
            console.print(f"{path}: {words}", markup=False)

    app.show(done, people)


def _passphrase(file: Path | None, what: str) -> bytes:
    return passphrase_source(os.environ, file, person_to_ask()).get(what)


def _new_private(suite: str) -> Ed25519PrivateKey | ec.EllipticCurvePrivateKey:
    return Ed25519PrivateKey.generate() if suite == SUITES[0] else ec.generate_private_key(ec.SECP256R1())


def _write(path: Path, private: PrivateKey, passphrase: bytes | None) -> PublicKey:
    write_private_key(path, private, passphrase)
    public = private.public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        point = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
        return PublicKey(Suite.ECDSA_P256, point)
    suite = Suite.ML_DSA_65 if isinstance(private, MLDSA65PrivateKey) else Suite.ED25519
    return PublicKey(suite, public.public_bytes_raw())


def _encrypt(path: Path, passphrase: bytes) -> str:
    """What was in the file is read back under the passphrase before this says so. Raises SetupError."""
    data = read_secret(path)
    if data.startswith(SEAL_KEY_FORMAT.encode()):
        write_seal_key(path, read_seal_key(path), passphrase)
        return "encrypted"
    try:
        private = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError):
        raise SetupError(
            Setup.KEY_FILE_INVALID, f"{path}: it is neither a PKCS #8 PEM key nor a seal key"
        ) from None
    if not isinstance(private, Ed25519PrivateKey | ec.EllipticCurvePrivateKey | MLDSA65PrivateKey):
        raise SetupError(Setup.KEY_FILE_INVALID, f"{path}: it is no key that signs records")
    write_private_key(path, private, passphrase)
    reread = passphrase_source({"SENTO_PASSPHRASE": passphrase.decode()})
    (read_companion_key if isinstance(private, MLDSA65PrivateKey) else read_signing_key)(path, reread)
    return "encrypted"
