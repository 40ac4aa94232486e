"""How a node stands: one state word, one sentence, and what stands beside it. Written by the shell, read by services and status."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from sento_node.lag import Lag
from sento_node.ordering.port import OrderingStatus
from sento_proto.errors import Code

STATES = (
    "starting",
    "waiting-for-boot-confirmation",
    "catching-up",
    "serving",
    "no-majority",
    "refused",
    "stopping",
    "stopped",
    "diverged",
)
"""Every word that `Condition.state` may be."""


@dataclass(slots=True)
class Condition:
    """How the node stands, for status and for refusing work."""

    state: str = "starting"
    explanation: str = "The node is starting."
    confirmed_at_ms: int = 0
    ordering: OrderingStatus | None = None
    alarms: dict[str, str] = field(default_factory=dict)
    head_number: int = 0
    lag: Lag = field(default_factory=Lag)

    def raise_alarm(self, name: str, words: str) -> None:
        """Something that a person must look at; it stands in the status until the node's next life, and in the log once for the same words."""
        if self.alarms.get(name) != words:
            structlog.get_logger("sento.node").error("alarm", alarm=name, words=words)
        self.alarms[name] = words

    def end_alarm(self, name: str) -> None:
        """What the alarm told is mended: it leaves the status, and the log says so."""
        if self.alarms.pop(name, None) is not None:
            structlog.get_logger("sento.node").warning("alarm over", alarm=name)

    @property
    def takes_writes(self) -> bool:
        """Whether submissions are taken in."""
        return self.state in ("serving", "no-majority")

    @property
    def code(self) -> Code:
        """Why work is refused in this state."""
        return {
            "stopping": Code.STOPPING,
            "stopped": Code.STOPPED,
            "refused": Code.STOPPED,
            "diverged": Code.DIVERGED,
        }.get(self.state, Code.NOT_READY)

    @property
    def answers_reads(self) -> bool:
        """Whether the flushed ledger may be given out."""
        return self.state != "diverged"
