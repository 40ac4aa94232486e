"""Two ways into the ledger for what was brought: through the decisions that run, or, at a site that does not take part yet, into the flushed ledger itself.

A clean machine without a network waits for other sites before its first life begins; its ledger is filled meanwhile. Whoever writes blocks without a runner, or
makes a runner from the flushed ledger, holds the same lock (`NodeState.ledger_lock`). Nothing here believes anything: `adopt_chunk` proves every spine, the
store every payload.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from sento_node.importing.deciding import Where
from sento_node.ledger.adopt import OfferedBlock, adopt_chunk
from sento_node.ledger.replay import governance_of
from sento_node.ledger.state import LedgerState
from sento_node.ledger.store import KeptCheckpoint, LedgerStore
from sento_node.runner import Runner
from sento_node.service.node_state import NodeState
from sento_node.sync.fetching import is_destroyed
from sento_proto.checkpoint import Checkpoint, encode_checkpoint
from sento_proto.chunk import Payload
from sento_proto.errors import SentoError
from sento_proto.governance.state import Governance

FLUSH_POLL_MS = 5
_DIRECT_STATES = ("starting", "waiting-for-boot-confirmation", "joining")
"""While a node without a runner is in one of these, its ledger may be filled by hand."""
_T = TypeVar("_T")


class Filled(NamedTuple):
    """How many payloads were stored, and how many were not their records'."""

    stored: int
    false: int


class Taking(Protocol):
    """A way into one ledger."""

    @property
    def where(self) -> Where:
        """How far it is."""
        ...

    async def adopt(self, blocks: Sequence[OfferedBlock], checkpoint: Checkpoint) -> None:
        """Prove blocks that go on from the tip and flush them. Raises NotProven with nothing changed, UnknownRules, LedgerFailed."""
        ...

    async def fill(self, payloads: Sequence[Payload]) -> Filled:
        """Store those that are awaited and no order had destroyed. Raises LedgerFailed."""
        ...


class ThroughRunner:
    """At a site that runs: its own decisions adopt, and only while it copies ledgers instead of following the order."""

    def __init__(self, node: NodeState, runner: Runner) -> None:
        self._node = node
        self._runner = runner

    @property
    def where(self) -> Where:
        """Behind the last block applied."""
        state = self._runner.site.state
        return Where(
            self._node.genesis.ledger_id, state.epoch, state.block, state.size, not self._runner.copies
        )

    async def adopt(self, blocks: Sequence[OfferedBlock], checkpoint: Checkpoint) -> None:
        """Between two events of the site; whoever else copies finds the tip moved on."""
        runner, node = self._runner, self._node
        runner.carry_out(runner.site.adopt(blocks, checkpoint, node.clock.now_ms()))
        while runner.site.state.pending_blocks:
            if node.condition.state in ("stopped", "diverged", "rebuilding", "stopping"):
                raise SentoError(node.condition.code, node.condition.shown_explanation)
            runner.carry_out(runner.site.flush_now())
            await asyncio.sleep(FLUSH_POLL_MS / 1000)
        runner.carry_out(runner.site.published(checkpoint, blocks[-1].number, node.clock.now_ms()))

    async def fill(self, payloads: Sequence[Payload]) -> Filled:
        """In the writer's thread, behind the flushes."""
        governance = self._runner.site.state.governance
        return await self._runner.in_writer(
            functools.partial(fill_awaited, self._node.store, governance, payloads)
        )


class Direct:
    """At a site without a runner: state from the flushed ledger, each chunk committed before the next. For use under `ledger_lock`."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        store = node.store
        governance = governance_of(node.genesis, store)
        self._state = LedgerState(governance, store, store.tip, store.window())

    @property
    def where(self) -> Where:
        """At the flushed tip."""
        state = self._state
        return Where(self._node.genesis.ledger_id, state.epoch, state.block, state.size, False)

    async def adopt(self, blocks: Sequence[OfferedBlock], checkpoint: Checkpoint) -> None:
        """Adopted, committed, the checkpoint kept."""
        state, store = self._state, self._node.store
        adopt_chunk(state, blocks, checkpoint)
        batch = state.seal_batch()
        if batch is None:
            return
        kept = KeptCheckpoint(checkpoint.size, batch.tip.block, encode_checkpoint(checkpoint))

        def write() -> None:
            store.commit(batch)
            store.put_checkpoint(kept)

        await self._in_writer(write)
        state.batch_flushed()
        self._node.flushed_governance = None

    async def fill(self, payloads: Sequence[Payload]) -> Filled:
        """In the writer's thread."""
        work = functools.partial(fill_awaited, self._node.store, self._state.governance, payloads)
        return await self._in_writer(work)

    async def _in_writer(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._node.writer, work)


def direct_refusal(node: NodeState) -> SentoError | None:
    """Why a node without a runner takes nothing now; None: it may be filled."""
    condition = node.condition
    if not node.stands_in and condition.state in _DIRECT_STATES:
        return None
    return SentoError(condition.code, condition.shown_explanation)


def fill_awaited(store: LedgerStore, governance: Governance, payloads: Sequence[Payload]) -> Filled:
    """Store what is awaited: in the thread that writes. What an order had destroyed is never stored, and what is not the record's is only counted."""
    good: list[tuple[int, bytes]] = []
    false, size = 0, store.tip.size
    for payload in payloads:
        if payload.position >= size:
            continue
        kept = store.record(payload.position, with_payload=False)
        if not kept.awaited or is_destroyed(governance, kept):
            continue
        if hashlib.sha256(payload.data).digest() == kept.payload_hash:
            good.append(payload)
        else:
            false += 1
    return Filled(store.fill(good) if good else 0, false)
