"""A command of `sento` as a process of its own that may lose power: begun in a directory that knows nothing, killed when a condition holds."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path

from live_sites import LiveSites
from sento_drill.waiting import until

END_S = 240.0
WAIT_S = 90.0
_GRACE_S = 10.0


class Computers:
    """Computers of operators, each a directory of its own under `root`: what one of them was in the middle of, the next one does not know."""

    def __init__(self, sites: LiveSites, root: Path, officers: Collection[str]) -> None:
        self._sites = sites
        self._root = root
        self._numbers = itertools.count(1)
        self._officers = itertools.cycle(officers)

    def _next(self, file: Path) -> tuple[Path, Path]:
        """Another computer with a copy of the file; it and the configuration of who sits there."""
        directory = self._root / f"computer-{next(self._numbers)}"
        directory.mkdir()
        return Path(shutil.copy(file, directory)), self._sites.world.officer(next(self._officers)).config

    @contextlib.asynccontextmanager
    async def running(self, file: Path, *words: str) -> AsyncIterator[Run]:
        """`sento <words> <file>` at the next computer, as long as the block lasts; killed behind it if it still runs."""
        copy, config = self._next(file)
        asks_sites = ("--operator", str(self._sites.world.operator.directory))
        operator = asks_sites if words[0] in ("relocate", "recover") else ()
        command = [str(Path(sys.executable).with_name("sento")), "--config", str(config), *words]
        with (copy.parent / "said").open("wb") as said:
            process = subprocess.Popen(
                [*command, str(copy), *operator],
                cwd=copy.parent,
                env={**os.environ, "COLUMNS": "160"},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        run = Run(process, copy)
        try:
            yield run
        finally:
            run.kill()

    async def ends(self, file: Path, *words: str, codes: Collection[int] = (0,)) -> Run:
        """The command at the next computer, to its end, which is one of `codes`."""
        async with self.running(file, *words) as run:
            code = await run.ended()
        assert code in codes, run.said()
        return run

    async def killed_when(
        self, file: Path, *words: str, condition: Callable[[], Awaitable[bool]], what: str
    ) -> None:
        """The command at the next computer, killed as soon as the condition holds, or at its end before that."""
        async with self.running(file, *words) as run:

            async def reached() -> bool:
                return await condition() or (run.process.poll() is not None and await _again(condition, run))

            await until(reached, deadline_s=WAIT_S, poll_s=0.02, what=f"{what}: {run.said()}")


async def _again(condition: Callable[[], Awaitable[bool]], run: Run) -> bool:
    """The command ended: what it did shows, or it says why not."""
    assert await condition(), run.said()
    return True


class Run:
    """One command at one computer. `file`: its copy there."""

    def __init__(self, process: subprocess.Popen[bytes], file: Path) -> None:
        self.process = process
        self.file = file

    async def ended(self) -> int:
        """Its exit code. Raises TooLate."""

        async def done() -> bool:
            return self.process.poll() is not None

        await until(done, deadline_s=END_S, what="the command does not end")
        return self.process.returncode

    def kill(self) -> None:
        """kill -9."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(_GRACE_S)

    def said(self) -> str:
        """The end of what it printed."""
        return (self.file.parent / "said").read_text(errors="replace")[-3_000:]


async def files_there(*paths: Path) -> bool:
    """Whether one of these is there."""
    return any(path.exists() for path in paths)


async def sites_start(sites: LiveSites, *names: str) -> None:
    """Start what lies dead, at once."""
    for name in names:
        if sites.cluster.processes[name].node() is None:
            await asyncio.to_thread(sites.cluster.start, name)


async def power_lost(sites: LiveSites, *names: str) -> None:
    """kill -9 of these sites, nodes and members, at the same time."""
    await asyncio.gather(*(asyncio.to_thread(sites.cluster.kill_site, name) for name in names))
