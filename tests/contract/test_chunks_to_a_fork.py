"""Up to a recovery's fork a ledger is copied by the officers' plan, where no quorum's checkpoint ends it; by no other plan, and nothing else so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from epochs import plan_here
from genesis_builder import TestWorld, build_genesis
from ledger_driver import LedgerDriver
from sento_node.epochs.at_fork import is_at_fork, is_behind_fork, kept_fork, officers_tree
from sento_node.ledger.adopt import NotProven, adopt_chunk
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.state import LedgerState
from sento_node.sync.entries import offered_blocks
from sento_node.sync.making import NotPlanned, plan, spine_chunk
from sento_proto.checkpoint import Checkpoint, decode_checkpoint
from sento_proto.chunk import decode_chunk
from sento_proto.epoch_plan import EpochPlan


class Giver(LedgerDriver):
    """Holds the fork; a quorum's checkpoint lies below it."""

    def __init__(self, world: TestWorld) -> None:
        super().__init__(world, MemoryStore(MemoryDisk(world.ledger_id)))
        self.codes([self.record(f"agreed {n}") for n in range(5)])
        self.flush()
        self.store.put_checkpoint(self.checkpoint())
        self.codes([self.record(f"tail {n}") for n in range(3)])
        self.flush()
        self.plan: EpochPlan = plan_here(self, reason="recover")


class Taker:
    """Is behind the fork."""

    def __init__(self, world: TestWorld) -> None:
        self.store = MemoryStore(MemoryDisk(world.ledger_id))
        self.state = LedgerState(
            governance_of(world.genesis, self.store), self.store, self.store.tip, self.store.window()
        )

    def take(self, spine: bytes, by_officers: Checkpoint | None = None) -> None:
        chunk = decode_chunk(spine)
        adopt_chunk(self.state, offered_blocks(chunk), decode_checkpoint(chunk.note), by_officers)
        batch = self.state.seal_batch()
        assert batch is not None
        self.store.commit(batch)
        self.state.batch_flushed()


@pytest.fixture
def world() -> TestWorld:
    return build_genesis(rules=5)


@pytest.fixture
def giver(world: TestWorld) -> Giver:
    return Giver(world)


def spines(giver: Giver) -> list[bytes]:
    """The chunk that a quorum's checkpoint ends, and the one that the officers' word ends."""
    fork = kept_fork(giver.store, giver.plan)
    ends = [giver.store.checkpoint_by_block(1), fork]
    after, found = 0, []
    for end in ends:
        assert end is not None
        found.append(spine_chunk(giver.store, giver.governance, after, end.block, fork))
        after = end.block
    return found


def test_a_site_that_holds_the_plan_copies_up_to_its_fork_and_is_there(
    world: TestWorld, giver: Giver
) -> None:
    agreed, tail = spines(giver)
    taker = Taker(world)
    assert is_behind_fork(taker.store, giver.plan)
    taker.take(agreed)
    assert is_behind_fork(taker.store, giver.plan)
    assert not is_at_fork(taker.store, giver.plan)
    taker.take(tail, officers_tree(giver.plan))
    assert not is_behind_fork(taker.store, giver.plan)
    assert is_at_fork(taker.store, giver.plan)


def test_without_the_plan_nobody_adopts_what_no_quorum_cosigned(world: TestWorld, giver: Giver) -> None:
    agreed, tail = spines(giver)
    taker = Taker(world)
    taker.take(agreed)
    before = taker.state.size
    with pytest.raises(NotProven, match="no quorum of cosignatures"):
        taker.take(tail)
    other = giver.plan.parent._replace(root=b"\x07" * 32)
    with pytest.raises(NotProven, match="no quorum of cosignatures"):
        taker.take(tail, officers_tree(replace(giver.plan, parent=other)))
    assert taker.state.size == before


def test_the_officers_word_ends_a_plan_of_chunks_until_a_quorum_s_checkpoint_lies_there(giver: Giver) -> None:
    parent = giver.plan.parent
    planned = plan(giver.store, 0, 0, 10, kept_fork(giver.store, giver.plan))
    assert (planned[-1].through_block, planned[-1].to_position) == (parent.block, parent.size)
    assert plan(giver.store, 0, 0, 10)[-1].to_position < parent.size
    with pytest.raises(NotPlanned):
        spine_chunk(giver.store, giver.governance, 0, parent.block)
    giver.store.put_checkpoint(giver.checkpoint())
    assert kept_fork(giver.store, giver.plan) is None


def test_only_a_recovery_s_plan_stands_in_for_a_quorum(giver: Giver) -> None:
    restore = replace(giver.plan, reason="restore")
    assert officers_tree(restore) is None
    assert kept_fork(giver.store, restore) is None
    assert officers_tree(None) is None
