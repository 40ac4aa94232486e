"""The gap that a recovery left: officers open and close it by acts, and while it is open what stands below the fork is as of a time. From rules 5 on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import acts as do
from acts import assert_unfit, governed, words
from epoch_story import AS_OF_MS, set_gap
from epochs import begin_bytes, plan_here, signed
from ledger_driver import LedgerDriver, code_of
from sento_proto.act_chain import act_content
from sento_proto.epoch_plan import PlanRefused, act_bytes, bytes_behind, check_plan
from sento_proto.errors import Code
from sento_proto.governance.acts import CHANGES, decode_act
from sento_proto.governance.epoch_parts import Gap
from sento_proto.governance.gaps import (
    TIME_MAX_MS,
    as_of_ms,
    as_of_words,
    gap_of,
    gap_sentence,
    open_gaps,
    time_iso,
    time_words,
)
from sento_proto.wire import Malformed

MINUTE_MS = 60_000
BEFORE = 3
"""Records below the first recovery's fork."""


def recovered(reason: str = "recover", epochs: int = 1, rules: int = 5) -> LedgerDriver:
    """A ledger of some records, and so many recoveries, each with two more records behind its act."""
    driver = governed(rules)
    driver.fill(BEFORE)
    for number in range(1, epochs + 1):
        plan = plan_here(driver, number, reason=reason, alone=True)
        driver.state.enter_epoch(number)
        assert code_of(driver.order([begin_bytes(driver, plan)])) is Code.ACCEPTED
        driver.fill(2, prefix=f"epoch-{number}")
    return driver


def test_an_open_gap_dates_what_stands_below_the_fork_and_nothing_from_there_on() -> None:
    driver = recovered()
    assert driver.governance.gaps == ()
    assert driver.act(set_gap(1, is_open=True, missing=412)) is Code.ACCEPTED
    governance = driver.governance
    assert governance.gaps == (Gap(1, AS_OF_MS, 412, True, BEFORE),)
    dates = [as_of_ms(governance, position) for position in range(driver.state.size + 1)]
    assert dates == [AS_OF_MS] * BEFORE + [None] * (driver.state.size + 1 - BEFORE)


def test_a_closed_gap_dates_nothing_and_is_remembered_with_what_stays_missing() -> None:
    driver = recovered()
    driver.act(set_gap(1, is_open=True, missing=412))
    assert driver.act(set_gap(1, is_open=False, missing=9)) is Code.ACCEPTED
    assert (as_of_ms(driver.governance, 0), open_gaps(driver.governance)) == (None, ())
    assert gap_of(driver.governance, 1) == Gap(1, AS_OF_MS, 9, False, BEFORE)


def test_a_gap_is_opened_again_as_of_another_time_and_said_anew_in_one_act() -> None:
    driver = recovered()
    driver.act(set_gap(1, is_open=True))
    driver.act(set_gap(1, is_open=False))
    assert driver.act(set_gap(1, is_open=True, later_ms=-MINUTE_MS)) is Code.ACCEPTED
    assert as_of_ms(driver.governance, 0) == AS_OF_MS - MINUTE_MS
    anew = set_gap(1, is_open=False, later_ms=-MINUTE_MS), set_gap(1, is_open=True, missing=1)
    assert driver.act(*anew) is Code.ACCEPTED
    assert driver.governance.gaps == (Gap(1, AS_OF_MS, 1, True, BEFORE),)


def test_of_two_open_gaps_the_earliest_time_counts_and_each_reaches_to_its_own_fork() -> None:
    driver = recovered(epochs=2)
    first, second = (one.fork_size for one in driver.governance.epochs)
    driver.act(set_gap(2, is_open=True, later_ms=MINUTE_MS), set_gap(1, is_open=True))
    governance = driver.governance
    assert [gap.epoch for gap in governance.gaps] == [1, 2]
    assert [as_of_ms(governance, at) for at in (first - 1, first, second - 1, second)] == [
        AS_OF_MS, AS_OF_MS + MINUTE_MS, AS_OF_MS + MINUTE_MS, None,
    ]  # fmt: skip
    driver.act(set_gap(2, is_open=False, later_ms=MINUTE_MS))
    assert [as_of_ms(driver.governance, at) for at in (first - 1, first)] == [AS_OF_MS, None]


@pytest.mark.parametrize(
    ("reason", "before", "change", "why"),
    [
        ("recover", [], set_gap(2, is_open=True), "No act began epoch 2"),
        ("restore", [], set_gap(1, is_open=True), "begun to restore, and only a recovery leaves a gap"),
        ("relocate", [], set_gap(1, is_open=True), "begun to relocate"),
        ("recover", [set_gap(1, is_open=True)], set_gap(1, is_open=True, later_ms=1), "open already"),
        ("recover", [], set_gap(1, is_open=False), "is not open"),
        (
            "recover",
            [set_gap(1, is_open=True), set_gap(1, is_open=False)],
            set_gap(1, is_open=False),
            "is not open",
        ),
        (
            "recover",
            [set_gap(1, is_open=True)],
            set_gap(1, is_open=False, later_ms=1),
            "as of 2026-03-11 08:46 UTC",
        ),
    ],
    ids=[
        "no such epoch",
        "restored",
        "relocated",
        "open twice",
        "close unopened",
        "close twice",
        "close another",
    ],
)
def test_what_does_not_fit_is_refused_in_words(
    reason: str, before: list[do.Change], change: do.Change, why: str
) -> None:
    driver = recovered(reason)
    for act in before:
        assert driver.act(act) is Code.ACCEPTED
    assert_unfit(driver, change, why)


def test_the_plan_of_a_recovery_opens_its_gap_right_behind_the_first_record() -> None:
    driver = governed(5)
    driver.fill(BEFORE)
    gap_act = act_content("The gap.", [set_gap(1, is_open=True, missing=412)])
    plan = signed(driver, plan_here(driver, reason="recover", alone=True, acts=(gap_act,)))
    after = check_plan(plan, driver.governance)
    assert after.gaps == (Gap(1, AS_OF_MS, 412, True, BEFORE),)
    driver.state.enter_epoch(1)
    result = driver.order([act_bytes(plan), *bytes_behind(plan)])
    assert [code_of(result, 0), code_of(result, 1)] == [Code.ACCEPTED, Code.ACCEPTED]
    assert driver.governance.gaps == after.gaps
    restored = signed(driver, replace(plan, reason="restore", signatures=(), act_signatures=()))
    with pytest.raises(PlanRefused, match="only a recovery leaves a gap"):
        check_plan(restored, governed(5).governance)


def test_epoch_0_never_was_recovered_and_has_no_gap() -> None:
    assert_unfit(recovered(), set_gap(0, is_open=True), "epoch")


def test_rules_4_know_no_gap() -> None:
    assert_unfit(governed(4), set_gap(1, is_open=True), "exists from rules 5 on")


@pytest.mark.parametrize(
    "field",
    [
        {"as_of_ms": TIME_MAX_MS + 1},
        {"as_of_ms": -1},
        {"known_missing": -1},
        {"open": 1},
        {"open": None},
        {"more": 1},
    ],
    ids=["beyond calendars", "before 1970", "less than none", "a number for open", "null", "a member more"],
)
def test_a_change_out_of_form_is_malformed(field: dict[str, object]) -> None:
    change = {**set_gap(1, is_open=True), **field}
    content = {"format": "sento-act-1", "reason": "why", "changes": [change]}
    with pytest.raises(Malformed):
        decode_act(json.dumps(content).encode())


def test_what_officers_sign_says_until_where_as_of_when_and_how_many() -> None:
    driver = recovered()
    assert words(driver, set_gap(1, is_open=True, missing=412)) == (
        "The recovery that began epoch 1 left a gap: what stands below position 3 is shown as of 2026-03-11 08:46 UTC: entries between then and the "
        "recovery may be missing; 412 acknowledged records are known to be missing."
    )
    closing = words(driver, set_gap(1, is_open=False, missing=1))
    assert "is closed" in closing
    assert closing.endswith("1 acknowledged record is known to stay missing.")
    assert "its fork" in words(driver, set_gap(7, is_open=True))
    assert set(CHANGES) >= {"set-gap"}


def test_times_are_said_to_people_by_the_minute_rounded_down_and_to_programs_by_the_millisecond() -> None:
    late = AS_OF_MS + MINUTE_MS - 1
    assert time_words(late) == "2026-03-11 08:46 UTC"
    assert time_iso(late) == "2026-03-11T08:46:59.999Z"
    assert time_words(TIME_MAX_MS) == "9999-12-31 23:59 UTC"
    assert as_of_words(late).startswith("as of 2026-03-11 08:46 UTC: entries between then")
    sentence = gap_sentence(Gap(1, AS_OF_MS, 412, True, 3))
    assert "state as of 2026-03-11 08:46 UTC" in sentence
    assert "412 acknowledged records are known to be missing" in sentence
