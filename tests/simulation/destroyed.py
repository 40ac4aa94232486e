"""destroyed-is-gone: payloads that an order had destroyed are nowhere that a site answers for, and no others were destroyed.

Held against the reference's own reading of the orders: each flush, each chunk that a site gives to another, each erasure, each certificate, and every store at
the end (`positions`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tests.simulation.reference import Reference, Stand
from tests.simulation.rulebook import Rulebook

from sento_node.ledger.state import Batch
from sento_node.ledger.store import KeptRecord, LedgerStore
from sento_proto.governance.state import ErasureOrder


class Destroyed:
    """Compares for one world. `reference`: the order as it is now; `differs` is told what is not as it must be."""

    def __init__(self, reference: Callable[[], Reference], differs: Callable[[str], None]) -> None:
        self._reference = reference
        self._differs = differs

    def positions(self, block: int, among: Iterable[int]) -> set[int]:
        """Those positions whose payloads orders up to this block had destroyed."""
        reference = self._reference()
        book = reference.books[min(block, len(reference.books) - 1)]
        if not any(isinstance(order.state, int) for order in book.orders.values()):
            return set()
        stands = reference.facts.stands
        return {at for at in among if at < len(stands) and _is_destroyed(book, stands[at])}

    def written(self, site: str, batch: Batch, store: LedgerStore) -> None:
        """A flush is done: it brought nothing back."""
        among = [item.position for result in batch.blocks for item in result.standing]
        for position in self.positions(batch.tip.block, among):
            if store.record(position).payload is not None:
                self._differs(f"{site} wrote the payload of position {position}, which was destroyed")

    def given(self, site: str, block: int, records: Iterable[KeptRecord]) -> None:
        """A site that applied this block gives records to another."""
        given = {kept.position for kept in records if kept.payload is not None}
        for position in self.positions(block, given):
            self._differs(f"{site} gave out the payload of position {position}, which was destroyed")

    def erased(self, site: str, positions: Sequence[int]) -> None:
        """A site erased these payloads: orders said so of each."""
        beyond = set(positions) - self.positions(len(self._reference().blocks), positions)
        if beyond:
            self._differs(f"{site} erased positions {sorted(beyond)}, which no order had destroyed")

    def certified(
        self, site: str, order: ErasureOrder, positions: Sequence[int], store: LedgerStore, *, log_holds: bool
    ) -> None:
        """A site is about to certify that it carried out an order; `log_holds`: a block up to the act of carrying out still stands in the log."""
        reference = self._reference()
        said = reference.book.orders[order.position]
        covered = {
            stand.position
            for stand in reference.facts.stands[: store.tip.size]
            if stand.record.payload
            and (
                stand.record.record_hash.hex() in said.records
                or said.covers(stand.record.header.registry, stand.record.header.subject, stand.position)
            )
        }
        if covered != set(positions):
            self._differs(
                f"{site} certifies {sorted(positions)} and order {order.position} covers {sorted(covered)}"
            )
        left = [position for position in positions if store.record(position).payload is not None]
        if left or log_holds:
            where = f"at positions {left}" if left else "in the ordering log"
            self._differs(f"{site} certifies order {order.position} and payloads are left {where}")


def _is_destroyed(book: Rulebook, stand: Stand) -> bool:
    record = stand.record
    about = record.header.registry, record.header.subject, stand.position
    return bool(record.payload) and book.destroyed(record.record_hash, *about) is not None
