"""Apply, block by block: no-op blocks of each reason, and what stops a node instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from genesis_builder import SITES, TestWorld, build_genesis, make_block, make_submission
from ledger_driver import LANE, LedgerDriver
from sento_node.ledger.apply import UnknownRules, apply_block
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.state import LedgerState
from sento_node.ordering.port import OrderedBlock
from sento_proto.errors import Code
from sento_proto.governance.state import from_genesis
from sento_proto.merkle import EMPTY_ROOT, root_of


def new_driver(world: TestWorld | None = None) -> LedgerDriver:
    world = world or build_genesis(embassies=["no-oslo"])
    return LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))


def no_op(driver: LedgerDriver, data: bytes, lane: str = LANE) -> Code | None:
    """Order these bytes; the block must be numbered and change nothing. Returns the reason."""
    before = driver.state.tip
    result = driver.order([], data=data, lane=lane)
    after = driver.state.tip
    assert (result.submissions, result.standing, result.site) == ((), (), "")
    assert (after.size, after.frontier, after.block) == (before.size, before.frontier, before.block + 1)
    assert driver.flush() is not None
    assert driver.store.block(after.block).refusal is result.refusal
    return result.refusal


def some(driver: LedgerDriver) -> list[bytes]:
    return [make_submission(driver.world, "iizuka-city", [driver.record("a")])]


def test_a_block_that_stands_takes_the_next_number_and_says_its_root() -> None:
    driver = new_driver()
    empty, result = driver.order([]), driver.order(some(driver))
    assert (empty.refusal, empty.root, empty.size_after, empty.site) == (None, EMPTY_ROOT, 0, SITES[0])
    assert (result.number, result.size_before, result.size_after) == (2, 0, 1)
    assert result.root == root_of([result.standing[0].record.record_hash])


@pytest.mark.parametrize("cut", [0, 1, 40, -1])
def test_a_malformed_block_is_a_no_op(cut: int) -> None:
    driver = new_driver()
    data = make_block(driver.world, SITES[0], some(driver), 1, epoch=0)
    assert no_op(driver, data[:cut]) is Code.MALFORMED


def test_another_ledgers_block_is_a_no_op() -> None:
    driver, other = new_driver(), new_driver(build_genesis(name="training"))
    assert no_op(driver, make_block(other.world, SITES[0], some(other), 1, epoch=0)) is Code.WRONG_LEDGER


def test_another_epochs_block_is_a_no_op() -> None:
    driver = new_driver()
    data = make_block(driver.world, SITES[0], some(driver), 1, epoch=driver.state.epoch + 1)
    assert no_op(driver, data) is Code.WRONG_LEDGER


@pytest.mark.parametrize(("lane", "seq"), [("jp-fukuoka/1/1", 1), ("jp-fukuoka/2/0", 1), (LANE, 2)])
def test_a_block_under_another_lane_or_number_than_it_was_signed_for_is_a_no_op(lane: str, seq: int) -> None:
    driver = new_driver()
    data = make_block(driver.world, SITES[0], some(driver), seq, epoch=0)
    assert no_op(driver, data, lane) is Code.MALFORMED


def test_a_site_that_is_not_enrolled_may_not_order() -> None:
    driver = new_driver()
    stranger = build_genesis(name="another")
    signer = stranger.site_signers[SITES[0]]
    driver.world.site_signers[SITES[0]] = signer
    assert no_op(driver, make_block(driver.world, SITES[0], some(driver), 1, epoch=0)) is Code.NOT_PERMITTED


def test_a_site_may_not_order_on_another_sites_lane() -> None:
    driver = new_driver()
    driver.world.site_signers[SITES[0]] = driver.world.site_signers[SITES[1]]
    assert no_op(driver, make_block(driver.world, SITES[0], some(driver), 1, epoch=0)) is Code.NOT_PERMITTED


def test_a_site_signature_that_does_not_verify_is_a_no_op() -> None:
    driver = new_driver()
    data = make_block(driver.world, SITES[0], some(driver), 1, epoch=0)
    assert no_op(driver, data[:-1] + bytes([data[-1] ^ 1])) is Code.BAD_SIGNATURE


def test_records_go_on_after_no_op_blocks() -> None:
    driver = new_driver()
    no_op(driver, b"")
    assert driver.codes([driver.record("a")]) == [Code.ACCEPTED]


def test_unknown_rules_stop_before_the_block_and_say_which_release_is_needed() -> None:
    world = build_genesis()
    governance = from_genesis(world.genesis)
    disk = MemoryDisk(world.ledger_id)
    state = LedgerState(replace(governance, rules=99), MemoryStore(disk), disk.tip)
    before = state.tip
    with pytest.raises(UnknownRules, match="rules 99 and this release knows rules 1, 2, 3"):
        apply_block(state, OrderedBlock(1, 2, LANE, 1, make_block(world, SITES[0], [], 1, epoch=0)))
    assert (state.tip, state.pending_blocks) == (before, 0)


@pytest.mark.parametrize(("number", "revision"), [(1, 9), (3, 9), (2, 2)])
def test_a_block_out_of_order_is_a_defect_of_the_caller_and_changes_nothing(
    number: int, revision: int
) -> None:
    driver = new_driver()
    driver.order(some(driver))
    before = driver.state.tip
    data = make_block(driver.world, SITES[0], some(driver), 2, epoch=0)
    with pytest.raises(ValueError, match="in order, each once"):
        apply_block(driver.state, OrderedBlock(number, revision, LANE, 2, data))
    assert driver.state.tip == before
