"""Planted bugs of a ledger that is made anew: what must not be forgotten with it is forgotten, or it is vouched for before it is whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.simulation.hooks import Hooks

from sento_node.compose import REBUILDING
from sento_node.quorum.checkpoints import Checkpoints
from sento_node.rebuild.deciding import AgreedAt, Damage
from sento_node.site import Site


class FloorForgotten(Hooks):
    """goes on at once behind a lost ledger, and cosigns below what others remember of it"""

    def floor_of(self, remembered: Mapping[str, bytes]) -> int:
        return 0

    def copies_first(self) -> bool:
        return False

    def composed(self, site: Site) -> None:
        site.checkpoints.__class__ = _WithoutFloor
        site.checkpoints.hold_back(REBUILDING, on=False)


class _WithoutFloor(Checkpoints):
    def raise_floor(self, size: int) -> None:
        self.floor_size = 0

    def _may_propose(self, now_ms: int) -> bool:
        self.floor_size = 0
        return super()._may_propose(now_ms)

    def _promised_size(self) -> int:
        self.floor_size = 0
        return super()._promised_size()


class KeepsWhatIsDisputed(Hooks):
    """keeps all of a ledger that is not the quorum's, and only copies what it lacks"""

    def agreed(
        self, kept: Iterable[AgreedAt], damage: Iterable[Damage], disputed_size: int | None
    ) -> AgreedAt | None:
        return max(kept, default=None)
