"""The chunks that this site gives others just now: made away from the event loop, few at a time, and kept a moment for whoever goes on with one.

A chunk is given in pieces, over lines that break; one that is asked for again within half a minute is not made again. What was made before the last officers'
act is never given after it: it may hold a payload that the act had destroyed.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from sento_proto.chunk import ChunkName, chunk_id

KEPT_MAX_BYTES = 48 * 1024 * 1024
"""Chunks on the shelf: those of some streams and the ones after them."""
KEPT_FOR_S = 30.0
"""Then it is let go, so that no payload stays in memory of which nobody asks."""
MADE_AT_ONCE = 2


class MadeChunk(NamedTuple):
    """A chunk's bytes, their SHA-256, and the newest act when they were made."""

    chunk_id: bytes
    data: bytes
    last_act: bytes


class Shelf:
    """Chunks by what was asked for. One event loop owns it."""

    def __init__(self) -> None:
        self._made: OrderedDict[ChunkName, MadeChunk] = OrderedDict()
        self._making: dict[tuple[ChunkName, bytes], asyncio.Task[MadeChunk]] = {}
        self._threads = ThreadPoolExecutor(MADE_AT_ONCE, thread_name_prefix="sento-chunks")

    async def get(self, asked: ChunkName, last_act: bytes, make: Callable[[], bytes]) -> MadeChunk:
        """The chunk that was asked for, made by `make` in a thread unless it is at hand. Raises what `make` raises."""
        found = self._made.get(asked)
        if found is not None and found.last_act == last_act:
            self._made.move_to_end(asked)
            return found
        task = self._making.get((asked, last_act))
        if task is None:
            task = asyncio.create_task(self._make(asked, last_act, make), name="make-chunk")
            self._making[asked, last_act] = task
        return await asyncio.shield(task)

    async def _make(self, asked: ChunkName, last_act: bytes, make: Callable[[], bytes]) -> MadeChunk:
        loop = asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(self._threads, _made, make, last_act)
        finally:
            del self._making[asked, last_act]
        self._made[asked] = made
        self._made.move_to_end(asked)
        while sum(len(chunk.data) for chunk in self._made.values()) > KEPT_MAX_BYTES and len(self._made) > 1:
            self._made.popitem(last=False)
        loop.call_later(KEPT_FOR_S, self._let_go, asked, made)
        return made

    def _let_go(self, asked: ChunkName, made: MadeChunk) -> None:
        if self._made.get(asked) is made:
            del self._made[asked]


def _made(make: Callable[[], bytes], last_act: bytes) -> MadeChunk:
    data = make()
    return MadeChunk(chunk_id(data), data, last_act)
