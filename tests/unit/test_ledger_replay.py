"""A restart finds the governance that apply had: the genesis file and every act and announcement that stands, read from either store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from acts import add_registry, governed, permit, set_rules
from genesis_builder import REGISTRIES, TestWorld, build_genesis
from governed_story import WHOLE_STORY, story_world
from ledger_driver import LedgerDriver
from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.store import LedgerDamaged, LedgerStore
from sento_proto.errors import Code
from sento_proto.governance.state import from_genesis

Open = Callable[[LedgerStore | None], LedgerStore]


@pytest.fixture
def world() -> TestWorld:
    return story_world("replayed", 2)


@pytest.fixture(params=["lmdb", "memory"])
def open_store(request: pytest.FixtureRequest, world: TestWorld, tmp_path: Path) -> Open:
    """Opens the ledger's store; given the one of the former life, that one ends."""

    def open_one(former: LedgerStore | None) -> LedgerStore:
        if isinstance(former, MemoryStore):
            return former.crash()
        if former is not None:
            former.close()
        if request.param == "memory":
            return MemoryStore(MemoryDisk(world.ledger_id))
        return LmdbStore.open(tmp_path, world.ledger_id)

    return open_one


def test_after_every_block_of_a_long_story_a_restart_has_an_equal_governance(
    world: TestWorld, open_store: Open
) -> None:
    driver = LedgerDriver(world, open_store(None))
    try:
        for part in WHOLE_STORY:
            for block in part(driver):
                driver.order(block)
                driver.flush()
                assert governance_of(world.genesis, driver.store) == driver.governance, driver.state.block
        assert (driver.governance.rules, driver.governance.acts) == (4, 47)
        again = LedgerDriver(world, open_store(driver.store))
        assert again.governance == driver.governance
        assert again.state.tip == driver.state.tip
        driver = again
        assert driver.act(permit("iizuka-city", "write", ("health", "x"))) is Code.ACCEPTED
    finally:
        driver.store.close()


def test_what_was_not_flushed_is_not_governance_yet() -> None:
    driver = governed()
    assert driver.act(permit("iizuka-city", "write", ("health", "x"))) is Code.ACCEPTED
    assert isinstance(driver.store, MemoryStore)
    assert governance_of(driver.world.genesis, driver.store) == from_genesis(driver.world.genesis)
    driver.flush()
    assert governance_of(driver.world.genesis, driver.store) == driver.governance


def test_under_rules_1_the_genesis_file_alone_governs() -> None:
    driver = governed(rules=1)
    driver.fill(3)
    driver.flush()
    assert governance_of(driver.world.genesis, driver.store) == from_genesis(driver.world.genesis)


def test_a_restart_under_unknown_rules_stops_before_the_next_block_too() -> None:
    driver = governed()
    for site in driver.world.site_signers:
        driver.announce(site, [2, 77])
    assert driver.act(set_rules(77)) is Code.ACCEPTED
    driver.flush()
    assert isinstance(driver.store, MemoryStore)
    again = LedgerDriver(driver.world, driver.store.crash())
    assert again.governance == driver.governance
    with pytest.raises(UnknownRules, match="rules 77"):
        again.order([])


def test_a_ledger_of_another_genesis_does_not_fit_and_is_said_to_be_damaged() -> None:
    """An act enrols what the other genesis file has already."""

    driver = governed()
    assert driver.act(add_registry("libraries")) is Code.ACCEPTED
    driver.flush()
    other = build_genesis(rules=2, registries=(*REGISTRIES, "libraries"))
    with pytest.raises(
        LedgerDamaged, match=r"The act at position 0 does not fit .* There is a registry libraries already"
    ):
        governance_of(other.genesis, driver.store)
