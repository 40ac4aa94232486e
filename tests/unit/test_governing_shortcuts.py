"""Erasures, delays and key agents in a few words of the command line: each makes the change that rules 4 read, or says what was expected."""

from __future__ import annotations

import json

import pytest

from genesis_builder import build_genesis
from ledger_driver import subject
from sento_client.governing.sections import sections
from sento_client.governing.shortcuts import FORMS, Given, NotAShortcut, change_of
from sento_proto.governance.acts import CHANGES, Act, decode_act, effect_of
from sento_proto.governance.epoch_parts import Epoch
from sento_proto.governance.state import Governance, delayed_case, from_genesis

SALT = bytes(range(16))
PERSON = subject("patient")
HASH = "ab" * 32


def governed() -> Governance:
    return from_genesis(build_genesis(rules=4).genesis)


def said(*words: str) -> Act:
    """The act that consists of this change, read as every site reads it."""
    change = change_of(words, Given(governed(), "why", SALT))
    content = {"format": "sento-act-1", "reason": "why", "changes": [change]}
    return decode_act(json.dumps(content).encode())


def test_every_shortcut_names_a_change_that_acts_have() -> None:
    assert set(FORMS) <= set(CHANGES)


def test_an_erasure_goes_from_order_to_carrying_out_in_words() -> None:
    governance = effect_of(
        governed(), said("erase-subject", "health", PERSON.hex(), "health act", "30 days"), 3
    )
    governance = effect_of(governance, said("erase", HASH, "Article 1"), 4)
    assert governance.withheld_by(bytes.fromhex(HASH), "tax", PERSON, 0) == 4
    governance = effect_of(governance, said("carry-out-erasure", "3"), 8)
    governance = effect_of(governance, said("withdraw-erasure", "4"), 9)
    assert governance.destroyed_by(bytes(32), "health", PERSON, 7) == 3
    assert governance.withheld_by(bytes.fromhex(HASH), "tax", PERSON, 0) is None
    lines = {section.name: section.lines for section in sections(governance, None)}["erasures"]
    assert lines == (
        f"subject {PERSON.hex()} in health: ordered at position 3, carried out at position 8 (health act)",
        "1 records: ordered at position 4, withdrawn at position 9 (Article 1)",
    )


def test_an_order_that_waits_is_shown_with_what_it_waits_for() -> None:
    governance = effect_of(governed(), said("erase-subject", "tax", PERSON.hex(), "tax act", "a year"), 3)
    shown = {section.name: section for section in sections(governance, None)}["erasures"]
    assert "withheld, to be carried out by a further act after a year (tax act)" in shown.lines[0]
    assert shown.value == [
        {
            "ordered_at": 3,
            "records": [],
            "subjects": [{"registry": "tax", "subject": PERSON.hex()}],
            "legal_basis": "tax act",
            "wait": "a year",
            "carried_out_at": None,
            "withdrawn_at": None,
        }
    ]


def test_a_delay_names_its_cases_by_hashes_under_the_fresh_salt() -> None:
    act = said("delay-read-log", "inv-7", "health,tax", "2026-17", "2026-18")
    governance = effect_of(governed(), act, 3)
    assert governance.read_log_delays["inv-7"].cases == {
        delayed_case(SALT, "2026-17"),
        delayed_case(SALT, "2026-18"),
    }
    assert governance.delay_of("tax", "2026-18") is not None
    shown = {section.name: section.lines for section in sections(governance, None)}["read_log"]
    assert shown == ("delay inv-7: 2 cases in health, tax, ordered at position 3, in force",)
    governance = effect_of(governance, said("release-read-log", "inv-7"), 5)
    shown = {section.name: section.lines for section in sections(governance, None)}["read_log"]
    assert shown == ("delay inv-7: 2 cases in health, tax, ordered at position 3, released at position 5",)


@pytest.mark.parametrize(("scope", "place"), [("health", ""), ("health:psychiatry", "psychiatry")])
def test_a_key_agent_is_required_and_ended_by_scope(scope: str, place: str) -> None:
    governance = effect_of(governed(), said("require-key-agent", scope, "relief-desk"), 3)
    assert governance.key_agents == {("health", place): "relief-desk"}
    shown = {section.name: section for section in sections(governance, None)}["read_log"]
    assert shown.lines[0].endswith("are opened by relief-desk alone")
    assert effect_of(governance, said("end-key-agent", scope), 4).key_agents == {}


@pytest.mark.parametrize(
    "words",
    [
        ("erase-subject", "health", PERSON.hex(), "health act"),
        ("carry-out-erasure",),
        ("carry-out-erasure", "first"),
        ("withdraw-erasure", "1", "2"),
        ("delay-read-log", "inv-7", "health"),
        ("release-read-log",),
        ("require-key-agent", "health:psychiatry"),
        ("end-key-agent", "health", "psychiatry"),
    ],
)
def test_words_that_say_too_little_or_too_much_are_answered_with_the_form(words: tuple[str, ...]) -> None:
    with pytest.raises(NotAShortcut) as refused:
        change_of(words, Given(governed(), "why", SALT))
    assert str(refused.value) == f"expected: {words[0]} {FORMS[words[0]]}"


def recovered() -> Governance:
    governance = from_genesis(build_genesis(rules=5).genesis)
    return governance.changed(
        epochs=(
            Epoch(1, 0, 120, bytes(32), 120, 40, bytes(32), "recover", 120),
            Epoch(2, 1, 500, bytes(32), 500, 90, bytes(32), "restore", 500),
        )
    )


def gap_change(governance: Governance, *words: str) -> dict[str, object]:
    return change_of(("set-gap", *words), Given(governance, "why", SALT))


def test_a_gap_goes_from_open_to_closed_in_words_and_is_shown_with_its_epoch() -> None:
    opened = gap_change(recovered(), "1", "open", "2026-03-11T08:46Z", "412")
    assert opened == {
        "do": "set-gap", "epoch": 1, "as_of_ms": 1_773_218_760_000, "known_missing": 412, "open": True,
    }  # fmt: skip
    assert gap_change(recovered(), "1", "open", "2026-03-11T17:46:00+09:00", "412") == opened
    governance = effect_of(recovered(), act_of(opened), 130)
    shown = {section.name: section for section in sections(governance, None)}["epochs"]
    assert (
        shown.lines[0] == "epoch 1, begun at position 120 to recover: the first 120 records of epoch 0 stay"
    )
    assert "A gap is open: state as of 2026-03-11 08:46 UTC" in shown.lines[1]
    assert shown.lines[2].startswith("epoch 2, begun at position 500 to restore")
    closed = gap_change(governance, "1", "closed", "9")
    assert (closed["as_of_ms"], closed["open"]) == (1_773_218_760_000, False)
    after = effect_of(governance, act_of(closed), 140)
    shown = {section.name: section for section in sections(after, None)}["epochs"]
    assert shown.lines[1].endswith("is closed; known to stay missing: 9 records")
    assert [value["gap"] and value["gap"]["open"] for value in shown.value] == [False, None]  # type: ignore[attr-defined]


def act_of(change: dict[str, object]) -> Act:
    return decode_act(json.dumps({"format": "sento-act-1", "reason": "why", "changes": [change]}).encode())


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("1", "open", "412"),
        ("1", "open", "2026-03-11T08:46", "412"),
        ("1", "open", "yesterday", "412"),
        ("1", "closed", "2026-03-11T08:46Z", "412"),
        ("1", "ajar", "412"),
        ("one", "closed", "412"),
        ("1", "closed", "some"),
    ],
    ids=[
        "nothing",
        "no time",
        "a time without its zone",
        "no time of a calendar",
        "a time to close",
        "neither",
        "no epoch",
        "no number",
    ],
)
def test_words_about_a_gap_out_of_form_say_what_was_expected(words: tuple[str, ...]) -> None:
    with pytest.raises(NotAShortcut, match="EPOCH open TIME MISSING"):
        gap_change(recovered(), *words)
