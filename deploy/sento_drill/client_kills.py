"""Killing a writing client at random moments, again and again: what it was told must stand, once, and nothing may stand under a second id.

Programs write side by side through one outbox; each is killed with `kill -9` some moments after it began, and the next one takes its place. At the end one more
program sends what the dead have left. Then every record of the ledger is compared with what the programs had noted:

* lost: somebody was told that it stands, or that the outbox keeps it, and it does not stand;
* doubled: a record id, or a person's fact, that stands more than once;
* foreign: stands, and no program had tried it.

A record that was tried and of which nobody was told may stand or not: it had come to the outbox, or not yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sento_client import SentoClient
from sento_drill.killed_writer import REGISTRY
from sento_drill.waiting import until

READY_DEADLINE_S = 60.0
EMPTY_DEADLINE_S = 120.0
KILL_AFTER_S = (0.0, 1.2)


@dataclass(slots=True)
class Noted:
    """What the programs had noted, by record id."""

    tried: dict[str, str] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)

    def take(self, text: str) -> None:
        """Add the notes of one life; a last line that was cut says nothing."""
        for line in text.splitlines(keepends=True):
            words = line.split()
            if not line.endswith("\n") or len(words) < 2:
                continue
            if words[0] == "try":
                self.tried[words[1]] = words[2]
            elif words[0] == "told":
                self.told[words[1]] = int(words[2])
            elif words[0] == "kept":
                self.kept.add(words[1])
            else:
                self.refused[words[1]] = words[2]


@dataclass(frozen=True, slots=True)
class Sums:
    """The drill's result."""

    kills: int
    tried: int
    told: int
    kept: int
    standing: int
    lost: int
    doubled: int
    foreign: int
    took_s: float

    @property
    def holds(self) -> bool:
        """Whether the outbox kept its promises."""
        return not (self.lost or self.doubled or self.foreign)

    def line(self) -> str:
        """For people and programs."""
        return (
            f"client-kills: kills={self.kills} tried={self.tried} told={self.told} kept={self.kept} "
            f"standing={self.standing} lost={self.lost} doubled={self.doubled} foreign={self.foreign} took_s={self.took_s:.0f}"
        )


def compare(noted: Noted, standing: list[tuple[str, str, int]], kills: int, took_s: float) -> Sums:
    """`standing`: (record id, fact in hexadecimal, position) of every record of these programs in the ledger."""
    places = {record_id: position for record_id, _, position in standing}
    lost = [record_id for record_id, position in noted.told.items() if places.get(record_id) != position]
    lost += [record_id for record_id in noted.kept if record_id not in places]
    ids, facts = Counter(one[0] for one in standing), Counter(one[1] for one in standing)
    doubled = sum(count > 1 for count in ids.values()) + sum(count > 1 for count in facts.values())
    foreign = sum(record_id not in noted.tried for record_id in places)
    return Sums(
        kills, len(noted.tried), len(noted.told), len(noted.kept), len(places), len(lost), doubled, foreign, took_s
    )  # fmt: skip


class Killing:
    """Programs of one institution over one outbox, killed and replaced."""

    def __init__(self, config: Path, directory: Path, seed: int) -> None:
        self._config = config
        self._directory = directory
        self._chance = random.Random(seed)  # noqa: S311 - a seed repeats the drill
        self.noted = Noted()
        self.kills = 0
        self._lives = 0

    async def kill(self, rounds: int, side_by_side: int, done: Callable[[int], None]) -> None:
        """So many kills in all. Raises TooLate when a program does not begin to write."""

        async def one_after_the_other() -> None:
            while self._lives < rounds:
                self._lives += 1
                await self._one_life(self._lives)
                self.kills += 1
                done(self.kills)

        await asyncio.gather(*(one_after_the_other() for _ in range(side_by_side)))

    async def _one_life(self, life: int) -> None:
        notes = self._directory / f"life-{life}.txt"
        after_s = self._chance.uniform(*KILL_AFTER_S)
        async with started_writer(self._config, str(life), notes):
            await asyncio.sleep(after_s)
        self.noted.take(notes.read_text(encoding="utf-8"))


@asynccontextmanager
async def started_writer(config: Path, life: str, notes: Path) -> AsyncIterator[Process]:
    """A writing program once it has opened its client; killed with `kill -9` at the end. Raises TooLate, RuntimeError when it ends by itself."""
    command = [sys.executable, "-m", "sento_drill.killed_writer", str(config), life, str(notes)]
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)

    async def ready() -> bool:
        if process.returncode is not None:
            raise RuntimeError(f"a writing program ended by itself with exit code {process.returncode}")
        return _has_begun(notes)

    try:
        await until(ready, deadline_s=READY_DEADLINE_S, what="a program did not open its client")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _has_begun(notes: Path) -> bool:
    return notes.exists() and notes.stat().st_size > 0


async def empty_outbox(config: Path) -> None:
    """Take over and send what the dead have left, until the outbox is empty. Raises TooLate."""
    async with SentoClient.open(config) as client:
        client.empty_outbox()

        async def empty() -> bool:
            return client.outbox.sending + client.outbox.uncovered == 0

        await until(empty, deadline_s=EMPTY_DEADLINE_S, what="the outbox did not become empty")


async def standing_records(config: Path) -> list[tuple[str, str, int]]:
    """(record id, fact in hexadecimal, position) of every record of the registry."""
    async with SentoClient.open(config) as client:
        return [
            (version.header.record_id.hex(), version.header.fact.hex(), version.position)
            async for version in client.changes(
                registry=REGISTRY,
                from_position=0,
                purpose="audit of a drill",
                case_number="client-kills",
                header_only=True,
            )
        ]


async def client_kills(
    config: Path, directory: Path, rounds: int, side_by_side: int, seed: int, done: Callable[[int], None]
) -> Sums:
    """The whole drill on a registry that runs. `directory`: an empty one, for the programs' notes. Raises TooLate, SentoError."""
    start_s = time.monotonic()
    killing = Killing(config, directory, seed)
    await killing.kill(rounds, side_by_side, done)
    return await compare_with_ledger(config, killing.noted, killing.kills, start_s)


async def compare_with_ledger(config: Path, noted: Noted, kills: int, start_s: float) -> Sums:
    """Send what is left, read the ledger of a world that only these programs wrote to, and compare. Raises TooLate, SentoError."""
    await empty_outbox(config)
    standing = await standing_records(config)
    return compare(noted, standing, kills, time.monotonic() - start_s)
