"""`sento keys` in an officer's directory: keys, certificate, and whether officer and key are in office as far as this computer has followed the ledger."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from acts import seal_key
from genesis_builder import OFFICERS, TestWorld, build_genesis, key_json
from governed import Chancellery, followed
from mtls_sites import LONG, OVER
from sento_client.cli.exits import Exit
from sento_client.cli.findings import Finding, State
from sento_client.cli.key_checks import check_installation
from sento_client.cli.main import main
from sento_client.governing.trust_file import NAME, TrustFile
from sento_client.keyfiles import write_seal_key, write_signing_key
from sento_client.secret_files import write_secret
from sento_client.testing.world import derived
from sento_drill.pki import Authority, Validity, issue_client
from sento_proto.identity import Identity
from sento_proto.keys import Ed25519Signer

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
OFFICER, DEPUTY = OFFICERS[0], "deputy-one"
DEPUTIES = {OFFICER: DEPUTY}


class Desk:
    """The directory of an officer or the deputy."""

    def __init__(self, directory: Path, person: str, deputies: Mapping[str, str] = DEPUTIES) -> None:
        self.directory = directory
        self.world: TestWorld = build_genesis(rules=2, deputies=deputies)
        self.config = directory / "sento.toml"
        (directory / "genesis.json").write_bytes(self.world.genesis_bytes)
        self.certify(Identity("officer", person), LONG)
        self.sign_as(person)
        self.config.write_text(
            f'genesis = "genesis.json"\nofficer = "{person}"\n[keys]\nsigning = "signing.key"\nseal = "seal.key"\n'
            '[tls]\nca = "ca.pem"\ncertificate = "client.pem"\nkey = "client.key"\n'
            '[[sites]]\nname = "jp-fukuoka"\naddress = "127.0.0.1:1"\n'
        )
        write_seal_key(directory / "seal.key", derived("seal of", person, size=96))

    def certify(self, identity: Identity, validity: Validity) -> None:
        authority = Authority("test authority", LONG)
        pair = issue_client(authority, identity, validity)
        (self.directory / "ca.pem").write_bytes(authority.certificate_pem)
        (self.directory / "client.pem").write_bytes(pair.certificate_pem)
        write_secret(self.directory / "client.key", pair.key_pem)

    def sign_as(self, person: str, passphrase: bytes | None = None) -> None:
        seed = (
            derived("deputy", person)
            if person == DEPUTY
            else derived(self.world.genesis.name, "officer", person)
        )
        write_signing_key(self.directory / "signing.key", seed, passphrase)

    def follow(self, *changes: dict[str, object]) -> None:
        """What the officers decided, as this computer has it in trust.json."""
        act = Chancellery(self.world).act(4, *changes, officers=OFFICERS[1:])
        trust = TrustFile(self.directory / NAME, self.world.genesis, self.world.genesis_bytes)
        trust.write(followed(self.world, act))

    def find(self, item: str) -> Finding:
        (found,) = [one for one in check_installation(self.config, NOW) if one.item == item]
        return found

    def troubles(self) -> dict[str, str]:
        found = check_installation(self.config, NOW)
        return {one.item: one.words for one in found if one.state is not State.IN_ORDER}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, OFFICER)


def test_officers_directory_in_order_says_so_of_person_certificate_and_keys(desk: Desk) -> None:
    assert desk.troubles() == {}
    assert desk.find("officer").words == f"{OFFICER}, in office, by the genesis file"
    assert "mode 0600, not encrypted, in office" in desk.find("signing key").words
    assert desk.find("signing key").value["in_office"] is True
    assert desk.find("TLS certificate").words.startswith(f"officer {OFFICER}, ")
    shown = CliRunner().invoke(main, ["--config", str(desk.config), "keys"], env={"COLUMNS": "200"})
    assert shown.exit_code == Exit.OK, shown.output
    assert "institution" not in shown.output


def test_deputy_is_named_with_the_office(tmp_path: Path) -> None:
    desk = Desk(tmp_path, DEPUTY)
    assert desk.troubles() == {}
    assert f"{DEPUTY}, in office as deputy of {OFFICER}" in desk.find("officer").words
    assert "in office" in desk.find("signing key").words


def test_officer_who_was_retired_by_an_act_in_trust_json_is_not_in_office(desk: Desk) -> None:
    desk.follow({"do": "retire-officer", "name": OFFICER})
    troubles = desk.troubles()
    assert set(troubles) == {"officer", "signing key"}
    assert "neither officer nor deputy in sento-test, by trust.json up to position 4" in troubles["officer"]
    assert "it was in office and is not any more" in troubles["signing key"]
    shown = CliRunner().invoke(main, ["--config", str(desk.config), "--json", "keys"])
    assert shown.exit_code == Exit.USAGE
    signing = next(one for one in json.loads(shown.stdout)["findings"] if one["item"] == "signing key")
    assert signing["in_office"] is False


@pytest.mark.parametrize(
    ("person", "words"),
    [(OFFICERS[1], f"it signs for {OFFICERS[1]}"), ("nobody", "it was never in office")],
)
def test_key_that_is_not_the_officers_is_named(desk: Desk, person: str, words: str) -> None:
    desk.sign_as(person)
    assert words in desk.troubles()["signing key"]


def test_encrypted_signing_key_is_said_to_be(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.sign_as(OFFICER, b"a passphrase")
    assert "PASSPHRASE" in desk.find("signing key").code
    monkeypatch.setenv("SENTO_PASSPHRASE", "a passphrase")
    assert "mode 0600, encrypted, in office" in desk.find("signing key").words


def test_certificate_that_ended_or_is_of_another_role_is_found(desk: Desk) -> None:
    desk.certify(Identity("officer", OFFICER), OVER)
    assert "it expired on" in desk.troubles()["TLS certificate"]
    desk.certify(Identity("author", OFFICER), LONG)
    assert (
        f"it names author {OFFICER}, the configuration officer {OFFICER}"
        in desk.troubles()["TLS certificate"]
    )


@pytest.mark.parametrize(("name", "in_order"), [(DEPUTY, True), ("another", False)])
def test_seal_key_is_compared_with_the_one_that_shares_go_to(
    tmp_path: Path, name: str, in_order: bool
) -> None:
    desk = Desk(tmp_path, DEPUTY, {})
    assert "neither officer nor deputy" in desk.troubles()["officer"]
    key = key_json(Ed25519Signer(derived("deputy", DEPUTY)))
    deputy = {"name": DEPUTY, "key": key, "seal_key": seal_key(name)}
    desk.follow({"do": "set-deputy", "officer": OFFICER, "deputy": deputy})
    found = desk.find("seal key")
    assert (found.state is State.IN_ORDER) is in_order
    assert ("shares are sealed to it" if in_order else "sealed to another key") in found.words


def test_mistakes_of_an_officers_configuration_are_listed_and_the_rest_is_looked_at(desk: Desk) -> None:
    text = desk.config.read_text()
    desk.config.write_text(text.replace('address = "127.0.0.1:1"', "port = 1") + "colour = 1\n")
    assert "configuration" in desk.troubles()
    assert "in office" in desk.find("signing key").words
    desk.config.write_text(text)
    (desk.directory / "genesis.json").unlink()
    assert set(desk.troubles()) == {"ledger"}
