"""`sento keys`: every mistake in keys, certificates and configuration is found in one run, each with its remedy, and no secret is shown."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli_terminal import Terminal
from client_world import AUTHOR, build_client_world
from mtls_sites import LONG, OVER, write_client_tls
from sento_client.cli import prompts
from sento_client.cli.exits import Exit
from sento_client.cli.findings import Finding, State
from sento_client.cli.key_checks import check_installation
from sento_client.config import load_config
from sento_client.keyfiles import (
    SealedKek,
    read_kek_seals,
    write_companion_key,
    write_kek_seals,
    write_pseudonyms,
    write_seal_key,
    write_signing_key,
)
from sento_client.testing.world import derived
from sento_drill.pki import Authority, Validity
from sento_proto.software_signers import MlDsa65Signer

pytestmark = pytest.mark.usefixtures("cheap_passphrases")
NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


class Installation:
    """An institution's files, certificates too."""

    def __init__(self, directory: Path, institution: str = AUTHOR) -> None:
        self.directory = directory
        self.place = build_client_world(directory, institution)
        self.authority = Authority("test authority", LONG)
        write_client_tls(directory, self.authority, institution)

    @property
    def config(self) -> Path:
        return self.place.config

    def check(self, now: dt.datetime = NOW) -> list[Finding]:
        return check_installation(self.config, now)

    def wrong(self, now: dt.datetime = NOW) -> set[tuple[str, str]]:
        return {(found.item, found.code) for found in self.check(now) if found.state is not State.IN_ORDER}

    def replace(self, old: str, new: str) -> None:
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))


@pytest.fixture
def files(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def of(findings: list[Finding], item: str) -> list[Finding]:
    return [found for found in findings if found.item == item]


def test_installation_in_order_names_its_keys(files: Installation) -> None:
    findings = files.check()
    assert not files.wrong()
    (signing,) = of(findings, "signing key")
    assert signing.value["key_id"] == files.place.world.key_id(AUTHOR).hex()
    assert (signing.value["author"], signing.value["mode"]) == (AUTHOR, "0600")
    (ledger,) = of(findings, "ledger")
    assert ledger.value["id"] == files.place.world.ledger_id.hex()
    (certificate,) = of(findings, "TLS certificate")
    assert certificate.value["identity"] == f"spiffe://sento.internal/author/{AUTHOR}"
    assert certificate.value["issuer"] == "CN=test authority"
    keks = [kek.value for kek in of(findings, "KEK")]
    assert [(kek["registry"], kek["key_epoch"], kek["opens"]) for kek in keks] == [
        ("residency", 1, True),
        ("residency", 2, True),
        ("tax", 1, True),
        ("tax", 2, True),
    ]
    (pseudonyms,) = of(findings, "pseudonym keys")
    assert pseudonyms.value["registries"] == ["health", "residency", "tax"]


def test_reader_without_a_signing_key_is_in_order_as_a_reader(tmp_path: Path) -> None:
    reader = Installation(tmp_path, "relief-desk")
    (signing,) = of(reader.check(), "signing key")
    assert signing.state is State.IN_ORDER
    assert "can read and not write" in signing.words


Spoil = Callable[[Installation], Any]
EXPIRED = Validity(LONG.not_before, NOW - dt.timedelta(days=1))
NEAR = Validity(LONG.not_before, NOW + dt.timedelta(days=13, hours=12))
FAR = Validity(LONG.not_before, NOW + dt.timedelta(days=14, hours=12))
SPOILT: dict[str, tuple[Spoil, set[tuple[str, str]]]] = {
    "genesis gone": (lambda f: (f.directory / "genesis.json").unlink(), {("ledger", "GENESIS_INVALID")}),
    "signing key gone": (
        lambda f: (f.directory / "signing.key").unlink(),
        {("signing key", "KEY_FILE_MISSING")},
    ),
    "signing key open to others": (
        lambda f: (f.directory / "signing.key").chmod(0o644),
        {("signing key", "KEY_FILE_OPEN")},
    ),
    "signing key not enrolled": (
        lambda f: write_signing_key(f.directory / "signing.key", bytes(32)),
        {("signing key", "NOT_ENROLLED")},
    ),
    "signing key of another author": (
        lambda f: write_signing_key(
            f.directory / "signing.key", derived("sento-test", "author", "kaga-city")
        ),
        {("signing key", "NOT_ENROLLED")},
    ),
    "seal key not a key": (
        lambda f: (f.directory / "seal.key").write_text("spoilt"),
        {("seal key", "KEY_FILE_INVALID")},
    ),
    "seal key of somebody else": (
        lambda f: write_seal_key(f.directory / "seal.key", bytes(range(96))),
        {("seal key", "NOT_ENROLLED"), ("KEK", "NO_KEK")},
    ),
    "seals not JSON": (
        lambda f: (f.directory / "kek-seals.json").write_text("{"),
        {("KEK seals", "KEY_FILE_INVALID")},
    ),
    "no KEK for a scope that may be written": (
        lambda f: write_kek_seals(
            f.directory / "kek-seals.json",
            [seal for seal in read_kek_seals(f.directory / "kek-seals.json") if seal.registry != "tax"],
        ),
        {("KEK", "NO_KEK")},
    ),
    "seal of zeros": (
        lambda f: write_kek_seals(
            f.directory / "kek-seals.json",
            [*read_kek_seals(f.directory / "kek-seals.json"), SealedKek(AUTHOR, "tax", "", 9, bytes(1168))],
        ),
        {("KEK", "NO_KEK")},
    ),
    "no pseudonym key for a registry": (
        lambda f: write_pseudonyms(f.directory / "pseudonyms.json", {"tax": bytes(32)}),
        {("pseudonym keys", "NO_PSEUDONYM_KEY")},
    ),
    "certificate expired": (
        lambda f: write_client_tls(f.directory, f.authority, AUTHOR, EXPIRED),
        {("TLS certificate", "TLS_INVALID")},
    ),
    "certificate ends in 13 days": (
        lambda f: write_client_tls(f.directory, f.authority, AUTHOR, NEAR),
        {("TLS certificate", "NEAR_END")},
    ),
    "certificate ends in 14 days": (
        lambda f: write_client_tls(f.directory, f.authority, AUTHOR, FAR),
        set(),
    ),
    "certificate of another institution": (
        lambda f: write_client_tls(f.directory, f.authority, "kaga-city"),
        {("TLS certificate", "TLS_INVALID")},
    ),
    "certificate of another authority": (
        lambda f: (f.directory / "node-ca.pem").write_bytes(Authority("other", LONG).certificate_pem),
        {("TLS authority", "TLS_INVALID")},
    ),
    "authority of the same name with another key": (
        lambda f: (f.directory / "node-ca.pem").write_bytes(
            Authority("test authority", LONG).certificate_pem
        ),
        {("TLS authority", "TLS_INVALID")},
    ),
    "certificate not PEM": (
        lambda f: (f.directory / "client.pem").write_text("spoilt"),
        {("TLS certificate", "TLS_INVALID")},
    ),
    "TLS key of another certificate": (
        lambda f: (f.directory / "client.key").write_bytes(other_key(f)),
        {("TLS key", "TLS_INVALID")},
    ),
    "TLS key open to others": (
        lambda f: (f.directory / "client.key").chmod(0o640),
        {("TLS key", "KEY_FILE_OPEN")},
    ),
    "institution that is not enrolled": (
        lambda f: f.replace(f'"{AUTHOR}"', '"nowhere-city"'),
        {
            ("institution", "NOT_ENROLLED"),
            ("signing key", "NOT_ENROLLED"),
            ("TLS certificate", "TLS_INVALID"),
        },
    ),
    "site that genesis does not know": (
        lambda f: f.replace('"jp-fukuoka"', '"jp-nowhere"'),
        {("configuration", "CONFIG_INVALID")},
    ),
    "configuration with a misspelt field": (
        lambda f: f.replace("[tls]", "[tls]\ncertifikate = 'x'"),
        {("configuration", "CONFIG_INVALID")},
    ),
    "configuration without its seal key": (
        lambda f: f.replace('seal = "seal.key"\n', ""),
        {("configuration", "CONFIG_INVALID")},
    ),
    "configuration that is no TOML": (
        lambda f: f.config.write_text("= ="),
        {("configuration", "CONFIG_INVALID")},
    ),
    "configuration gone": (lambda f: f.config.unlink(), {("configuration", "CONFIG_MISSING")}),
}


def other_key(files: Installation) -> bytes:
    elsewhere = files.directory / "elsewhere"
    elsewhere.mkdir()
    write_client_tls(elsewhere, files.authority, AUTHOR)
    return (elsewhere / "client.key").read_bytes()


@pytest.mark.parametrize("fault", SPOILT)
def test_fault_is_found_by_what_it_is(files: Installation, fault: str) -> None:
    spoil, expected = SPOILT[fault]
    spoil(files)
    assert files.wrong() == expected
    assert all(found.remedy for found in files.check() if found.state is not State.IN_ORDER)


def test_all_mistakes_are_found_in_one_run(files: Installation) -> None:
    (files.directory / "genesis.json").unlink()
    (files.directory / "signing.key").chmod(0o644)
    (files.directory / "seal.key").write_text("spoilt")
    (files.directory / "kek-seals.json").unlink()
    (files.directory / "pseudonyms.json").write_text("[]")
    (files.directory / "client.key").unlink()
    files.replace("[tls]", "[tls]\ncertifikate = 'x'")
    assert {item for item, _ in files.wrong()} == {
        "configuration",
        "ledger",
        "signing key",
        "seal key",
        "KEK seals",
        "pseudonym keys",
        "TLS key",
    }


def test_command_exits_by_what_it_found(tmp_path: Path) -> None:
    files = Installation(tmp_path)
    terminal = Terminal(files.place)
    healthy = terminal.run("keys")
    assert (healthy.exit_code, healthy.stdout.splitlines()[0]) == (
        Exit.OK,
        "Keys, certificates and configuration are in order: 13 looked at.",
    )
    now = dt.datetime.now(dt.UTC)
    soon = Validity(LONG.not_before, now + dt.timedelta(days=3))
    write_client_tls(tmp_path, files.authority, AUTHOR, soon)
    near = terminal.run("keys")
    assert near.exit_code == Exit.DEGRADED
    assert "it expires in 2 days" in near.stdout
    write_client_tls(tmp_path, files.authority, AUTHOR, OVER)
    (tmp_path / "seal.key").unlink()
    wrong = terminal.run("keys")
    assert wrong.exit_code == Exit.USAGE
    assert "Ask the authority for a new certificate" in wrong.stdout
    value = terminal.value("keys")
    assert not value["in_order"]
    assert {found["code"] for found in value["findings"] if found["state"] != "in order"} == {
        "TLS_INVALID",
        "KEY_FILE_MISSING",
    }


@pytest.mark.parametrize("columns", [60, 200])
def test_no_secret_is_shown_and_the_table_fits(tmp_path: Path, columns: int) -> None:
    files = Installation(tmp_path)
    config = load_config(files.config)
    secrets: list[str] = []
    for path in (config.keys.seal, config.keys.pseudonyms, config.keys.kek_seals, config.tls.key):
        assert path is not None
        secrets += [word.strip('",') for word in path.read_text().split() if len(word) > 24]
    assert len(secrets) > 8
    shown = Terminal(files.place).run("keys", columns=columns).stdout
    assert not any(secret in shown for secret in secrets)
    assert not any(secret in json.dumps(Terminal(files.place).value("keys")) for secret in secrets)
    table = [line for line in shown.splitlines() if line.startswith(" ")]
    assert max(map(len, table)) <= columns


def test_each_key_says_whether_its_file_is_encrypted(
    files: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for item in ("signing key", "seal key"):
        (found,) = of(files.check(), item)
        assert found.value["encrypted"] is False
        assert "not encrypted" in found.words
    write_seal_key(files.directory / "seal.key", files.place.world.seal_secrets[AUTHOR], b"passphrase")
    write_signing_key(files.directory / "signing.key", derived("sento-test", "author", AUTHOR), b"passphrase")
    assert files.wrong() == {("signing key", "PASSPHRASE_MISSING"), ("seal key", "PASSPHRASE_MISSING")}
    monkeypatch.setenv("SENTO_PASSPHRASE", "wrong")
    assert files.wrong() == {("signing key", "PASSPHRASE_WRONG"), ("seal key", "PASSPHRASE_WRONG")}
    monkeypatch.setenv("SENTO_PASSPHRASE", "passphrase")
    assert not files.wrong()
    for item in ("signing key", "seal key"):
        (found,) = of(files.check(), item)
        assert found.value["encrypted"] is True
        assert "0600, encrypted" in found.words


def test_companion_key_is_shown_with_its_key_id(files: Installation) -> None:
    write_companion_key(files.directory / "keys.companion", bytes(32))
    files.replace('signing = "signing.key"', 'signing = "signing.key"\ncompanion = "keys.companion"')
    assert not files.wrong()
    (found,) = of(files.check(), "companion key")
    assert found.value["key_id"] == MlDsa65Signer(bytes(32)).public_key.key_id.hex()


def test_token_that_is_not_there_hides_no_other_finding(files: Installation) -> None:
    token = '[keys.token]\nmodule = "missing.so"\ntoken_label = "t"\nkey_label = "k"\n[tls]'
    files.replace('signing = "signing.key"\n', "")
    files.replace("[tls]", token)
    (files.directory / "seal.key").unlink()
    assert {item for item, _ in files.wrong()} == {"signing key", "seal key"}


@pytest.mark.parametrize(("stdin", "stderr"), [(True, True), (True, False), (False, True)])
def test_a_person_is_asked_only_where_one_sits(
    monkeypatch: pytest.MonkeyPatch, stdin: bool, stderr: bool
) -> None:
    def stream(is_terminal: bool) -> SimpleNamespace:
        return SimpleNamespace(isatty=lambda: is_terminal)

    monkeypatch.setattr(prompts, "sys", SimpleNamespace(stdin=stream(stdin), stderr=stream(stderr)))
    assert (prompts.person_to_ask() is not None) == (stdin and stderr)
