"""Apply: budgets of records and of distinct subjects, counted per aligned window of positions."""

from __future__ import annotations

import pytest

from genesis_builder import build_genesis, make_submission
from ledger_driver import LedgerDriver
from sento_node.ledger import judging, memory_store, state
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_proto.errors import Code

ACCEPTED, HELD = Code.ACCEPTED, Code.HELD
WINDOW = 10


@pytest.fixture(autouse=True)
def _small_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "BUDGET_WINDOW_POSITIONS", WINDOW)
    monkeypatch.setattr(state, "BUDGET_WINDOW_POSITIONS", WINDOW)
    monkeypatch.setattr(memory_store, "BUDGET_WINDOW_POSITIONS", WINDOW)


def new_driver(budget: tuple[int, int]) -> LedgerDriver:
    world = build_genesis(budgets={"iizuka-city": budget})
    return LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))


def restarted(driver: LedgerDriver) -> LedgerDriver:
    """The same ledger in its next life."""
    driver.flush()
    assert isinstance(driver.store, MemoryStore)
    return LedgerDriver(driver.world, driver.store.crash())


def test_records_over_the_budget_are_held_and_others_authors_are_not() -> None:
    driver = new_driver((3, 9))
    assert driver.codes([driver.record(str(n), about="x") for n in range(4)]) == [ACCEPTED] * 3 + [HELD]
    assert driver.codes([driver.record("a", about="x")]) == [HELD]
    assert driver.codes([driver.record("b", author="kaga-city")], author="kaga-city") == [ACCEPTED]


def test_distinct_subjects_over_the_budget_are_held_and_known_subjects_are_not() -> None:
    driver = new_driver((9, 2))
    names = ["x", "y", "z", "x", "y"]
    records = [driver.record(f"{n}", about=name) for n, name in enumerate(names)]
    assert driver.codes(records) == [ACCEPTED, ACCEPTED, HELD, ACCEPTED, ACCEPTED]
    assert driver.codes([driver.record("new", about="w")]) == [HELD]
    assert driver.codes([driver.record("old", about="x")]) == [ACCEPTED]


@pytest.mark.parametrize("budget", [(0, 9), (9, 0)])
def test_a_budget_of_nothing_holds_everything(budget: tuple[int, int]) -> None:
    driver = new_driver(budget)
    assert driver.codes([driver.record("a")]) == [HELD]


def test_known_records_and_refused_ones_cost_nothing() -> None:
    driver = new_driver((2, 9))
    first = driver.record("a")
    assert driver.codes([first]) == [ACCEPTED]
    assert driver.codes([first]) == [Code.KNOWN]
    assert driver.codes([driver.record("a")]) == [Code.STALE]
    assert driver.codes([driver.record("b")]) == [ACCEPTED]
    assert driver.codes([first]) == [Code.KNOWN]
    assert driver.codes([driver.record("c")]) == [HELD]


def test_a_held_record_is_accepted_once_others_have_filled_the_window() -> None:
    driver = new_driver((1, 1))
    held = driver.record("b")
    assert driver.codes([driver.record("a"), held]) == [ACCEPTED, HELD]
    others = [driver.record(f"{n}", author="kaga-city") for n in range(WINDOW - 2)]
    driver.write(others, author="kaga-city")
    assert driver.codes([held]) == [HELD]
    driver.write([driver.record("edge", author="kaga-city")], author="kaga-city")
    assert driver.state.size == WINDOW
    assert driver.codes([held]) == [ACCEPTED]


def test_the_budget_begins_anew_within_a_block_that_crosses_the_windows_edge() -> None:
    driver = new_driver((2, 2))
    others = [driver.record(f"{n}", author="kaga-city") for n in range(WINDOW - 2)]
    mine = [driver.record(name) for name in "abcde"]
    world = driver.world
    result = driver.order(
        [make_submission(world, "kaga-city", others), make_submission(world, "iizuka-city", mine)]
    )
    outcomes = result.submissions[1].outcomes
    assert [outcome.code for outcome in outcomes] == [ACCEPTED, ACCEPTED, ACCEPTED, ACCEPTED, HELD]
    assert outcomes[1].position == WINDOW - 1
    assert driver.codes([driver.record("f")]) == [HELD]


@pytest.mark.parametrize(("stood", "free"), [(1, 1), (5, 1), (WINDOW - 1, 3), (WINDOW, 2), (WINDOW + 1, 2)])
def test_a_restart_forgets_nothing_of_the_running_window(stood: int, free: int) -> None:
    def fill(driver: LedgerDriver) -> LedgerDriver:
        driver.fill(1, prefix="mine")
        others = [driver.record(f"{n}", author="kaga-city") for n in range(stood - 1)]
        if others:
            driver.write(others, author="kaga-city")
        return driver

    whole, halved = fill(new_driver((2, 2))), restarted(fill(new_driver((2, 2))))
    for driver in (whole, halved):
        assert driver.state.size == stood
    records = [halved.record(name) for name in "abc"]
    assert whole.codes(records) == halved.codes(records) == [ACCEPTED] * free + [HELD] * (3 - free)
