"""The scrub as a task of the node's life: starts the child for each round, fences what it finds, heals it behind the round.

The child may die of what it reads; this side reads nothing of it but lines. It ends with the node: killed and waited for when the task is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from sento_node.clock import Clock
from sento_node.ledger.findings import Finding
from sento_node.ledger.lmdb_files import database_directory, payloads_directory
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.runner import Runner
from sento_node.scrub.deciding import Rebuild, Remedy, TellPeople
from sento_node.scrub.healing import Healer
from sento_node.scrub.lines import At, Ended, NotUnderstood, read_line
from sento_node.scrub.progress import ScrubState

FOUND, FAILED, REMEMBERED = "scrub-found", "scrub-failed", "scrub-remembered"
FENCED = "fenced"
LINE_MAX_BYTES = 64 * 1024
DUE_AGAIN_S = 2.0
"""How soon the next round begins while something is not healed."""


@dataclass(frozen=True, slots=True)
class ScrubSettings:
    """Where the ledger is and how fast it is read."""

    directory: Path
    genesis: Path
    mib_per_s: float
    pause_s: float


class Scrubber:
    """Round after round, for as long as the node's life lasts."""

    def __init__(
        self,
        settings: ScrubSettings,
        runner: Runner,
        store: LmdbStore,
        healer: Healer,
        clock: Clock,
        state: ScrubState,
    ) -> None:
        self._settings = settings
        self._runner = runner
        self._store = store
        self._healer = healer
        self._clock = clock
        self._state = state
        self._at = ""
        self._remedies: dict[Remedy, None] = {}
        self._log = structlog.get_logger("sento.node")

    async def run(self) -> None:
        """Rounds until cancelled or until the ledger has to be made anew. Raises LedgerFailed."""
        pause_s = self._settings.pause_s
        while True:
            await asyncio.sleep(pause_s)
            rebuild = await self._round()
            if rebuild is not None:
                self._runner.rebuild_asked(
                    f"The background reading found damage that cannot be mended in place. {rebuild.words}"
                )
                return
            await self._heal()
            left = bool(self._remedies)
            pause_s = min(DUE_AGAIN_S, self._settings.pause_s) if left else self._settings.pause_s

    # -- one round ----------------------------------------------------------------------------------------------------

    async def _round(self) -> Rebuild | None:
        state, settings = self._state, self._settings
        state.round_began_ms, state.round_bytes_done = self._clock.wall_ms(), 0
        state.round_bytes_total = await asyncio.to_thread(_ledger_bytes, settings.directory)
        self._remedies.clear()
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sento_node.scrub.child",
            str(settings.directory), str(settings.genesis), str(settings.mib_per_s),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, limit=LINE_MAX_BYTES,
        )  # fmt: skip
        try:
            assert child.stdout is not None
            ended, rebuild = await self._listen(child.stdout)
            code = await child.wait() if rebuild is None else 0
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        if rebuild is not None:
            return rebuild
        if code < 0:
            return self._died(-code)
        if not ended or code:
            words = f"The reader of the ledger ended with code {code} before it had read everything. See the node's log."
            self._runner.condition.raise_alarm(FAILED, words)
            return None
        self._ended()
        return None

    async def _listen(self, lines: asyncio.StreamReader) -> tuple[bool, Rebuild | None]:
        """(whether the round ended, what makes it useless to go on)."""
        ended = False
        async for line in lines:
            try:
                said = read_line(line)
            except NotUnderstood:
                continue  # the last line of one that died
            match said:
                case At(words, read_bytes):
                    self._at = words
                    self._progressed(read_bytes)
                case Ended(read_bytes):
                    self._progressed(read_bytes)
                    ended = True
                case Finding():
                    rebuild = self._found(said)
                    if rebuild is not None:
                        return False, rebuild
        return ended, None

    def _progressed(self, read_bytes: int) -> None:
        self._state.read_bytes += max(0, read_bytes - self._state.round_bytes_done)
        self._state.round_bytes_done = read_bytes

    def _found(self, finding: Finding) -> Rebuild | None:
        """Fence first, then say what is to be done."""
        remedy = self._state.mending.found_now(finding)
        self._fence()
        self._log.error(
            "damage found",
            kind=finding.kind.value,
            position=finding.position,
            block=finding.block,
            words=finding.words,
        )
        self._runner.condition.raise_alarm(
            FOUND,
            f"Damage was found on this site's disk ({self._state.mending.found} places in this life, the last: {finding.words}) "
            "It is healed from other sites; look at the disk (runbook: scrub).",
        )
        if isinstance(remedy, Rebuild):
            return remedy
        if isinstance(remedy, TellPeople):
            self._runner.condition.raise_alarm(REMEMBERED, remedy.words)
        else:
            self._remedies[remedy] = None
        return None

    def _died(self, signal_number: int) -> Rebuild | None:
        self._state.deaths += 1
        words = f"The reader of the ledger was ended by signal {signal_number} at {self._at}: a page led it astray."
        self._runner.condition.raise_alarm(FOUND, words)
        return self._state.mending.died(self._at)

    def _ended(self) -> None:
        state = self._state
        state.rounds += 1
        state.last_round_ended_ms = self._clock.wall_ms()
        state.round_bytes_total = max(state.round_bytes_total, state.round_bytes_done)
        left = state.mending.round_ended()
        self._fence()
        self._runner.condition.end_alarm(FAILED)
        if not left and FOUND in self._runner.condition.alarms:
            self._log.warning("everything that was found is healed", healed=state.mending.healed)
            self._runner.condition.end_alarm(FOUND)
            self._runner.condition.end_alarm(REMEMBERED)

    # -- fencing and healing ------------------------------------------------------------------------------------------

    def _fence(self) -> None:
        mending = self._state.mending
        self._store.fence(mending.fenced_records, mending.fenced_blocks)
        self._runner.site.checkpoints.hold_back(FENCED, on=bool(mending.fenced))

    async def _heal(self) -> None:
        if not self._remedies:
            return
        await self._healer.apply(self._remedies)
        for remedy in self._remedies:
            self._state.mending.tried(remedy)


def _ledger_bytes(directory: Path) -> int:
    """What there is to read, roughly: free pages of the database count too."""
    files = [database_directory(directory) / "data.mdb", *payloads_directory(directory).glob("*.segment")]
    total = 0
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def start_scrubbing(
    settings: ScrubSettings,
    runner: Runner,
    healer_of: Callable[[LmdbStore], Healer],
    clock: Clock,
    state: ScrubState,
) -> None:
    """Begin, if this site's store is on a disk and the configuration wants it."""
    store = runner.store
    if settings.mib_per_s and isinstance(store, LmdbStore):
        runner.also_run(Scrubber(settings, runner, store, healer_of(store), clock, state).run(), "scrub")
