"""What the ordering member does and says, into the node's log, and into its alarms where a person must look.

A member that ended is logged with its decision and its last lines, because the cause stands there and nowhere else. Its ordinary lines are for debugging.
"""

from __future__ import annotations

from typing import Any

from sento_node.condition import Condition
from sento_node.ordering.etcd.member_log import LogLine
from sento_node.ordering.etcd.member_process import (
    MemberEvent,
    MemberExited,
    MemberRepaired,
    MemberStarted,
)
from sento_node.ordering.etcd.readiness import MemberReady

LAST_LINES = 5
_BAD_LEVELS = frozenset({"error", "dpanic", "panic", "fatal"})


class MemberReports:
    """`event` and `line` are told everything; neither raises."""

    def __init__(self, log: Any, condition: Condition) -> None:
        self._log = log
        self._condition = condition

    def event(self, event: MemberEvent) -> None:
        """The member was started, ready, repaired, or ended."""
        match event:
            case MemberStarted():
                self._log.info("ordering member started", pid=event.pid)
            case MemberReady():
                self._log.info(
                    "ordering member ready",
                    version=event.version,
                    member_id=f"{event.member_id:x}",
                    is_lead=event.is_lead,
                )
            case MemberRepaired():
                self._condition.raise_alarm(
                    "ordering-log-repaired",
                    "The ordering member cut a torn end off its log when it started, so blocks that it had flushed may be gone from it. "
                    "Check the disk; if other members are to be replaced soon, replace this one first.",
                )
            case MemberExited():
                self._log.warning(
                    "ordering member ended",
                    pid=event.pid,
                    return_code=event.return_code,
                    what_follows=event.decision.sentence,
                    last_lines=list(event.tail[-LAST_LINES:]),
                )

    def line(self, line: LogLine) -> None:
        """One line of the member's own log."""
        tell = self._log.warning if line.level in _BAD_LEVELS or not line.level else self._log.debug
        tell("etcd", line=line.text)
