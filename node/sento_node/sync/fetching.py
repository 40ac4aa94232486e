"""What one site gives another that mends its ledger: a payload by record hash, a block by number with the proof that its records stand.

Nothing is given out here that does not verify on this site's own disk; what an order had destroyed is called erased, whatever the disk still holds.
The site that asks believes nothing of it: a payload has to make the hash that it knows, a block's records have to stand under a quorum's checkpoint.
"""

from __future__ import annotations

from sento_node.ledger import reading
from sento_node.ledger.store import KeptRecord, LedgerDamaged, LedgerStore
from sento_node.sync.entries import encode_block_entry
from sento_proto import header as header_layout
from sento_proto.governance.state import Governance
from sento_proto.v1 import sync_pb2
from sento_proto.wire import Malformed


def is_destroyed(governance: Governance, kept: KeptRecord) -> bool:
    """Whether an order that was carried out covers the record: its payload may stand nowhere any more. Raises Malformed."""
    header = header_layout.decode(kept.header_bytes)
    return (
        governance.destroyed_by(kept.record_hash, header.registry, header.subject, kept.position) is not None
    )


def fetched_payload(
    store: LedgerStore, governance: Governance, record_hash: bytes
) -> sync_pb2.FetchedPayload:
    """The answer about one record's payload."""
    missing = sync_pb2.FetchedPayload(record_hash=record_hash, missing=True)
    try:
        position = store.position_of_hash(record_hash)
        if position is None or position >= store.tip.size:
            return missing
        kept = store.record(position, with_payload=False)
        if kept.record_hash != record_hash:
            return missing
        store.check_given_out(position)
        if kept.erased or is_destroyed(governance, kept):
            return sync_pb2.FetchedPayload(record_hash=record_hash, erased=True)
        payload = store.record(position).payload
    except (LedgerDamaged, Malformed):
        return missing
    return missing if payload is None else sync_pb2.FetchedPayload(record_hash=record_hash, payload=payload)


def fetched_block(store: LedgerStore, number: int) -> sync_pb2.FetchedBlock | None:
    """A block without its payloads, its records' paths to a quorum checkpoint; None when this site cannot prove it."""
    try:
        if not 0 < number <= store.tip.block:
            return None
        block = store.block(number)
        kept = store.checkpoint_by_block(number)
        if kept is None or kept.size > store.tip.size:
            return None
        records = {
            record.position: record
            for record in store.records(block.size_before, block.size_after, with_payload=False)
        }
        paths = [
            sync_pb2.InclusionPath(position=position, path=reading.inclusion(store, position, kept.size))
            for position in records
        ]
        entry = encode_block_entry(block, records)
    except LedgerDamaged:
        return None
    return sync_pb2.FetchedBlock(block=entry, checkpoint=kept.note, paths=paths)
