"""Payloads that another site's ledger did not give: fetched from whoever has them, or erased when an order covers them by now.

Thousands of them, as after a spine was copied first, come in chunks (`sync/filling.py`); the rest by hash. While one is missing this site proposes and cosigns
nothing (`hold_back`): it vouches only for what it holds. Each peer is asked in turn; what comes is proven by the hash that the record's author signed, and a
peer that says "erased" is not believed: only an order in this ledger ends the waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import structlog

from sento_node.ledger.store import KeptRecord, LedgerStore
from sento_node.peers import FetchedPayload, PeerSilent
from sento_node.site import PAYLOADS_AWAITED, Site
from sento_node.sync.fetching import is_destroyed

LOOK_EVERY_MS = 500
AGAIN_MS = 2_000
FETCHED_AT_ONCE = 64
_T = TypeVar("_T")


class FillsMany(Protocol):
    """Whoever fetches payloads by the thousand."""

    @property
    def is_held_up(self) -> bool:
        """Whether payloads wait for now, because records are being copied."""
        ...

    def look(self) -> None:
        """Drop what may hold payloads that an order has had destroyed. Raises OSError."""
        ...

    async def fill(self) -> int:
        """Store what many are awaited of; how many were stored. Raises LedgerFailed, OSError."""
        ...


class GivesPayloads(Protocol):
    """What of a peer is needed here."""

    def fetch_payloads(self, record_hashes: Sequence[bytes]) -> AsyncIterator[FetchedPayload]:
        """The peer's answer for each record hash. Raises PeerSilent."""
        ...


async def keep_whole(
    site: Site,
    store: LedgerStore,
    writer: ThreadPoolExecutor,
    peers: Mapping[str, GivesPayloads],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    filler: FillsMany | None = None,
) -> None:
    """Fetch what is awaited, for as long as the site runs: by `filler` where it is much, and what is left by hash. Raises LedgerFailed, LedgerDamaged."""
    log = structlog.get_logger("sento.node")
    turns: Iterator[str] = itertools.cycle(sorted(peers)) if peers else iter(())
    while True:
        if filler is not None:
            filler.look()
            if filler.is_held_up:
                await sleep(LOOK_EVERY_MS / 1000)
                continue
        is_flushed = store.tip.block == site.state.block
        wanted = await asyncio.to_thread(_awaited, store)
        if not wanted:
            if is_flushed:
                site.checkpoints.hold_back(PAYLOADS_AWAITED, on=False)
            await sleep(LOOK_EVERY_MS / 1000)
            continue
        destroyed = [kept.position for kept in wanted if is_destroyed(site.state.governance, kept)]
        if destroyed:
            await _in(writer, functools.partial(store.erase, destroyed))
            continue
        if filler is not None and await filler.fill():
            continue
        name = next(turns, None)
        filled = 0 if name is None else await _fetch(peers[name], store, writer, wanted)
        log.info("awaited payloads", asked=name, got=filled, of=len(wanted))
        if not filled:
            await sleep(AGAIN_MS / 1000)


def _awaited(store: LedgerStore) -> list[KeptRecord]:
    return [store.record(position, with_payload=False) for position in store.awaited(FETCHED_AT_ONCE)]


async def _fetch(
    peer: GivesPayloads, store: LedgerStore, writer: ThreadPoolExecutor, wanted: Sequence[KeptRecord]
) -> int:
    by_hash = {kept.record_hash: kept for kept in wanted}
    proven: list[tuple[int, bytes]] = []
    with contextlib.suppress(PeerSilent):  # what came before the silence is kept
        async for answer in peer.fetch_payloads(list(by_hash)):
            kept = by_hash.get(answer.record_hash)
            if kept is None or answer.payload is None:
                continue
            if hashlib.sha256(answer.payload).digest() == kept.payload_hash:
                proven.append((kept.position, answer.payload))
    return await _in(writer, lambda: store.fill(proven)) if proven else 0


async def _in(writer: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(writer, work)
