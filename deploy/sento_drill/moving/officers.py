"""Three of five officers at their own computers, and the operator's certificate: who types what when the capital moves."""

from __future__ import annotations

from pathlib import Path

from sento_drill.commands import sento
from sento_drill.plan import OFFICERS, OFFICERS_THRESHOLD
from sento_drill.world import World

DEGRADED = 5
"""How `sento` ends where something is open: a signature, a site that does not answer, a gap."""
SIGNERS = OFFICERS[:OFFICERS_THRESHOLD]


class Officers:
    """Those of a world. Files lie in one directory that all of them see, as on a stick that is carried from one to the next."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stick = world.directory / "officers-stick"
        self._stick.mkdir(mode=0o700, exist_ok=True)
        self._acts = 0

    def file(self, name: str) -> Path:
        """A file on the stick."""
        return self._stick / name

    async def first(self, *words: str, ends: tuple[int, ...] = (0,)) -> str:
        """What the first of them types, and what it prints. Raises CommandFailed."""
        return await sento(self._world.officer(SIGNERS[0]).directory, *words, ends=ends)

    async def sign(self, *command: str) -> None:
        """Each types the same command, one after the other. Raises CommandFailed."""
        for officer in SIGNERS:
            await sento(self._world.officer(officer).directory, *command, "--yes")

    async def decide(self, reason: str, *changes: str) -> None:
        """An act: proposed, signed by each, submitted. `changes`: as `sento govern propose` takes them. Raises CommandFailed."""
        self._acts += 1
        act = self.file(f"act-{self._acts}.json")
        act.unlink(missing_ok=True)
        await self.first("govern", "propose", "--reason", reason, "--out", str(act), *changes)
        await self.sign("govern", "sign", str(act))
        await self.first("govern", "submit", str(act))

    @property
    def operator(self) -> tuple[str, str]:
        """The option that shows the operator's certificate."""
        return ("--operator", str(self._world.operator.directory))
