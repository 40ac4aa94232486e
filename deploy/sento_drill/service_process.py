"""A world's pseudonym service or key agent as a process of its own: started, waited for, killed and ended by its id."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sento_drill.waiting import until_now

START_DEADLINE_S = 30.0
STOP_DEADLINE_S = 15.0
SAID_FILE = "service.log"
_COMMAND = "from sento_client.cli.main import main; main([*{command!r}, {config!r}])"
PSEUDONYMS = ("pseudonyms", "serve", "--service")
KEY_AGENT = ("key-agent", "serve", "--agent")


class ServiceProcess:
    """The service whose configuration lies at `config`. `environment`: added to this process' own; `command`: of `sento`, what serves it."""

    def __init__(
        self,
        config: Path,
        environment: dict[str, str] | None = None,
        command: tuple[str, ...] = PSEUDONYMS,
    ) -> None:
        self.config = config
        self._command = command
        self._environment = {**os.environ, **(environment or {})}
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def said_file(self) -> Path:
        """What the service told its operators."""
        return self.config.parent / SAID_FILE

    @property
    def pid(self) -> int:
        """Of the running process. Raises RuntimeError when there is none."""
        if self._popen is None:
            raise RuntimeError("the service does not run")
        return self._popen.pid

    def start(self) -> None:
        """Start it and return once it serves. Raises TooLate, RuntimeError when it ended instead."""
        said_before = self._said().count('"said"')
        command = [sys.executable, "-c", _COMMAND.format(command=self._command, config=str(self.config))]
        bound = [sys.executable, "-m", "sento_drill.bound", str(os.getpid()), *command]
        with self.said_file.open("ab") as said:
            self._popen = subprocess.Popen(
                bound,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        until_now(
            lambda: self._said().count('"said"') > said_before or self._ended(),
            deadline_s=START_DEADLINE_S,
            what="the service does not serve",
        )
        if self._ended():
            raise RuntimeError(f"the service ended: {self._said()[-1000:]}")

    def kill(self) -> None:
        """kill -9; returns when it is gone."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait(STOP_DEADLINE_S)
            self._popen = None

    def end(self) -> int | None:
        """Ask it to stop and wait; its exit code, None when it was not running. Kills one that does not stop."""
        if self._popen is None:
            return None
        self._popen.terminate()
        try:
            code = self._popen.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            code = self._popen.wait()
        self._popen = None
        return code

    def _ended(self) -> bool:
        return self._popen is None or self._popen.poll() is not None

    def _said(self) -> str:
        try:
            return self.said_file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
