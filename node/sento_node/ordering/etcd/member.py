"""The node's own etcd member: started, watched, restarted or left down, and stopped.

`start` returns when the process is up. Readiness is another matter and another call, because a voter without a majority serves nothing and
may wait for its peers for days, while the node goes on answering LOCAL reads. What to do when a process ends is decided in `supervision`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from sento_node.ordering.etcd.deadline import Deadline
from sento_node.ordering.etcd.directories import DirectoryTaken, MemberDirectories
from sento_node.ordering.etcd.member_log import LogLine
from sento_node.ordering.etcd.member_process import (
    MemberEvent,
    MemberExited,
    MemberProcess,
    Reports,
    start_process,
)
from sento_node.ordering.etcd.readiness import MemberReady
from sento_node.ordering.etcd.settings import MemberSettings
from sento_node.ordering.etcd.supervision import (
    EndKind,
    MemberEnd,
    StandDown,
    SupervisionPolicy,
    decide,
)
from sento_node.ordering.etcd.version import EtcdBinary

CLAIM_PATIENCE_MS: Final = 5_000
"""A member whose node was killed may take this long to stop and give its directories back."""
STOP_GRACE_MS: Final = 5_000
"""A leading member hands the lead over before it stops, which takes up to 1.3 s."""

_POLL_S: Final = 0.05


class MemberNotReady(Exception):
    """The member runs but cannot do its work yet, or it is down for good; the text says what is missing."""


def _ignore(_: object) -> None:
    return None


class EtcdMember:
    """Runs one member by `settings`. Start it from the main thread: the kernel ends the process together with the thread that started it.

    `on_event` is told each start, first readiness, repair and end, and `on_log` each line the member logs; neither may raise.
    """

    def __init__(
        self,
        settings: MemberSettings,
        etcd: EtcdBinary,
        *,
        policy: SupervisionPolicy | None = None,
        on_event: Callable[[MemberEvent], None] = _ignore,
        on_log: Callable[[LogLine], None] = _ignore,
    ) -> None:
        self.settings = settings
        self._etcd = etcd
        self._policy = policy or SupervisionPolicy()
        self._reports = Reports(on_event, on_log)
        self._directories: MemberDirectories | None = None
        self._process: MemberProcess | None = None
        self._supervising: asyncio.Task[StandDown] | None = None
        self._stop_asked = asyncio.Event()

    @property
    def client_target(self) -> str:
        """The gRPC target of the member's socket, valid from `start` to `stop`, also across restarts. Raises MemberNotReady before."""
        if self._directories is None:
            raise MemberNotReady("The ordering member was not started. Start it first.")
        return self._directories.client_target()

    @property
    def pid(self) -> int:
        """The process id, or 0 while none runs."""
        return self._process.pid if self._process is not None and self._process.runs else 0

    @property
    def log_tail(self) -> tuple[str, ...]:
        """The last lines of the present or last process's log."""
        return self._process.log.tail if self._process is not None else ()

    @property
    def repaired(self) -> bool:
        """True when the present or last process repaired its write-ahead log at its start."""
        return self._process is not None and self._process.log.repaired

    def resident_bytes(self) -> int:
        """The process's resident memory; 0 while none runs or where the system does not tell."""
        return self._process.resident_bytes() if self._process is not None else 0

    async def start(self, *, claim_patience_ms: int = CLAIM_PATIENCE_MS) -> None:
        """Claim the directories and start the process. Raises DirectoryTaken, DirectoryUnsafe, OSError."""
        if self._supervising is not None:
            raise RuntimeError("An EtcdMember is started once; make a new one.")
        directories = await _claim(self.settings, claim_patience_ms)
        try:
            self._process = await start_process(self.settings, self._etcd, directories, self._reports)
        except BaseException:
            directories.release()
            raise
        self._directories = directories
        self._supervising = asyncio.create_task(
            self._supervise(self._process, directories), name="etcd-member"
        )

    async def wait_ready(self, *, timeout_ms: int) -> MemberReady:
        """Return once the present process is ready, also after restarts meanwhile. Raises MemberNotReady with what is missing."""
        deadline = Deadline(timeout_ms)
        while self._supervising is not None and not self._supervising.done():
            process = self._present_process()
            either: set[asyncio.Future[Any]] = {process.ready, self._supervising}
            await asyncio.wait(either, timeout=deadline.left_ms / 1000, return_when=asyncio.FIRST_COMPLETED)
            if process.ready.done() and not process.ready.cancelled():
                return process.ready.result()
            if deadline.reached:
                raise MemberNotReady(_not_ready_sentence(process, timeout_ms))
            await asyncio.sleep(
                _POLL_S
            )  # this process ended; its successor comes after the pause that was decided
        raise MemberNotReady(
            self._supervising.result().sentence
            if self._supervising
            else "The ordering member was not started. Start it first."
        )

    async def ended(self) -> StandDown:
        """Return when the member is down for good, with the reason. Cancelling this wait leaves the member alone."""
        if self._supervising is None:
            raise RuntimeError("An EtcdMember that was not started does not end.")
        return await asyncio.shield(self._supervising)

    async def stop(self, *, grace_ms: int = STOP_GRACE_MS) -> StandDown:
        """End the process: SIGTERM, so that a leading member hands the lead over, then SIGKILL after `grace_ms`. Safe to repeat."""
        self._stop_asked.set()
        if self._supervising is None:
            return StandDown(EndKind.STOPPED, "The member was not running.")
        self._present_process().ask_to_end()
        await asyncio.wait({self._supervising}, timeout=grace_ms / 1000)
        if not self._supervising.done():
            self._present_process().kill()
        try:
            return await self._supervising
        finally:
            if self._directories is not None:
                self._directories.release()

    def _present_process(self) -> MemberProcess:
        assert self._process is not None, "a started member has a process"
        return self._process

    async def _supervise(self, process: MemberProcess, directories: MemberDirectories) -> StandDown:
        restarts, held_log = 0, self._holds_log()
        while True:
            if self._stop_asked.is_set():
                process.ask_to_end()  # the stop came while this process was being started
            return_code = await process.run(directories.client_target())
            held_log = held_log or process.ready_ms > 0
            end = MemberEnd(
                return_code,
                process.log.tail,
                restarts,
                process.ready_ms,
                self._stop_asked.is_set(),
                log_lost=held_log and not self._holds_log(),
            )
            decision = decide(end, self._policy)
            self._reports.event(MemberExited(process.pid, return_code, end.tail, decision))
            if isinstance(decision, StandDown):
                return decision
            restarts = decision.restarts
            if await self._stop_asked_within(decision.after_ms):
                return StandDown(
                    EndKind.STOPPED, "The member was asked to stop while it waited to start again."
                )
            try:
                process = await start_process(self.settings, self._etcd, directories, self._reports)
            except OSError as error:
                return StandDown(
                    EndKind.CANNOT_START,
                    f"The ordering member could not be started again: {error}. Restart the node.",
                )
            self._process = process

    def _holds_log(self) -> bool:
        """Whether the data directory holds a write-ahead log, which etcd makes before it votes for the first time."""
        return (self.settings.data_dir / "member" / "wal").is_dir()

    async def _stop_asked_within(self, after_ms: int) -> bool:
        try:
            await asyncio.wait_for(self._stop_asked.wait(), after_ms / 1000)
        except TimeoutError:
            return False
        return True


async def _claim(settings: MemberSettings, patience_ms: int) -> MemberDirectories:
    deadline = Deadline(patience_ms)
    while True:
        try:
            return MemberDirectories(settings.data_dir, settings.run_dir)
        except DirectoryTaken:
            if deadline.reached:
                raise
        await asyncio.sleep(_POLL_S)


def _not_ready_sentence(process: MemberProcess, timeout_ms: int) -> str:
    last = process.log.tail[-1] if process.log.tail else "nothing"
    return (
        f"The ordering member runs but is not ready after {timeout_ms} ms: {process.missing}. It last logged: {last}. "
        "Start the other sites' members and check the links to them; LOCAL reads go on meanwhile."
    )
