"""A stopped site that survived: a ledger on disk, more blocks in its member's write-ahead files, and histories that went on otherwise."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from epochs import plan_here, signed
from genesis_builder import SITES, TestWorld, build_genesis, make_block, make_submission
from ledger_driver import LANE, LedgerDriver, everything
from sento_node.boot_keeper import BootFiles
from sento_node.compose import COSIGNED_NAME, encode_cosigned
from sento_node.epochs.beginning import begin
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ordering.etcd.write_ahead import wal_directory
from sento_node.quorum.effects import Cosigned
from sento_proto.epoch_plan import EpochPlan
from sento_proto.governance.epoch_changes import Parent
from wal_files import WalWriter

COMMON, ON_DISK, IN_LOG = 6, 8, 11


class History:
    """The same first blocks for everybody who makes it; each block brings one record."""

    def __init__(self, world: TestWorld) -> None:
        self.world = world
        self.driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
        self.blocks: list[bytes] = []
        self.trees: list[Parent] = []

    def write(self, data: bytes) -> None:
        self.driver.order([], data)
        self.blocks.append(data)
        state = self.driver.state
        self.trees.append(Parent(0, state.size, state.frontier.root(), state.block))

    def write_submission(self, submission: bytes) -> None:
        seq = len(self.blocks) + 1
        self.write(make_block(self.world, SITES[0], [submission], seq, epoch=0))

    def more(self, count: int, what: str) -> None:
        for _ in range(count):
            record = self.driver.record(f"{what}{len(self.blocks) + 1}", content=b"content")
            self.write_submission(make_submission(self.world, "iizuka-city", [record]))


class Survivor:
    """A stopped site: `ON_DISK` blocks in its ledger, which keeps a quorum's checkpoint of `COMMON`, and `IN_LOG` in its member's files. What the plan is made
    of went on otherwise behind `COMMON` if `elsewhere`."""

    def __init__(self, data_dir: Path, *, log: int = IN_LOG) -> None:
        self.data_dir = data_dir
        self.world: TestWorld = build_genesis(rules=5)
        self.all = History(self.world)
        self.all.more(COMMON, "f")
        self.at_common = self.all.trees[-1]
        kept = self.all.driver.checkpoint()
        self.all.more(IN_LOG - COMMON, "f")
        with closing(LmdbStore.open(data_dir / "ledger", self.world.ledger_id)) as store:
            driver = LedgerDriver(self.world, store)
            for block in self.all.blocks[:ON_DISK]:
                driver.order([], block)
            driver.flush()
            store.put_checkpoint(kept)
            cosigned = Cosigned(0, driver.state.size, driver.state.frontier.root())
            store.remember(COSIGNED_NAME, encode_cosigned(cosigned))
        self.keep_log(self.all.blocks[:log])

    def keep_log(self, blocks: list[bytes]) -> None:
        """The member's files hold these blocks."""
        writer = WalWriter()
        for seq, block in enumerate(blocks, 1):
            writer.append(LANE, seq, block)
        directory = wal_directory(BootFiles(self.data_dir, 0).member_dir)
        directory.mkdir(parents=True, exist_ok=True)
        for file in writer.files():
            (directory / file.name).write_bytes(file.data)

    def elsewhere(self) -> History:
        """A history that is this one up to `COMMON` and another behind it."""
        other = History(self.world)
        for block in self.all.blocks[:COMMON]:
            other.write(block)
        other.more(4, "other")
        return other

    def plan(self, fork: Parent, **fields: object) -> EpochPlan:
        fields = {"reason": "recover", "parent": fork, "agreed": self.at_common, **fields}
        return signed(self.all.driver, plan_here(self.all.driver, 1, **fields))

    def begin(self, plan: EpochPlan) -> str:
        return begin(self.data_dir, self.world.genesis, plan)

    def whole(self) -> dict[str, object]:
        with closing(LmdbStore.open(self.data_dir / "ledger", self.world.ledger_id)) as store:
            return everything(store)

    def tip(self, directory: str = "ledger") -> tuple[int, int, int]:
        """(epoch, size, block)."""
        with closing(LmdbStore.open(self.data_dir / directory, self.world.ledger_id)) as store:
            return store.tip.epoch, store.tip.size, store.tip.block
