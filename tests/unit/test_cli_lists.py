"""Lists of `sento`: each has a limit, says whether there is more and how to go on, and asks no site for more than it shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.message import Message

from cli_terminal import WHY, Terminal
from client_world import build_client_world
from sento_client.cli.exits import Exit
from sento_proto.v1 import client_pb2, common_pb2

HISTORY = ["history", "residency", "residence", "--fact", "address", *WHY]
SUBJECT = ["subject", "residency", *WHY]
CHANGES = ["changes", "residency", *WHY]


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(build_client_world(tmp_path))


@pytest.mark.parametrize("command", [HISTORY, SUBJECT], ids=["history", "subject"])
def test_list_back_in_time_ends_at_its_limit_and_goes_on_below(
    terminal: Terminal, command: list[str]
) -> None:
    terminal.write_versions(5)
    first = terminal.value(*command, "--limit", "2")
    assert [version["position"] for version in first["versions"]] == [4, 3]
    assert (first["more"], first["next_before"]) == (True, 3)
    rest = terminal.value(*command, "--before", "3")
    assert [version["position"] for version in rest["versions"]] == [2, 1, 0]
    assert (rest["more"], rest["next_before"]) == (False, None)
    shown = terminal.run(*command, "--limit", "2").stdout
    assert "repeat the command with --before 3" in shown
    assert "repeat" not in terminal.run(*command).stdout


def test_list_that_ends_exactly_at_its_limit_does_not_promise_more(terminal: Terminal) -> None:
    terminal.write_versions(2)
    assert not terminal.value(*HISTORY, "--limit", "2")["more"]
    assert not terminal.value(*SUBJECT, "--limit", "2")["more"]
    *_, end = terminal.values(*CHANGES, "--limit", "2")
    assert end == {"more": False, "next_from": 2}


def test_no_site_is_asked_for_more_than_is_shown(terminal: Terminal) -> None:
    terminal.write_versions(3)
    given: list[int] = []

    def count(message: Message) -> None:
        if isinstance(message, client_pb2.ListReply):
            given.append(len(message.records))

    for site in terminal.place.sites:
        site.alter = count
    terminal.value(*HISTORY, "--limit", "1")
    terminal.value(*SUBJECT, "--limit", "2")
    assert given == [1, 2]


def test_site_that_goes_on_at_the_wrong_place_is_not_believed(terminal: Terminal) -> None:
    terminal.write_versions(3)
    newest = terminal.place.ledger.stored(2)

    def alter(message: Message) -> None:
        if isinstance(message, client_pb2.ListReply):
            del message.records[:]
            message.records.append(newest)

    for site in terminal.place.sites:
        site.alter = alter
    result = terminal.run(*SUBJECT, "--before", "2", "--limit", "1", "--deadline", "0.1")
    assert result.exit_code == Exit.NOT_VERIFIED
    assert "position 2 is not below 2" in result.stderr


def test_empty_list_says_so_and_is_no_error(terminal: Terminal) -> None:
    shown = terminal.run(*HISTORY)
    assert shown.exit_code == Exit.OK
    assert "Nothing stands under this name" in shown.stdout
    assert terminal.run(*CHANGES).stderr == "Nothing stands from position 0 on.\n"


def test_changes_are_json_lines_and_the_last_says_where_to_go_on(terminal: Terminal) -> None:
    terminal.write_versions(4)
    *records, end = terminal.values(*CHANGES, "--limit", "3")
    assert [record["position"] for record in records] == [0, 1, 2]
    assert records[0]["content"] == {"town": "穂波町"}
    assert end == {"more": True, "next_from": 3}
    *records, end = terminal.values(*CHANGES, "--from", "3")
    assert [record["position"] for record in records] == [3]
    assert end == {"more": False, "next_from": 4}


def test_changes_for_people_are_a_line_each_and_the_hint_is_not_among_them(terminal: Terminal) -> None:
    terminal.write_versions(2)
    shown = terminal.run(*CHANGES, "--limit", "1")
    assert len(shown.stdout.splitlines()) == 1
    assert shown.stderr == "There are more: repeat the command with --from 1.\n"


def test_changes_that_follow_end_at_their_limit(terminal: Terminal) -> None:
    terminal.write_versions(3)
    lines = terminal.values(*CHANGES, "--follow", "--limit", "2")
    assert [line["position"] for line in lines] == [0, 1]


def test_changes_with_a_site_lost_in_between_end_with_the_error_as_a_line(terminal: Terminal) -> None:
    terminal.write_versions(2)
    for site in terminal.place.sites:
        site.down = True
    (line,) = terminal.values(*CHANGES, "--deadline", "0.1")
    assert line["error"]["code"] == "UNREACHABLE"


@pytest.mark.parametrize(
    "more",
    [
        ["--limit", "0"],
        ["--limit", "many"],
        ["--from", "-1"],
        ["--from", "here"],
        ["--from", str(2**64)],
        ["--before", "1"],
    ],
)
def test_changes_with_a_bad_number_are_a_usage_error(terminal: Terminal, more: list[str]) -> None:
    assert terminal.run(*CHANGES, *more).exit_code == Exit.USAGE


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_history_fits_the_terminal_and_keeps_each_number_whole(terminal: Terminal, columns: int) -> None:
    terminal.write_versions(2)
    shown = terminal.run(*HISTORY, columns=columns).stdout
    assert max(map(len, shown.splitlines())) <= columns
    assert "iizuka-city" in shown
    assert "residence/entry" in shown
    assert all(standing.record.record_hash.hex()[:16] in shown for standing in terminal.place.ledger.records)


@pytest.mark.parametrize("command", [HISTORY, SUBJECT], ids=["history", "subject"])
def test_records_that_are_hidden_are_counted_and_the_list_goes_on_below_them(
    terminal: Terminal, command: list[str]
) -> None:
    terminal.write_versions(5)

    def hide(message: Message) -> None:
        for record in message.records if isinstance(message, client_pb2.ListReply) else ():
            if record.position in (1, 3):
                record.CopyFrom(
                    common_pb2.StoredRecord(
                        position=record.position,
                        record_hash=record.record_hash,
                        link=record.link,
                        previous_of_subject=record.previous_of_subject,
                        hidden=True,
                    )
                )

    for site in terminal.place.sites:
        site.alter = hide
    whole = terminal.value(*command)
    assert [version["position"] for version in whole["versions"]] == [4, 2, 0]
    assert (whole["hidden"], whole["more"]) == (2, False)
    part = terminal.value(*command, "--limit", "2")
    assert [version["position"] for version in part["versions"]] == [4]
    assert (part["hidden"], part["more"], part["next_before"]) == (1, True, 3)
    assert "2 records are hidden from this institution." in terminal.run(*command).stdout
    alone = terminal.run(*command, "--before", "4", "--limit", "1").stdout
    assert "1 record is hidden from this institution." in alone
    assert "Nothing stands" not in alone
