"""A ledger whose backup goes over the end of an epoch: what it was before, what stood above the fork, and what the new epoch holds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from courier_world import CourierLedger, StoreSource, maker, wish
from epochs import plan_here, signed
from genesis_builder import SITES, TestWorld, build_genesis
from ledger_driver import everything
from sento_client.courier.catalogue import SetEntry
from sento_client.courier.exporting import export_set
from sento_node.epochs.copies import copy_ledger
from sento_node.ledger.lmdb_cut import put_epoch
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.store import KeptCheckpoint
from sento_proto.checkpoint import Checkpoint, cosign, encode_checkpoint, sign_note
from sento_proto.epoch_plan import EpochPlan, act_bytes
from sento_proto.governance.epoch_parts import Epoch

AT_S = 1_767_225_600


class TimedLedger(CourierLedger):
    """A ledger whose checkpoints are cosigned at the times that a test says."""

    now_s = AT_S

    def checkpoint(self, cosigners: object = None) -> KeptCheckpoint:
        """At the state's end, by two sites, now."""
        state, world = self.state, self.world
        bare = Checkpoint(world.ledger_id, state.epoch, state.size, state.frontier.root())
        lines = [sign_note(bare, SITES[0], world.site_signers[SITES[0]])]
        lines += [cosign(bare, site, world.site_signers[site], self.now_s) for site in SITES[:2]]
        return KeptCheckpoint(
            state.size, state.block, encode_checkpoint(bare._replace(signatures=tuple(lines)))
        )


class ForkedBackup:
    """Three sets in `directory`/backup: up to below the fork, over it to what was lost, and of the new epoch. `fork_block`: the last block that both have;
    `old`, `new`: the two ledgers."""

    def __init__(self, directory: Path, *, recovered: bool = False) -> None:
        """`recovered`: not as a restore, but as a recovery from a copy on which nobody is known to have agreed behind the first set; the former epoch went on
        with other records there."""
        self.world: TestWorld = build_genesis(rules=5)
        self.backup = directory / "backup"
        self.backup.mkdir()
        old, new = self.old, self.new = directory / "old", directory / "new"
        with self._ledger(old) as ledger:
            self._maker = maker(ledger)
            ledger.grow("a")
            self._back_up(ledger)
            agreed = plan_here(ledger).parent
            if not recovered:
                ledger.now_s = AT_S + 60
                ledger.grow("b")
                plan = self._plan(ledger)
        copy_ledger(old, new)
        if recovered:
            with self._ledger(new) as ledger:
                ledger.grow("b")
                plan = self._plan(ledger, reason="recover", alone=True, agreed=agreed)
        with self._ledger(old) as ledger:
            ledger.now_s = AT_S + 120
            ledger.grow("lost", records=5)
            self.lost = self._back_up(ledger)
            self.lost_block = ledger.state.block
        put_epoch(new, 1, lambda _: False)
        with self._ledger(new) as ledger:
            ledger.now_s = AT_S + 180
            ledger.order([act_bytes(plan)])
            ledger.grow("again", records=2)
            self.epochs = ledger.governance.epochs
            self.newest = self._back_up(ledger, self.epochs)
            self.whole = everything(ledger.store)

    def _plan(self, ledger: TimedLedger, **fields: object) -> EpochPlan:
        """From here on; remembered as the fork."""
        self.fork_block, self.fork_size = ledger.state.block, ledger.state.size
        return signed(ledger, replace(plan_here(ledger), **fields))  # type: ignore[arg-type]  # fields of the plan

    @contextmanager
    def _ledger(self, directory: Path) -> Iterator[TimedLedger]:
        with closing(LmdbStore.open(directory, self.world.ledger_id, map_bytes=1 << 26)) as store:
            yield TimedLedger(self.world, store)

    def _back_up(self, ledger: CourierLedger, epochs: tuple[Epoch, ...] = ()) -> SetEntry:
        wanted = wish(sealed=False, kind="backup")._replace(epochs=epochs)
        made = asyncio.run(export_set(StoreSource(ledger), self.backup, wanted, self._maker))
        assert made is not None
        return made
