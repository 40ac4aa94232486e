"""What the member says on stderr: lenient reading of its JSON lines, the last of them kept, and the one silent repair noticed.

Most lines are JSON with level, msg and error, but panics, Go's own faults and a few early lines are plain text, and those matter most. Nothing
here fails on a line it cannot read. Pure.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import Final

TAIL_LINES_MAX: Final = 50
LINE_LENGTH_MAX: Final = 600
"""Characters kept of a line."""
_PARTIAL_BYTES_MAX: Final = 65_536
_SHOWN_OTHERWISE: Final = frozenset({"level", "ts", "caller", "msg", "error"})


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line: its level (empty when the line has none) and its text."""

    level: str
    text: str

    @property
    def is_repair(self) -> bool:
        """True for the line by which etcd says that it cut a torn end off its write-ahead log: blocks that it held may be gone from it."""
        return self.text.startswith("repaired")


class MemberLog:
    """The log of one life of a member, fed with bytes as they come."""

    def __init__(self) -> None:
        self._tail: deque[str] = deque(maxlen=TAIL_LINES_MAX)
        self._partial = b""
        self.repaired = False

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, oldest first."""
        return tuple(self._tail)

    def feed(self, data: bytes) -> list[LogLine]:
        """Take bytes of the stream; return the lines that they complete. Over-long lines are cut."""
        *complete, rest = (self._partial + data).split(b"\n")
        self._partial = rest[:_PARTIAL_BYTES_MAX]
        return [self._keep(raw) for raw in complete if raw.strip()]

    def finish(self) -> list[LogLine]:
        """The stream ended: take what remains as a last line."""
        return self.feed(b"\n")

    def _keep(self, raw: bytes) -> LogLine:
        line = read_line(raw)
        self.repaired = self.repaired or line.is_repair
        self._tail.append(f"{line.level}: {line.text}" if line.level else line.text)
        return line


def read_line(raw: bytes) -> LogLine:
    """One line of etcd's log, whatever its form."""
    text = raw.decode("utf-8", errors="replace").strip()[:LINE_LENGTH_MAX]
    try:
        fields = json.loads(raw)
    except ValueError:
        return LogLine("", text)
    if not isinstance(fields, dict) or "msg" not in fields:
        return LogLine("", text)
    message, error = str(fields["msg"]), fields.get("error")
    details = ", ".join(f"{name}={value}" for name, value in fields.items() if name not in _SHOWN_OTHERWISE)
    text = message + (f": {error}" if error else "") + (f" ({details})" if details else "")
    return LogLine(str(fields.get("level", "")), text[:LINE_LENGTH_MAX])
