"""`sento keys new | encrypt`: keys made where they are used, never over another file, and read back under their passphrase."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sento_client import keyfiles
from sento_client.cli.main import main
from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.passphrases import passphrase_source
from sento_proto.kek_seal import XWING_SECRET_BYTES
from sento_proto.keys import PublicKey, Suite, sign_all, verifies
from sento_proto.software_signers import HybridSigner

pytestmark = pytest.mark.usefixtures("cheap_passphrases")
WORDS = "correct horse battery"
SOURCE = passphrase_source({"SENTO_PASSPHRASE": WORDS})


def run(*arguments: str, words: str | None = WORDS) -> Result:
    env = {"SENTO_PASSPHRASE": words} if words is not None else {"SENTO_PASSPHRASE": None}
    return CliRunner().invoke(main, list(arguments), env=env)


@pytest.mark.parametrize(("suite", "number"), [("ed25519", Suite.ED25519), ("ecdsa-p256", Suite.ECDSA_P256)])
def test_a_new_key_is_encrypted_and_what_is_printed_verifies_its_signatures(
    tmp_path: Path, suite: str, number: Suite
) -> None:
    file, beside = tmp_path / "new.key", tmp_path / "companion.key"
    done = run("--json", "keys", "new", str(file), "--suite", suite, "--companion", str(beside))
    assert done.exit_code == 0, done.output
    key = json.loads(done.output)["key"]
    with pytest.raises(SetupError) as refused:
        keyfiles.read_signing_key(file)
    assert refused.value.code is Setup.PASSPHRASE_MISSING
    signer = HybridSigner(
        keyfiles.read_signing_key(file, SOURCE), keyfiles.read_companion_key(beside, SOURCE)
    )
    public = PublicKey(number, base64.b64decode(key["public_key"]))
    companion = PublicKey(Suite.ML_DSA_65, base64.b64decode(key["ml_dsa_65"]))
    own, second = sign_all(signer, b"a record")
    assert verifies(public, own, b"a record")
    assert verifies(companion, second, b"a record")
    assert (file.stat().st_mode & 0o777, beside.stat().st_mode & 0o777) == (0o600, 0o600)


def test_a_key_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "signing.key"
    keyfiles.write_signing_key(file, os.urandom(32))
    before = file.read_bytes()
    assert run("keys", "new", str(file)).exit_code == 2
    assert run("keys", "new", str(tmp_path / "other.key"), "--companion", str(file)).exit_code == 2
    assert (file.read_bytes(), (tmp_path / "other.key").exists()) == (before, False)


def test_without_a_passphrase_no_key_is_made_unless_it_is_meant_to_be_plain(tmp_path: Path) -> None:
    file = tmp_path / "new.key"
    missing = run("keys", "new", str(file), words=None)
    assert missing.exit_code != 0
    assert "PASSPHRASE_MISSING" in missing.output
    assert not file.exists()
    assert run("keys", "new", str(file), "--plain", words=None).exit_code == 0
    assert keyfiles.read_signing_key(file).public_key.suite is Suite.ED25519


def test_files_are_encrypted_in_their_places_and_hold_the_same_keys(tmp_path: Path) -> None:
    signing, beside, seal = (tmp_path / name for name in ("signing.key", "companion.key", "seal.key"))
    keyfiles.write_signing_key(signing, bytes(range(32)))
    keyfiles.write_companion_key(beside, bytes(range(32)))
    keyfiles.write_seal_key(seal, bytes(range(XWING_SECRET_BYTES)))
    public, second = (
        keyfiles.read_signing_key(signing).public_key,
        keyfiles.read_companion_key(beside).public_key,
    )
    done = run("--json", "keys", "encrypt", str(signing), str(beside), str(seal))
    assert set(json.loads(done.output).values()) == {"encrypted"}
    assert keyfiles.read_signing_key(signing, SOURCE).public_key == public
    assert keyfiles.read_companion_key(beside, SOURCE).public_key == second
    assert keyfiles.read_seal_key(seal, SOURCE) == bytes(range(XWING_SECRET_BYTES))
    for file in (signing, beside, seal):
        assert bytes(range(16)) not in file.read_bytes()
    again = run("--json", "keys", "encrypt", str(signing), str(seal), words="other words")
    assert set(json.loads(again.output).values()) == {"encrypted already"}


def test_a_file_that_is_no_key_is_left_alone_in_words(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    keyfiles.write_secret(file, b"minutes of a meeting\n")
    refused = run("keys", "encrypt", str(file))
    assert "KEY_FILE_INVALID" in refused.output
    assert file.read_bytes() == b"minutes of a meeting\n"
