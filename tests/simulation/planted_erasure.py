"""Planted bugs in how a site destroys payloads: each is product code with one thing wrong. The rules of erasure have theirs in `planted_read_log.py`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from unittest import mock

from tests.simulation.hooks import Hooks

from sento_node.ledger.state import Batch, LedgerState
from sento_node.ledger.store import LedgerStore
from sento_node.site import Site
from sento_proto.governance.state import ErasureOrder, Governance


class DestroyedWrittenAgain(Hooks):
    """writes every payload that comes with a block, from the log or another site, also one that an order in the same batch had destroyed"""

    def composed(self, site: Site) -> None:
        site.state.__class__ = _WritesAll


class _WritesAll(LedgerState):
    def seal_batch(self) -> Batch | None:
        batch = super().seal_batch()
        return None if batch is None else batch._replace(destroyed=frozenset())


class DestroyedGivenToOthers(Hooks):
    """gives other sites what its disk still holds, whatever orders say"""

    def payload_chunk(
        self, store: LedgerStore, governance: Governance, registry: str, from_position: int, to_position: int
    ) -> bytes:
        with mock.patch("sento_node.sync.making.is_destroyed", return_value=False):
            return super().payload_chunk(store, governance, registry, from_position, to_position)


class AwayKeepsWhatWasDestroyed(Hooks):
    """erases what is carried out while it is there, and not what was carried out while it was away"""

    def payloads_left(
        self,
        orders: Sequence[ErasureOrder],
        due: Collection[int],
        clear: Collection[int],
        flushed_size: int,
        present_since: int | None,
    ) -> tuple[int, ...]:
        left = super().payloads_left(orders, due, clear, flushed_size, present_since)
        done = {order.position: order.carried_out_at or 0 for order in orders}
        return tuple(order for order in left if present_since is not None and done[order] >= present_since)


class CertifiedBeforeErased(Hooks):
    """certifies what it has not erased yet"""

    def payloads_left(
        self,
        orders: Sequence[ErasureOrder],
        due: Collection[int],
        clear: Collection[int],
        flushed_size: int,
        present_since: int | None,
    ) -> tuple[int, ...]:
        return ()
