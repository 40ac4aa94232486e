"""`sento fraud` and `--confirmed`: what they print, what programs get, and how they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli_terminal import WHY, Terminal
from client_world import build_client_world
from sento_client.cli.exits import Exit
from sento_proto.head_statement import NO_HEAD

HISTORY = ["history", "residency", "residence", "--fact", "address", *WHY]
SUBJECT = ["subject", "residency", *WHY]


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(build_client_world(tmp_path))
    terminal.write_versions(3)
    return terminal


@pytest.fixture
def proof(terminal: Terminal) -> Path:
    """A proof that a confirmed read found: the first site says that nothing stands."""
    terminal.place.sites[0].alter_head = lambda statement: statement._replace(head=NO_HEAD)
    result = terminal.run(*SUBJECT, "--confirmed")
    assert result.exit_code == Exit.OK, result.output
    assert "WARNING: jp-fukuoka signed that no record is a subject's last" in result.stdout
    (path,) = (terminal.place.config.parent / "receipts").glob("fraud-*.json")
    return path


@pytest.mark.parametrize("command", [HISTORY, SUBJECT], ids=["history", "subject"])
def test_a_confirmed_list_says_up_to_where_and_by_whose_word(terminal: Terminal, command: list[str]) -> None:
    shown = terminal.run(*command, "--confirmed").stdout
    assert (
        "Complete up to position 2 as of checkpoint size 3, by the word of jp-fukuoka, jp-ibaraki, jp-ishikawa"
        in shown
    )
    value = terminal.value(*command, "--confirmed")
    assert (value["confirmed"]["last_position"], value["confirmed"]["size"]) == (2, 3)
    assert [version["is_confirmed"] for version in value["versions"]] == [True] * 3
    assert "confirmed" not in terminal.value(*command)


def test_what_is_newer_than_the_checkpoint_is_called_so(terminal: Terminal) -> None:
    terminal.place.ledger.cosigned_size = 2
    assert "1 newer, not yet confirmed." in terminal.run(*SUBJECT, "--confirmed").stdout
    assert terminal.run("read", "2", "--confirmed", *WHY).stdout.count("Not confirmed yet") == 1
    assert (
        "A later version of the same fact stands at position 1."
        in terminal.run("read", "0", "--confirmed", *WHY).stdout
    )
    assert terminal.value("read", "2", "--confirmed", *WHY)["confirmed"] is None


def test_a_confirmed_list_that_ends_at_its_limit_asks_for_a_larger_one(terminal: Terminal) -> None:
    shown = terminal.run(*SUBJECT, "--confirmed", "--limit", "1").stdout
    assert "larger --limit" in shown
    assert "--before" not in shown


def test_too_few_sites_leave_it_unconfirmed(terminal: Terminal) -> None:
    for site in terminal.place.sites[1:]:
        site.down = True
    result = terminal.run(*SUBJECT, "--confirmed", "--local")
    assert result.exit_code == Exit.REFUSED
    assert "NOT_CONFIRMED" in result.stderr


def test_a_proof_found_is_listed_and_verifies_by_genesis_trust_and_configuration(
    terminal: Terminal, proof: Path
) -> None:
    genesis = terminal.place.config.parent / "genesis.json"
    listed = terminal.run("fraud", "list")
    assert listed.exit_code == Exit.DEGRADED
    assert proof.name in listed.stdout
    assert "jp-fukuoka signed" in listed.stdout
    for more in ([], ["--genesis", str(genesis)]):
        result = terminal.run("fraud", "verify", str(proof), *more)
        assert result.exit_code == Exit.OK, result.output
        assert result.stdout.startswith("Proven: jp-fukuoka signed that no record is a subject's last")
    value = terminal.value("fraud", "verify", str(proof))
    assert (value["proven"], value["kind"], value["site"]) == (True, "head-omits", "jp-fukuoka")
    (listed_value,) = terminal.value("fraud", "list")["proofs"]
    assert listed_value["words"] == value["words"]


def test_a_changed_proof_and_an_empty_file_prove_nothing(
    terminal: Terminal, proof: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.json"
    changed.write_text(proof.read_text().replace("jp-fukuoka", "jp-ibaraki"))
    result = terminal.run("fraud", "verify", str(changed))
    assert result.exit_code == Exit.NOT_VERIFIED
    assert "proves nothing" in result.stdout
    changed.write_text("{}")
    assert terminal.value("fraud", "verify", str(changed))["proven"] is False


def test_without_proofs_the_list_is_empty_and_in_order(terminal: Terminal) -> None:
    result = terminal.run("fraud", "list")
    assert (result.exit_code, result.stdout) == (Exit.OK, "No proof of fraud lies here.\n")


def test_files_that_cannot_be_read_are_mistakes_of_the_command_line(
    terminal: Terminal, proof: Path, tmp_path: Path
) -> None:
    assert terminal.run("fraud", "verify", str(tmp_path / "none.json")).exit_code == Exit.USAGE
    broken = tmp_path / "trust.json"
    broken.write_text("{}")
    for option in ("--trust", "--genesis"):
        assert terminal.run("fraud", "verify", str(proof), option, str(broken)).exit_code == Exit.USAGE
    both = terminal.run("fraud", "verify", str(proof), "--trust", str(broken), "--genesis", str(broken))
    assert both.exit_code == Exit.USAGE
    assert "not both" in both.stderr
