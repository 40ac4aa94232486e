"""One site's decisions with their real shell, on an ordering log in this process and a ledger in memory: for faults that no process can be hurt with."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from faulty_ordering import FaultyOrderingLog
from genesis_builder import TestWorld, build_genesis
from sento_node.clock import SystemClock
from sento_node.compose import Life, compose_site
from sento_node.condition import Condition
from sento_node.ledger.memory_store import FlushMoment, MemoryDisk, MemoryStore
from sento_node.ordering.in_process import InProcessLog
from sento_node.runner import Runner
from sento_node.site import Site

SITE = "jp-fukuoka"


@dataclass
class ManualClock:
    """A clock that the test moves."""

    at_ms: int = 1_000_000

    def now_ms(self) -> int:
        return self.at_ms

    def wall_ms(self) -> int:
        return 1_767_225_600_000 + self.at_ms


@dataclass
class LoneSite:
    """A site alone, its store and its log. `flush_fails` makes every flush from now on fail."""

    world: TestWorld = field(default_factory=lambda: build_genesis(sites=(SITE,)))
    flush_fails: bool = False

    def __post_init__(self) -> None:
        self.store = MemoryStore(MemoryDisk(self.world.ledger_id), at_flush=self._at_flush)
        self.order = InProcessLog((SITE,))
        self.log = FaultyOrderingLog(self.order.access(SITE))
        self.condition = Condition()

    def _at_flush(self, moment: FlushMoment) -> None:
        if self.flush_fails and moment is FlushMoment.BEFORE:
            raise OSError(5, "Input/output error")

    def compose(self, boot_number: int = 1) -> Site:
        """The decisions as of the store's tip."""
        life = Life(SITE, self.world.site_signers[SITE], boot_number, lanes=2)
        return compose_site(self.store, self.world.genesis, life, now_ms=0)

    @contextlib.asynccontextmanager
    async def running(self, make: Callable[..., Runner] = Runner) -> AsyncIterator[Runner]:
        """The runner over it, started, and stopped at the end unless it stopped itself."""
        with ThreadPoolExecutor(max_workers=1) as writer:
            runner = make(self.compose(), self.store, self.log, {}, SystemClock(), self.condition, writer)
            runner.start()
            try:
                yield runner
            finally:
                with contextlib.suppress(Exception):
                    await runner.stop()
