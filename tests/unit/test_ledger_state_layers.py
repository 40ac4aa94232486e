"""Whether a record stands in a layer of the state or in the store makes no difference to apply: the same blocks, flushed whenever, give the same ledger."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genesis_builder import TestWorld, build_genesis, make_submission
from ledger_driver import LedgerDriver, everything
from properties import PROPERTY
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.results import BlockResult
from sento_proto.errors import Code
from sento_proto.header import ZERO16, ZERO32
from sento_proto.record import Record
from sento_proto.submission import group_value

AUTHORS = ("iizuka-city", "kaga-city")
FACTS = ("a", "b", "c", "d")


def small_world() -> TestWorld:
    return build_genesis(budgets={"kaga-city": (25, 3)})


@dataclass(slots=True)
class Script:
    """Blocks made from a seed; what they follow is chosen among hashes made before, whether they stood or not."""

    world: TestWorld
    blocks: list[list[bytes]]


def make_script(seed: int, blocks: int = 14) -> Script:
    world, chance = small_world(), random.Random(seed)
    maker = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    made: list[Record] = []
    sent: list[bytes] = []

    def record(author: str, record_id: bytes, tie: bytes) -> Record:
        previous = chance.choice(made[-6:]).record_hash if made and chance.random() < 0.7 else ZERO32
        return maker.record(
            chance.choice(FACTS), previous=previous, about=chance.choice("xyzw"), author=author, record_id=record_id, group=tie
        )  # fmt: skip

    def submission() -> bytes:
        if sent and chance.random() < 0.15:
            return chance.choice(sent)
        author = chance.choice(AUTHORS)
        ids = [world.numbers.record_id() for _ in range(chance.randint(1, 4))]
        if made and chance.random() < 0.1:
            ids[0] = chance.choice(made).header.record_id
        tie = group_value(ids) if chance.random() < 0.3 else ZERO16
        records = [record(author, record_id, tie) for record_id in ids]
        made.extend(records)
        sent.append(make_submission(world, author, records))
        return sent[-1]

    return Script(world, [[submission() for _ in range(chance.randint(0, 3))] for _ in range(blocks)])


def play(
    script: Script, flush_after: set[int], restart_after: set[int]
) -> tuple[list[BlockResult], LedgerDriver]:
    driver = LedgerDriver(script.world, MemoryStore(MemoryDisk(script.world.ledger_id)))
    results = []
    for number, submissions in enumerate(script.blocks):
        results.append(driver.order(submissions))
        if number in flush_after or number in restart_after:
            driver.flush()
        if number in restart_after:
            assert isinstance(driver.store, MemoryStore)
            driver = LedgerDriver(script.world, driver.store.crash())
    driver.flush()
    return results, driver


@settings(PROPERTY, max_examples=40)
@given(
    seed=st.integers(0, 1 << 16),
    flush_after=st.sets(st.integers(0, 13)),
    restart_after=st.sets(st.integers(0, 13), max_size=3),
)
def test_flushes_and_restarts_at_any_moment_change_no_outcome_no_root_and_no_tip(
    seed: int, flush_after: set[int], restart_after: set[int]
) -> None:
    script = make_script(seed)
    plain, unflushed = play(script, set(), set())
    results, driver = play(script, flush_after, restart_after)
    assert results == plain
    assert driver.state.tip == unflushed.state.tip
    assert everything(driver.store) == everything(unflushed.store)


def test_the_scripts_reach_every_outcome_that_records_have() -> None:
    reached = {
        outcome.code
        for seed in range(20)
        for result in play(make_script(seed), set(), set())[0]
        for submission in result.submissions
        for outcome in submission.outcomes
    }
    assert reached >= {
        Code.ACCEPTED, Code.KNOWN, Code.RECORD_ID_REUSED, Code.STALE, Code.PREDECESSOR_MISSING, Code.HELD, Code.GROUP_REFUSED,
    }  # fmt: skip


def test_while_a_flush_is_under_way_the_next_waits_and_apply_goes_on() -> None:
    world = small_world()
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    first = driver.record("a")
    driver.write([first])
    batch = driver.state.seal_batch()
    assert batch is not None
    assert driver.codes([first, driver.record("a")]) == [Code.KNOWN, Code.STALE]
    assert driver.codes([driver.record("a", previous=first.record_hash)]) == [Code.ACCEPTED]
    assert driver.state.seal_batch() is None
    assert (driver.state.pending_blocks, driver.state.pending_records) == (2, 1)
    driver.store.commit(batch)
    driver.state.batch_flushed()
    assert driver.codes([first]) == [Code.KNOWN]
    driver.flush()
    assert driver.store.tip == driver.state.tip
    assert driver.state.seal_batch() is None


def test_a_block_result_out_of_order_is_not_absorbed() -> None:
    world = small_world()
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    result = driver.order([])
    with pytest.raises(ValueError, match="in order, each once"):
        driver.state.absorb(result, driver.state.governance)
