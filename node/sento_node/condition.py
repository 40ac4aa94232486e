"""How a node stands: one state word, one sentence, and what stands beside it. Written by the shell, read by services and status."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from sento_node.lag import Lag
from sento_node.ordering.port import OrderingStatus
from sento_node.sync.progress import Progress
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
    "rebuilding",
    "joining",
    "inspecting",
    "epoch-ended",
    "two-epochs",
    "next-epoch",
    "next-life",
)
"""Every word that `Condition.state` may be."""
_SAID_BEFORE_ALL = (
    "refused",
    "stopping",
    "stopped",
    "diverged",
    "epoch-ended",
    "two-epochs",
    "next-epoch",
    "next-life",
)
"""What ends a life, whatever else is under way."""
NEXT_LIFE = "next-life"
"""This life ends because the site's part in the ordering log changes; the next begins at once, in the same process."""


@dataclass(slots=True)
class Rebuilding:
    """That the ledger is made anew: why, and how many records it must hold before anything is answered from it, as far as is known.
    `disputed_size`: where a quorum has another root (0: nowhere)."""

    reason: str
    target_size: int = 0
    disputed_size: int = 0


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
    rebuilding: Rebuilding | None = None
    joining: str | None = None
    """While this disk is one that joins: the step, in words."""
    answers_while_joining: bool = False
    """Whether it has its ledger already and joins the ordering log only."""
    sync: Progress | None = None
    """While another site's ledger is copied, or payloads are filled in: how far that is."""

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
        return self.state in ("serving", "no-majority") and self.rebuilding is None

    @property
    def code(self) -> Code:
        """Why work is refused in this state."""
        if self.is_rebuilding:
            return Code.REBUILDING
        return {
            "stopping": Code.STOPPING,
            "stopped": Code.STOPPED,
            "refused": Code.STOPPED,
            "diverged": Code.DIVERGED,
            "epoch-ended": Code.EPOCH_ENDED,
            "two-epochs": Code.TWO_EPOCHS,
            NEXT_LIFE: Code.STOPPING,
        }.get(self.state, Code.NOT_READY)

    @property
    def answers_reads(self) -> bool:
        """Whether the flushed ledger may be given out."""
        return self.state != "diverged" and self.rebuilding is None

    @property
    def is_rebuilding(self) -> bool:
        """Whether the ledger is made anew, or about to be."""
        return self.shown_state == "rebuilding"

    @property
    def shown_state(self) -> str:
        """The state as people see it: a node that goes on behind a ledger that is not whole is rebuilding, or joining, whatever else it does."""
        if self.state in _SAID_BEFORE_ALL:
            return self.state
        if self.joining is not None and not self.answers_while_joining:
            return "joining"
        return "rebuilding" if self.rebuilding is not None else self.state

    @property
    def shown_explanation(self) -> str:
        """One or two sentences on the state as people see it."""
        if self.shown_state == "joining":
            reason = "" if self.rebuilding is None else f"{self.rebuilding.reason} "
            return f"This site joins and answers nothing until it holds the whole ledger, proven. {reason}{self.joining} {self.explanation}"
        if self.rebuilding is None or not self.is_rebuilding:
            return self.explanation
        return (
            "This site makes its ledger anew from other sites and answers nothing until it is whole. "
            f"{self.rebuilding.reason} {self.explanation}"
        )
