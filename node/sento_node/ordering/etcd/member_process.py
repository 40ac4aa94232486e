"""One process of the member, from its start to its end: its log read, its readiness watched, its memory measured. It decides nothing."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sento_node.ordering.etcd.client import EtcdClient
from sento_node.ordering.etcd.directories import MemberDirectories
from sento_node.ordering.etcd.member_log import LogLine, MemberLog
from sento_node.ordering.etcd.readiness import MemberReady, probe
from sento_node.ordering.etcd.settings import MemberSettings, member_arguments, member_environment
from sento_node.ordering.etcd.supervision import Restart, StandDown
from sento_node.ordering.etcd.version import EtcdBinary
from sento_node.ordering.etcd.write_ahead import remove_leftovers

_PROBE_TIMEOUT_MS: Final = 1_000
_PROBE_PAUSE_FIRST_S: Final = 0.05
_PROBE_PAUSE_MAX_S: Final = 1.0
_READ_BYTES: Final = 65_536
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class MemberStarted:
    """A process of the member was started."""

    pid: int


@dataclass(frozen=True, slots=True)
class MemberRepaired:
    """At its start the member cut a torn end off its write-ahead log. Compare its head with the other sites' before trusting its disk."""

    pid: int


@dataclass(frozen=True, slots=True)
class MemberExited:
    """A process of the member ended; `decision` is what follows and `tail` its last log lines."""

    pid: int
    return_code: int
    tail: tuple[str, ...]
    decision: Restart | StandDown


MemberEvent = MemberStarted | MemberReady | MemberRepaired | MemberExited


@dataclass(frozen=True, slots=True)
class Reports:
    """Whom to tell. Neither may raise."""

    event: Callable[[MemberEvent], None]
    log: Callable[[LogLine], None]


class MemberProcess:
    """One running process; made by `start_process`, lived through by `run`."""

    def __init__(self, process: Process, reports: Reports) -> None:
        self._process = process
        self._reports = reports
        self._ready_at_s = 0.0
        self._repair_told = False
        self.log = MemberLog()
        self.ready: asyncio.Future[MemberReady] = asyncio.get_running_loop().create_future()
        """Done at the first readiness; cancelled when the process ended."""
        self.missing = "it was only just started"
        """What readiness lacked when it was last asked."""

    @property
    def pid(self) -> int:
        """The process id, also of an ended process."""
        return self._process.pid

    @property
    def runs(self) -> bool:
        """False once the process has ended."""
        return self._process.returncode is None

    @property
    def ready_ms(self) -> int:
        """For how long the process has been ready; 0 if never."""
        return int((asyncio.get_running_loop().time() - self._ready_at_s) * 1000) if self._ready_at_s else 0

    def resident_bytes(self) -> int:
        """Resident memory; 0 for an ended process or where the system does not tell."""
        if not self.runs:
            return 0
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
        except (OSError, IndexError):
            return 0

    def ask_to_end(self) -> None:
        """SIGTERM: a leading member hands the lead over first."""
        if self.runs:
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        if self.runs:
            self._process.kill()

    async def run(self, target: str) -> int:
        """Read the log and watch for readiness at `target` until the process ends; returns its return code. Cancelling kills the process."""
        reading = asyncio.create_task(self._read_log())
        watching = asyncio.create_task(self._watch_readiness(target))
        try:
            return_code = await self._process.wait()
            await reading
        finally:
            if self.runs:
                self._process.kill()
                await self._process.wait()
            watching.cancel()
            self.ready.cancel()
            await asyncio.gather(reading, watching, return_exceptions=True)
        return return_code

    async def _read_log(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None, "the process was started with a pipe"
        while data := await stderr.read(_READ_BYTES):
            self._take(self.log.feed(data))
        self._take(self.log.finish())

    def _take(self, lines: list[LogLine]) -> None:
        for line in lines:
            self._reports.log(line)
        if self.log.repaired and not self._repair_told:
            self._repair_told = True
            self._reports.event(MemberRepaired(self.pid))

    async def _watch_readiness(self, target: str) -> None:
        client = EtcdClient(target)
        pause_s = _PROBE_PAUSE_FIRST_S
        try:
            while not isinstance(state := await probe(client, timeout_ms=_PROBE_TIMEOUT_MS), MemberReady):
                self.missing = state
                await asyncio.sleep(pause_s)
                pause_s = min(_PROBE_PAUSE_MAX_S, pause_s * 1.5)
        finally:
            await client.close()
        self._ready_at_s = asyncio.get_running_loop().time()
        self.ready.set_result(state)
        self._reports.event(state)


async def start_process(
    settings: MemberSettings, etcd: EtcdBinary, directories: MemberDirectories, reports: Reports
) -> MemberProcess:
    """Start etcd with these settings in claimed directories, through the launcher that ties it to this process. Raises OSError."""
    directories.remove_stale_socket()
    remove_leftovers(settings.data_dir)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "sento_node.ordering.etcd.exec_member",
        str(os.getpid()),
        etcd.path,
        *member_arguments(settings, etcd.version),
        cwd=settings.run_dir,
        env=member_environment(os.environ),
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
        pass_fds=directories.locks,
        start_new_session=True,  # a Ctrl-C at the terminal is for the node, which hands the lead over first
    )
    reports.event(MemberStarted(process.pid))
    return MemberProcess(process, reports)
