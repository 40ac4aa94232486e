"""What the servicers of one node share: the ledger, how the node stands, and the runner once there is one.

The servers answer before the ordering member runs (another site's boot may wait for this one), so everything but the store may still be missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sento_node.clock import Clock
from sento_node.condition import Condition
from sento_node.config import NodeConfig
from sento_node.epochs.here import EpochHere
from sento_node.epochs.showing import FIRST, NEXT_EPOCH, Standing
from sento_node.erasure.carrying_out import Eraser
from sento_node.ledger.replay import governance_of
from sento_node.ledger.store import LedgerStore
from sento_node.ordering.port import OrderingLog
from sento_node.ordering.timeouts import Timeouts
from sento_node.rebuild.boot_memories import BootMemories
from sento_node.releases.access_log import AccessLog
from sento_node.round_trips import RoundTrips
from sento_node.runner import Runner
from sento_node.scrub.progress import ScrubState
from sento_node.tallies import Tallies
from sento_proto.checkpoint import SiteSigners
from sento_proto.errors import SentoError
from sento_proto.genesis import Genesis
from sento_proto.governance.state import Governance

CONTACT_LOST_MS = 8_000
"""Without an answer for so long a site counts as not reachable. It is asked every two seconds and may take two to answer: one lost question is not enough."""


def _nobody() -> str:
    return ""


@dataclass(slots=True)
class PeerContact:
    """When another site was last heard, by the wall clock and by the clock that never goes back, how far it said it was, how
    far its clock is ahead of this one's, and where it stands among epochs."""

    at_ms: int
    heard_ms: int
    flushed_size: int
    clock_off_s: int
    standing: Standing = FIRST


@dataclass(slots=True)
class NodeState:
    """One node in one life."""

    config: NodeConfig
    genesis: Genesis
    store: LedgerStore
    clock: Clock
    writer: ThreadPoolExecutor
    condition: Condition
    certificate_expires_at_s: Callable[[], int]
    boot_number: int = 0
    epoch: EpochHere = field(default_factory=EpochHere)
    """The epoch whose log this life takes part in."""
    runner: Runner | None = None
    ledger_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever writes blocks into the ledger besides the runner, and while the runner is made from it."""
    keeps_ledger: bool = True
    """False at a tie-breaker, whose store is empty for ever."""
    stands_in: bool = False
    """Whether `store` only stands in for a ledger that is made anew first."""
    ending: tuple[str, str] | None = None
    """State and words with which this life's own part was asked to end; None while nothing was."""
    part_ends: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once `ending` is."""
    next_epoch: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the next life, in another epoch, is to begin at once."""
    look_now: dict[str, asyncio.Event] = field(default_factory=dict)
    """By site: set when it is to be asked at once how far it is, because it stands in another epoch."""
    contacts: dict[str, PeerContact] = field(default_factory=dict)
    watched_since_ms: dict[str, int] = field(default_factory=dict)
    """Since when each other site is asked in this life, by the clock that never goes back."""
    asked_once: set[str] = field(default_factory=set)
    """The other sites whose answer or silence this life knows: before that, not having heard one means nothing."""
    round_trips: RoundTrips = field(default_factory=RoundTrips)
    timeouts: Timeouts | None = None
    """With which timeouts this site's ordering member runs."""
    tallies: Tallies = field(default_factory=Tallies)
    flushed_governance: Governance | None = None
    scrub: ScrubState = field(default_factory=ScrubState)
    eraser: Eraser | None = None
    """Carries erasure orders out; None until the node takes part."""
    memories: BootMemories | None = None
    """What is remembered of other sites' boots."""
    signers: SiteSigners | None = None
    """What this site signs its words with, once the key files are read."""
    member_target: str = ""
    """Where this site's own member is asked about the members; empty while none runs."""
    member_log: OrderingLog | None = None
    """The ordering log through this site's own member, once that can order; None at a site without one."""
    follows_through: Callable[[], str] = _nobody
    """Through which voting site a site without a member follows the order."""
    access_log: AccessLog | None = None
    """Where releases are recorded; there before the site answers anybody."""

    @property
    def governance(self) -> Governance:
        """Who may do what, behind the last block applied; what the flushed ledger says, while nothing runs."""
        if self.runner is not None:
            return self.runner.site.state.governance
        if self.flushed_governance is None:
            self.flushed_governance = governance_of(self.genesis, self.store)
        return self.flushed_governance

    def running(self) -> Runner:
        """The runner. Raises SentoError while there is none."""
        if self.runner is None:
            raise SentoError(self.condition.code, self.condition.shown_explanation)
        return self.runner

    def end_life(self, state: str, words: str) -> None:
        """This site takes no further part in what it does: whatever this life is at ends, and the services go on answering. NEXT_EPOCH: also they end, and
        the next life begins."""
        if state == NEXT_EPOCH:
            self.next_epoch.set()
        elif self.ending is not None or self.condition.state in ("stopped", "stopping", "diverged"):
            return
        self.ending = (state, words)
        if self.runner is not None:
            self.runner.halt(state, words)
        self.condition.state, self.condition.explanation = state, words
        self.part_ends.set()

    def look_at(self, site: str) -> None:
        """Ask this site at once where it stands."""
        self.look_now.setdefault(site, asyncio.Event()).set()

    def heard(self, site: str, flushed_size: int, flushed_block: int, clock_off_s: int = 0) -> None:
        """Another site said how far it is, and its time."""
        now_ms = self.clock.now_ms()
        self.contacts[site] = PeerContact(self.clock.wall_ms(), now_ms, flushed_size, clock_off_s)
        self.condition.lag.heard(flushed_block, self.applied_block, now_ms)

    def silent_ms(self, site: str) -> int:
        """How long the other site has given no answer in this life; 0 while it answers."""
        if self.reaches(site):
            return 0
        contact, now_ms = self.contacts.get(site), self.clock.now_ms()
        since_ms = self.watched_since_ms.get(site, now_ms) if contact is None else contact.heard_ms
        return now_ms - since_ms

    def reaches(self, site: str) -> bool:
        """Whether the other site answered a short while ago; a wall clock that is set does not matter."""
        contact = self.contacts.get(site)
        return contact is not None and self.clock.now_ms() - contact.heard_ms < CONTACT_LOST_MS

    @property
    def applied_block(self) -> int:
        """The last block applied; what is flushed, while nothing runs."""
        return self.store.tip.block if self.runner is None else self.runner.site.state.block

    @property
    def applied_size(self) -> int:
        """Records applied; what is flushed, while nothing runs."""
        return self.store.tip.size if self.runner is None else self.runner.site.state.size

    @property
    def lag_ms(self) -> int:
        """For how long another site has been known to hold more than this one has applied."""
        return self.condition.lag.behind_ms(self.applied_block, self.clock.now_ms())
