"""Erasure takes two acts: an order withholds, the second destroys or withdraws; and which records an order covers."""

from __future__ import annotations

import pytest

from acts import (
    Change,
    assert_unfit,
    carry_out_erasure,
    case_id,
    erase,
    erase_subject,
    governed,
    restarted,
    set_threshold,
    withdraw_erasure,
    words,
)
from ledger_driver import LedgerDriver, subject
from sento_proto.errors import Code
from sento_proto.governance.state import ErasureOrder

ACCEPTED = Code.ACCEPTED
PATIENT, OTHER = subject("patient"), subject("other")
ONE, TWO = b"\1" * 32, b"\2" * 32
HEALTH = ("health", PATIENT)


def act_at(driver: LedgerDriver, *changes: Change) -> int:
    """The position of an act that stands."""
    assert driver.act(*changes) is ACCEPTED
    return driver.governance.last_act_at


def covers(
    driver: LedgerDriver, record: bytes, position: int, about: tuple[str, bytes] = HEALTH
) -> tuple[object, object]:
    """(withheld by, destroyed by)."""
    governance = driver.governance
    return (
        governance.withheld_by(record, *about, position),
        governance.destroyed_by(record, *about, position),
    )


def test_an_order_for_records_withholds_them_and_only_its_carrying_out_destroys_them() -> None:
    driver = governed(rules=4)
    assert covers(driver, ONE, 7) == (None, None)
    order = act_at(driver, erase(ONE))
    assert covers(driver, ONE, 7) == (order, None)
    assert covers(driver, TWO, 7) == (None, None)
    carried_out = act_at(driver, carry_out_erasure(order))
    assert covers(driver, ONE, 7) == (order, order)
    assert covers(driver, ONE, carried_out + 1) == (order, order)
    assert driver.governance.erasures == {ONE: order}
    assert driver.governance.erasure_orders == {
        order: ErasureOrder(order, (ONE,), (), "Article 1", carried_out_at=carried_out)
    }


def test_an_order_for_a_subject_covers_every_record_until_it_is_carried_out_and_then_those_below() -> None:
    driver = governed(rules=4)
    order = act_at(driver, erase_subject("health", PATIENT))
    for position in (0, order, order + 1, 10**9):
        assert covers(driver, ONE, position) == (order, None)
    assert covers(driver, ONE, 0, ("residency", PATIENT)) == (None, None)
    assert covers(driver, ONE, 0, ("health", OTHER)) == (None, None)
    driver.fill(3)
    carried_out = act_at(driver, carry_out_erasure(order))
    assert covers(driver, ONE, carried_out - 1) == (order, order)
    assert covers(driver, ONE, carried_out + 1) == (None, None)


def test_a_subject_that_came_back_is_ordered_anew_and_each_order_keeps_what_it_covers() -> None:
    driver = governed(rules=4)
    first = act_at(driver, erase_subject("health", PATIENT))
    assert "by the act at 0" in driver.judged(erase_subject("health", PATIENT)).why
    gone = act_at(driver, carry_out_erasure(first))
    second = act_at(driver, erase_subject("health", PATIENT, wait="a week"))
    assert covers(driver, ONE, gone - 1) == (first, first)
    assert covers(driver, ONE, gone + 1) == (second, None)
    assert act_at(driver, withdraw_erasure(second))
    assert covers(driver, ONE, gone + 1) == (None, None)
    assert covers(driver, ONE, gone - 1) == (first, first)
    third = act_at(driver, erase_subject("health", PATIENT))
    gone_again = act_at(driver, carry_out_erasure(third))
    assert covers(driver, ONE, gone_again - 1) == (third, third)
    assert covers(driver, ONE, gone - 1) == (first, first)


def test_a_withdrawn_order_orders_nothing_and_its_records_may_be_ordered_again() -> None:
    driver = governed(rules=4)
    order = act_at(driver, erase(ONE, TWO), erase_subject("health", PATIENT))
    withdrawn = act_at(driver, withdraw_erasure(order))
    governance = driver.governance
    assert (governance.erasures, governance.subject_erasures) == ({}, {})
    assert governance.erasure_orders[order].withdrawn_at == withdrawn
    assert covers(driver, ONE, 0) == (None, None)
    again = act_at(driver, erase(ONE), erase_subject("health", PATIENT))
    assert covers(driver, ONE, 0) == (again, None)


def test_a_record_and_its_subject_under_two_orders_is_destroyed_by_whichever_is_carried_out() -> None:
    driver = governed(rules=4)
    record, person = act_at(driver, erase(ONE)), act_at(driver, erase_subject("health", PATIENT))
    assert covers(driver, ONE, 0) == (record, None)
    act_at(driver, carry_out_erasure(person))
    assert covers(driver, ONE, 0) == (record, person)
    act_at(driver, withdraw_erasure(record))
    assert covers(driver, ONE, 0) == (person, person)


def test_all_orders_of_one_act_are_one_order_with_every_legal_basis_and_wait() -> None:
    driver = governed(rules=4)
    order = act_at(
        driver,
        erase(ONE),
        erase_subject("health", PATIENT),
        erase_subject("tax", PATIENT, legal_basis="tax act"),
        erase(TWO, legal_basis="tax act"),
        erase_subject("tax", OTHER, wait="a year"),
    )
    known = driver.governance.erasure_orders[order]
    assert known.records == (ONE, TWO)
    assert known.subjects == (HEALTH, ("tax", PATIENT), ("tax", OTHER))
    assert known.legal_basis == "Article 1; health act, article 12; tax act"
    assert known.wait == "30 days; a year"


def test_an_order_of_older_rules_is_carried_out_or_withdrawn_under_rules_4() -> None:
    driver = governed(rules=3)
    first, second = act_at(driver, erase(ONE)), act_at(driver, erase(TWO))
    assert "exists from rules 4 on; these are rules 3" in driver.judged(carry_out_erasure(first)).why
    for site in driver.governance.receipt_set.sites:
        assert driver.announce(site, (3, 4)) is ACCEPTED
    assert driver.act({"do": "set-rules", "rules": 4}) is ACCEPTED
    act_at(driver, carry_out_erasure(first), withdraw_erasure(second))
    assert covers(driver, ONE, 0) == (first, first)
    assert covers(driver, TWO, 0) == (None, None)


@pytest.mark.parametrize("end", [carry_out_erasure, withdraw_erasure])
def test_one_act_cannot_order_and_end_an_erasure(end: type) -> None:
    driver = governed(rules=4)
    judged = driver.judged(erase(ONE), end(driver.state.size))
    assert judged.code is Code.ACT_REFUSED
    assert "ordered by one act and ended by another" in judged.why


def test_an_act_that_ends_one_order_may_make_the_next_for_the_same_subject() -> None:
    driver = governed(rules=4)
    first = act_at(driver, erase_subject("health", PATIENT))
    second = act_at(driver, carry_out_erasure(first), erase_subject("health", PATIENT))
    assert covers(driver, ONE, second - 1) == (first, first)
    assert covers(driver, ONE, second + 1) == (second, None)


ENDED: list[tuple[Change, str]] = [
    (carry_out_erasure(0), "was carried out at 4"),
    (withdraw_erasure(0), "was carried out at 4"),
    (carry_out_erasure(1), "was withdrawn at 5"),
    (withdraw_erasure(1), "was withdrawn at 5"),
    (carry_out_erasure(2), "The act at position 2 ordered no erasure"),
    (withdraw_erasure(99), "The act at position 99 ordered no erasure"),
    (carry_out_erasure(-1), "must be a whole number from 0"),
    ({**carry_out_erasure(3), "order": True}, "must be a whole number from 0"),
    ({**carry_out_erasure(3), "order": "3"}, "must be a whole number from 0"),
    (erase(ONE), "ordered to be erased already"),
    (erase_subject("health", OTHER), "ordered to be erased in health already"),
    (erase_subject("land", PATIENT), "There is no registry land with payloads of persons"),
    (erase_subject("governance", PATIENT), "There is no registry governance with payloads"),
    (erase_subject("keys", PATIENT), "There is no registry keys with payloads"),
    (erase_subject("tax", PATIENT, wait=" "), "its legal basis and its waiting period"),
    (erase_subject("tax", PATIENT, legal_basis=""), "its legal basis and its waiting period"),
    (erase_subject("tax", PATIENT[:31]), "must be 64 characters of 0-9 a-f"),
    ({**erase_subject("tax", PATIENT), "records": []}, "is not known to this release"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "why"), ENDED, ids=case_id)
def test_an_erasure_that_does_not_fit_is_refused_with_its_reason(change: Change, why: str) -> None:
    driver = governed(rules=4)
    for changes in (
        [erase(ONE)], [erase(TWO)], [set_threshold(2)], [erase_subject("health", OTHER)], [carry_out_erasure(0)], [withdraw_erasure(1)],
    ):  # fmt: skip
        act_at(driver, *changes)
    assert_unfit(driver, change, why)


def test_one_subject_cannot_be_ordered_twice_in_one_act() -> None:
    driver = governed(rules=4)
    twice = [erase_subject("health", PATIENT)] * 2
    assert driver.act(*twice) is Code.ACT_REFUSED
    assert driver.governance.erasure_orders == {}


def test_erasures_are_the_same_after_a_restart() -> None:
    driver = governed(rules=4)
    order = act_at(driver, erase(ONE), erase_subject("health", PATIENT))
    act_at(driver, carry_out_erasure(order))
    act_at(driver, withdraw_erasure(act_at(driver, erase(TWO))))
    assert restarted(driver).governance == driver.governance


def test_changes_say_what_holds_from_then_on() -> None:
    driver = governed(rules=4)
    said = words(driver, erase_subject("health", PATIENT))
    assert f"all records about subject {PATIENT.hex()} in health are given out no more; after 30 days" in said
    order = act_at(driver, erase(ONE, TWO), erase_subject("health", PATIENT))
    said = words(driver, carry_out_erasure(order))
    assert (
        f"(2 records, all records of subject {PATIENT.hex()} in health; Article 1; health act, article 12)"
        in said
    )
    assert "nothing brings them back" in said
    assert "are given out again; the order is withdrawn" in words(driver, withdraw_erasure(order))
    assert "the act at position 99 ordered to be destroyed;" in words(driver, carry_out_erasure(99))
