"""One site's processes under control: start, stop, kill -9, pause, continue, always by process id.

A node starts its own ordering member as a child, so a site is a small tree of processes. Killing a site kills the member first and the node right
after it: a member whose node dies alone would be told to stop, and would hand over the lead politely, which is not what a power cut does.
The node's id is kept in a file beside its log, so that a later command finds what an earlier one left running.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sento_drill import procfs
from sento_drill.procfs import ProcessId, ProcessInfo
from sento_drill.waiting import TooLate, until_now

PID_FILE = "node.pid"
LOG_FILE = "node.log"
STOP_DEADLINE_S = 30.0
_GONE_DEADLINE_S = 10.0
_MEMBER_COMMAND = "etcd"


RUN, REPLACE_DISK = "run", "replace-disk"


def node_command(config: Path) -> list[str]:
    """How a site's node is started."""
    return [sys.executable, "-m", "sento_node.cli", RUN, "--config", str(config)]


class SiteProcesses:
    """The processes of one site, whose files lie in `directory`.

    `command` starts the node; with `bound` the node is told to stop when this process ends, however it ends."""

    def __init__(self, site: str, directory: Path, command: Sequence[str], *, bound: bool = True) -> None:
        self.site = site
        self.directory = directory
        self._command = list(command)
        self._bound = bound
        self._popen: subprocess.Popen[bytes] | None = None
        self._exit_code: int | None = None

    @property
    def log_file(self) -> Path:
        """Where the node and its member write what they have to say."""
        return self.directory / LOG_FILE

    def start(self, verb: str = RUN) -> ProcessId:
        """Start the node; `verb`: another of its commands that goes on into running. Raises RuntimeError when it runs already."""
        running = self.node()
        if running is not None:
            raise RuntimeError(f"{self.site} runs already as process {running.pid}")
        command = [verb if word == RUN else word for word in self._command]
        if self._bound:
            command = [sys.executable, "-m", "sento_drill.bound", str(os.getpid()), *command]
        with self.log_file.open("ab") as log:
            self._popen = subprocess.Popen(
                command,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._exit_code = None
        info = procfs.info_of(self._popen.pid)
        assert info is not None, "a child that was not waited for stands in the process table"
        (self.directory / PID_FILE).write_text(json.dumps(info.id._asdict()) + "\n", encoding="utf-8")
        return info.id

    def node(self) -> ProcessId | None:
        """The node's process while it runs, also when another program started it."""
        self._reap()
        try:
            noted = json.loads((self.directory / PID_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        process = ProcessId(int(noted["pid"]), int(noted["start_ticks"]))
        return process if procfs.is_alive(process) else None

    def exit_code(self) -> int | None:
        """How the node that was started here last ended (negative: by that signal); None while it runs."""
        self._reap()
        return self._exit_code

    def member(self) -> ProcessId | None:
        """The ordering member's process, a descendant of the node."""
        node = self.node()
        if node is None:
            return None
        return next((i.id for i in procfs.descendants(node.pid) if i.command == _MEMBER_COMMAND), None)

    def kill(self) -> None:
        """kill -9 for the member and the node at once; returns when both are gone."""
        tree = self._tree()
        for process in reversed(tree):
            procfs.send(process, signal.SIGKILL)
        self._wait_gone(tree, _GONE_DEADLINE_S)

    def stop(self, deadline_s: float = STOP_DEADLINE_S) -> None:
        """Ask the node to stop and wait until it and its member are gone. Raises TooLate; nothing is killed."""
        tree = self._tree()
        if tree:
            procfs.send(tree[0], signal.SIGTERM)
        self._wait_gone(tree, deadline_s)

    def end(self, deadline_s: float = STOP_DEADLINE_S) -> None:
        """Stop, and kill what did not stop: for leaving nothing behind."""
        self.resume()
        try:
            self.stop(deadline_s)
        except TooLate:
            self.kill()
        for info in self.left_behind():
            procfs.send(info.id, signal.SIGKILL)

    def pause(self) -> None:
        """Freeze node and member (SIGSTOP): they keep their connections and answer nothing."""
        for process in self._tree():
            procfs.send(process, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused site go on (SIGCONT)."""
        for process in self._tree():
            procfs.send(process, signal.SIGCONT)

    def left_behind(self) -> list[ProcessInfo]:
        """Members that still work in this site's directory although no node of ours is above them."""
        ours = set(self._tree())
        found = procfs.processes_in(self.directory)
        return [info for info in found if info.command == _MEMBER_COMMAND and info.id not in ours]

    def log_tail(self, lines: int = 20) -> str:
        """The log's last lines, for an error message."""
        try:
            text = self.log_file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])

    def _tree(self) -> list[ProcessId]:
        node = self.node()
        if node is None:
            return []
        return [node, *(info.id for info in procfs.descendants(node.pid))]

    def _reap(self) -> None:
        """Take notice of the node's end, and of how it ended."""
        if self._popen is not None and self._popen.poll() is not None:
            self._exit_code, self._popen = self._popen.returncode, None

    def _wait_gone(self, tree: Sequence[ProcessId], deadline_s: float) -> None:
        def gone() -> bool:
            self._reap()
            return self._popen is None and not any(procfs.is_alive(process) for process in tree)

        until_now(gone, deadline_s=deadline_s, what=f"{self.site} still has processes running")
