"""`sento recovery` from the ceremony to the unlock, as officers type it: what it says, how it exits, what it leaves behind, what it never shows."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from genesis_builder import build_genesis
from recovery_world import (
    NAMES,
    REGISTRIES,
    SCOPES,
    World,
    committed_seal,
    derived,
    kek_of,
    officers_json,
    registry_keys,
    seal_secret,
)
from sento_client.cli.app import App
from sento_client.cli.exits import Exit
from sento_client.cli.main import main
from sento_client.keyfiles import read_pseudonyms, write_seal_key
from sento_client.pseudonym_service.key_file import write_keys
from sento_client.pseudonym_service.macs import KeyName
from sento_client.recovery.proposal import read_proposal
from sento_client.recovery.share_files import read_share, write_share
from sento_client.recovery.unlocked_files import PSEUDONYMS_NAME, read_unlocked
from sento_proto.pseudonyms import KeyKind
from sento_proto.seal import xwing_public


@dataclass
class Office:
    """A directory with what a ceremony begins with, and the ledger as it is to be."""

    directory: Path
    world: World
    app: App

    def path(self, name: str) -> str:
        return str(self.directory / name)

    def run(self, *args: str, text: str | None = None) -> Result:
        return CliRunner().invoke(main, list(args), obj=self.app, input=text, env={"COLUMNS": "200"})

    def value(self, *args: str) -> Any:
        return json.loads(self.run("--json", *args).stdout)

    def ceremony(self, name: str = "2027", *more: str) -> Result:
        files = ("--ledger", self.path("genesis.json"), "--officers", self.path("officers.json"))
        keys = ("--registry-keys", self.path("pseudonym-keys.json"))
        out = ("--out", self.path(f"ceremony-{name}"))
        return self.run("recovery", "ceremony", *files, *keys, "--name", name, *out, *more)

    def proposal(self, name: str = "2027") -> str:
        return self.path(f"ceremony-{name}/proposal.json")

    def open_share(self, holder: str, name: str = "2027") -> str:
        """The holder opens the own share; the path of the share file."""
        share = self.path(f"{name}-{holder}.share")
        key = self.path(f"{holder}.key")
        write_seal_key(Path(key), seal_secret(holder))
        done = self.run(
            "recovery", "share", "open", "--proposal", self.proposal(name), "--holder", holder, "--key", key, "--out", share
        )  # fmt: skip
        assert done.exit_code == Exit.OK, done.output
        return share

    def adopt(self, name: str = "2027") -> None:
        """The act stands, and authors have sealed their keys to the new one."""
        standing = read_proposal(Path(self.proposal(name))).standing
        self.world.standing.append(standing)
        self.world.add_seals(standing.ceremony.public_key, SCOPES)

    def unlock(
        self, holders: list[str], *, epochs: tuple[str, ...] = ("1",), out: str = "unlocked"
    ) -> list[str]:
        args = ["recovery", "unlock", "--registry", "health", "--out", self.path(out)]
        for epoch in epochs:
            args += ["--epoch", epoch]
        for holder in holders:
            args += ["--share", self.open_share(holder)]
        return args


@pytest.fixture
def office(tmp_path: Path) -> Office:
    genesis = build_genesis()
    (tmp_path / "genesis.json").write_bytes(genesis.genesis_bytes)
    (tmp_path / "officers.json").write_bytes(officers_json())
    write_keys(tmp_path / "pseudonym-keys.json", registry_keys(*REGISTRIES))
    world = World(ledger_id=genesis.ledger_id, ledger_name="sento-test")
    return Office(tmp_path, world, App(recovery_standing=lambda _: world))


@pytest.fixture
def held(office: Office) -> Office:
    """After a ceremony whose act stands."""
    assert office.ceremony().exit_code == Exit.OK
    office.adopt()
    return office


# The ceremony.


def test_a_ceremony_leaves_one_file_that_is_no_secret_and_says_what_to_do_next(office: Office) -> None:
    done = office.ceremony()
    assert done.exit_code == Exit.OK, done.output
    assert "3 of 5 shares open it" in done.stdout
    assert "sento recovery share open --proposal proposal.json" in done.stdout
    assert "sento keys reseal" in done.stdout
    assert [path.name for path in (office.directory / "ceremony-2027").iterdir()] == ["proposal.json"]


def test_a_ceremony_shows_no_share(office: Office) -> None:
    done = office.ceremony()
    share = read_share(Path(office.open_share(NAMES[0])))
    everything = done.output + (office.directory / "ceremony-2027" / "proposal.json").read_text()
    assert share.value.hex() not in everything


def test_pages_are_made_only_when_asked_for_and_carry_no_names_in_their_names(office: Office) -> None:
    done = office.ceremony("2027", "--paper", office.path("pages"))
    assert done.exit_code == Exit.OK
    pages = sorted((office.directory / "pages").iterdir())
    assert [page.name for page in pages[:2]] == ["share-1-deputy.txt", "share-1-officer.txt"]
    assert {page.stat().st_mode & 0o777 for page in pages} == {0o600}
    assert "THEY ARE SECRET" in done.stdout
    words = office.run(
        "recovery", "share", "from-words", "--proposal", office.proposal(), "--out", office.path("read.share"),
        "--words-file", "-", text="\n".join(line for line in pages[1].read_text().splitlines() if ". " in line[:8]),
    )  # fmt: skip
    assert words.exit_code == Exit.OK, words.output
    assert read_share(office.directory / "read.share") == read_share(Path(office.open_share(NAMES[0])))


@pytest.mark.parametrize(
    ("threshold", "words"),
    [("2", "must be more than half"), ("6", "nobody could ever open"), ("1", "one person alone")],
)
def test_a_threshold_that_does_not_protect_leaves_nothing_behind(
    office: Office, threshold: str, words: str
) -> None:
    done = office.ceremony("2027", "--threshold", threshold)
    assert done.exit_code == Exit.REFUSED
    assert "CEREMONY_UNFIT" in done.stderr
    assert words in done.stderr
    assert not (office.directory / "ceremony-2027").exists()


def test_a_ceremony_never_writes_over_another(office: Office) -> None:
    office.ceremony()
    before = Path(office.proposal()).read_bytes()
    assert office.ceremony().exit_code == Exit.USAGE
    assert Path(office.proposal()).read_bytes() == before


def test_officers_without_seal_keys_are_all_named(office: Office) -> None:
    done = office.run(
        "recovery", "ceremony", "--ledger", office.path("genesis.json"), "--name", "2027", "--threshold", "2",
        "--out", office.path("x"),
    )  # fmt: skip
    assert done.exit_code == Exit.REFUSED
    assert done.stderr.count("has no seal key") == 3


def test_an_officers_file_with_a_mistake_is_refused_with_its_path(office: Office) -> None:
    (office.directory / "officers.json").write_bytes(officers_json().replace(b'"seal_key"', b'"sealkey"', 1))
    done = office.ceremony()
    assert done.exit_code == Exit.REFUSED
    assert "officers[0].sealkey" in done.stderr


def test_registry_keys_can_be_sealed_later_by_whoever_keeps_them(office: Office) -> None:
    office.run(
        "recovery", "ceremony", "--ledger", office.path("genesis.json"), "--officers", office.path("officers.json"),
        "--name", "2027", "--out", office.path("ceremony-2027"),
    )  # fmt: skip
    assert len(read_proposal(Path(office.proposal())).payload.entries) == 10
    done = office.run(
        "recovery", "registry-keys", office.proposal(), "--keys", office.path("pseudonym-keys.json")
    )
    assert done.exit_code == Exit.OK, done.output
    assert len(read_proposal(Path(office.proposal())).payload.entries) == 14
    assert [path.name for path in (office.directory / "ceremony-2027").iterdir()] == ["proposal.json"]


def ceremony_without_registry_keys(office: Office, name: str) -> None:
    done = office.run(
        "recovery", "ceremony", "--ledger", office.path("genesis.json"), "--officers", office.path("officers.json"),
        "--name", name, "--out", office.path(f"ceremony-{name}"),
    )  # fmt: skip
    assert done.exit_code == Exit.OK, done.output


def seal_at_the_service(office: Office, name: str) -> str:
    """The pseudonym service's operator seals its keys to the proposal's recovery key; the file that leaves the service."""
    service = office.directory / "pseudonyms.toml"
    service.write_text(
        'name = "iizuka"\ngenesis = "genesis.json"\n[listen]\naddress = "127.0.0.1:1"\n'
        '[tls]\nca = "ca.pem"\ncertificate = "s.pem"\nkey = "s.key"\n[keys]\nfile = "pseudonym-keys.json"\n'
        '[[allow]]\ninstitution = "iizuka-city"\nregistries = ["tax"]\n'
    )
    out = office.path(f"sealed-{name}.json")
    done = office.run(
        "pseudonyms", "seal", "--service", str(service), "--to", office.proposal(name), "--out", out
    )
    assert done.exit_code == Exit.OK, done.output
    return out


def test_keys_that_the_pseudonym_service_sealed_by_itself_come_out_of_an_unlock(office: Office) -> None:
    ceremony_without_registry_keys(office, "2027")
    sealed = seal_at_the_service(office, "2027")
    keys = registry_keys(*REGISTRIES)
    done = office.run("recovery", "registry-keys", office.proposal(), "--seals", sealed)
    assert done.exit_code == Exit.OK, done.output
    assert "Sealed to recovery key 2027" in done.stdout
    everything = Path(sealed).read_text() + Path(office.proposal()).read_text()
    assert not [key for key in keys.values() if base64.b64encode(key).decode() in everything]
    office.adopt()
    office.world.act(["health"], [1])
    done = office.run(*office.unlock([NAMES[0], NAMES[2], NAMES[4]]))
    assert done.exit_code == Exit.OK, done.output
    opened = read_pseudonyms(office.directory / "unlocked" / PSEUDONYMS_NAME)
    assert opened == {"health": keys[KeyName("health", KeyKind.PSEUDONYM)]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "sealed to another recovery key"),
        ({"ledger_id": "00" * 32}, "of another ledger"),
        ({"seals": []}, "it holds no key"),
    ],
)
def test_seals_of_another_ceremony_or_ledger_change_no_proposal(
    office: Office, change: dict[str, object], words: str
) -> None:
    ceremony_without_registry_keys(office, "2027")
    ceremony_without_registry_keys(office, "2028")
    sealed = Path(seal_at_the_service(office, "2028"))
    sealed.write_text(json.dumps({**json.loads(sealed.read_text()), **change}))
    before = Path(office.proposal()).read_bytes()
    done = office.run("recovery", "registry-keys", office.proposal(), "--seals", str(sealed))
    assert done.exit_code == Exit.REFUSED
    assert words in done.stderr
    assert Path(office.proposal()).read_bytes() == before


def test_seal_under_a_recipient_that_it_is_not_made_to_is_found_before_officers_sign(office: Office) -> None:
    for name in ("2027", "2028"):
        ceremony_without_registry_keys(office, name)
    mine, other = (
        json.loads(Path(seal_at_the_service(office, name)).read_text()) for name in ("2027", "2028")
    )
    mixed = office.directory / "mixed.json"
    mixed.write_text(json.dumps({**mine, "seals": other["seals"]}))
    done = office.run("recovery", "registry-keys", office.proposal(), "--seals", str(mixed))
    assert done.exit_code == Exit.REFUSED
    assert "pseudonym key of registry health: it is sealed to another key" in done.stderr


def test_registry_keys_takes_keys_or_seals_and_not_both(office: Office) -> None:
    office.ceremony()
    keys = office.path("pseudonym-keys.json")
    for more in ((), ("--keys", keys, "--seals", keys)):
        assert office.run("recovery", "registry-keys", office.proposal(), *more).exit_code == Exit.USAGE


# Shares.


def test_a_holder_with_the_wrong_key_gets_no_file(office: Office) -> None:
    office.ceremony()
    key = office.path("other.key")
    write_seal_key(Path(key), derived("somebody", 96))
    done = office.run(
        "recovery", "share", "open", "--proposal", office.proposal(), "--holder", NAMES[0], "--key", key,
        "--out", office.path("x.share"),
    )  # fmt: skip
    assert done.exit_code == Exit.REFUSED
    assert "NO_SHARE_HELD" in done.stderr
    assert not (office.directory / "x.share").exists()


def test_words_go_into_no_pipe_and_no_json(office: Office) -> None:
    office.ceremony()
    share = office.open_share(NAMES[0])
    args = ("recovery", "share", "words", "--proposal", office.proposal(), "--share", share)
    for done in (office.run(*args), office.run("--json", *args)):
        assert done.exit_code == Exit.USAGE
        assert "terminal or to --paper" in done.stderr
        assert done.stdout == ""


def test_words_go_to_a_page_on_request_and_come_back_from_it(office: Office) -> None:
    office.ceremony()
    share = office.open_share(NAMES[3])
    page = office.path("page.txt")
    args = ("recovery", "share", "words", "--proposal", office.proposal(), "--share", share, "--paper", page)
    done = office.run(*args)
    assert done.exit_code == Exit.OK
    assert Path(page).stat().st_mode & 0o777 == 0o600
    words = [line for line in Path(page).read_text().splitlines() if ". " in line[:8]]
    assert words[0].split()[1] not in done.stdout


# Unlocking and rehearsing.


def test_two_of_three_shares_say_needs_3_have_2_and_open_nothing(held: Office) -> None:
    held.world.act()
    done = held.run(*held.unlock([NAMES[0], NAMES[4]]))
    assert done.exit_code == Exit.REFUSED
    assert "TOO_FEW_SHARES" in done.stderr
    assert "needs 3, have 2" in done.stderr
    assert not (held.directory / "unlocked").exists()


def test_an_officer_and_the_deputy_count_once(held: Office) -> None:
    held.world.act()
    done = held.run(*held.unlock([NAMES[0], NAMES[4], f"{NAMES[4]}'s deputy"]))
    assert "needs 3, have 2; share 5 was given 2 times and counts once" in done.stderr


def test_three_shares_open_what_the_act_names_and_nothing_else(held: Office) -> None:
    held.world.act(["health"], [1])
    done = held.run(*held.unlock([NAMES[0], f"{NAMES[2]}'s deputy", NAMES[4]]))
    assert done.exit_code == Exit.OK, done.output
    assert "By the act at position 4000 of Abe Ren" in done.stdout
    assert "the capital is flooded" in done.stdout
    keyring = read_unlocked(held.directory / "unlocked", held.world.ledger_id)
    opened = [scope for scope in SCOPES if (scope.registry, scope.key_epoch) == ("health", 1)]
    assert {scope: keyring.kek_for(*scope) for scope in opened} == {scope: kek_of(scope) for scope in opened}
    assert set(read_pseudonyms(held.directory / "unlocked" / PSEUDONYMS_NAME)) == {"health"}
    text = (held.directory / "unlocked" / "unlocked-keks.json").read_text()
    assert "residency" not in text
    assert kek_of(opened[0]).hex() not in done.output


def test_without_an_act_three_shares_open_nothing(held: Office) -> None:
    held.world.act(["residency"], [1])
    done = held.run(*held.unlock([NAMES[0], NAMES[2], NAMES[4]], epochs=("1", "2")))
    assert done.exit_code == Exit.REFUSED
    assert "NO_UNLOCK_ACT" in done.stderr
    assert "registry health, key epoch 2" in done.stderr
    assert not (held.directory / "unlocked").exists()


def test_an_officer_whom_the_act_does_not_name_cannot_stand_in(held: Office) -> None:
    held.world.act(officers=NAMES[:3])
    done = held.run(*held.unlock([NAMES[0], NAMES[2], NAMES[4]]))
    assert "share 5 is of the office of Endo Riku, whom no act names" in done.stderr


def test_shares_of_two_ceremonies_are_refused_and_both_are_named(held: Office) -> None:
    held.ceremony("2028")
    held.adopt("2028")
    held.world.act()
    args = [*held.unlock([NAMES[0], NAMES[1]]), "--share", held.open_share(NAMES[2], "2028")]
    done = held.run(*args)
    assert "SHARES_MIXED" in done.stderr
    first, second = (one.ceremony.words for one in held.world.standing)
    assert f"share 1, 2 of {first}; share 3 of {second}" in done.stderr


def test_a_wrong_share_is_named_by_its_index(held: Office) -> None:
    held.world.act()
    args = held.unlock([NAMES[0], NAMES[1], NAMES[2]])
    path = Path(held.path(f"2027-{NAMES[1]}.share"))
    write_share(path, replace(read_share(path), value=bytes(32)))
    done = held.run(*args)
    assert done.exit_code == Exit.REFUSED
    assert "SHARE_WRONG" in done.stderr
    assert "share 2 (of the office of Baba Yui)" in done.stderr


def test_a_share_file_that_others_can_read_stops_the_unlock(held: Office) -> None:
    held.world.act()
    args = held.unlock([NAMES[0], NAMES[1], NAMES[2]])
    Path(held.path(f"2027-{NAMES[1]}.share")).chmod(0o644)
    done = held.run(*args)
    assert done.exit_code == Exit.USAGE
    assert "KEY_FILE_OPEN" in done.stderr


def spoil(office: Office) -> None:
    """One seal is to a reader's key instead, and one author has made none."""
    public = office.world.standing[0].ceremony.public_key
    stranger = xwing_public(derived("a reader", 96))
    bad = committed_seal(SCOPES[0], stranger, ledger_id=office.world.ledger_id)
    office.world.kek_seals[0] = (public, bad)
    office.world.scopes.append(SCOPES[0]._replace(author="south-clinic"))


def test_an_unlock_with_a_bad_seal_opens_the_rest_and_lists_it(held: Office) -> None:
    held.world.act()
    spoil(held)
    done = held.run("--json", *held.unlock([NAMES[0], NAMES[1], NAMES[2]]))
    assert done.exit_code == Exit.DEGRADED
    value = json.loads(done.stdout)
    assert (value["in_order"], value["opened"]) == (False, 1)
    assert [(bad["author"], bad["key_epoch"], bad["fault"]) for bad in value["bad_keks"]] == [
        ("iizuka-city", 1, "does not open"),
        ("iizuka-city", 1, "has records, and no seal for the recovery key opens"),
        ("south-clinic", 1, "has records, and no seal for the recovery key opens"),
    ]


def test_a_rehearsal_in_order_counts_every_seal_and_keeps_nothing(held: Office) -> None:
    shares = [arg for name in NAMES[:3] for arg in ("--share", held.open_share(name))]
    before = sorted(held.directory.iterdir())
    done = held.run("recovery", "rehearse", *shares)
    assert done.exit_code == Exit.OK, done.output
    assert "8 of 8 seals open, 4 registry keys" in done.stdout
    assert "Everything is in order." in done.stdout
    assert sorted(held.directory.iterdir()) == before


def test_a_rehearsal_finds_a_bad_seal_before_the_disaster_does(held: Office) -> None:
    spoil(held)
    shares = [arg for name in NAMES[:3] for arg in ("--share", held.open_share(name))]
    done = held.run("recovery", "rehearse", *shares)
    assert done.exit_code == Exit.DEGRADED
    assert "7 of 8 seals open" in done.stdout
    assert "author south-clinic, registry health, compartment '', key epoch 1: has records" in done.stdout


def test_a_rehearsal_runs_on_a_copy_without_a_ledger(held: Office) -> None:
    assert held.run("recovery", "copy", "--out", held.path("recovery.copy")).exit_code == Exit.OK
    shares = [arg for name in NAMES[:3] for arg in ("--share", held.open_share(name))]
    held.app = App()
    done = held.run("recovery", "rehearse", "--copy", held.path("recovery.copy"), *shares)
    assert done.exit_code == Exit.OK, done.output
    assert "8 of 8 seals open" in done.stdout


def test_a_long_rehearsal_shows_people_how_far_it_is(held: Office) -> None:
    from io import StringIO

    from rich.console import Console

    drawn = StringIO()
    shares = [arg for name in NAMES[:3] for arg in ("--share", held.open_share(name))]
    held.app = replace(
        held.app, patience_s=0.0, progress_console=lambda: Console(file=drawn, force_terminal=True, width=100)
    )
    assert held.run("recovery", "rehearse", *shares).exit_code == Exit.OK
    assert "KEK seals tried" in drawn.getvalue()


def test_programs_get_refusals_as_json(held: Office) -> None:
    held.world.act()
    value = json.loads(held.run("--json", *held.unlock([NAMES[0], NAMES[1]])).stdout)
    assert (value["error"]["code"], value["error"]["exit"]) == ("TOO_FEW_SHARES", 1)
    assert value["error"]["details"] == ["needs 3, have 2"]


def test_every_command_teaches_by_example(office: Office) -> None:
    alone = [(name,) for name in ("ceremony", "registry-keys", "copy", "unlock", "rehearse")]
    commands = [*alone, *(("share", name) for name in ("open", "words", "from-words"))]
    for command in commands:
        assert "Example" in office.run("recovery", *command, "--help").output
