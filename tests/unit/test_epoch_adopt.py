"""A chunk in which an epoch begins is adopted only with the act that begins it, from the tree before it, and with a checkpoint of the epoch at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from acts import governed
from epochs import begin_bytes, plan_here
from genesis_builder import SITES, make_block, make_submission
from ledger_driver import LedgerDriver
from sento_node.ledger.adopt import (
    NotProven,
    OfferedBlock,
    OfferedRecord,
    OfferedSubmission,
    adopt_chunk,
)
from sento_node.ledger.apply import apply_block
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.results import BlockResult
from sento_node.ledger.state import LedgerState
from sento_node.ordering.port import OrderedBlock
from sento_proto.checkpoint import Checkpoint, decode_checkpoint
from sento_proto.governance.state import from_genesis

CITY = "iizuka-city"
Blocks = list[OfferedBlock]


def offered(result: BlockResult) -> OfferedBlock:
    records = {(item.submission, item.nth): item.record for item in result.standing}
    submissions = []
    for number, told in enumerate(result.submissions):
        given = []
        for nth, outcome in enumerate(told.outcomes):
            record = records.get((number, nth))
            header, payload = (record.header_bytes, record.payload) if record is not None else (b"", b"")
            given.append(OfferedRecord(outcome.record_hash, outcome.code, outcome.position, header, payload))
        submissions.append(
            OfferedSubmission(
                told.refusal, told.author_key_id, told.signatures, tuple(given), told.officers, told.epoch
            )
        )
    return OfferedBlock(
        result.number, result.revision, result.lane, result.seq, result.site, result.size_before, result.refusal, tuple(submissions)
    )  # fmt: skip


class Story:
    """A ledger with an epoch change in it, block by block: two of epoch 0, one before the act in the new log, the act, one behind it."""

    def __init__(self) -> None:
        self.driver = driver = governed(5)
        self.blocks: Blocks = []
        self.write("one")
        self.write("two")
        self.before = self.checkpoint()
        plan = plan_here(driver)
        driver.state.enter_epoch(1)
        self.write("early")
        self.order(begin_bytes(driver, plan))
        self.write("three")

    def order(self, data: bytes) -> None:
        """A block under the log's own revisions, from 1 in each epoch."""
        driver = self.driver
        driver.seq += 1
        lane = f"{SITES[0]}/1/0"
        block = make_block(driver.world, SITES[0], [data], driver.seq, epoch=driver.state.epoch)
        ordered = OrderedBlock(driver.state.block + 1, driver.state.revision + 1, lane, driver.seq, block)
        self.blocks.append(offered(apply_block(driver.state, ordered)))

    def write(self, name: str) -> None:
        self.order(make_submission(self.driver.world, CITY, [self.driver.record(name)]))

    def checkpoint(self) -> Checkpoint:
        return decode_checkpoint(self.driver.checkpoint().note)

    def other(self) -> LedgerState:
        """Another site's, that has nothing yet."""
        disk = MemoryDisk(self.driver.world.ledger_id)
        return LedgerState(from_genesis(self.driver.world.genesis), MemoryStore(disk), disk.tip)


def test_a_chunk_over_the_end_of_an_epoch_is_adopted_and_gives_the_same_state() -> None:
    story = Story()
    state = story.other()
    adopt_chunk(state, story.blocks, story.checkpoint())
    assert (state.tip, state.governance) == (story.driver.state.tip, story.driver.governance)
    assert (state.epoch, state.revision) == (1, 3)
    batch = state.seal_batch()
    assert batch is not None
    MemoryStore(MemoryDisk(story.driver.world.ledger_id)).commit(batch)


def test_a_site_that_has_the_old_epoch_already_adopts_the_new_one_alone() -> None:
    story = Story()
    state = story.other()
    adopt_chunk(state, story.blocks[:2], story.before)
    adopt_chunk(state, story.blocks[2:], story.checkpoint())
    assert state.tip == story.driver.state.tip


def _without_the_act(blocks: Blocks) -> Blocks:
    return [*blocks[:3], replace_number(blocks[4], blocks[3])]


def replace_number(block: OfferedBlock, place: OfferedBlock) -> OfferedBlock:
    return block._replace(number=place.number, revision=place.revision, size_before=place.size_before)


def _a_record_before_the_act(blocks: Blocks) -> Blocks:
    early = blocks[2]._replace(submissions=blocks[1].submissions)
    return [*blocks[:2], early, *blocks[3:]]


def _signed_for_another_epoch(blocks: Blocks) -> Blocks:
    act = blocks[3]
    told = act.submissions[0]._replace(epoch=2)
    return [*blocks[:3], act._replace(submissions=(told,)), blocks[4]]


def _without_the_first_record(blocks: Blocks) -> Blocks:
    return blocks[1:]


@pytest.mark.parametrize(
    "spoil",
    [
        _without_the_act,
        _a_record_before_the_act,
        _signed_for_another_epoch,
        _without_the_first_record,
    ],
)
def test_a_chunk_whose_epoch_begins_otherwise_is_not_adopted(spoil: Callable[[Blocks], Blocks]) -> None:
    story = Story()
    state = story.other()
    before = state.tip
    with pytest.raises(NotProven):
        adopt_chunk(state, spoil(story.blocks), story.checkpoint())
    assert state.tip == before


def test_a_checkpoint_of_the_former_epoch_at_the_end_of_the_new_one_proves_nothing() -> None:
    story = Story()
    story.driver.state.epoch = 0
    false = story.checkpoint()
    with pytest.raises(NotProven, match="checkpoint is of epoch 0"):
        adopt_chunk(story.other(), story.blocks, false)


def test_a_site_of_the_new_epoch_adopts_nothing_of_the_old_one() -> None:
    story = Story()
    state = story.other()
    adopt_chunk(state, story.blocks, story.checkpoint())
    stale = LedgerDriver(story.driver.world, MemoryStore(MemoryDisk(story.driver.world.ledger_id)))
    stale.fill(state.size + 1)
    with pytest.raises(NotProven, match="older epoch"):
        adopt_chunk(state, [], decode_checkpoint(stale.checkpoint().note))


def test_the_orphans_of_the_old_epoch_do_not_follow_the_new_one() -> None:
    story = Story()
    state = story.other()
    adopt_chunk(state, story.blocks[:2], story.before)
    forked = plan_here(story.driver)
    assert replace(forked, epoch=2).epoch == 2
    orphan = Story()
    orphan.driver.state.epoch = 0
    with pytest.raises(NotProven):
        adopt_chunk(state, orphan.blocks[3:], orphan.checkpoint())
