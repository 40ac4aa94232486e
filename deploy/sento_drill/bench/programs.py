"""Programs of the bench: servers of peers and loads, started so that none outlives the bench, and ended by their ids.

A server may have to run as another user (PostgreSQL refuses to run as root). A change of user clears the wish to end with the parent, so then `setpriv`
does both in the right order. Source: prctl(2), PR_SET_PDEATHSIG; setpriv(1).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path

from sento_drill.bench.calls import LoadFailed
from sento_drill.waiting import TooLate, until

END_DEADLINE_S = 30.0
_TAIL_CHARACTERS = 2_000


def bound_command(command: Sequence[str], user: str | None = None) -> list[str]:
    """`command`, told to end when this process does; as that user, if one is named. Raises FileNotFoundError when it is not installed."""
    program = shutil.which(command[0])
    if program is None:
        raise FileNotFoundError(f"{command[0]} is not on PATH")
    if user is None:
        return [sys.executable, "-m", "sento_drill.bound", str(os.getpid()), program, *command[1:]]
    identity = [f"--reuid={user}", f"--regid={user}", "--clear-groups", "--pdeathsig=TERM"]
    return ["setpriv", *identity, "--", program, *command[1:]]


class Server:
    """One running server; what it says goes to `log`."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                bound_command(command, user),
                cwd=log.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def runs(self) -> bool:
        """False once it has ended."""
        return self._popen.poll() is None

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self._popen.kill()
        self._popen.wait()

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end with that signal; kill it when it does not."""
        if self.runs:
            self._popen.send_signal(number)

        async def gone() -> bool:
            return not self.runs

        try:
            await until(gone, deadline_s=END_DEADLINE_S, what="a server does not end")
        except TooLate:
            self.kill()

    def tail(self) -> str:
        """The end of its log, for an error message."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-_TAIL_CHARACTERS:]


async def start_load(command: Sequence[str]) -> Process:
    """Start a load; what it prints can be read."""
    return await asyncio.create_subprocess_exec(*bound_command(command), stdout=PIPE, stderr=PIPE)


async def finish_load(process: Process, deadline_s: float) -> str:
    """What a load printed until its end. Raises LoadFailed when it fails or does not end."""
    try:
        async with asyncio.timeout(deadline_s):
            printed, complaint = await process.communicate()
    except TimeoutError:
        await end_load(process)
        raise LoadFailed(f"a load did not end within {deadline_s:g} s") from None
    if process.returncode:
        words = complaint.decode("utf-8", "replace").strip()[-_TAIL_CHARACTERS:]
        raise LoadFailed(f"a load ended with {process.returncode}: {words}")
    return printed.decode("utf-8", "replace")


async def end_load(process: Process) -> None:
    """Kill a load that still runs."""
    if process.returncode is None:
        process.kill()
        await process.wait()


async def run_tool(command: Sequence[str], user: str | None = None) -> str:
    """Run a program to its end and return what it printed. Raises LoadFailed when it fails."""
    process = await asyncio.create_subprocess_exec(*bound_command(command, user), stdout=PIPE, stderr=PIPE)
    return await finish_load(process, END_DEADLINE_S * 4)
