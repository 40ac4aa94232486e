"""Key files: what is written is read back, what is wrong or open to others is refused in words that quote no key."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sento_client import keyfiles
from sento_client.keyfiles import SealedKek
from sento_client.setup_errors import Setup, SetupError
from sento_proto.keys import Ed25519Signer

Read = Callable[[Path], object]
SEAL = SealedKek("iizuka-city", "residency", "", 1, b"seal bytes")


def write_each(directory: Path) -> dict[str, Read]:
    keyfiles.write_signing_key(directory / "signing.key", bytes(range(32)))
    keyfiles.write_seal_key(directory / "seal.key", bytes(range(96)))
    keyfiles.write_kek_seals(directory / "kek-seals.json", [SEAL])
    keyfiles.write_pseudonyms(directory / "pseudonyms.json", {"residency": bytes(32)})
    return {
        "signing.key": keyfiles.read_signing_key,
        "seal.key": keyfiles.read_seal_key,
        "kek-seals.json": keyfiles.read_kek_seals,
        "pseudonyms.json": keyfiles.read_pseudonyms,
    }


def test_each_file_reads_back_as_it_was_written(tmp_path: Path) -> None:
    write_each(tmp_path)
    signer = keyfiles.read_signing_key(tmp_path / "signing.key")
    assert signer.public_key == Ed25519Signer(bytes(range(32))).public_key
    assert keyfiles.read_seal_key(tmp_path / "seal.key") == bytes(range(96))
    assert keyfiles.read_kek_seals(tmp_path / "kek-seals.json") == (SEAL,)
    assert keyfiles.read_pseudonyms(tmp_path / "pseudonyms.json") == {"residency": bytes(32)}


def test_files_are_private_and_nothing_else_is_left_beside_them(tmp_path: Path) -> None:
    old_mask = os.umask(0)
    try:
        readers = write_each(tmp_path)
    finally:
        os.umask(old_mask)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(readers)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_writing_again_replaces_the_file_whole(tmp_path: Path) -> None:
    write_each(tmp_path)
    keyfiles.write_pseudonyms(tmp_path / "pseudonyms.json", {"tax": bytes(32)})
    assert list(keyfiles.read_pseudonyms(tmp_path / "pseudonyms.json")) == ["tax"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
@pytest.mark.parametrize("name", ["signing.key", "seal.key", "kek-seals.json", "pseudonyms.json"])
def test_file_that_others_can_open_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    read = write_each(tmp_path)[name]
    (tmp_path / name).chmod(mode)
    with pytest.raises(SetupError) as refused:
        read(tmp_path / name)
    assert refused.value.code is Setup.KEY_FILE_OPEN
    assert f"{mode:04o}" in str(refused.value)


@pytest.mark.parametrize("name", ["signing.key", "seal.key", "kek-seals.json", "pseudonyms.json"])
def test_file_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    read = write_each(tmp_path)[name]
    (tmp_path / name).unlink()
    with pytest.raises(SetupError) as refused:
        read(tmp_path / name)
    assert refused.value.code is Setup.KEY_FILE_MISSING
    assert name in str(refused.value)


def _seals(**change: object) -> bytes:
    entry = {"author": "a", "registry": "r", "compartment": "", "key_epoch": 1, "seal": ""} | change
    return json.dumps({"format": "sento-kek-seals-1", "seals": [entry]}).encode()


def _ec(curve: ec.EllipticCurve) -> bytes:
    key = ec.generate_private_key(curve)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(pem, pkcs8, serialization.NoEncryption())


SECRET = base64.b64encode(b"never to be quoted, whatever else is wrong with it").decode()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("signing.key", b"not a key", "PKCS #8"),
        ("signing.key", _ec(ec.SECP384R1()), "Ed25519"),
        ("seal.key", b"", "sento-seal-key-1"),
        ("seal.key", f"sento-seal-key-3 {SECRET}\n".encode(), "sento-seal-key-1"),
        ("seal.key", f"sento-seal-key-1 {SECRET}\n".encode(), "96 bytes"),
        ("seal.key", f"sento-seal-key-1 {SECRET}!\n".encode(), "base64"),
        ("kek-seals.json", b"{", "JSON"),
        ("kek-seals.json", b"[]", "sento-kek-seals-1"),
        ("kek-seals.json", b'{"format": "sento-kek-seals-9", "seals": []}', "sento-kek-seals-1"),
        ("kek-seals.json", b'{"format": "sento-kek-seals-1", "seals": {}}', "list"),
        ("kek-seals.json", _seals(extra=1), "seals[0]"),
        ("kek-seals.json", _seals(author=7), "must be text"),
        ("kek-seals.json", _seals(key_epoch=True), "key_epoch"),
        ("kek-seals.json", _seals(key_epoch=-1), "key_epoch"),
        ("kek-seals.json", _seals(seal=7), "seals[0].seal"),
        ("pseudonyms.json", b'{"format": "sento-pseudonyms-1", "registries": []}', "object"),
        (
            "pseudonyms.json",
            json.dumps({"format": "sento-pseudonyms-1", "registries": {"tax": SECRET}}).encode(),
            "32 bytes",
        ),
    ],
)
def test_file_in_another_form_is_refused_without_quoting_it(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    read = write_each(tmp_path)[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SetupError) as refused:
        read(tmp_path / name)
    assert refused.value.code is Setup.KEY_FILE_INVALID
    assert words in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("name", ["signing.key", "seal.key", "kek-seals.json", "pseudonyms.json"])
def test_link_to_a_file_that_others_can_read_is_refused(tmp_path: Path, name: str) -> None:
    read = write_each(tmp_path)[name]
    (tmp_path / "elsewhere").mkdir()
    target = (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    (tmp_path / name).symlink_to(target)
    read(tmp_path / name)
    target.chmod(0o644)
    with pytest.raises(SetupError) as refused:
        read(tmp_path / name)
    assert refused.value.code is Setup.KEY_FILE_OPEN


@pytest.mark.parametrize("linked", [False, True], ids=["the file's own", "behind a link"])
def test_directory_in_which_anybody_can_exchange_the_file_is_refused(tmp_path: Path, linked: bool) -> None:
    directory = tmp_path / "keys"
    directory.mkdir()
    write_each(directory)
    path = directory / "signing.key"
    if linked:
        (tmp_path / "link").symlink_to(path)
        path = tmp_path / "link"
    keyfiles.read_signing_key(path)
    directory.chmod(0o777)
    with pytest.raises(SetupError) as refused:
        keyfiles.read_signing_key(path)
    assert refused.value.code is Setup.KEY_FILE_OPEN
    assert "everybody may write" in str(refused.value)
    directory.chmod(0o1777)
    keyfiles.read_signing_key(path)
