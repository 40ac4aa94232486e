"""`sento write --lines`: each line stands or falls by itself, memory is bounded, and a load that ended can be gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli_terminal import WHY, Terminal
from client_world import build_client_world
from sento_client.cli.exits import Exit
from sento_client.cli.lines import LINE_MAX_BYTES, Defaults, LineSplitter, draft_of
from sento_client.composing import Draft
from sento_proto.errors import Code, SentoError

LOAD = ["write", "residency", "residence/entry", "--lines", "-"]
DEFAULTS = Defaults("residency", "residence/entry", "")
SECRET = "900000000115"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(build_client_world(tmp_path))


def entry(number: int, **more: Any) -> str:
    return json.dumps({"subject": f"person {number}", "fact": "address", "content": {"n": number}, **more})


def lines(count: int) -> str:
    return "".join(f"{entry(number)}\n" for number in range(count))


# What a line may be.


def test_line_takes_registry_and_kind_from_the_command_unless_it_has_its_own() -> None:
    line = b'{"subject": " 1 ", "fact": "f", "content": "text", "previous": null}'
    assert draft_of(line, DEFAULTS) == Draft("residency", "residence/entry", "1", "f", "text")
    own = b'{"registry": "tax", "kind": "tax/x", "compartment": "c", "subject": "1", "fact": "f", "content_base64": "AAE="}'
    assert draft_of(own, DEFAULTS) == Draft("tax", "tax/x", "1", "f", b"\x00\x01", None, "c")


def test_line_content_that_is_no_text_is_written_as_json() -> None:
    line = '{"subject": "1", "fact": "f", "content": [1, "穂波"]}'.encode()
    assert draft_of(line, DEFAULTS).content == '[1,"穂波"]'


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"subject": "1", "subject": "2"}', "each name once"),
        (b'{"subject": "1", "fact": "f", "content": NaN}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"fact": "f", "content": 1}', "subject is missing"),
        (b'{"subject": " ", "fact": "f", "content": 1}', "subject is empty"),
        (b'{"subject": 900000000115, "fact": "f", "content": 1}', "subject is not text"),
        (b'{"subject": "900000000115", "fact": "f"}', "exactly one of content"),
        (b'{"subject": "1", "fact": "f", "content": 1, "content_base64": "AA=="}', "exactly one of content"),
        (b'{"subject": "1", "fact": "f", "content_base64": "?"}', "not base64"),
        (b'{"subject": "1", "fact": "f", "content": 1, "previous": "00"}', "previous is not a record hash"),
        (b'{"subject": "1", "fact": "f", "content": 1, "900000000115": 1}', "1 of its fields are not known"),
    ],
)
def test_line_that_is_wrong_names_the_field_and_never_what_stands_in_it(line: bytes, why: str) -> None:
    with pytest.raises(SentoError) as caught:
        draft_of(line, DEFAULTS)
    assert caught.value.code is Code.BAD_REQUEST
    assert why in caught.value.detail
    assert SECRET not in str(caught.value)


def test_line_without_a_registry_anywhere_is_refused() -> None:
    with pytest.raises(SentoError, match="registry is missing"):
        draft_of(b'{"subject": "1", "fact": "f", "content": 1}', Defaults(None, None, ""))


@pytest.mark.parametrize("cut", [1, 3, 7, 1000])
def test_lines_are_the_same_however_the_stream_is_cut(cut: int) -> None:
    data = b"one\n\ntwo\r\n  \nlast"
    splitter = LineSplitter()
    found = [line for start in range(0, len(data), cut) for line in splitter.feed(data[start : start + cut])]
    assert [*found, *splitter.end()] == [(1, b"one"), (3, b"two\r"), (5, b"last")]
    assert splitter.number == 5


def test_line_over_the_bound_is_not_kept_and_does_not_swallow_the_next() -> None:
    splitter = LineSplitter()
    assert list(splitter.feed(b"x" * (LINE_MAX_BYTES - 1))) == []
    assert list(splitter.feed(b"yz")) == []
    assert list(splitter.feed(b"x" * 10)) == []
    assert list(splitter.feed(b"\nnext\n")) == [(1, None), (2, b"next")]
    assert list(splitter.feed(b"x" * LINE_MAX_BYTES + b"\n")) == [(3, b"x" * LINE_MAX_BYTES)]


# What becomes of a load.


def test_every_line_stands_and_the_sums_come_last(terminal: Terminal) -> None:
    result = terminal.run("--json", *LOAD, text=lines(30), subject=None)
    *each, sums = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == Exit.OK
    assert [one["line"] for one in each] == list(range(1, 31))
    assert sorted(one["position"] for one in each) == list(range(30))
    assert (sums["stand"], sums["refused"], sums["complete"], sums["next_line"]) == (30, 0, True, 31)


def test_file_is_read_as_standard_input_is(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "entries.jsonl"
    file.write_text(lines(3).removesuffix("\n"))
    result = terminal.run("write", "residency", "residence/entry", "--lines", str(file))
    assert (result.exit_code, result.stdout) == (Exit.OK, "3 stand, 0 refused.\n")


def test_refused_lines_stop_nothing_and_the_exit_code_tells(terminal: Terminal) -> None:
    text = "\n".join([entry(1), "{spoilt", entry(1), entry(2, registry="health"), "", entry(3)])
    result = terminal.run("--json", *LOAD, text=text)
    *each, sums = map(json.loads, result.stdout.splitlines())
    codes = {one["line"]: one.get("error", {}).get("code", "") for one in each}
    assert codes == {1: "", 2: "BAD_REQUEST", 3: "STALE", 4: "NO_KEK", 6: ""}
    assert (sums["stand"], sums["refused"]) == (2, 3)
    assert result.exit_code == Exit.REFUSED


def test_people_see_the_first_refusals_and_the_number_of_the_rest(terminal: Terminal) -> None:
    result = terminal.run(*LOAD, text="{spoilt\n" * 25)
    assert result.stdout == "0 stand, 25 refused.\n"
    assert result.stderr.count("line ") - result.stderr.count("the line is") == 20
    assert "5 more lines without success are not shown" in result.stderr


def test_load_that_is_run_again_doubles_nothing(terminal: Terminal) -> None:
    terminal.run(*LOAD, text=lines(5))
    again = terminal.values(*LOAD, text=lines(6))
    assert [one["error"]["code"] for one in again[:5]] == ["STALE"] * 5
    assert again[5]["position"] == 5
    assert len(terminal.place.ledger.records) == 6


def test_load_goes_on_at_the_line_that_it_is_told(terminal: Terminal) -> None:
    *each, sums = terminal.values(*LOAD, "--from-line", "4", text=lines(5))
    assert [one["line"] for one in each] == [4, 5]
    assert sums["next_line"] == 6


def test_load_without_a_site_stops_and_says_where_to_go_on(terminal: Terminal) -> None:
    with terminal.place.config.open("a") as config:
        config.write("[outbox]\nenabled = false\n")
    for site in terminal.place.sites:
        site.down = True
    result = terminal.run(*LOAD, "--deadline", "0.1", text=lines(3))
    assert result.exit_code == Exit.UNREACHABLE
    assert "Go on with --from-line 1" in result.stderr
    assert terminal.place.ledger.records == []


def test_load_whose_part_the_outbox_keeps_goes_on_behind_it(terminal: Terminal) -> None:
    for site in terminal.place.sites:
        site.down = True
    result = terminal.run("--json", *LOAD, "--deadline", "0.1", text=lines(3))
    sums = json.loads(result.stdout.splitlines()[-1])
    assert (sums["kept"], sums["complete"], sums["next_line"]) == (3, False, 4)
    assert result.exit_code == Exit.OUTCOME_UNKNOWN


def test_load_shows_a_bar_to_people_at_a_terminal_and_to_nobody_else(terminal: Terminal) -> None:
    assert "stand" not in terminal.run(*LOAD, text=lines(2)).stderr
    terminal.watch()
    terminal.run(*LOAD, text=lines(4))
    assert "line 4" in terminal.progress.getvalue()
    drawn = terminal.progress.getvalue()
    terminal.run("--json", *LOAD, text=lines(6))
    assert terminal.progress.getvalue() == drawn


def test_nothing_about_a_person_is_shown(terminal: Terminal) -> None:
    text = "\n".join(json.dumps({"subject": SECRET, "fact": "address", "content": SECRET}) for _ in range(2))
    text += "\n" + SECRET + '\n{"' + SECRET
    for mode in ([], ["--json"]):
        assert SECRET not in terminal.run(*mode, *LOAD, text=text).output


@pytest.mark.parametrize(
    "more",
    [
        ["--fact", "f"],
        ["--content", "x"],
        ["--previous", "0" * 64],
        ["--subject-file", "x"],
        ["--from-line", "0"],
    ],
)
def test_lines_do_not_go_with_what_stands_in_them(terminal: Terminal, more: list[str]) -> None:
    assert terminal.run(*LOAD, *more, text=lines(1)).exit_code == Exit.USAGE
    assert terminal.place.ledger.records == []


def test_client_that_cannot_sign_ends_the_load_at_once(tmp_path: Path) -> None:
    reader = Terminal(build_client_world(tmp_path, "relief-desk"))
    result = reader.run(*LOAD, text=lines(2))
    assert result.exit_code == Exit.USAGE
    assert result.stderr.startswith("CANNOT_SIGN: ")


def test_verify_of_a_range_proves_what_was_loaded(terminal: Terminal) -> None:
    terminal.run(*LOAD, text=lines(20))
    assert (
        terminal.run("verify", "--from", "0", *WHY).stdout == "Verified 20 records of 20 positions from 0.\n"
    )
    value = terminal.value("verify", "--from", "5", "--to", "9", *WHY)
    assert (value["verified"], value["failed"], value["to"]) == (4, 0, 9)
