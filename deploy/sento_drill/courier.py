"""A courier's way: volumes made from live sites, judged offline, brought to a site that has no link; each step the command that people type, with its time.

Whoever makes the volumes signs them, and the one whom they are sealed to brings them: two people of two offices, neither of whom a host country could replace.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from sento_drill.commands import sento
from sento_drill.plan import IIZUKA_CITY
from sento_drill.world import World

MAKER = IIZUKA_CITY.name
"""Signs the volumes."""
BRINGER = "digital-minister"
"""Whom they are sealed to."""
VOLUME_SIZE = "64MB"
SUFFIX = ".sento-volume"


@dataclass(frozen=True, slots=True)
class Courier:
    """A courier between sites of a world. The volumes lie in `directory`, which must exist."""

    world: World
    directory: Path
    volume_size: str = VOLUME_SIZE

    async def export(self) -> float:
        """Make the volumes; seconds. A site that does not run is told of them another time. Raises CommandFailed."""
        return await self._timed(
            self._maker,
            *("courier", "export", str(self.directory), "--to", BRINGER),
            *("--volume-size", self.volume_size, "--operator", str(self._operator)),
        )

    async def fetch_trust(self) -> None:
        """What volumes are judged by, from a live site. Raises CommandFailed."""
        self._trust.unlink(missing_ok=True)
        await sento(self._bringer, "govern", "trust", "--out", str(self._trust))

    async def verify(self) -> float:
        """Prove them without any site, after `fetch_trust`; seconds. Raises CommandFailed."""
        words = ("courier", "verify", str(self.directory), "--trust", str(self._trust), "--key", "seal.key")
        return await self._timed(self._bringer, *words)

    async def bring(self, site: str) -> float:
        """Give them to a site; seconds. Raises CommandFailed, also when something was missing."""
        return await self._timed(
            self._bringer,
            *("courier", "import", str(self.directory), "--site", site, "--key", "seal.key"),
            *("--operator", str(self._operator)),
        )

    def volumes(self) -> tuple[int, int]:
        """How many there are, and their bytes together."""
        sizes = [path.stat().st_size for path in self.directory.glob(f"*{SUFFIX}")]
        return len(sizes), sum(sizes)

    @property
    def _trust(self) -> Path:
        return self.directory.with_name(f"{self.directory.name}-trust.json")

    @property
    def _maker(self) -> Path:
        return self.world.institution(MAKER).directory

    @property
    def _bringer(self) -> Path:
        return self.world.officer(BRINGER).directory

    @property
    def _operator(self) -> Path:
        return self.world.operator.directory

    async def _timed(self, directory: Path, *words: str) -> float:
        begun_s = time.monotonic()
        await sento(directory, *words)
        return time.monotonic() - begun_s
