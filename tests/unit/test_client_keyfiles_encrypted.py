"""Key files at rest: encrypted ones open with their passphrase and nothing else, and where the passphrase comes from is in order."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from golden_vectors.ground import digest
from sento_client import keyfiles
from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.passphrases import SecretSource, passphrase_source, pin_source
from sento_proto.keys import Ed25519Signer, Suite, verifies
from sento_proto.seal import XWingOpener, open_seal, seal
from sento_proto.software_signers import MlDsa65Signer

pytestmark = pytest.mark.usefixtures("cheap_passphrases")
PASSPHRASE = "正しい馬 battery staple".encode()
SEED, SECRET = digest("seed"), digest("x-wing", 96)
P256 = ec.derive_private_key(int.from_bytes(digest("p-256"), "big"), ec.SECP256R1())
Write = Callable[[Path, bytes | None], None]
Read = Callable[[Path, SecretSource], object]
FILES: dict[str, tuple[Write, Read]] = {
    "Ed25519": (lambda p, w: keyfiles.write_signing_key(p, SEED, w), keyfiles.read_signing_key),
    "P-256": (lambda p, w: keyfiles.write_private_key(p, P256, w), keyfiles.read_signing_key),
    "ML-DSA-65": (lambda p, w: keyfiles.write_companion_key(p, SEED, w), keyfiles.read_companion_key),
    "X-Wing": (lambda p, w: keyfiles.write_seal_key(p, SECRET, w), keyfiles.read_seal_opener),
    "P-256 for seals": (lambda p, w: keyfiles.write_private_key(p, P256, w), keyfiles.read_seal_opener),
}


def with_passphrase(passphrase: bytes) -> SecretSource:
    return passphrase_source({"SENTO_PASSPHRASE": passphrase.decode()})


def refusal(work: Callable[[], object]) -> SetupError:
    with pytest.raises(SetupError) as refused:
        work()
    return refused.value


@pytest.mark.parametrize("kind", FILES)
def test_encrypted_file_opens_with_its_passphrase_alone(tmp_path: Path, kind: str) -> None:
    (write, read), path = FILES[kind], tmp_path / "file.key"
    write(path, PASSPHRASE)
    assert keyfiles.is_encrypted(path.read_bytes())
    assert path.stat().st_mode & 0o777 == 0o600
    read(path, with_passphrase(PASSPHRASE))
    for wrong in (b"another", PASSPHRASE + b"."):
        error = refusal(lambda w=wrong: read(path, with_passphrase(w)))  # type: ignore[misc]
        assert error.code is Setup.PASSPHRASE_WRONG
        assert wrong.decode() not in str(error.details)
    assert refusal(lambda: read(path, passphrase_source({}))).code is Setup.PASSPHRASE_MISSING


@pytest.mark.parametrize("kind", FILES)
def test_file_that_is_not_encrypted_is_read_and_nobody_is_asked(tmp_path: Path, kind: str) -> None:
    (write, read), path = FILES[kind], tmp_path / "file.key"
    write(path, None)
    assert not keyfiles.is_encrypted(path.read_bytes())
    read(path, passphrase_source({}))


@pytest.mark.parametrize("kind", FILES)
def test_no_passphrase_is_not_an_empty_one(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        FILES[kind][0](tmp_path / "file.key", b"")
    assert not list(tmp_path.iterdir())


def test_what_comes_out_is_the_key_that_went_in(tmp_path: Path) -> None:
    path, source = tmp_path / "file.key", with_passphrase(PASSPHRASE)
    keyfiles.write_signing_key(path, SEED, PASSPHRASE)
    assert keyfiles.read_signing_key(path, source).public_key == Ed25519Signer(SEED).public_key
    keyfiles.write_companion_key(path, SEED, PASSPHRASE)
    assert keyfiles.read_companion_key(path, source).public_key == MlDsa65Signer(SEED).public_key
    keyfiles.write_seal_key(path, SECRET, PASSPHRASE)
    assert keyfiles.read_seal_key(path, source) == SECRET
    assert keyfiles.read_seal_opener(path, source).public_key == XWingOpener(SECRET).public_key
    keyfiles.write_private_key(path, P256, PASSPHRASE)
    signer = keyfiles.read_signing_key(path, source)
    assert signer.public_key.suite == Suite.ECDSA_P256
    assert verifies(signer.public_key, signer.sign(b"message"), b"message")
    opener = keyfiles.read_seal_opener(path, source)
    assert open_seal(seal(SECRET, b"info", opener.public_key), b"info", opener) == SECRET


def test_the_key_itself_is_nowhere_in_the_file_and_no_two_files_are_alike(tmp_path: Path) -> None:
    for kind, (write, _) in FILES.items():
        first, second = tmp_path / f"1 {kind}", tmp_path / f"2 {kind}"
        write(first, PASSPHRASE)
        write(second, PASSPHRASE)
        assert first.read_bytes() != second.read_bytes()
        for secret in (SEED, SECRET):
            assert base64.b64encode(secret[:30]) not in first.read_bytes().replace(b"\n", b"")


def test_guessing_is_made_dear_with_scrypt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    path = tmp_path / "file.key"
    keyfiles.write_signing_key(path, SEED, PASSPHRASE)
    der = base64.b64decode(b"".join(path.read_bytes().splitlines()[1:-1]))
    scrypt, cost = bytes.fromhex("06092b06010401da47040b"), bytes.fromhex("02024000020108020105")
    assert scrypt in der
    assert cost in der, "N = 2^14, r = 8, p = 5"


def test_openssl_reads_the_encrypted_signing_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    path = tmp_path / "file.key"
    keyfiles.write_signing_key(path, SEED, b"a passphrase")
    command = ["openssl", "pkey", "-in", str(path), "-passin", "pass:a passphrase", "-outform", "DER"]
    plain = subprocess.run(command, check=True, capture_output=True).stdout
    expected = Ed25519PrivateKey.from_private_bytes(SEED).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert plain == expected


@pytest.mark.parametrize("kind", FILES)
def test_altered_file_does_not_open(tmp_path: Path, kind: str) -> None:
    (write, read), path = FILES[kind], tmp_path / "file.key"
    write(path, PASSPHRASE)
    data = path.read_bytes()
    cut = data[: len(data) // 2]
    path.write_bytes(cut)
    error = refusal(lambda: read(path, with_passphrase(PASSPHRASE)))
    assert error.code in (Setup.PASSPHRASE_WRONG, Setup.KEY_FILE_INVALID)


def altered_fields(line: str) -> dict[str, str]:
    head, cost, salt, sealed = line.rstrip("\n").split(" ")
    return {
        "cheaper": f"{head} scrypt:1:8:5 {salt} {sealed}",
        "64 GiB": f"{head} scrypt:26:8:5 {salt} {sealed}",
        "other numbers": f"{head} scrypt:14:9:5 {salt} {sealed}",
        "leading zero": f"{head} scrypt:014:8:5 {salt} {sealed}",
        "salt not base64": f"{head} {cost} !{salt} {sealed}",
        "short salt": f"{head} {cost} {salt[:4]} {sealed}",
        "no sealed key": f"{head} {cost} {salt} ",
        "a field more": f"{head} {cost} {salt} {sealed} x",
        "nothing": f"{head} ",
    }


@pytest.mark.parametrize("field", sorted(altered_fields("a b c d")))
def test_encrypted_seal_key_in_another_form_is_refused(tmp_path: Path, field: str) -> None:
    path = tmp_path / "seal.key"
    keyfiles.write_seal_key(path, SECRET, PASSPHRASE)
    path.write_text(altered_fields(path.read_text())[field])
    error = refusal(lambda: keyfiles.read_seal_key(path, with_passphrase(PASSPHRASE)))
    assert error.code is Setup.KEY_FILE_INVALID


def test_every_altered_byte_of_an_encrypted_seal_key_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    keyfiles.write_seal_key(path, SECRET, PASSPHRASE)
    head, cost, salt, sealed = path.read_text().rstrip("\n").split(" ")
    other_salt = ("B" if salt[0] != "B" else "C") + salt[1:]
    other_end = sealed[:20] + ("B" if sealed[20] != "B" else "C") + sealed[21:]
    for line in (f"{head} {cost} {other_salt} {sealed}", f"{head} {cost} {salt} {other_end}"):
        path.write_text(line)
        error = refusal(lambda: keyfiles.read_seal_key(path, with_passphrase(PASSPHRASE)))
        assert error.code is Setup.PASSPHRASE_WRONG


def test_companion_is_ml_dsa_65_and_a_seal_key_is_not_ed25519(tmp_path: Path) -> None:
    path = tmp_path / "file.key"
    keyfiles.write_signing_key(path, SEED)
    assert "ML-DSA-65" in str(refusal(lambda: keyfiles.read_companion_key(path)))
    assert "P-256" in str(refusal(lambda: keyfiles.read_seal_opener(path)))
    keyfiles.write_companion_key(path, SEED)
    assert "Ed25519" in str(refusal(lambda: keyfiles.read_signing_key(path)))


# Where passphrase and PIN come from.


def secret_file(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("source_of", "variable"), [(passphrase_source, "SENTO_PASSPHRASE"), (pin_source, "SENTO_PIN")]
)
def test_file_comes_before_environment_and_environment_before_a_person(
    tmp_path: Path, source_of: Callable[..., SecretSource], variable: str
) -> None:
    file, environ = secret_file(tmp_path / "secret", b"from the file\n"), {variable: "from the environment"}

    def ask(what: str) -> str:
        return f"for {what}"

    assert source_of(environ, file, ask).get("x") == b"from the file"
    assert source_of(environ, None, ask).get("x") == b"from the environment"
    assert source_of({}, None, ask).get("x") == b"for x"
    missing = refusal(lambda: source_of({}).get("x"))
    assert missing.code in (Setup.PASSPHRASE_MISSING, Setup.PIN_MISSING)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_passphrase_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = secret_file(tmp_path / "secret", b"passphrase", mode)
    source = passphrase_source({"SENTO_PASSPHRASE": "not asked"}, file)
    assert refusal(lambda: source.get("x")).code is Setup.KEY_FILE_OPEN


def test_passphrase_file_that_is_missing_is_not_stepped_over(tmp_path: Path) -> None:
    source = passphrase_source({"SENTO_PASSPHRASE": "not asked"}, tmp_path / "missing")
    assert refusal(lambda: source.get("x")).code is Setup.KEY_FILE_MISSING


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"a\0b", b"x" * 1025], ids=["empty", "a line end", "zero byte", "long"]
)
def test_passphrase_that_is_none_is_said(tmp_path: Path, data: bytes) -> None:
    source = passphrase_source({}, secret_file(tmp_path / "secret", data))
    assert refusal(lambda: source.get("x")).code is Setup.PASSPHRASE_MISSING


def test_one_line_end_is_taken_off_and_spaces_are_not(tmp_path: Path) -> None:
    for data, secret in ((b" a b \n", b" a b "), (b"a\r\n", b"a"), (b"a\n\n", b"a\n"), (b"a", b"a")):
        assert passphrase_source({}, secret_file(tmp_path / "secret", data)).get("x") == secret
