"""The import desk of one node: one courier at a time, each chunk to its fate, and the signed arrival receipt at the end.

A courier whose connection breaks leaves nothing half done: what was adopted stands, what waits is on disk, and the same volumes may be brought again. A disk
that is nearly full is refused before the ledger meets its end: an import can wait, and the ledger must not stop for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from sento_node.compose import root_at
from sento_node.importing.deciding import Fate, decide, forked_words
from sento_node.importing.staging import Stage, StageFull
from sento_node.importing.taking import Direct, Taking, ThroughRunner, direct_refusal
from sento_node.ledger.adopt import NotProven
from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.disk_guard import closes_below_bytes
from sento_node.service.node_state import NodeState
from sento_node.sync.entries import offered_blocks
from sento_proto.arrival import Arrival, ArrivedVolume, sign_arrival
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.chunk import Chunk, Kind, chunk_id, decode_chunk, decode_payloads
from sento_proto.errors import Code, SentoError
from sento_proto.governance.doubts import sure_size
from sento_proto.wire import Malformed

AWAITED_COUNTED_MAX = 100_000
"""More awaited payloads than this are told as this many."""
AWAITED_TOLD_MAX = 1_000
"""The same in the report of one chunk, of which there are many."""
ROOM_TIMES = 3
"""A chunk needs this many times its own bytes free above the mark where ingress closes: unpacked, with its indexes."""


class Report(NamedTuple):
    """What became of a chunk, and how far the ledger is."""

    chunk_id: bytes
    outcome: str
    words: str
    size: int
    payloads_awaited: int


class ImportDesk:
    """Where volumes are brought to."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._busy = False
        self._log = structlog.get_logger("sento.node")

    @contextlib.asynccontextmanager
    async def courier(self) -> AsyncIterator[Visit]:
        """One import, while inside. Raises SentoError IMPORT_RUNNING, or why this site takes nothing now."""
        if self._busy:
            raise SentoError(Code.IMPORT_RUNNING)
        self._busy = True
        try:
            stage = await asyncio.to_thread(Stage, imported_dir(self._node.config.data_dir))
            self._log.info("volumes are brought", size=self._node.store.tip.size)
            yield Visit(self._node, stage)
        finally:
            self._busy = False
            self._log.info("the import ended", size=self._node.store.tip.size)


def imported_dir(data_dir: Path) -> Path:
    """Where spines wait for what comes before them."""
    return data_dir / "sync" / "imported"


class Visit:
    """One import."""

    def __init__(self, node: NodeState, stage: Stage) -> None:
        self._node = node
        self._stage = stage
        self._direct: Direct | None = None

    async def take(self, data: bytes) -> Report:
        """One chunk to its fate. Raises SentoError when nothing more can be taken: DISK_LOW, or the node's state; LedgerFailed."""
        self._require_room(len(data))
        try:
            chunk = await asyncio.to_thread(decode_chunk, data)
        except Malformed as error:
            return self._report(data, "refused", str(error))
        async with self._way() as taking:
            outcome, words = await self._taken(taking, chunk, data)
            if outcome == "adopted":
                await self._take_staged(taking)
        return self._report(data, outcome, words)

    async def end(self, set_name: str, volumes: Sequence[ArrivedVolume]) -> bytes:
        """The arrival receipt. Raises SentoError NOT_READY while this site has no keys."""
        node, tip = self._node, self._node.store.tip
        if node.signers is None:
            raise SentoError(Code.NOT_READY)
        arrival = Arrival(
            node.genesis.ledger_id,
            tip.epoch,
            node.config.site,
            set_name,
            tuple(volumes),
            tip.size,
            tip.block,
            root_at(node.store, tip.size),
            len(node.store.awaited(AWAITED_COUNTED_MAX)),
            node.clock.wall_ms() // 1000,
        )
        return await asyncio.to_thread(sign_arrival, arrival, node.signers)

    @contextlib.asynccontextmanager
    async def _way(self) -> AsyncIterator[Taking]:
        """The way into the ledger as the node stands now: for one chunk, because a runner may begin in between."""
        async with self._node.ledger_lock:
            runner = self._node.runner
            if runner is not None:
                self._direct = None
                if self._node.condition.state in ("stopped", "diverged", "rebuilding", "refused", "stopping"):
                    raise SentoError(self._node.condition.code, self._node.condition.shown_explanation)
                yield ThroughRunner(self._node, runner)
                return
            refusal = direct_refusal(self._node)
            if refusal is not None:
                raise refusal
            if self._direct is None or self._direct.where.block != self._node.store.tip.block:
                self._direct = await asyncio.to_thread(Direct, self._node)
            yield self._direct

    async def _taken(self, taking: Taking, chunk: Chunk, data: bytes) -> tuple[str, str]:
        decided = decide(chunk.name, taking.where)
        if decided.fate is not Fate.GOES_ON:
            words = decided.words
            if (
                decided.fate is Fate.WAITS
                and chunk.name.kind is Kind.SPINE
                and not taking.where.follows_order
            ):
                words = await self._put_aside(chunk, data, words)
                if not words:
                    return (
                        "refused",
                        "So much waits here already: bring the volume with the blocks before these first.",
                    )
            return decided.fate.value, words
        if chunk.name.kind is Kind.PAYLOADS:
            return await self._fill(taking, chunk)
        return await self._adopt(taking, chunk)

    async def _put_aside(self, chunk: Chunk, data: bytes, words: str) -> str:
        try:
            await asyncio.to_thread(self._stage.put, chunk.name, data)
        except StageFull:
            return ""
        return words

    async def _adopt(self, taking: Taking, chunk: Chunk) -> tuple[str, str]:
        try:
            offered = await asyncio.to_thread(offered_blocks, chunk)
            where = taking.where
            blocks = [block for block in offered if block.number > where.block]
            if not blocks or where.follows_order:
                return Fate.KNOWN.value if not blocks else Fate.WAITS.value, ""
            await taking.adopt(blocks, decode_checkpoint(chunk.note))
        except (Malformed, NotProven) as error:
            if chunk.name.epoch > where.epoch and chunk.name.after_block < where.block:
                return "refused", forked_words(chunk.name, where)
            return "refused", str(error)
        except UnknownRules as error:
            raise SentoError(Code.NOT_READY, str(error)) from error
        return "adopted", ""

    async def _take_staged(self, taking: Taking) -> None:
        """What waited for the blocks that came just now; it lies on disk until the ledger has it. One that is spoiled meanwhile is passed over: it is brought
        again."""
        while (found := await asyncio.to_thread(self._stage.next, taking.where.block)) is not None:
            identity, data = found
            with contextlib.suppress(Malformed):
                chunk = await asyncio.to_thread(decode_chunk, data)
                if decide(chunk.name, taking.where).fate is Fate.GOES_ON:
                    await self._adopt(taking, chunk)
            await asyncio.to_thread(self._stage.done, identity)

    async def _fill(self, taking: Taking, chunk: Chunk) -> tuple[str, str]:
        try:
            payloads = list(decode_payloads(chunk))
        except Malformed as error:
            return "refused", str(error)
        ended = self._node.governance.lost_with(chunk.name.epoch, chunk.name.to_position)
        words = ""
        if ended is not None:
            words = f"Payloads from position {ended.fork_size} on are of epoch {chunk.name.epoch}, which ended there, and are not used."
            payloads = [one for one in payloads if one.position < ended.fork_size]
            if not payloads:
                return "refused", words
        # Of what a recovery went on from another copy than the chunk's, payloads may be of other records, which is no falsehood.
        sure = sure_size(self._node.governance, chunk.name.epoch, chunk.name.to_position)
        doubted = await taking.fill([one for one in payloads if one.position >= sure])
        filled = await taking.fill([one for one in payloads if one.position < sure])
        if filled.false:
            return (
                "refused",
                f"{filled.false} of its payloads are not those that the records' authors signed.",
            )
        if chunk.name.to_position > taking.where.size and ended is None:
            return "waiting", f"This ledger has {taking.where.size} records yet."
        return ("filled" if filled.stored or doubted.stored else "known"), words

    def _require_room(self, chunk_bytes: int) -> None:
        space = self._node.store.space()
        needed = closes_below_bytes(space.total_bytes) + ROOM_TIMES * chunk_bytes
        if space.free_bytes < needed:
            raise SentoError(
                Code.DISK_LOW,
                f"{space.free_bytes >> 20} MiB are free, and the next chunk needs {needed >> 20} MiB",
            )

    def _report(self, data: bytes, outcome: str, words: str) -> Report:
        store = self._node.store
        awaited = len(store.awaited(AWAITED_TOLD_MAX))
        return Report(chunk_id(data), outcome, words, store.tip.size, awaited)
