"""What a site makes of another one that stands in another epoch: when it shows its plan, and which shown plan ends its own part."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acts import set_threshold
from epochs import plan_here, signed
from genesis_builder import OFFICERS, build_genesis
from ledger_driver import LedgerDriver
from sento_node.epochs.showing import (
    ENDED,
    TWO,
    Standing,
    held_by,
    is_beside,
    is_officers_word,
    is_to_be_shown,
    state_by,
    words_of,
)
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_proto.epoch_plan import plan_hash
from sento_proto.errors import Code

A, B = b"a" * 32, b"b" * 32
FIRST = Standing(0)


def driven() -> LedgerDriver:
    """A ledger in memory."""
    world = build_genesis(rules=5)
    return LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))


@pytest.mark.parametrize(
    ("own", "other", "shows"),
    [
        (Standing(1, A), FIRST, True),
        (Standing(1, A), Standing(1, B), True),
        (Standing(1, A), Standing(1, A), False),
        (Standing(1, A), Standing(2, B), False),
        (Standing(1, A), Standing(1), False),
        (FIRST, FIRST, False),
        (Standing(1), FIRST, False),
    ],
    ids=["behind", "another plan", "beside", "ahead", "does not say", "both in the first", "plan not known"],
)
def test_the_plan_is_shown_to_whoever_stands_elsewhere_and_can_learn_from_it(
    own: Standing, other: Standing, shows: bool
) -> None:
    assert is_to_be_shown(own, other) is shows


@pytest.mark.parametrize(
    ("own", "shown", "state"),
    [
        (FIRST, Standing(1, A), ENDED),
        (Standing(1, A), Standing(3, B), ENDED),
        (Standing(1, A), Standing(1, B), TWO),
        (Standing(1, A), Standing(1, A), ""),
        (Standing(2, A), Standing(1, B), ""),
        (Standing(1), Standing(1, B), ""),
    ],
)
def test_a_later_epoch_ends_this_one_and_another_plan_of_the_same_one_stops_both(
    own: Standing, shown: Standing, state: str
) -> None:
    assert state_by(own, shown) == state


def test_two_sites_with_different_plans_both_stop_and_both_show() -> None:
    one, other = Standing(1, A), Standing(1, B)
    assert is_to_be_shown(one, other)
    assert is_to_be_shown(other, one)
    assert state_by(one, other) == state_by(other, one) == TWO
    assert not is_beside(one, other)
    assert is_beside(one, Standing(1))


def test_what_an_operator_is_told_names_both_plans_or_the_way_over() -> None:
    assert A.hex()[:16] in words_of(TWO, Standing(1, A), Standing(1, B))
    assert B.hex()[:16] in words_of(TWO, Standing(1, A), Standing(1, B))
    assert "begin-epoch" in words_of(ENDED, FIRST, Standing(1, A))


def test_only_enough_officers_whom_this_site_knows_make_a_plan_their_word() -> None:
    driver = driven()
    driver.codes([driver.record("f0")])
    bare = plan_here(driver)
    whole = signed(driver, bare)
    known = (driver.governance,)
    assert is_officers_word(whole, known)
    assert not is_officers_word(bare, known), "a claim"
    assert not is_officers_word(signed(driver, bare, OFFICERS[:1]), known), "too few"
    assert not is_officers_word(replace(whole, readmit=(A,)), known), "altered"
    assert not is_officers_word(replace(whole, ledger_id=B), known), "another ledger"
    assert not is_officers_word(whole, ()), "nothing known"


def test_a_doomed_capital_cannot_outvote_the_plan_by_raising_its_own_threshold() -> None:
    driver = driven()
    driver.codes([driver.record("f0")])
    at_fork, plan = driver.governance, signed(driver, plan_here(driver))
    assert driver.act(set_threshold(3)) is Code.ACCEPTED
    assert not is_officers_word(plan, (driver.governance,))
    assert is_officers_word(plan, (at_fork, driver.governance))


def test_a_plan_that_was_shown_holds_the_site_back_until_it_is_in_that_epoch() -> None:
    driver = driven()
    driver.codes([driver.record("f0")])
    plan = signed(driver, plan_here(driver))
    other = signed(driver, plan_here(driver, legal_basis="another decision"))
    name = plan_hash(plan)
    assert held_by(FIRST, (plan,)) == plan
    assert held_by(Standing(1, name), (plan,)) is None
    assert held_by(Standing(1, name), (other,)) == other
    assert held_by(Standing(2, A), (plan, other)) is None
    assert held_by(FIRST, ()) is None
