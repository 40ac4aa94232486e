"""Following the order: every block into the site's decisions, from the ordering log while it holds them, else from another site's ledger.

A stream that breaks is opened again after a pause; one that stalls is broken from outside (`restart`). When the log no longer holds what is next, other sites'
ledgers are copied (`sync/pulling.py`), chunk by chunk, each proven before it is adopted and flushed before the next. Apply waits while too much is unflushed,
so that memory stays bounded when a disk is slow.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence

import structlog

from sento_node.clock import Clock
from sento_node.condition import Condition
from sento_node.ledger.adopt import OfferedBlock
from sento_node.ordering.port import (
    BlockRemoved,
    Compacted,
    FollowBroken,
    Head,
    OrderedBlock,
    OrderingError,
    OrderingLog,
)
from sento_node.peers import Peers
from sento_node.rebuild.deciding import Rebuild
from sento_node.site import Effect, Site
from sento_node.sync.pulling import Puller
from sento_node.sync.receiving import Receiving
from sento_proto.checkpoint import Checkpoint
from sento_proto.governance.state import Governance

RETRY_FIRST_MS = 30
RETRY_MAX_MS = 1_000
UNFLUSHED_RECORDS_MAX = 20_000
"""Apply waits for the flush beyond this many records."""
APPLY_BURST_BLOCKS = 8
"""Blocks applied before others get the event loop."""
CATCH_UP_PAUSE_MS = 500
FLUSH_POLL_MS = 5
HEAD_TIMEOUT_MS = 1_500


class NobodyToCopyFrom(Exception):
    """This site's ledger misses blocks that nobody has any more. The text is one sentence of cause and one of remedy."""


class AnotherLedger(Exception):
    """What is on this disk is not the ledger of its bootstrap file. The text is one sentence of cause and one of remedy."""


class Follower:
    """One life's following. `carry_out` does what the site decided; `root_at` tells the flushed tree's root over the first so many records."""

    def __init__(
        self,
        site: Site,
        log: OrderingLog,
        peers: Peers,
        clock: Clock,
        condition: Condition,
        carry_out: Callable[[Iterable[Effect]], None],
        rebuild: Rebuild | None = None,
        receiving: Receiving | None = None,
        root_at: Callable[[int], bytes] | None = None,
    ) -> None:
        self._site = site
        self._log = log
        self._peers = peers
        self._clock = clock
        self._condition = condition
        self._carry_out = carry_out
        self._rebuild = rebuild
        self._root_at = root_at
        self._anchor = receiving.anchor if receiving else None
        self._puller = (
            Puller(
                peers,
                receiving.downloader,
                _CopiedInto(site, carry_out, clock),
                clock,
                condition,
                receiving.settings,
                receiving.anchor,
            )
            if receiving
            else None
        )
        self._room = asyncio.Event()
        self._room.set()
        self._stream: asyncio.Task[None] | None = None
        self._restart_asked = False
        self.copies = False
        """Whether a ledger is copied now, and the order not followed."""
        self._log_lines = structlog.get_logger("sento.node")

    async def run(self) -> None:
        """Follow for ever. Raises NobodyToCopyFrom, AnotherLedger, and the ordering log's errors that no retry mends."""
        self._check_anchor()
        self.copies = True
        await self._copy_first()
        self.copies = False
        pause_ms = RETRY_FIRST_MS
        while True:
            before = self._site.state.block
            self._stream = asyncio.create_task(self._read_stream(), name="follow-stream")
            try:
                await self._stream
            except asyncio.CancelledError:
                if not self._restarts():
                    self._stream.cancel()
                    raise
                self._log_lines.warning("the stream of blocks stalled; it is opened again")
            except FollowBroken as error:
                self._log_lines.info("the stream of blocks ended", why=str(error)[:200])
                progressed = self._site.state.block > before
                pause_ms = RETRY_FIRST_MS if progressed else min(2 * pause_ms, RETRY_MAX_MS)
                await asyncio.sleep(pause_ms / 1000)
            except Compacted as compacted:
                self._site.current_since_ms = None
                self._condition.state = "catching-up"
                self._condition.explanation = (
                    "The ordering log no longer holds what this site missed; it copies another site's ledger."
                )
                self.copies = True
                await self._catch_up(compacted.oldest_revision)
                self.copies = False

    def restart(self) -> None:
        """The stream is known to have stalled: open it again. Nothing happens while another site's ledger is copied instead."""
        if self._stream is not None and not self._stream.done():
            self._restart_asked = True
            self._stream.cancel()

    def flushed(self) -> None:
        """A flush ended: apply may go on if there is room."""
        if self._site.state.pending_records < UNFLUSHED_RECORDS_MAX:
            self._room.set()

    def _restarts(self) -> bool:
        """Whether the stream alone was cancelled, by `restart`, and not the following itself."""
        current = asyncio.current_task()
        asked, self._restart_asked = self._restart_asked, False
        return asked and not (current is not None and current.cancelling())

    async def _read_stream(self) -> None:
        tip = self._site.state.tip
        burst = 0
        async with contextlib.aclosing(self._log.follow(Head(tip.block, tip.revision))) as events:
            async for event in events:
                await self._room.wait()
                match event:
                    case OrderedBlock():
                        self._carry_out(self._site.ordered(event, self._clock.now_ms()))
                    case BlockRemoved():
                        self._carry_out(self._site.removed(event, self._clock.now_ms()))
                if self._site.state.pending_records >= UNFLUSHED_RECORDS_MAX:
                    self._room.clear()
                    self._carry_out(self._site.flush_now())
                burst += 1
                if burst % APPLY_BURST_BLOCKS == 0:
                    await asyncio.sleep(0)

    async def _catch_up(self, oldest_revision: int) -> None:
        """Copy from the other sites what they have; then the log is tried again, through another site where it is borrowed: where it begins was one site's
        word, and whoever waited to reach a place that does not exist would copy for ever. Raises NobodyToCopyFrom."""
        puller = self._puller
        if puller is None or not self._peers:
            raise NobodyToCopyFrom(
                "The ordering log no longer holds what this ledger misses, and there is no other site to copy it from. "
                "Put back the ledger's directory that belongs to this ordering log."
            )
        await puller.copy()
        if self._site.state.revision + 1 < oldest_revision and not await self._is_at_head():
            await asyncio.sleep(CATCH_UP_PAUSE_MS / 1000)

    async def _copy_first(self) -> None:
        """What is made anew is proven by other sites' ledgers before the log is followed; a site that joins reaches its bootstrap file's place first."""
        anchor, puller = self._anchor, self._puller
        if puller is None or not self._peers:
            return
        if self._rebuild is not None or (anchor is not None and self._site.state.size < anchor.size):
            await puller.copy()
        if self._rebuild is not None:
            self._rebuild.copied = True

    def _check_anchor(self) -> None:
        """A ledger that reached the bootstrap file's place in a former life is compared with it. Raises AnotherLedger."""
        anchor = self._anchor
        if anchor is None or self._site.flushed_size < anchor.size:
            return
        if self._root_at is not None and self._root_at(anchor.size) != anchor.root:
            words = (
                f"This ledger's tree at size {anchor.size} is not the one that the bootstrap file names. "
                "Nothing is served from it: compare the file's hash with its officers, and start with an empty disk and the right file."
            )
            self._condition.raise_alarm("not-the-bootstrap-ledger", words)
            raise AnotherLedger(words)

    async def _is_at_head(self) -> bool:
        """Whether nothing was ordered after what this site has: the log's history may have been forgotten beyond its last block (erasure does that)."""
        try:
            head = await self._log.head(timeout_ms=HEAD_TIMEOUT_MS)
        except OrderingError:
            return False
        return head.number <= self._site.state.block


class _CopiedInto:
    """The site's ledger as copying sees it."""

    def __init__(self, site: Site, carry_out: Callable[[Iterable[Effect]], None], clock: Clock) -> None:
        self._site = site
        self._carry_out = carry_out
        self._clock = clock

    @property
    def governance(self) -> Governance:
        return self._site.state.governance

    @property
    def block(self) -> int:
        return self._site.state.block

    @property
    def size(self) -> int:
        return self._site.state.size

    async def adopt(self, blocks: Sequence[OfferedBlock], checkpoint: Checkpoint) -> None:
        """Adopt, flush, and take the checkpoint over. Raises NotProven."""
        site, clock = self._site, self._clock
        blocks = [block for block in blocks if block.number > site.state.block]
        if not blocks:  # brought by hand meanwhile
            return
        self._carry_out(site.adopt(blocks, checkpoint, clock.now_ms()))
        while site.state.pending_blocks:
            self._carry_out(site.flush_now())
            await asyncio.sleep(FLUSH_POLL_MS / 1000)
        if site.by_officers is None or checkpoint.text != site.by_officers.text:
            self._carry_out(site.published(checkpoint, site.state.block, clock.now_ms()))
