"""Ordering one block: the same (lane, seq, bytes) again and again until its outcome is known, here or in the order itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import structlog

from sento_node.condition import Condition
from sento_node.intake.lanes import Append
from sento_node.ordering.port import LaneConflict, OrderingError, OrderingFull, OrderingLog, OrderingRefused
from sento_node.site import Effect, Site
from sento_node.tallies import Tallies

APPEND_TIMEOUT_MS = 500
APPEND_TIMEOUT_MAX_MS = 8_000
RETRY_FIRST_MS = 30
RETRY_MAX_MS = 1_000


class Appender:
    """Orders the blocks of one life. `carry_out` does what the site decides about each try."""

    def __init__(
        self,
        site: Site,
        log: OrderingLog,
        condition: Condition,
        tallies: Tallies,
        carry_out: Callable[[Iterable[Effect]], None],
    ) -> None:
        self._site = site
        self._log = log
        self._condition = condition
        self._tallies = tallies
        self._carry_out = carry_out
        self._log_lines = structlog.get_logger("sento.node")

    async def append(self, append: Append) -> None:
        """Return when the block is ordered, or need not be tried again. Raises LaneConflict, OrderingRefused."""
        pause_ms, timeout_ms = RETRY_FIRST_MS, APPEND_TIMEOUT_MS
        began_s = time.perf_counter()
        while True:
            try:
                place = await self._log.append(append.lane, append.seq, append.data, timeout_ms=timeout_ms)
            except OrderingFull:
                self._condition.raise_alarm(
                    "ordering-full",
                    "The ordering log's quota is reached; trimming has to free it before writing goes on.",
                )
            except LaneConflict:
                if self._site.lanes.is_retired(append.lane):
                    return
                raise
            except OrderingRefused:
                raise
            except OrderingError as error:
                self._log_lines.warning(
                    "append outcome unknown", lane=append.lane, seq=append.seq, why=str(error)[:200]
                )
            else:
                self._tallies.ordered(time.perf_counter() - began_s, len(append.data))
                self._carry_out(self._site.appended(append.lane, append.seq, place))
                return
            again, effects = self._site.append_failed(append.lane, append.seq)
            self._carry_out(effects)
            if again is None:
                return
            await asyncio.sleep(pause_ms / 1000)
            pause_ms, timeout_ms = min(2 * pause_ms, RETRY_MAX_MS), min(2 * timeout_ms, APPEND_TIMEOUT_MAX_MS)
