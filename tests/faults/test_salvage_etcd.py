"""What a real member's write-ahead log gives back: the block that only the lead and one survivor had when both were killed, and the very blocks, numbers and
revisions that a follower of the order saw, while the member runs and after repeated appends, trims and marks."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest

from etcd_cluster import EtcdCluster, TestMember, append_surely, running_cluster
from genesis_builder import SITES, TestWorld, build_genesis, make_block, make_submission
from ledger_driver import LANE, LedgerDriver
from sento_node.ledger.apply import apply_block
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.state import LedgerState
from sento_node.ordering.etcd.erasing import EtcdEraser
from sento_node.ordering.etcd.log import EtcdLog
from sento_node.ordering.port import Head, OrderedBlock
from sento_node.salvage.extending import extend, foresee
from sento_node.salvage.held_files import read_tail

CALL_MS = 3_000
OTHER_LANE = f"{SITES[0]}/1/1"


class NoLedger:
    """A ledger in which nothing of the log stands yet."""

    base = 0
    last = (0, 0)

    def number_of(self, lane: str, seq: int) -> int | None:
        return None

    def last_seq(self, lane: str) -> int:
        return 0


class Blocks:
    """Blocks of a development ledger, with the driver's help over a store of its own: block n on LANE writes the fact f<n>."""

    def __init__(self, directory: Path) -> None:
        self.world: TestWorld = build_genesis(rules=5)
        self.store = LmdbStore.open(directory / "reference", self.world.ledger_id)
        self.driver = LedgerDriver(self.world, self.store)
        self.data: list[bytes] = []

    def next(self) -> bytes:
        seq = len(self.data) + 1
        record = self.driver.record(f"f{seq}", content=b"content %d" % seq)
        submission = make_submission(self.world, "iizuka-city", [record])
        data = make_block(self.world, SITES[0], [submission], seq, epoch=0)
        self.data.append(data)
        self.driver.order([], data)
        return data


async def followed(log: EtcdLog, count: int) -> list[OrderedBlock]:
    """The first blocks as a follower sees them."""
    seen: list[OrderedBlock] = []
    async with contextlib.aclosing(log.follow(Head(0, 0))) as events:
        async for event in events:
            if isinstance(event, OrderedBlock):
                seen.append(event)
                if len(seen) == count:
                    break
    return seen


def filled(directory: Path, world: TestWorld, blocks: list[OrderedBlock]) -> None:
    """A ledger that holds these blocks."""
    store = LmdbStore.open(directory, world.ledger_id)
    state = LedgerState(governance_of(world.genesis, store), store, store.tip)
    for block in blocks:
        apply_block(state, block)
    batch = state.seal_batch()
    assert batch is not None
    store.commit(batch)
    store.close()


def others(cluster: EtcdCluster, lead: TestMember) -> list[TestMember]:
    return [member for member in cluster.members if member is not lead]


@pytest.mark.parametrize("by_lead", [False, True], ids=["a-follower-survives", "the-lead-survives"])
async def test_a_block_acknowledged_by_lead_and_one_survivor_that_are_killed_at_once_is_in_the_survivors_files(
    tmp_path: Path, by_lead: bool
) -> None:
    blocks = Blocks(tmp_path)
    async with running_cluster(tmp_path / "etcd", "a", "b", "c") as cluster:
        lead = await cluster.lead()
        survivor, dead = others(cluster, lead)
        if by_lead:
            survivor = lead
        for seq in range(1, 6):
            await lead.log.append(LANE, seq, blocks.next(), timeout_ms=CALL_MS)
        before = await followed(survivor.log, 4)
        dead.signal(signal.SIGKILL)
        for seq in (6, 7):
            await append_surely(lead.log, LANE, seq, blocks.next())
        for member in cluster.members:
            if member is not dead:
                member.signal(signal.SIGKILL)
    filled(tmp_path / "ledger", blocks.world, before)
    member_dir = survivor.settings.data_dir
    with contextlib.closing(LmdbStore.open(tmp_path / "ledger", blocks.world.ledger_id)) as store:
        foreseen = foresee(store, blocks.world.genesis, lambda _: member_dir)
        assert foreseen.trouble == ""
        assert store.tip.size == 4
    assert [block.data for block in foreseen.blocks] == blocks.data[4:]
    wanted = blocks.driver.state
    assert foreseen.extended == (wanted.size, wanted.frontier.root(), wanted.block)
    assert extend(tmp_path / "ledger", blocks.world.genesis, foreseen.blocks) == foreseen.extended
    blocks.store.close()


async def test_the_files_of_a_member_that_runs_give_the_blocks_numbers_and_revisions_that_a_follower_saw(
    tmp_path: Path,
) -> None:
    async with running_cluster(tmp_path, "alone") as cluster:
        member = cluster.members[0]
        log = member.log
        eraser = EtcdEraser(member.member.client_target, member.settings.data_dir)
        for seq in range(1, 4):
            await log.append(LANE, seq, b"block %d" % seq, timeout_ms=CALL_MS)
            await log.append(OTHER_LANE, seq, b"other %d" % seq * 40_000, timeout_ms=CALL_MS)
            assert (await log.append(LANE, seq, b"block %d" % seq, timeout_ms=CALL_MS)).repeated
        seen = await followed(log, 6)
        await log.trim({LANE: 2, OTHER_LANE: 1}, 0, timeout_ms=CALL_MS)
        await log.trim({LANE: 2, OTHER_LANE: 1}, 0, timeout_ms=CALL_MS)
        await log.append(LANE, 4, b"block 4", timeout_ms=CALL_MS)
        await eraser.forget_history("a mark", timeout_ms=CALL_MS)
        place = await log.append(LANE, 5, b"block 5", timeout_ms=CALL_MS)
        tail = read_tail(member.settings.data_dir, NoLedger())
        await eraser.close()
    assert tail.trouble == ""
    assert [block.ordered for block in tail.blocks[:6]] == seen
    last = tail.blocks[-1].ordered
    assert (last.number, last.revision) == (place.number, place.revision) == (8, last.revision)
    assert last.data == b"block 5"
