"""Officers' acts on officers: who is in office, who deputises, how many act together; those in office before the act sign it."""

from __future__ import annotations

import pytest

from acts import (
    Change,
    assert_unfit,
    case_id,
    enrol_officer,
    governed,
    retire_officer,
    set_deputy,
    set_threshold,
    words,
)
from genesis_builder import OFFICERS, ed25519, p256
from ledger_driver import LedgerDriver
from sento_proto.errors import Code
from sento_proto.governance.officer_changes import OFFICERS_MAX

ACCEPTED, ONE, TWO, THREE = Code.ACCEPTED, *OFFICERS
DEPUTIES = {ONE: "deputy-one", TWO: "deputy-two"}
NOTHING = set_threshold(2)
"""A change that leaves everything as it is."""


def take_office(driver: LedgerDriver, name: str, *, suite: str = "ed25519") -> Change:
    """The tests can sign as this officer from now on."""
    driver.world.officer_signers[name] = ed25519(name) if suite == "ed25519" else p256(name)  # type: ignore[assignment]
    return enrol_officer(name, driver.world.officer_signers[name])


@pytest.mark.parametrize("suite", ["ed25519", "p256"])
def test_a_new_officer_signs_the_next_act_and_not_the_one_that_enrols(suite: str) -> None:
    driver = governed()
    enrols = take_office(driver, "officer-four", suite=suite)
    assert driver.act(enrols, set_threshold(3), officers=[ONE, TWO, "officer-four"]) is Code.NOT_AN_OFFICER
    assert driver.act(enrols, set_threshold(3)) is ACCEPTED
    assert driver.act(set_threshold(3), officers=[ONE, TWO]) is Code.TOO_FEW_OFFICERS
    assert driver.act(set_threshold(3), officers=[ONE, TWO, "officer-four"]) is ACCEPTED


def test_a_retired_officer_and_the_deputy_sign_nothing_any_more() -> None:
    driver = governed(deputies=DEPUTIES)
    assert driver.act(retire_officer(ONE), officers=[ONE, TWO]) is ACCEPTED
    for gone in (ONE, "deputy-one"):
        assert driver.act(NOTHING, officers=[TWO, THREE, gone]) is Code.NOT_AN_OFFICER
    assert driver.act(NOTHING, officers=[TWO, THREE]) is ACCEPTED


def test_a_retired_officers_key_never_takes_office_again() -> None:
    driver = governed()
    assert driver.act(retire_officer(THREE)) is ACCEPTED
    again = enrol_officer("officer-new", driver.world.officer_signers[THREE])
    assert "enrolled before" in driver.judged(again).why


def test_a_deputy_signs_for_the_officer_and_the_two_count_once() -> None:
    driver = governed(deputies=DEPUTIES)
    assert driver.act(NOTHING, officers=["deputy-one", TWO]) is ACCEPTED
    assert driver.act(NOTHING, officers=["deputy-one", "deputy-two"]) is ACCEPTED
    assert driver.act(NOTHING, officers=[ONE, "deputy-one"]) is Code.TOO_FEW_OFFICERS
    assert driver.act(NOTHING, officers=[ONE, "deputy-one", THREE]) is ACCEPTED


def test_another_deputy_signs_and_the_former_one_does_not() -> None:
    driver = governed(deputies=DEPUTIES)
    driver.world.officer_signers["another"] = ed25519("another")
    assert driver.act(set_deputy(ONE, ("another", ed25519("another")))) is ACCEPTED
    assert driver.act(NOTHING, officers=["deputy-one", TWO]) is Code.NOT_AN_OFFICER
    assert driver.act(NOTHING, officers=["another", TWO]) is ACCEPTED
    assert driver.act(set_deputy(ONE, None)) is ACCEPTED
    assert driver.act(NOTHING, officers=["another", TWO]) is Code.NOT_AN_OFFICER


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ([set_threshold(1)], "1 of 3 officers: the threshold must be more than half"),
        ([set_threshold(4)], "4 of 3 officers"),
        ([enrol_officer("four", ed25519("four"))], "2 of 4 officers"),
        ([retire_officer(ONE), retire_officer(TWO)], "2 of 1 officers"),
        ([retire_officer(name) for name in OFFICERS], "Nobody would be in office"),
    ],
)
def test_after_an_act_somebody_is_in_office_and_more_than_half_must_sign(
    changes: list[Change], why: str
) -> None:
    driver = governed()
    before = driver.governance
    assert why in driver.judged(*changes).why
    assert driver.act(*changes) is Code.ACT_REFUSED
    assert driver.governance == before


def test_between_changes_of_one_act_the_threshold_may_be_out_of_proportion() -> None:
    driver = governed()
    changes = [retire_officer(ONE), retire_officer(TWO), take_office(driver, "four"), set_threshold(2)]
    assert driver.act(*changes) is ACCEPTED
    assert driver.act(NOTHING, officers=[THREE, "four"]) is ACCEPTED


def test_no_more_officers_than_an_act_can_carry_signatures_of() -> None:
    driver = governed()
    many = [enrol_officer(f"more-{n}", ed25519(f"more-{n}")) for n in range(OFFICERS_MAX - 3)]
    assert driver.act(*many, set_threshold(9)) is ACCEPTED
    assert len(driver.governance.officers.people) == OFFICERS_MAX
    driver = governed()
    too_many = driver.judged(*many, enrol_officer("one-too-many", ed25519("y")), set_threshold(9))
    assert "There are 16 officers already" in too_many.why


REFUSED: list[tuple[Change, str]] = [
    (enrol_officer(ONE, ed25519("x")), "officer-one is an officer or a deputy already"),
    (enrol_officer("deputy-one", ed25519("x")), "deputy-one is an officer or a deputy already"),
    (enrol_officer("four", ed25519("x"), ("deputy-two", ed25519("y"))), "deputy-two is an officer or a deputy already"),
    (enrol_officer("four", ed25519("x"), ("four", ed25519("y"))), "cannot be the own deputy"),
    (enrol_officer("four", ed25519("x"), ("five", ed25519("x"))), "enrolled before"),
    (retire_officer("nobody"), "nobody is not an officer"),
    (retire_officer("deputy-one"), "deputy-one is not an officer"),
    (set_deputy("nobody", ("x", ed25519("x"))), "nobody is not an officer"),
    (set_deputy(ONE, (TWO, ed25519("x"))), "officer-two is an officer or a deputy already"),
    (set_deputy(THREE, None), "officer-three has no deputy"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "why"), REFUSED, ids=case_id)
def test_a_change_that_does_not_fit_is_refused_with_its_reason_and_changes_nothing(
    change: Change, why: str
) -> None:
    assert_unfit(governed(deputies=DEPUTIES), change, why)


SAID: list[tuple[Change, str]] = [
    (enrol_officer("four", ed25519("x"), ("five", ed25519("y"))), "four is an officer, with five as deputy."),
    (retire_officer(ONE), "officer-one and deputy-one, the deputy, signs no act any more."),
    (retire_officer(THREE), "officer-three signs no act any more. A share of the recovery key may still be"),
    (set_deputy(ONE, ("five", ed25519("y"))), "five acts for officer-one; the two count once."),
    (set_deputy(ONE, None), "officer-one has no deputy."),
    (set_threshold(3), "3 officers must sign an act."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"), SAID, ids=lambda value: value["do"] if isinstance(value, dict) else None
)
def test_a_change_says_what_holds_from_then_on(change: Change, said: str) -> None:
    assert said in words(governed(deputies=DEPUTIES), change)
