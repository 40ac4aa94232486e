"""A site that came back with orphans: its ledger of epoch 0 was set aside when epoch 1 began at a fork behind which it held more.

below the fork     three facts
lawful             two records, one submission
chain              a version of a fact that stands below the fork, and the next version on it, each its own submission
late               another version of "below-1", on which the new epoch has a version of its own by now: a conflict
together           two records of one submission, one of which is a conflict of the same kind on "below-2"
half               a submission with a record that was refused, which nobody keeps
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from bare_node import node_config
from epochs import plan_here, signed
from genesis_builder import build_genesis, make_submission
from ledger_driver import LedgerDriver
from lone_runner import ManualClock
from sento_node.condition import Condition
from sento_node.epochs.beginning import begin
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.service.node_state import NodeState
from sento_node.site import Reply
from sento_proto.epoch_plan import act_bytes
from sento_proto.errors import Code
from sento_proto.record import Record

KAGA, IIZUKA = "kaga-city", "iizuka-city"
MAP_BYTES = 1 << 26


class OrphanedSite:
    """`open` it, use `node`, `close` it. `offered` counts what was ordered by hand of the tests' runner."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.world = build_genesis(rules=5)
        self.offered: list[bytes] = []
        with closing(self._store()) as store:
            driver = LedgerDriver(self.world, store)
            self.below = [driver.record(f"below-{at}", author=KAGA, content=b"below") for at in range(3)]
            driver.codes(self.below, KAGA)
            driver.flush()
            store.put_checkpoint(driver.checkpoint())
            plan = plan_here(driver)
            self._write_orphans(driver)
            driver.flush()
            store.put_checkpoint(driver.checkpoint())
            self.plan = signed(driver, plan)
        begin(data_dir, self.world.genesis, self.plan)
        self.store = self._store()
        self.driver = LedgerDriver(self.world, self.store)
        self._order(act_bytes(self.plan))
        for at in (1, 2):
            self._write(self._version(f"below-{at}", self.below[at], b"written in the new epoch"))
        self.node = self._node()

    def _store(self) -> LmdbStore:
        return LmdbStore.open(self.data_dir / "ledger", self.world.ledger_id, map_bytes=MAP_BYTES)

    def _version(self, name: str, previous: Record, content: bytes) -> Record:
        return self.driver.record(name, previous=previous.record_hash, author=KAGA, content=content)

    def _write_orphans(self, driver: LedgerDriver) -> None:
        self.driver = driver
        self.lawful = [driver.record(f"lawful-{at}", author=KAGA, content=b"lawful") for at in range(2)]
        first = self._version("below-0", self.below[0], b"first")
        self.chain = [first, self._version("below-0", first, b"second")]
        self.late = self._version("below-1", self.below[1], b"late")
        conflict = self._version("below-2", self.below[2], b"late too")
        self.together = [conflict, driver.record("beside it", author=KAGA, content=b"beside")]
        stale = self._version("lawful-0", self.below[0], b"refused")
        self.half = driver.record("half", author=KAGA, content=b"half")
        for records in (
            self.lawful,
            self.chain[:1],
            self.chain[1:],
            [self.late],
            self.together,
        ):
            assert set(driver.codes(records, KAGA)) == {Code.ACCEPTED}
        codes = driver.codes([self.half, stale], KAGA)
        assert codes[0] is Code.ACCEPTED
        assert codes[1] is not Code.ACCEPTED

    def _write(self, record: Record) -> None:
        told = self._order(make_submission(self.world, KAGA, [record]))
        assert [one.code for one in told.outcomes] == [Code.ACCEPTED]

    def _order(self, data: bytes) -> Reply:
        told = self.driver.order([data]).submissions[0]
        self.driver.flush()
        return Reply(1, 1, told.outcomes, told.refusal)

    async def _submit(self, data: bytes, *, opens: bool = False) -> Reply:
        assert not opens, "ordinary ingress"
        self.offered.append(data)
        return self._order(data)

    async def _fresh(self, timeout_ms: int) -> None:
        """Everything is flushed."""

    def _node(self) -> NodeState:
        runner = SimpleNamespace(
            site=SimpleNamespace(state=self.driver.state, opening=False),
            submit=self._submit,
            fresh=self._fresh,
        )
        return cast(
            "NodeState",
            SimpleNamespace(
                config=node_config(data_dir=self.data_dir),
                genesis=self.world.genesis,
                store=self.store,
                clock=ManualClock(),
                condition=Condition(),
                governance=self.driver.governance,
                running=lambda: runner,
            ),
        )

    def position(self, record: Record) -> int | None:
        """Where it stands in the new epoch."""
        return self.store.position_of_hash(record.record_hash)

    def close(self) -> None:
        """Give the files back."""
        self.store.close()
