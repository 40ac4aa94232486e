"""From the section `keys` of a configuration to signer and seal opener: files, encrypted files, a token, and what is wrong in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client_world import ClientWorld, build_client_world
from golden_vectors.ground import digest
from sento_client import keyfiles
from sento_client.config import ClientConfig, decode_config
from sento_client.keyring import Keyring
from sento_client.opening import open_installation
from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.opening import KeySource
from sento_client.testing.world import derived
from sento_proto.keys import Suite, is_blocking, sign_all, verifies
from sento_proto.seal import open_seal, seal
from softhsm import LABEL, PIN, SoftToken, soft_token

PASSPHRASE = b"passphrase"
KEYS = 'kek_seals = "kek-seals.json"\npseudonyms = "pseudonyms.json"\n'
FILES = 'signing = "signing.key"\nseal = "seal.key"\n'
AROUND = """genesis = "genesis.json"
institution = "iizuka-city"
[tls]
ca = "ca.pem"
certificate = "client.pem"
key = "client.key"
[[sites]]
name = "jp-fukuoka"
address = "127.0.0.1:1"
[keys]
"""


def config_of(directory: Path, keys: str) -> ClientConfig:
    return decode_config((AROUND + KEYS + keys).encode(), directory / "sento.toml")


def refusal(work: Callable[[], object]) -> SetupError:
    with pytest.raises(SetupError) as refused:
        work()
    return refused.value


def write_files(directory: Path, passphrase: bytes | None) -> None:
    keyfiles.write_signing_key(directory / "signing.key", digest("seed"), passphrase)
    keyfiles.write_companion_key(directory / "keys.companion", digest("companion"), passphrase)
    keyfiles.write_seal_key(directory / "seal.key", digest("x-wing", 96), passphrase)


def test_a_companion_in_the_configuration_makes_two_signatures(tmp_path: Path) -> None:
    write_files(tmp_path, None)
    keys = config_of(tmp_path, FILES + 'companion = "keys.companion"\n').keys
    signer = KeySource(keys, environ={}).signer()
    assert signer is not None
    assert [signature.suite for signature in sign_all(signer, b"m")] == [Suite.ED25519, Suite.ML_DSA_65]
    assert not is_blocking(signer)


def test_one_passphrase_file_opens_all_key_files(tmp_path: Path) -> None:
    write_files(tmp_path, PASSPHRASE)
    (tmp_path / "passphrase").write_bytes(PASSPHRASE + b"\n")
    (tmp_path / "passphrase").chmod(0o600)
    keys = config_of(tmp_path, FILES + 'companion = "keys.companion"\npassphrase_file = "passphrase"\n').keys
    source = KeySource(keys, environ={"SENTO_PASSPHRASE": "another"})
    assert source.signer() is not None
    assert source.seal_opener().public_key


def test_a_person_is_asked_once_for_all_files(tmp_path: Path) -> None:
    write_files(tmp_path, PASSPHRASE)
    asked: list[str] = []

    def ask(what: str) -> str:
        asked.append(what)
        return PASSPHRASE.decode()

    source = KeySource(
        config_of(tmp_path, FILES + 'companion = "keys.companion"\n').keys, ask=ask, environ={}
    )
    source.signer()
    source.seal_opener()
    assert len(asked) == 1


def test_library_without_a_person_says_what_is_missing(tmp_path: Path) -> None:
    write_files(tmp_path, PASSPHRASE)
    source = KeySource(config_of(tmp_path, FILES).keys, environ={})
    assert refusal(source.signer).code is Setup.PASSPHRASE_MISSING
    assert refusal(source.seal_opener).code is Setup.PASSPHRASE_MISSING


@pytest.mark.parametrize("wrong", [False, True], ids=["right passphrase", "wrong passphrase"])
def test_installation_with_encrypted_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    place: ClientWorld = build_client_world(tmp_path)
    seed = derived(place.world.genesis.name, "author", "iizuka-city")
    keyfiles.write_signing_key(tmp_path / "signing.key", seed, PASSPHRASE)
    keyfiles.write_seal_key(tmp_path / "seal.key", place.world.seal_secrets["iizuka-city"], PASSPHRASE)
    monkeypatch.setenv("SENTO_PASSPHRASE", "wrong" if wrong else PASSPHRASE.decode())
    if wrong:
        assert refusal(lambda: open_installation(place.config)).code is Setup.PASSPHRASE_WRONG
    else:
        installation = open_installation(place.config)
        assert installation.keyring.kek_for("iizuka-city", "residency", "", 1)


# A token.


@pytest.fixture
def soft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftToken]:
    (tmp_path / "token").mkdir()
    with soft_token(tmp_path / "token", monkeypatch) as token:
        yield token


def token_section(soft: SoftToken, more: str) -> str:
    return f'[keys.token]\nmodule = "{soft.module}"\ntoken_label = "{LABEL}"\n{more}'


def test_token_signs_and_opens_and_no_key_file_is_needed(tmp_path: Path, soft: SoftToken) -> None:
    soft.make_key("author")
    soft.make_key("reader")
    (tmp_path / "pin").write_text(PIN + "\n")
    (tmp_path / "pin").chmod(0o600)
    section = token_section(soft, 'key_label = "author"\nseal_label = "reader"\npin_file = "pin"\n')
    source = KeySource(config_of(tmp_path, section).keys, environ={})
    signer, opener = source.signer(), source.seal_opener()
    assert signer is not None
    assert is_blocking(signer)
    assert verifies(signer.public_key, signer.sign(b"m"), b"m")
    assert open_seal(seal(digest("kek"), b"info", opener.public_key), b"info", opener) == digest("kek")
    assert Keyring(digest("ledger"), opener, (), {}).blocking


def test_token_signs_beside_files(tmp_path: Path, soft: SoftToken) -> None:
    soft.make_key("author", "Ed25519")
    write_files(tmp_path, None)
    section = 'seal = "seal.key"\ncompanion = "keys.companion"\n' + token_section(
        soft, 'key_label = "author"\n'
    )
    source = KeySource(config_of(tmp_path, section).keys, environ={"SENTO_PIN": PIN})
    signer = source.signer()
    assert signer is not None
    assert is_blocking(signer)
    assert [signature.suite for signature in sign_all(signer, b"m")] == [Suite.ED25519, Suite.ML_DSA_65]
    assert not is_blocking(source.seal_opener())


@pytest.mark.parametrize(
    ("environ", "code"), [({}, Setup.PIN_MISSING), ({"SENTO_PIN": "wrong"}, Setup.PIN_WRONG)]
)
def test_pin_that_is_missing_or_wrong_is_said(
    tmp_path: Path, soft: SoftToken, environ: dict[str, str], code: Setup
) -> None:
    soft.make_key("author")
    section = 'seal = "seal.key"\n' + token_section(soft, 'key_label = "author"\n')
    assert refusal(KeySource(config_of(tmp_path, section).keys, environ=environ).signer).code is code


# The configuration's own mistakes.

TOKEN = '[keys.token]\nmodule = "m.so"\ntoken_label = "t"\n'


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (FILES + TOKEN + 'key_label = "k"\n', "keys.signing: not beside"),
        (FILES + TOKEN + 'seal_label = "k"\n', "keys.seal: not beside"),
        (FILES + TOKEN, "keys.token: expected key_label, seal_label or both"),
        (TOKEN + 'key_label = "k"\n', "keys.seal: expected a path"),
        ('seal = "seal.key"\ncompanion = "c"\n', "keys.companion: a companion signs beside"),
        (
            'seal = "seal.key"\n[keys.token]\ntoken_label = "t"\nkey_label = "k"\n',
            "keys.token.module: expected",
        ),
        (
            'seal = "seal.key"\n[keys.token]\nmodule = "m"\nkey_label = "k"\n',
            "keys.token.token_label: expected",
        ),
        (FILES + TOKEN + 'seal_lable = "k"\n', "keys.token.seal_lable: not known"),
    ],
)
def test_mistake_in_the_section_keys_is_named(tmp_path: Path, keys: str, words: str) -> None:
    error = refusal(lambda: config_of(tmp_path, keys))
    assert error.code is Setup.CONFIG_INVALID
    assert any(detail.startswith(words) for detail in error.details), error.details


def test_paths_of_the_section_are_relative_to_the_file(tmp_path: Path) -> None:
    keys = config_of(tmp_path, TOKEN + 'key_label = "k"\nseal_label = "s"\npin_file = "pin"\n').keys
    assert keys.token is not None
    assert (keys.signing, keys.seal) == (None, None)
    assert (keys.token.module, keys.token.pin_file) == (tmp_path / "m.so", tmp_path / "pin")
