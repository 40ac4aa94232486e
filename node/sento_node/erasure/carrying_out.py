"""The shell of `deciding.py`: looks at the facts, does one step, looks again; for as long as the site runs.

The ledger's writer does one bounded step at a time, so that commits pass between two. What the ordering log does not answer is tried again; an erasure may
wait for days for a majority, and says so by staying pending.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from sento_node.clock import Clock
from sento_node.erasure import kept
from sento_node.erasure.covering import covered_positions
from sento_node.erasure.deciding import (
    BeginLogPass,
    Certify,
    ErasePayloads,
    Facts,
    ForgetHistory,
    LogPass,
    RemoveReleased,
    RewriteDatabase,
    Step,
    TrimThrough,
    WriteFiller,
    due_orders,
    next_step,
    payloads_left,
    still_holding,
    with_volume,
)
from sento_node.erasure.set_aside import remove_former_logs, remove_from_aside
from sento_node.ledger.store import LedgerStore
from sento_node.ordering.erasing import FILLER_ROUNDS_MIN, OrderingEraser
from sento_node.ordering.port import OrderingError
from sento_node.tallies import Tallies
from sento_proto.checkpoint import SiteSigners
from sento_proto.erasure_certificate import ErasureCertificate, Volume, sign_certificate
from sento_proto.governance.state import ErasureOrder, Governance

LOOK_EVERY_MS = 1_000
AGAIN_MS = 3_000
CALL_TIMEOUT_MS = 10_000
FILLER_TIMEOUT_MS = 120_000
"""For 4 MiB: a link of 1 Mbit/s takes 40 s."""
LOG_WORDS = "no block up to the act of carrying out is left: trimmed, history compacted, write-ahead files of that time removed, database rewritten"
NO_FILES_WORDS = "the ordering log of this site writes no files"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class EraserParts:
    """What an eraser works with. `trim_through` asks the site's decisions to trim up to a block; `is_lead` says whether this site leads the log; `data_dir` is
    where ledgers that were set aside lie."""

    site: str
    ledger_id: bytes
    signers: SiteSigners
    store: LedgerStore
    writer: ThreadPoolExecutor
    clock: Clock
    governance: Callable[[], Governance]
    log: OrderingEraser | None
    trim_through: Callable[[int], None]
    is_lead: Callable[[], bool]
    tallies: Tallies
    data_dir: Path | None = None


class Eraser:
    """One life's erasing. `run` goes on for ever; what it does between two of its looks is one step."""

    def __init__(self, parts: EraserParts, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._parts = parts
        self._store = parts.store
        self._sleep = sleep
        self._clear: set[int] = set()
        self._pass: LogPass | None = None
        self._kept = kept.recall_erasures(parts.store)
        self._log_lines = structlog.get_logger("sento.node").bind(site=parts.site)

    @property
    def pending(self) -> tuple[int, ...]:
        """Orders carried out by act that this site has not certified yet."""
        return due_orders(
            self._parts.governance().erasure_orders.values(), self._kept.certified, self._store.tip.size
        )

    async def run(self) -> None:
        """Carry out whatever comes. Raises LedgerFailed, LedgerDamaged: then the node stops in words."""
        while True:
            step = next_step(self._facts())
            if step is None:
                await self._sleep(LOOK_EVERY_MS / 1000)
                continue
            try:
                went_on = await self._do(step)
            except OrderingError as error:
                self._log_lines.warning("erasing waits for the ordering log", why=str(error)[:200])
                await self._sleep(AGAIN_MS / 1000)
                continue
            await self._sleep(0 if went_on else LOOK_EVERY_MS / 1000)

    async def note_volume(self, volume: Volume) -> None:
        """Keep what became of a volume, and sign the certificates anew whose lists it changes. Raises LedgerFailed."""

        def note() -> tuple[tuple[Volume, ...], tuple[Volume, ...]]:
            before = kept.recall_volumes(self._store)
            after = with_volume(before, volume)
            kept.remember_volumes(self._store, after)
            return before, after

        before, after = await self._in_writer(note)
        for position in self._kept.certified:
            order = self._parts.governance().erasure_orders[position]
            lowest = min(await asyncio.to_thread(covered_positions, self._store, order), default=None)
            if still_holding(before, lowest) != still_holding(after, lowest):
                await self._certify(order)

    def _facts(self) -> Facts:
        parts, due = self._parts, self.pending
        return Facts(
            due=due,
            payloads_left=payloads_left(
                parts.governance().erasure_orders.values(), self._clear, self._store.tip.size
            ),
            log=self._pass,
            files=parts.log.write_ahead_files() if due and parts.log is not None else frozenset(),
            is_lead=parts.is_lead(),
            now_ms=parts.clock.now_ms(),
            log_writes_files=parts.log is not None,
        )

    async def _do(self, step: Step) -> bool:
        """Do it. False when the next look has time: somebody or something else is waited for."""
        match step:
            case ErasePayloads(order):
                await self._erase(self._parts.governance().erasure_orders[order])
            case BeginLogPass(orders):
                self._pass = self._begin(orders)
            case Certify(orders):
                for order in orders:
                    await self._certify(self._parts.governance().erasure_orders[order])
                self._pass = None
            case _:
                return await self._do_in_log(step)
        return True

    async def _erase(self, order: ErasureOrder) -> None:
        positions = await asyncio.to_thread(covered_positions, self._store, order)
        step = await self._in_writer(lambda: self._store.erase(positions))
        if step.segments_rewritten:
            count = self._kept.segments.get(order.position, 0) + step.segments_rewritten
            self._kept = dataclasses.replace(
                self._kept, segments={**self._kept.segments, order.position: count}
            )
            await self._in_writer(lambda: kept.remember_erasures(self._store, self._kept))
        if step.done:
            if self._parts.data_dir is not None and positions:
                gone = await asyncio.to_thread(
                    remove_from_aside, self._parts.data_dir, positions, self._payload_hashes(positions)
                )
                logs = await asyncio.to_thread(
                    remove_former_logs, self._parts.data_dir, self._store.tip.epoch
                )
                self._log_lines.info(
                    "ledgers set aside are searched",
                    segments_removed=len(gone),
                    former_logs_removed=len(logs),
                )
            self._clear.add(order.position)
            self._log_lines.info("payloads erased", order=order.position, payloads=len(positions))

    def _payload_hashes(self, positions: tuple[int, ...]) -> list[bytes]:
        return [self._store.record(at, with_payload=False).payload_hash for at in positions]

    # -- the ordering log -------------------------------------------------------------------------------------------

    def _begin(self, orders: tuple[int, ...]) -> LogPass:
        known = self._parts.governance().erasure_orders
        acts = [known[order].carried_out_at for order in orders]
        block = self._store.block(
            self._store.record(max(act for act in acts if act is not None), with_payload=False).block
        )
        return LogPass(orders, block.number, block.revision)

    async def _do_in_log(self, step: Step) -> bool:
        log, at = self._parts.log, self._pass
        if log is None or at is None:
            raise RuntimeError("a step in the ordering log's files was decided without a pass through them")
        match step:
            case TrimThrough(block):
                if await log.holds_blocks(at.through_revision, timeout_ms=CALL_TIMEOUT_MS):
                    self._parts.trim_through(block)
                    return False
                self._pass = dataclasses.replace(at, trimmed=True)
                self._log_lines.info("erased blocks are trimmed", through_block=block)
            case ForgetHistory():
                await log.forget_history(self._parts.site, timeout_ms=CALL_TIMEOUT_MS)
                files, now_ms = log.write_ahead_files(), self._parts.clock.now_ms()
                self._pass = dataclasses.replace(at, forgotten=True, noted_files=files, noted_ms=now_ms)
            case RemoveReleased():
                log.remove_released()
                return False
            case WriteFiller():
                for _ in range(1 if at.filler_rounds else FILLER_ROUNDS_MIN):
                    await log.write_filler(timeout_ms=FILLER_TIMEOUT_MS)
                log.remove_released()
                self._pass = dataclasses.replace(at, filler_rounds=at.filler_rounds + 1)
                self._log_lines.info("filler written", rounds=at.filler_rounds + 1)
            case RewriteDatabase():
                await log.rewrite_database(timeout_ms=CALL_TIMEOUT_MS)
                self._pass = dataclasses.replace(at, rewritten=True)
                self._log_lines.info("ordering log's files are rolled and its database rewritten")
        return True

    # -- the certificate --------------------------------------------------------------------------------------------

    async def _certify(self, order: ErasureOrder) -> None:
        positions = await asyncio.to_thread(covered_positions, self._store, order)
        volumes = kept.recall_volumes(self._store)
        data = sign_certificate(
            ErasureCertificate(
                ledger_id=self._parts.ledger_id,
                epoch=self._store.tip.epoch,
                site=self._parts.site,
                order=order.position,
                carried_out=order.carried_out_at or 0,
                records=tuple(self._store.record_hash_at(position) for position in positions),
                payloads_destroyed=len(positions),
                segments_rewritten=self._kept.segments.get(order.position, 0),
                ordering_log=NO_FILES_WORDS if self._parts.log is None else LOG_WORDS,
                volumes=still_holding(volumes, min(positions, default=None)),
                time_s=self._parts.clock.wall_ms() // 1000,
            ),
            self._parts.signers,
        )
        await self._in_writer(lambda: kept.remember_certificate(self._store, order.position, data))
        if order.position not in self._kept.certified:
            self._parts.tallies.erasures_certified += 1
            self._parts.tallies.payloads_erased += len(positions)
        self._kept = kept.recall_erasures(self._store)
        self._log_lines.info("erasure certified", order=order.position, payloads=len(positions))

    async def _in_writer(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._parts.writer, work)
