"""What the servicers of one node share: the ledger, how the node stands, and the runner once there is one.

The servers answer before the ordering member runs (another site's boot may wait for this one), so everything but the store may still be missing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sento_node.clock import Clock
from sento_node.condition import Condition
from sento_node.config import NodeConfig
from sento_node.ledger.governance import Governance
from sento_node.ledger.store import LedgerStore
from sento_node.runner import Runner
from sento_proto.errors import SentoError
from sento_proto.genesis import Genesis


@dataclass(slots=True)
class PeerContact:
    """When another site was last heard, and how far it said it was."""

    at_ms: int = 0
    flushed_size: int = 0


@dataclass(slots=True)
class NodeState:
    """One node in one life."""

    config: NodeConfig
    genesis: Genesis
    governance: Governance
    store: LedgerStore
    clock: Clock
    writer: ThreadPoolExecutor
    condition: Condition
    certificate_expires_at_s: Callable[[], int]
    boot_number: int = 0
    runner: Runner | None = None
    contacts: dict[str, PeerContact] = field(default_factory=dict)

    def running(self) -> Runner:
        """The runner. Raises SentoError while there is none."""
        if self.runner is None:
            raise SentoError(self.condition.code, self.condition.explanation)
        return self.runner

    def heard(self, site: str, flushed_size: int) -> None:
        """Another site was in contact."""
        self.contacts[site] = PeerContact(self.clock.wall_ms(), flushed_size)
