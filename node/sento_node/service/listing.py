"""What of the ledger a caller gets to see: one record, a page of a list, a stretch of the order.

A record that the caller may read comes whole, one that it may only see comes without its payload, and one in a compartment that it may not even see without
its header, as a hidden entry; a stretch of the order has hidden entries only where they are asked for, so as to make the tree again. A payload that an order
withholds, or officers delay, leaves to nobody. Nothing here is recorded or waited for: the ledger is read as it is flushed.
"""

from __future__ import annotations

from collections.abc import Callable

from sento_node.ledger import reading
from sento_node.ledger.store import KeptRecord
from sento_node.releases.deciding import is_held_back
from sento_node.service.access import may_read, may_see
from sento_node.service.freshness import as_of
from sento_node.service.node_state import NodeState
from sento_node.service.records import hidden_record, stored_record
from sento_proto import header as header_layout
from sento_proto import limits
from sento_proto.errors import Code, SentoError
from sento_proto.header import Header
from sento_proto.identity import Identity
from sento_proto.v1 import client_pb2, common_pb2

ListRequest = client_pb2.FactRequest | client_pb2.SubjectRequest
Walk = Callable[..., reading.Page]


class Listing:
    """What one node shows of its ledger."""

    def __init__(self, node: NodeState) -> None:
        self._node = node

    def one(self, caller: Identity, position: int | None, *, header_only: bool) -> client_pb2.ReadReply:
        """The record there, as far as the caller may have it. Raises SentoError NOT_FOUND, NOT_PERMITTED, ERASED, PAYLOAD_AWAITED."""
        store = self._node.store
        if position is None or position >= store.tip.size:
            raise SentoError(Code.NOT_FOUND)
        kept = store.record(position, with_payload=not header_only)
        self._allow(caller, kept, header_only=header_only)
        header = header_layout.decode(kept.header_bytes)
        if not header_only and self._is_withheld(kept, header):
            raise SentoError(Code.ERASED)
        if not header_only and is_held_back(self._node.governance, header):
            raise SentoError(Code.NOT_PERMITTED, "officers delay this access record until they release it")
        if kept.payload is None:
            raise SentoError(Code.PAYLOAD_AWAITED)
        record = stored_record(store, kept, header_only=header_only)
        return client_pb2.ReadReply(record=record, as_of=as_of(self._node))

    def page(self, caller: Identity, request: ListRequest, name: bytes, walk: Walk) -> client_pb2.ListReply:
        """The part of the list that is asked for, as far as it fits a message. Raises SentoError OUT_OF_RANGE."""
        page = self._walked(request, name, walk)
        reply = client_pb2.ListReply(as_of=as_of(self._node))
        room_bytes = limits.GRPC_MESSAGE_MAX_BYTES - 64 * limits.KIB
        for kept in page.records:
            if room_bytes <= 0:
                reply.next_before = reply.records[-1].position
                return reply
            record = self.entry(caller, kept, header_only=request.header_only)
            room_bytes -= record.ByteSize()
            reply.records.append(record)
        if page.next_before is not None:
            reply.next_before = page.next_before
        return reply

    def entry(
        self, caller: Identity, kept: KeptRecord, *, header_only: bool = False
    ) -> common_pb2.StoredRecord:
        """One entry of a list, as far as the caller may have it."""
        return self._listed(caller, kept, header_only=header_only) or hidden_record(kept)

    def _walked(self, request: ListRequest, name: bytes, walk: Walk) -> reading.Page:
        try:
            return walk(
                self._node.store,
                request.registry,
                name,
                limit=max(1, request.limit),
                before=request.before if request.HasField("before") else None,
                as_of_size=request.as_of_size if request.HasField("as_of_size") else None,
                with_payload=not request.header_only,
            )
        except IndexError:
            raise SentoError(Code.OUT_OF_RANGE) from None

    def stretch(
        self, caller: Identity, request: client_pb2.ChangesRequest, start: int, end: int
    ) -> list[common_pb2.StoredRecord]:
        """What the caller gets of [start, end), which is recorded as a whole before any of it leaves."""
        page = []
        for kept in self._node.store.records(start, end, with_payload=not request.header_only):
            header = header_layout.decode(kept.header_bytes)
            if request.registry and header.registry != request.registry:
                continue
            record = self._listed(caller, kept, header_only=request.header_only)
            if record is None and request.with_hidden:
                record = hidden_record(kept)
            if record is not None:
                page.append(record)
        return page

    def _allow(self, caller: Identity, kept: KeptRecord, *, header_only: bool) -> None:
        may, what = (may_see, "see") if header_only else (may_read, "read")
        if not may(caller, self._node.governance, header_layout.decode(kept.header_bytes), kept.author):
            raise SentoError(Code.NOT_PERMITTED, f"this institution may not {what} that record")

    def _listed(
        self, caller: Identity, kept: KeptRecord, *, header_only: bool
    ) -> common_pb2.StoredRecord | None:
        """The record as far as the caller may have it; None when it may not see it."""
        header = header_layout.decode(kept.header_bytes)
        if not may_see(caller, self._node.governance, header, kept.author):
            return None
        allowed = self._may_release(caller, kept, header)
        record = stored_record(self._node.store, kept, header_only=header_only or not allowed)
        record.payload_withheld = not allowed or kept.payload is None
        return record

    def _may_release(self, caller: Identity, kept: KeptRecord, header: Header) -> bool:
        """Whether the payload may leave: the caller may read it, no order says that it is to be destroyed, and no delay holds it back."""
        governance = self._node.governance
        if self._is_withheld(kept, header) or is_held_back(governance, header):
            return False
        return may_read(caller, governance, header, kept.author)

    def _is_withheld(self, kept: KeptRecord, header: Header) -> bool:
        """Whether an order says that the payload is to be destroyed."""
        order = self._node.governance.withheld_by(
            kept.record_hash, header.registry, header.subject, kept.position
        )
        return order is not None
