"""`sento errors`, the document made from it, and what each command says when something is wrong: code, cause, remedy, exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import sento_client
from cli_terminal import WHY, Terminal
from client_world import NUMBER, build_client_world
from sento_client.cli.errors import markdown_text, rows
from sento_client.cli.exits import WORDS, Exit
from sento_client.cli.main import main
from sento_client.setup_errors import Setup
from sento_proto.errors import Code

DOCUMENT = Path(sento_client.__file__).parents[1] / "ERRORS.md"
NAME = "穂波 花子"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(build_client_world(tmp_path))


def test_document_is_the_table() -> None:
    assert DOCUMENT.read_text() == markdown_text(), "make it anew: sento errors --markdown > client/ERRORS.md"
    assert CliRunner().invoke(main, ["errors", "--markdown"]).stdout == markdown_text()


def test_readme_has_the_exit_codes() -> None:
    readme = DOCUMENT.with_name("README.md").read_text()
    table = "".join(f"| {code.value} | {words} |\n" for code, words in WORDS.items())
    assert table in readme


def test_every_code_is_listed_once_with_a_cause_a_remedy_and_whether_to_send_again() -> None:
    listed = rows()
    assert [row.code for row in listed] == [*Code.__members__, *(str(code) for code in Setup)]
    assert all(row.cause.endswith(".") and row.remedy.endswith(".") and row.again for row in listed)
    assert not any("|" in row.cause + row.remedy for row in listed)


def test_code_is_explained_by_name_and_by_number() -> None:
    for name in ("STALE", "stale", "13"):
        shown = CliRunner().invoke(main, ["errors", name]).stdout
        assert shown.startswith("STALE (final)\n")
        assert "never the same record" in shown
    value = json.loads(CliRunner().invoke(main, ["--json", "errors", "no-kek"]).stdout)
    assert (value["code"], value["number"]) == ("NO_KEK", None)


def test_unknown_code_is_a_usage_error_that_guesses() -> None:
    result = CliRunner().invoke(main, ["errors", "stal"])
    assert result.exit_code == Exit.USAGE
    assert "Did you mean STALE?" in result.stderr
    assert CliRunner().invoke(main, ["errors", "STALE", "--markdown"]).exit_code == Exit.USAGE


@pytest.mark.parametrize("columns", [60, 200])
def test_list_of_codes_fits_the_terminal_or_is_left_in_lines(columns: int) -> None:
    shown = CliRunner().invoke(main, ["errors"], env={"COLUMNS": str(columns)}).stdout
    assert all(code in shown for code in (*Code.__members__, *Setup.__members__))


# What is wrong with the command line itself.


@pytest.mark.parametrize(
    "args",
    [
        ["read", "0", "--purpose", "x"],
        ["read", "0", "--purpose", "x", "--case", "1", "--site", "nowhere"],
        ["read", "0", *WHY, "--deadline", "soon"],
        ["read", "0", *WHY, "--deadline", "0"],
        ["history", "residency", "residence", *WHY],
        ["history", "residency", "residence", "--fact", "f", *WHY, "--before", "newest"],
        ["history", "residency", "residence", "--fact", "f", *WHY, "--limit", "0"],
        ["subject", "residency", *WHY, "--site", "nowhere"],
        ["changes", "residency"],
        ["changes", "residency", *WHY, "--site", "nowhere"],
        ["verify", "0"],
        ["verify", "--from", "0"],
        ["verify", "--to", "3", *WHY],
        ["verify", "--from", "5", "--to", "3", *WHY],
        ["verify", "0", "--from", "5", *WHY],
        ["write", "residency"],
        ["write", "residency", "residence/entry", "--fact", "f", "--content", "-", "--previous", "zz"],
        ["write", "residency", "residence/entry", "--fact", "f", "--content", "-", "--from-line", "3"],
        ["completion", "cmd"],
        ["no-such-command"],
    ],
    ids=" ".join,
)
def test_wrong_command_line_exits_2_and_asks_no_site(terminal: Terminal, args: list[str]) -> None:
    result = terminal.run(*args, text="content")
    assert result.exit_code == Exit.USAGE, result.output
    assert "Error: " in result.stderr
    assert "Traceback" not in result.output
    assert terminal.place.ledger.records == []


@pytest.mark.parametrize("name", ["x", "-1", "12.5", "f" * 63, "g" * 64])
def test_name_that_is_neither_position_nor_hash_is_a_usage_error(terminal: Terminal, name: str) -> None:
    assert terminal.run("read", name, *WHY).exit_code == Exit.USAGE


def test_unknown_site_is_answered_with_the_names_of_those_there_are(terminal: Terminal) -> None:
    result = terminal.run("read", "0", *WHY, "--site", "nowhere")
    assert "it has jp-fukuoka, jp-ishikawa, jp-ibaraki" in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["write", "r", "k", "--fact", "f", "--content", "missing"],
        ["write", "r", "k", "--lines", "missing"],
        ["history", "r", "k", "--fact", "f", *WHY, "--subject-file", "missing"],
        ["subject", "r", *WHY, "--subject-file", "missing"],
    ],
    ids=lambda args: f"{args[0]} {args[-2]}",
)
def test_file_that_cannot_be_read_is_named_and_exits_2(terminal: Terminal, args: list[str]) -> None:
    result = terminal.run(*args)
    assert result.exit_code == Exit.USAGE
    assert "missing cannot be read: No such file or directory." in result.stderr


@pytest.mark.parametrize("data", [b"\xff\xfe1", b"", b"  \n", b"1" * 2000])
def test_identifier_that_is_none_is_refused_without_repeating_it(terminal: Terminal, data: bytes) -> None:
    file = terminal.content.with_name("subject")
    file.write_bytes(data)
    result = terminal.run("subject", "residency", *WHY, "--subject-file", str(file))
    assert result.exit_code == Exit.USAGE
    assert "identifier" in result.stderr
    assert "1" * 20 not in result.stderr


def test_no_terminal_to_ask_for_the_identifier_says_how_to_give_it(terminal: Terminal) -> None:
    result = terminal.run("subject", "residency", *WHY, subject=None, text="")
    assert result.exit_code == Exit.USAGE
    assert "SENTO_SUBJECT" in result.stderr


def test_content_that_is_too_large_has_a_code_and_nothing_is_sent(terminal: Terminal) -> None:
    terminal.content.write_bytes(bytes(40_000))
    result = terminal.write()
    assert result.exit_code == Exit.REFUSED
    assert json.loads(result.stdout)["error"]["code"] == "TOO_LARGE"
    assert terminal.place.ledger.records == []


def test_memory_that_cannot_be_written_is_told_and_is_no_traceback(terminal: Terminal) -> None:
    terminal.write()
    result = terminal.run("verify", "--remembered", str(terminal.content / "below-a-file"))
    assert result.exit_code == Exit.USAGE
    assert "Traceback" not in result.output


# What stands in records must not reach the terminal as anything but text.


def test_content_with_terminal_codes_and_markup_is_shown_as_text(terminal: Terminal) -> None:
    terminal.content.write_text("[/nothing] \x1b[31mred\x1b[0m " + NAME)
    terminal.write()
    shown = terminal.run("read", "0", *WHY)
    assert shown.exit_code == Exit.OK
    assert "\x1b" not in shown.stdout
    assert "[/nothing] \\x1b[31mred\\x1b[0m " + NAME in shown.stdout


def test_spinner_says_for_what_and_until_when_and_only_to_people(terminal: Terminal) -> None:
    terminal.write()
    terminal.watch()
    for site in terminal.place.sites:
        site.down = True
    assert terminal.run("read", "0", *WHY, "--deadline", "0.3").exit_code == Exit.UNREACHABLE
    drawn = terminal.progress.getvalue()
    assert "waiting for one of 3 sites, at most 0.3 s" in drawn
    terminal.run("--json", "read", "0", *WHY, "--deadline", "0.3")
    assert terminal.progress.getvalue() == drawn
    assert NUMBER not in drawn


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_for_the_command_and_its_shell(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == Exit.OK
    assert f"_SENTO_COMPLETE={shell}_complete" in result.stdout


def test_completion_offers_sites_registries_and_codes_and_nothing_where_it_cannot_read(
    terminal: Terminal,
) -> None:
    assert complete(terminal, "sento read 0 --site ", "jp-f") == ["plain,jp-fukuoka"]
    assert complete(terminal, "sento history ", "") == ["plain,residency", "plain,tax"]
    assert complete(terminal, "sento errors ", "STAL") == ["plain,STALE"]
    assert "plain,keys" in complete(terminal, "sento ", "")
    terminal.place.config.write_text("spoilt")
    assert complete(terminal, "sento read 0 --site ", "") == []


def complete(terminal: Terminal, before: str, word: str) -> list[str]:
    env = {
        "_SENTO_COMPLETE": "bash_complete",
        "COMP_WORDS": before + word,
        "COMP_CWORD": str(len(before.split())),
        "SENTO_CONFIG": str(terminal.place.config),
    }
    return CliRunner().invoke(main, [], env=env, prog_name="sento").stdout.split()
