"""Which records an erasure order covers, looked up in a ledger."""

from __future__ import annotations

from sento_node.ledger.results import NOWHERE
from sento_node.ledger.store import LedgerStore
from sento_proto.governance.state import ErasureOrder
from sento_proto.record import PAYLOAD_HASH_OF_NOTHING


def covered_positions(store: LedgerStore, order: ErasureOrder) -> tuple[int, ...]:
    """Positions of the flushed records with a payload that the order covers, rising: those it names, and of its subjects those below the act that carried
    it out. Raises LedgerDamaged."""
    named = (store.position_of_hash(record_hash) for record_hash in order.records)
    found = {position for position in named if position is not None and position < store.tip.size}
    before = store.tip.size if order.carried_out_at is None else order.carried_out_at
    for registry, subject in order.subjects:
        head = store.subject_head(registry, subject)
        position = NOWHERE if head is None else head.position
        while position != NOWHERE:
            if position < before:
                found.add(position)
            position = store.record(position, with_payload=False).previous_of_subject
    return tuple(sorted(position for position in found if _has_payload(store, position)))


def _has_payload(store: LedgerStore, position: int) -> bool:
    return store.record(position, with_payload=False).payload_hash != PAYLOAD_HASH_OF_NOTHING
