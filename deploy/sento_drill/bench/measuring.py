"""The course of the bench: which sides can run here, then the works in turns, reading, killing and sealing; each result is saved as soon as it is there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sento_drill.bench.attempts import Attempts
from sento_drill.bench.document import Document
from sento_drill.bench.etcd_client import find_client
from sento_drill.bench.etcd_members import ELECTION_MS, HEARTBEAT_MS, etcd_version
from sento_drill.bench.etcd_side import EtcdSide
from sento_drill.bench.killing import Kill, measure_kills
from sento_drill.bench.machine import describe
from sento_drill.bench.postgresql_servers import SETTINGS, SYNCHRONOUS, find_tools, server_user
from sento_drill.bench.postgresql_side import PostgresqlSide
from sento_drill.bench.reads import measure_reads, reads_of
from sento_drill.bench.sealing import measure_sealing
from sento_drill.bench.sento_side import SentoSide
from sento_drill.bench.sides import ETCD, POSTGRESQL, SENTO, KillableSide, Side, run_alone
from sento_drill.bench.summary import Run, in_turn, run_of
from sento_drill.bench.works import CONTENT_BYTES, PEER_VALUE_BYTES, WORKS, Timing, Work
from sento_drill.config_files import OrderingSettings
from sento_drill.display import Display
from sento_drill.plan import IIZUKA_CITY
from sento_drill.world import make_world

READS, LEADER_KILL, SEALING = "reads", "leader_kill", "sealing"
Noted = TypeVar("Noted", Run, Kill)
PARTS = (*(work.name for work in WORKS), READS, LEADER_KILL, SEALING)


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """`above`: all sides keep their data in a new directory in it, which goes away; `output`: bench.json."""

    above: Path
    output: Path
    pairs: int
    timing: Timing
    kills: int
    parts: Sequence[str]
    sides: Sequence[str]
    ordering: OrderingSettings


class Bench:
    """One bench. `document` has what was measured, also when `run` raises."""

    def __init__(self, settings: BenchSettings, display: Display, document: Document) -> None:
        self._settings = settings
        self._display = display
        self._document = document
        self._attempts = Attempts(display.say, document.trouble)
        self._done = 0

    async def run(self) -> None:
        """Measure all that was asked for; what failed stands in the document. Raises TooLate, LoadFailed, NoWorld, OSError when it cannot go on."""
        settings, document = self._settings, self._document
        directory = _new_directory(settings.above)
        try:
            self._display.stage("looking at the machine, starting with the best client for each peer")
            document.pairs = settings.pairs
            document.machine = describe(directory, find_tools())
            self._sides = await self._find_sides(directory)
            await self._prepare()
            self._display.stage("measuring", self._steps())
            await self._measure(directory)
            document.complete = not document.trouble
        finally:
            document.save(settings.output)
            shutil.rmtree(directory, ignore_errors=True)

    async def _measure(self, directory: Path) -> None:
        settings, document = self._settings, self._document
        await self._writing()
        if READS in settings.parts:
            reads = reads_of(self._sento, self._etcd)
            await measure_reads(
                reads, settings.pairs, settings.timing, self._attempts, self._notes(document.reads)
            )
        if LEADER_KILL in settings.parts:
            await measure_kills(self._killable, settings.kills, self._attempts, self._notes(document.kills))
        if SEALING in settings.parts:
            world = make_world(directory / "sealing")
            document.sealing = await measure_sealing(world.institution(IIZUKA_CITY.name).config)
            self._advance()

    async def _writing(self) -> None:
        """Each work in so many pairs; in a pair the sides follow each other, and the one that begins changes."""
        note = self._notes(self._document.runs)
        for place, work in enumerate(self._works):
            for pair in range(1, self._settings.pairs + 1):
                for name in in_turn(list(self._sides), place + pair - 1):
                    what = f"{work.name} {name} pair {pair}"
                    await note(await self._attempts.at(what, self._write(self._sides[name], work, pair)))

    async def _write(self, side: Side, work: Work, pair: int) -> Run:
        timing = self._settings.timing
        calls, usage = await run_alone(side, lambda: side.writing(work, timing), timing)
        return run_of(work.name, work.batch, side.name, pair, calls, usage)

    async def _find_sides(self, directory: Path) -> dict[str, Side]:
        """The sides that were asked for and can run here; why the others cannot is written down."""
        asked, skipped = self._settings.sides, self._document.skipped
        found: dict[str, Side] = {}
        self._sento: SentoSide | None = None
        self._etcd: EtcdSide | None = None
        if SENTO in asked:
            found[SENTO] = self._sento = SentoSide(directory / SENTO, self._settings.ordering)
        if ETCD in asked and not etcd_version():
            skipped[ETCD] = "etcd is not on PATH; on Debian: apt-get install etcd-server"
        elif ETCD in asked:
            client = await find_client()
            self._document.settings["etcd_client"] = client.words
            found[ETCD] = self._etcd = EtcdSide(directory / ETCD, client)
        if POSTGRESQL in asked:
            try:
                tools, user = find_tools(), server_user(directory)
                if tools is None:
                    raise LookupError(
                        "PostgreSQL's servers are not installed; on Debian: apt-get install postgresql"
                    )
                found[POSTGRESQL] = PostgresqlSide(directory / POSTGRESQL, tools, user)
            except LookupError as error:
                skipped[POSTGRESQL] = str(error)
        for side, reason in skipped.items():
            self._display.say(f"{side} is skipped: {reason}")
        return found

    async def _prepare(self) -> None:
        settings = self._settings
        if self._etcd is not None:
            await self._etcd.try_placements(self._works, settings.timing, reading=READS in settings.parts)
        self._document.settings |= {
            "parts": list(settings.parts),
            "sides": list(self._sides),
            "pairs": settings.pairs,
            "kills": settings.kills,
            "warm_up_s": settings.timing.warm_up_s,
            "seconds": settings.timing.seconds,
            "turns": "only the measured side runs, from empty stores; the first side of a pair changes with every pair",
            "content_bytes": CONTENT_BYTES,
            "peer_value_bytes": PEER_VALUE_BYTES,
            "ordering": {"lanes": settings.ordering.lanes, "block_kib": settings.ordering.block_kib},
            "etcd": {"heartbeat_ms": HEARTBEAT_MS, "election_ms": ELECTION_MS},
            "postgresql": {
                **SETTINGS,
                "synchronous_standby_names": SYNCHRONOUS,
                "client": "pgbench -M prepared",
            },
        }
        if self._etcd is not None:
            self._document.settings["etcd_placement"] = self._etcd.placements
            self._document.settings["etcd_placements_tried"] = self._etcd.trials

    @property
    def _works(self) -> list[Work]:
        return [work for work in WORKS if work.name in self._settings.parts]

    @property
    def _killable(self) -> list[KillableSide]:
        return [side for side in (self._sento, self._etcd) if side is not None]

    def _steps(self) -> int:
        settings = self._settings
        steps = len(self._works) * settings.pairs * len(self._sides)
        if READS in settings.parts:
            steps += len(reads_of(self._sento, self._etcd)) * settings.pairs
        if LEADER_KILL in settings.parts:
            steps += len(self._killable) * settings.kills
        return steps + (SEALING in settings.parts)

    def _notes(self, into: list[Noted]) -> Callable[[Noted | None], Awaitable[None]]:
        """Keep, save and say each result as it comes."""

        async def note(result: Noted | None) -> None:
            if result is not None:
                into.append(result)
                self._display.say(result.line())
            self._advance()

        return note

    def _advance(self) -> None:
        self._done += 1
        self._display.advance(self._done)
        self._document.save(self._settings.output)


def _new_directory(above: Path) -> Path:
    directory = Path(tempfile.mkdtemp(prefix="sento-bench-", dir=above))
    directory.chmod(0o755)  # PostgreSQL's servers may run as another user
    return directory
