"""Looking at processes through /proc: who is whose child, who is still the process that we meant, who works in a directory.

A process is named by its id and its start time, because the kernel gives ids out again: a signal is only ever sent to the process that was meant.

Source: proc(5), fields of /proc/<pid>/stat.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_STATE, _PARENT, _START_TIME = 0, 1, 19
"""Places of fields after the closing parenthesis of the command in /proc/<pid>/stat."""
_GONE_STATES = frozenset("ZX")


class ProcessId(NamedTuple):
    """A process and no later one of the same number. `start_ticks`: clock ticks after boot."""

    pid: int
    start_ticks: int


class ProcessInfo(NamedTuple):
    """One line of the process table. `state` is proc(5)'s letter: T stopped, Z ended and not yet waited for."""

    id: ProcessId
    parent_pid: int
    command: str
    state: str


def info_of(pid: int) -> ProcessInfo | None:
    """What the kernel says of `pid`, or None when there is no such process."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    command = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    return ProcessInfo(
        ProcessId(pid, int(fields[_START_TIME])), int(fields[_PARENT]), command, fields[_STATE]
    )


def resident_bytes(process: ProcessId) -> int | None:
    """Memory that the process holds now, or None when it is gone."""
    if not is_alive(process):
        return None
    try:
        pages = int((_PROC / str(process.pid) / "statm").read_text(encoding="ascii").split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def all_processes() -> Iterator[ProcessInfo]:
    """Every process that this user's /proc shows."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            info = info_of(int(entry.name))
            if info is not None:
                yield info


def is_alive(process: ProcessId) -> bool:
    """Whether that very process still runs; one that ended and waits for its parent does not."""
    info = info_of(process.pid)
    return info is not None and info.id == process and info.state not in _GONE_STATES


def descendants(pid: int) -> list[ProcessInfo]:
    """Children of `pid`, their children, and so on; parents before children."""
    children: dict[int, list[ProcessInfo]] = {}
    for info in all_processes():
        children.setdefault(info.parent_pid, []).append(info)
    found = list(children.get(pid, ()))
    for info in found:
        found.extend(children.get(info.id.pid, ()))
    return found


def send(process: ProcessId, number: signal.Signals) -> bool:
    """Send a signal to that very process; False when it is gone."""
    if not is_alive(process):
        return False
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def processes_in(directory: Path) -> list[ProcessInfo]:
    """Processes whose working directory lies in `directory`, or whose open files do: what a stopped site must not leave behind."""
    root = str(directory.resolve())
    own = os.getpid()
    return [info for info in all_processes() if info.id.pid != own and _works_in(info.id.pid, root)]


def _works_in(pid: int, root: str) -> bool:
    links = [_PROC / str(pid) / "cwd"]
    with contextlib.suppress(OSError):
        links += (_PROC / str(pid) / "fd").iterdir()
    for link in links:
        with contextlib.suppress(OSError):
            target = str(link.readlink())
            if target == root or target.startswith(root + "/"):
                return True
    return False
