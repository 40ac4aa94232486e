"""Filling in payloads that are awaited by the thousand, after a spine was adopted: chunks of payloads by registry, several streams, each payload proven.

One pass goes through every site that answers, until nothing is left that they have; what is left then is for whoever asks by hash (`erasure/awaiting.py`). A
payload that is not what its author signed refuses its giver. What an order had destroyed meanwhile is not stored.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import structlog

from sento_node.clock import Clock
from sento_node.condition import Condition
from sento_node.ledger.store import LedgerStore
from sento_node.sync.downloading import (
    Downloader,
    FalseChunk,
    GivesChunks,
    NotHeld,
    Silence,
    decoded,
    end_of,
)
from sento_node.sync.fetching import is_destroyed
from sento_node.sync.parts import NoRoom, Wanted
from sento_node.sync.payload_walk import Walk, in_order, stretches_of
from sento_node.sync.progress import PAYLOADS, Progress
from sento_node.sync.pulling import NO_ROOM, UNPROVEN, CopySettings, carried_out
from sento_node.sync.sources import Sources
from sento_proto.chunk import decode_payloads
from sento_proto.governance.state import Governance
from sento_proto.wire import Malformed

COUNTED_MAX = 10_000_000


class Filler:
    """Fetches payloads in bulk. `governance`: in force now."""

    def __init__(
        self,
        givers: Mapping[str, GivesChunks],
        downloader: Downloader,
        store: LedgerStore,
        writer: ThreadPoolExecutor,
        governance: Callable[[], Governance],
        clock: Clock,
        condition: Condition,
        settings: CopySettings,
    ) -> None:
        self._others = givers
        self._givers: Mapping[str, GivesChunks] = {}
        self._downloader = downloader
        self._store = store
        self._writer = writer
        self._governance = governance
        self._clock = clock
        self._condition = condition
        self._settings = settings
        self._log = structlog.get_logger("sento.node")

    @property
    def is_held_up(self) -> bool:
        """Whether a ledger's spine is being copied: payloads wait for it, the line is its."""
        return self._condition.sync is not None

    def look(self) -> None:
        """Drop parts that may hold what an order has had destroyed. Raises OSError."""
        self._downloader.parts.erasures_carried_out(carried_out(self._governance()))

    async def fill(self) -> int:
        """One pass. Returns how many payloads were stored. Raises LedgerFailed, OSError."""
        stretches = await asyncio.to_thread(
            lambda: list(stretches_of(self._store.tip.size, self._store.awaited))
        )
        self._givers = dict(self._others)
        if not stretches or not self._givers:
            return 0
        wanted = await asyncio.to_thread(lambda: len(self._store.awaited(COUNTED_MAX)))
        progress = self._condition.sync = Progress(stage=PAYLOADS, wanted=wanted)
        registries = in_order(self._settings.payload_order, self._governance().registries)
        sources = Sources(self._givers)
        try:
            while (site := sources.choose(self._clock.now_ms())) is not None:
                progress.source = site
                await self._from_site(site, sources, Walk(registries, stretches), progress)
                stretches = await asyncio.to_thread(
                    lambda: list(stretches_of(self._store.tip.size, self._store.awaited))
                )
                if not stretches:
                    break
            if self._condition.sync is progress:
                self._downloader.parts.forget(everything=True)
        finally:
            if self._condition.sync is progress:
                self._condition.sync = None
        return progress.done

    async def _from_site(self, site: str, sources: Sources, walk: Walk, progress: Progress) -> None:
        """All that this site has; it is left when it falls silent or gives something false."""
        streams = [
            asyncio.create_task(self._stream(site, number, sources, walk, progress))
            for number in range(self._settings.streams)
        ]
        try:
            await asyncio.gather(*streams)
            sources.ended(site)
        except Silence as error:
            self._log.info("no payloads from a peer", site=site, why=str(error)[:200])
            sources.silent(site, self._clock.now_ms())
        except FalseChunk as error:
            self._condition.raise_alarm(
                UNPROVEN, f"{site} offered payloads that do not prove themselves: {error}"
            )
            self._downloader.parts.forget(site=site)
            sources.refuse(site, self._clock.now_ms())
        finally:
            for task in streams:
                task.cancel()
            await asyncio.gather(*streams, return_exceptions=True)

    async def _stream(self, site: str, number: int, sources: Sources, walk: Walk, progress: Progress) -> None:
        def came(_: str, size_bytes: int) -> None:
            progress.came(size_bytes, self._clock.now_ms())

        while (wanted := walk.next()) is not None:
            self.look()
            progress.registry = wanted.registry
            before = self._downloader.parts.kept_bytes(site, wanted)
            try:
                part = await self._downloader.fetch(self._givers[site], number, wanted, came)
            except NotHeld:
                continue  # its ledger ends before this one's
            except Silence:
                if self._downloader.parts.kept_bytes(site, wanted) > before:
                    sources.progressed(site)
                rest_ms = sources.failed(site, self._clock.now_ms())
                if sources.current != site:
                    raise
                walk.again(wanted)
                await asyncio.sleep(rest_ms / 1000)
                continue
            except NoRoom as error:
                self._condition.raise_alarm(NO_ROOM, str(error))
                raise Silence(str(error)) from error
            self._condition.end_alarm(NO_ROOM)
            sources.progressed(site)
            end, inherited = end_of(part, wanted), part.inherited
            part.close()
            try:
                stored = await self._store_payloads(site, wanted)
            except FalseChunk:
                if not inherited:
                    raise
                walk.again(wanted)  # a former life received some of it, and may have lost power: once more
                continue
            finally:
                self._downloader.parts.remove(site, wanted)
            progress.done += stored
            walk.went_on(wanted, end)

    async def _store_payloads(self, site: str, wanted: Wanted) -> int:
        try:
            proven = await asyncio.to_thread(self._proven, site, wanted)
        except FileNotFoundError:
            raise Silence("an erasure was carried out meanwhile; the payloads are fetched anew") from None
        if not proven:
            return 0
        work = functools.partial(self._store.fill, proven)
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    def _proven(self, site: str, wanted: Wanted) -> list[tuple[int, bytes]]:
        """The payloads of a part that are awaited here and no order had destroyed. In a thread. Raises FalseChunk, FileNotFoundError."""
        governance = self._governance()
        proven: list[tuple[int, bytes]] = []
        try:
            chunk = decoded(self._downloader.parts.read(site, wanted), wanted, governance.ledger_id)
            for item in decode_payloads(chunk):
                kept = self._store.record(item.position, with_payload=False)
                if not kept.awaited or is_destroyed(governance, kept):
                    continue
                if hashlib.sha256(item.data).digest() != kept.payload_hash:
                    raise FalseChunk(f"the payload at position {item.position} is not what was signed")
                proven.append((item.position, item.data))
        except Malformed as error:
            raise FalseChunk(str(error)) from error
        return proven
