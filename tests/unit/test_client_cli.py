"""The command `sento` over sites in memory: what it prints, for people and for programs, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from google.protobuf.message import Message

from cli_terminal import WHY, Terminal
from client_world import NUMBER, build_client_world
from genesis_builder import SITES
from sento_client.cli.exits import WORDS, Exit, exit_of
from sento_client.cli.main import COMMANDS, main
from sento_client.setup_errors import Setup, SetupError
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import client_pb2


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(build_client_world(tmp_path))


def test_write_then_read_by_position_and_by_hash(terminal: Terminal) -> None:
    written = terminal.write()
    assert written.exit_code == Exit.OK
    done = json.loads(written.stdout)
    assert (done["position"], done["site"], done["repeated"]) == (0, SITES[0], False)
    for name in ("0", done["record"]):
        read = terminal.value("read", name, *WHY)
        assert read["content"] == {"town": "穂波町"}
        assert read["record"] == done["record"]
    shown = terminal.run("read", "0", *WHY)
    assert shown.exit_code == Exit.OK
    assert "穂波町" in shown.stdout
    assert "nothing: it is the first version" in shown.stdout


def test_identifier_comes_from_a_file_or_a_hidden_prompt_and_is_never_shown(terminal: Terminal) -> None:
    file = terminal.content.with_name("subject")
    file.write_text(f"{NUMBER}\n")
    args = ["write", "residency", "residence/entry", "--content", str(terminal.content)]
    runs = [
        terminal.run(*args, "--fact", "a", "--subject-file", str(file), subject=None),
        terminal.run(*args, "--fact", "b", "--subject-file", "-", subject=None, text=NUMBER),
        terminal.run(*args, "--fact", "c", subject=None, text=f"{NUMBER}\n"),
        terminal.run(*args, "--fact", "d"),
    ]
    assert [run.exit_code for run in runs] == [Exit.OK] * 4
    assert all(NUMBER not in run.output for run in runs)
    assert len({standing.record.header.subject for standing in terminal.place.ledger.records}) == 1


def test_standard_input_cannot_give_two_things(terminal: Terminal) -> None:
    result = terminal.run("write", "r", "k", "--fact", "f", "--content", "-", "--subject-file", "-")
    assert result.exit_code == Exit.USAGE


def test_refused_write_exits_1_with_code_cause_and_remedy(terminal: Terminal) -> None:
    terminal.write()
    refused = terminal.write()
    assert refused.exit_code == Exit.REFUSED
    error = json.loads(refused.stdout)["error"]
    assert (error["code"], error["standing"], error["final"], error["may_stand"]) == (
        "STALE",
        "final",
        True,
        False,
    )
    assert "newer version" in error["cause"]
    people = terminal.run(
        "write", "residency", "residence/entry", "--fact", "address", "--content", str(terminal.content)
    )
    assert people.exit_code == Exit.REFUSED
    assert people.stderr.startswith("STALE: ")
    assert people.stdout == ""


def test_update_follows_the_version_that_it_names(terminal: Terminal) -> None:
    first = json.loads(terminal.write().stdout)
    assert terminal.write("--previous", first["record"]).exit_code == Exit.OK
    history = terminal.value("history", "residency", "residence/move", "--fact", "address", *WHY)
    assert [version["position"] for version in history["versions"]] == [1, 0]
    assert history["versions"][0]["previous"] == first["record"]
    assert not history["more"]


def test_unreachable_sites_exit_3_or_6_when_the_outbox_keeps_the_record(terminal: Terminal) -> None:
    for site in terminal.place.sites:
        site.down = True
    kept = terminal.write("--deadline", "0.1")
    assert kept.exit_code == Exit.OUTCOME_UNKNOWN
    assert json.loads(kept.stdout)["error"]["kept"]
    with terminal.place.config.open("a") as config:
        config.write("[outbox]\nenabled = false\n")
    assert terminal.write("--deadline", "0.1").exit_code == Exit.UNREACHABLE
    assert terminal.run("read", "0", *WHY, "--deadline", "0.1").exit_code == Exit.UNREACHABLE


def test_write_without_an_answer_exits_6(terminal: Terminal) -> None:
    for site in terminal.place.sites:
        site.mute = True
    result = terminal.write("--deadline", "0.1")
    assert result.exit_code == Exit.OUTCOME_UNKNOWN
    assert json.loads(result.stdout)["error"]["may_stand"]


def test_altered_answers_everywhere_exit_4(terminal: Terminal) -> None:
    terminal.write()

    def alter(message: Message) -> None:
        if isinstance(message, client_pb2.ReadReply):
            message.record.link = bytes(32)
            message.record.payload_hash = bytes(32)

    for site in terminal.place.sites:
        site.alter = alter
    result = terminal.run("read", "0", *WHY, "--deadline", "0.1")
    assert result.exit_code == Exit.NOT_VERIFIED
    assert result.stderr.startswith("DAMAGED: ")


def test_verify_proves_a_record_and_shows_each_check(terminal: Terminal) -> None:
    terminal.write()
    shown = terminal.run("verify", "0", *WHY)
    assert shown.exit_code == Exit.OK
    assert "Verified: the record at position 0" in shown.stdout
    value = terminal.value("verify", "0", *WHY)
    assert value["verified"]
    assert {finding["verdict"] for finding in value["findings"]} == {"holds"}
    assert terminal.run("verify", "0").exit_code == Exit.USAGE


def test_verify_remembers_the_checkpoint_and_notices_a_ledger_that_went_back(terminal: Terminal) -> None:
    first = json.loads(terminal.write().stdout)
    assert terminal.run("verify").exit_code == Exit.OK
    terminal.write("--previous", first["record"])
    extended = terminal.value("verify")
    assert extended["verified"]
    assert [finding["check"] for finding in extended["findings"]] == ["checkpoint", "consistency"]
    remembered = (terminal.place.config.parent / "sento-checkpoint").read_bytes()
    terminal.place.ledger.cosigned_size = 1
    rolled_back = terminal.run("verify")
    assert rolled_back.exit_code == Exit.NOT_VERIFIED
    assert "NOT VERIFIED" in rolled_back.stdout
    assert (terminal.place.config.parent / "sento-checkpoint").read_bytes() == remembered


def test_verify_does_not_take_a_spoilt_memory_for_none(terminal: Terminal) -> None:
    terminal.write()
    (terminal.place.config.parent / "sento-checkpoint").write_bytes(b"spoilt")
    result = terminal.run("verify")
    assert result.exit_code == Exit.USAGE
    assert "is not a checkpoint" in result.stderr


def test_configuration_with_mistakes_lists_them_all_and_exits_2(terminal: Terminal) -> None:
    terminal.place.config.write_text('institution = "X"\n')
    result = terminal.run("status")
    assert result.exit_code == Exit.USAGE
    lines = result.stderr.splitlines()
    assert lines[0].startswith("CONFIG_INVALID: ")
    assert sum(line.startswith("  - ") for line in lines) == 5
    error = json.loads(terminal.run("--json", "status").stdout)["error"]
    assert error["code"] == "CONFIG_INVALID"


def test_no_output_names_a_person(terminal: Terminal) -> None:
    terminal.write()
    for site in terminal.place.sites:
        site.refuse(Code.HELD)
    outputs = [
        terminal.run("verify", "0", *WHY).output,
        terminal.run(
            "history", "residency", "residence", "--fact", "phone", *WHY, "--deadline", "0.1"
        ).output,
        terminal.write("--previous", "0" * 64, "--deadline", "0.1").output,
        terminal.run("status").output,
    ]
    assert all(NUMBER not in output and "穂波町" not in output for output in outputs)


def test_help_lists_every_exit_code_and_each_command_has_an_example() -> None:
    runner = CliRunner()
    text = runner.invoke(main, ["--help"]).stdout
    for code, words in WORDS.items():
        assert f"{code.value:<3}  {words}" in text
    for command in COMMANDS:
        assert f"sento {command}" in runner.invoke(main, [command, "--help"]).stdout


def test_every_error_code_has_an_exit_code_that_is_no_success() -> None:
    for code in Code:
        assert exit_of(SentoError(code)) in (Exit.REFUSED, Exit.UNREACHABLE, Exit.NOT_VERIFIED)
    for setup in Setup:
        assert exit_of(SetupError(setup)) is Exit.USAGE
