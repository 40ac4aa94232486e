"""Copying other sites' ledgers: the shell around `deciding.py`. It asks for plans, runs the streams, proves and adopts what came, and tells how far it is.

Chunks wait on the disk, not in memory: one stretch at a time is decoded, away from the event loop, proven and adopted on it, and flushed before the next, while
later ones go on arriving. A kill at any moment loses nothing but what had not reached a part's file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from sento_node.clock import Clock
from sento_node.condition import Condition
from sento_node.ledger.adopt import NotProven, OfferedBlock, OtherTree
from sento_node.ledger.store import LedgerDamaged, LedgerFailed
from sento_node.sync.deciding import (
    Adopt,
    Anchor,
    AskPlan,
    Copying,
    Effect,
    Fetch,
    Finished,
    LeaveSite,
    Mode,
    Plan,
    Planned,
    is_anchored,
)
from sento_node.sync.downloading import Downloader, FalseChunk, GivesChunks, Silence, decoded, end_of
from sento_node.sync.entries import merged, offered_blocks
from sento_node.sync.parts import NoRoom, Wanted
from sento_node.sync.progress import RECORDS, SPINE, Progress
from sento_node.sync.sources import SLOW_BYTES_PER_S, Sources
from sento_proto.checkpoint import Checkpoint, decode_checkpoint
from sento_proto.chunk import Kind, decode_payloads
from sento_proto.governance.state import Governance
from sento_proto.v1 import sync_pb2
from sento_proto.wire import Malformed

LOOK_EVERY_MS = 1_000
NO_ROOM = "no-room-for-copies"
NO_ROOM_AGAIN_MS = 5_000
UNPROVEN = "unproven-chunk"


class TakesBlocks(Protocol):
    """The ledger as copying sees it. `adopt` proves, adopts and flushes. Raises NotProven, with the ledger unchanged."""

    @property
    def governance(self) -> Governance:
        """In force behind the last block."""
        ...

    @property
    def block(self) -> int:
        """The last block."""
        ...

    @property
    def size(self) -> int:
        """How many records."""
        ...

    async def adopt(self, blocks: Sequence[OfferedBlock], checkpoint: Checkpoint) -> None:
        """Make the blocks part of the ledger, flushed."""
        ...


@dataclass(frozen=True, slots=True)
class CopySettings:
    """How copies are fetched. `payload_order`: registries whose payloads come first."""

    streams: int = 4
    payloads: Mode = "auto"
    payload_order: tuple[str, ...] = ("residency", "health", "tax")


class Puller:
    """Copies through the newest quorum checkpoint of every site that answers."""

    def __init__(
        self,
        givers: Mapping[str, GivesChunks],
        downloader: Downloader,
        ledger: TakesBlocks,
        clock: Clock,
        condition: Condition,
        settings: CopySettings,
        anchor: Anchor | None = None,
    ) -> None:
        self._others = givers
        self._givers: Mapping[str, GivesChunks] = {}
        self._downloader = downloader
        self._ledger = ledger
        self._clock = clock
        self._condition = condition
        self._settings = settings
        self._anchor = anchor
        self._tasks: dict[asyncio.Task[list[Effect]], str] = {}
        self._inherited: set[Wanted] = set()
        self._other_trees: set[str] = set()
        self._log = structlog.get_logger("sento.node")

    async def copy(self) -> None:
        """Copy until every site that answers was read to its end, at least one of them. It waits for as long as none answers. Raises what adopting raises
        besides NotProven; LedgerFailed; LedgerDamaged when every other site's ledger says that it is this one that is false."""
        self._givers = dict(self._others)  # who comes or goes meanwhile does so for the next copying
        cap = self._downloader.cap.bytes_per_s
        slow = min(SLOW_BYTES_PER_S, cap / 4) if cap else SLOW_BYTES_PER_S
        core = Copying(
            Sources(self._givers, slow),
            self._ledger.block,
            self._ledger.size,
            streams=self._settings.streams,
            mode=self._settings.payloads,
            anchor=self._anchor,
        )
        progress = Progress(done=core.size, wanted=core.wanted_size, began_done=core.size)
        self._condition.sync = progress
        try:
            while not await self._step(core, progress):
                pass
            self._downloader.parts.forget(everything=True)
        except OSError as error:
            raise LedgerFailed(
                f"The parts of another site's ledger under data/sync cannot be kept ({error}). Check the disk, then start the site again."
            ) from error
        finally:
            self._condition.sync = None
            await self._cancel("")

    async def _step(self, core: Copying, progress: Progress) -> bool:
        self._downloader.parts.erasures_carried_out(carried_out(self._ledger.governance))
        for effect in core.next(self._clock.now_ms()):
            if isinstance(effect, Finished):
                return True
            await self._carry_out(core, effect, progress)
        progress.source = core.sources.current or ""
        progress.stage = RECORDS if core.mode == "together" else SPINE
        progress.done, progress.wanted = core.size, core.wanted_size
        wait_ms = min(LOOK_EVERY_MS, max(0, core.wakes_ms() - self._clock.now_ms()) or LOOK_EVERY_MS)
        if not self._tasks:
            await asyncio.sleep(wait_ms / 1000)
            return False
        done, _ = await asyncio.wait(self._tasks, timeout=wait_ms / 1000, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            self._tasks.pop(task, None)
            if not task.cancelled():
                for effect in task.result():
                    await self._carry_out(core, effect, progress)
        return False

    async def _carry_out(self, core: Copying, effect: Effect, progress: Progress) -> None:
        match effect:
            case AskPlan():
                self._begin(self._ask_plan(core, effect), effect.site)
            case Fetch():
                self._begin(self._fetch(core, effect, progress), effect.site)
            case Adopt():
                self._begin(self._adopt(core, effect), "")
            case LeaveSite():
                await self._leave(effect)

    def _begin(self, job: Awaitable[list[Effect]], site: str) -> None:
        self._tasks[asyncio.ensure_future(job)] = site

    async def _leave(self, effect: LeaveSite) -> None:
        if effect.words:
            self._condition.raise_alarm(
                UNPROVEN, f"{effect.site} offered a ledger that does not prove itself: {effect.words}"
            )
        else:
            self._log.info("another site's ledger is left for now", site=effect.site)
        await self._cancel(effect.site)
        if effect.words:
            self._downloader.parts.forget(site=effect.site)

    async def _cancel(self, site: str) -> None:
        """End what is under way from a site; with "" everything, adoption too."""
        ended = [task for task, of in self._tasks.items() if not site or of == site]
        for task in ended:
            self._tasks.pop(task)
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)

    # -- what was decided -------------------------------------------------------------------------------------------

    async def _ask_plan(self, core: Copying, ask: AskPlan) -> list[Effect]:
        anchor_size = self._anchor.size if self._anchor else 0
        try:
            reply = await self._givers[ask.site].plan(ask.after_block, anchor_size)
        except Silence as error:
            self._log.info("no ledger from a peer", site=ask.site, why=str(error)[:200])
            core.no_plan(ask.site, self._clock.now_ms())
            return []
        self._log.info("another site's ledger is copied", site=ask.site, after_block=ask.after_block)
        return core.planned(ask.site, _plan_of(reply), self._clock.now_ms())

    async def _fetch(self, core: Copying, fetch: Fetch, progress: Progress) -> list[Effect]:
        def came(site: str, size_bytes: int) -> None:
            core.came(site, size_bytes)
            progress.came(size_bytes, self._clock.now_ms())

        giver, wanted, parts = self._givers[fetch.site], fetch.wanted, self._downloader.parts
        try:
            part = await self._downloader.fetch(giver, fetch.stream, wanted, came)
            end, size_bytes = end_of(part, wanted), part.size_bytes
        except Silence as error:
            self._log.debug("a stream broke", site=fetch.site, why=str(error)[:200])
            kept_bytes = parts.kept_bytes(fetch.site, wanted)
            return core.broke(fetch.site, fetch.stream, kept_bytes, self._clock.now_ms())
        except FalseChunk as error:
            return core.falsified(fetch.site, str(error), self._clock.now_ms())
        except NoRoom as error:
            self._condition.raise_alarm(NO_ROOM, str(error))
            await asyncio.sleep(NO_ROOM_AGAIN_MS / 1000)
            return core.broke(fetch.site, fetch.stream, 0, self._clock.now_ms())
        self._condition.end_alarm(NO_ROOM)
        if part.inherited:
            self._inherited.add(wanted)
        part.close()
        rate = progress.rate_bytes_per_s(self._clock.now_ms())
        return core.fetched(fetch.site, fetch.stream, end, size_bytes, rate)

    async def _adopt(self, core: Copying, adopt: Adopt) -> list[Effect]:
        try:
            blocks, checkpoint = await asyncio.to_thread(self._offered, adopt)
            self._check_anchor(adopt.planned, checkpoint)
            await self._ledger.adopt(blocks, checkpoint)
        except FileNotFoundError:  # an erasure was carried out: what may hold its payloads is fetched anew
            return core.not_adopted(adopt.planned)
        except (NotProven, FalseChunk) as error:
            if isinstance(error, OtherTree):
                self._doubt_own_tree(adopt.site)
            used = {_spine(adopt.planned), *adopt.payloads}
            if not used & self._inherited:
                core.not_adopted(adopt.planned)
                return core.falsified(adopt.site, str(error), self._clock.now_ms())
            self._inherited -= used  # a former life received some of it, and may have lost power: once more
            for wanted in used:
                self._downloader.parts.remove(adopt.site, wanted)
            return core.not_adopted(adopt.planned)
        self._other_trees.clear()
        effects = core.adopted(self._ledger.block, self._ledger.size)
        parts = self._downloader.parts
        parts.forget(through_block=self._ledger.block)
        for wanted in adopt.payloads:
            parts.remove(adopt.site, wanted)
        return effects

    def _offered(self, adopt: Adopt) -> tuple[tuple[OfferedBlock, ...], Checkpoint]:
        """The stretch out of its parts. In a thread. Raises FalseChunk, FileNotFoundError."""
        ledger_id, parts = self._ledger.governance.ledger_id, self._downloader.parts
        payloads: dict[int, bytes] = {}
        try:
            for wanted in adopt.payloads:
                chunk = decoded(parts.read(adopt.site, wanted), wanted, ledger_id)
                payloads.update((item.position, item.data) for item in decode_payloads(chunk))
            spine = _spine(adopt.planned)
            chunk = decoded(parts.read(adopt.site, spine), spine, ledger_id)
            return merged(offered_blocks(chunk), payloads), decode_checkpoint(chunk.note)
        except Malformed as error:
            raise FalseChunk(str(error)) from error

    def _doubt_own_tree(self, site: str) -> None:
        """One site whose records do not lead from here to a quorum's tree may be false; when every other one is, and there are two, it is this ledger.
        Raises LedgerDamaged."""
        self._other_trees.add(site)
        if len(self._other_trees) >= 2 and self._other_trees >= set(self._givers):
            raise LedgerDamaged(
                f"what stands here does not lead to the trees that a quorum cosigned, by every other site's ledger; "
                f"this one's tree of {self._ledger.size} records is another"
            )

    def _check_anchor(self, planned: Planned, checkpoint: Checkpoint) -> None:
        anchor = self._anchor
        if anchor is None or is_anchored(anchor, checkpoint.size, checkpoint.root, planned.consistency):
            return
        raise NotProven(
            f"The tree at size {checkpoint.size} is not proven to be one ledger with the bootstrap file's at size {anchor.size}."
        )


def _spine(planned: Planned) -> Wanted:
    return Wanted(Kind.SPINE, *planned[:4])


def carried_out(governance: Governance) -> int:
    """How many erasure orders were carried out by act."""
    return sum(order.carried_out_at is not None for order in governance.erasure_orders.values())


def _plan_of(reply: sync_pb2.PlanReply) -> Plan:
    chunks = tuple(
        Planned(
            one.after_block, one.through_block, one.from_position, one.to_position, tuple(one.consistency)
        )
        for one in reply.chunks
    )
    return Plan(chunks, reply.more, reply.size)
