"""The Registry service: what ministries, readers and auditors call.

A write stream carries many submissions at once; answers come as they are known, each with its request's tag. Reads answer from the flushed ledger alone:
LINEARIZABLE ones wait until it holds everything acknowledged before, LOCAL ones say as of when. What a caller may not read is not given out, whatever
name it is asked by. A record in a compartment that the caller may not even see stands in lists as a hidden entry, without its header; in changes only where
the caller asks for hidden entries, so as to make the tree again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import grpc
import grpc.aio

from sento_node import bounds
from sento_node.ledger import reading
from sento_node.ledger.store import KeptRecord
from sento_node.releases.deciding import is_held_back
from sento_node.service.access import (
    may_read,
    may_see,
    require_author,
    require_bytes,
    require_own,
    require_purpose,
    require_registry,
    require_role,
    require_unexpired,
)
from sento_node.service.errors import error_message
from sento_node.service.freshness import as_of, require_reads, wait_fresh
from sento_node.service.heads import Heads
from sento_node.service.node_state import NodeState
from sento_node.service.records import hidden_record, outcome_message, stored_record
from sento_node.service.refusals import refusal_of
from sento_node.service.releasing import Releasing, asked_by, named_fact, named_record, named_subject
from sento_node.site import Reply
from sento_node.tls import caller_of, certificate_end_s
from sento_proto import header as header_layout
from sento_proto import limits
from sento_proto.errors import Code, SentoError
from sento_proto.header import Header
from sento_proto.identity import ROLES, Identity
from sento_proto.merkle import HASH_BYTES
from sento_proto.v1 import client_pb2, client_pb2_grpc, common_pb2

Context = grpc.aio.ServicerContext[object, object]
RECORD_ID_BYTES, FACT_BYTES, SUBJECT_BYTES = 16, 16, 32
CHANGES_PAGE = 200
FOLLOW_EVERY_MS = 50


class RegistryService(client_pb2_grpc.RegistryServicer):
    """Serves the registry's users."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._heads = Heads(node)
        self._releasing = Releasing(node)

    # -- writing ----------------------------------------------------------------------------------------------------

    async def Write(
        self, request_iterator: AsyncIterator[client_pb2.WriteRequest], context: Context
    ) -> AsyncIterator[client_pb2.WriteReply]:
        """Submissions in, outcomes out."""
        try:
            author = require_author(require_role(caller_of(context), "author"), self._node.governance)
        except SentoError:
            # A stream that ends while its caller's first message is on the way shows the caller its own library's INTERNAL in place of our words.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(bounds.REFUSED_STREAM_LISTENS_MS / 1000):
                    await anext(request_iterator, None)
            raise
        end_s = certificate_end_s(context)
        answers: asyncio.Queue[client_pb2.WriteReply | None] = asyncio.Queue()  # bounded by `room`
        room = asyncio.Semaphore(bounds.WRITE_STREAM_IN_FLIGHT_MAX)
        reading_on = asyncio.create_task(
            self._read_submissions(request_iterator, author, end_s, answers, room)
        )
        try:
            while (answer := await answers.get()) is not None:
                yield answer
                room.release()
            await reading_on
        finally:
            reading_on.cancel()

    async def _read_submissions(
        self,
        requests: AsyncIterator[client_pb2.WriteRequest],
        author: str,
        end_s: int | None,
        answers: asyncio.Queue[client_pb2.WriteReply | None],
        room: asyncio.Semaphore,
    ) -> None:
        """Start a task for each submission; when the client has ended its side and all are answered, end ours."""
        try:
            async with asyncio.TaskGroup() as group:
                async for request in requests:
                    await room.acquire()
                    group.create_task(self._answer(request, author, end_s, answers))
        finally:
            answers.put_nowait(None)

    async def _answer(
        self,
        request: client_pb2.WriteRequest,
        author: str,
        end_s: int | None,
        answers: asyncio.Queue[client_pb2.WriteReply | None],
    ) -> None:
        """One submission's answer; a failure of one never ends the stream of the others."""
        began_s = time.perf_counter()
        tallies = self._node.tallies
        try:
            require_unexpired(end_s, self._node.clock.wall_ms())
            require_own(author, request.submission, self._node.governance)
            answer = await self._node.running().submit(request.submission)
            reply = write_reply(request.tag, answer)
            if answer.code is None:
                tallies.answered(time.perf_counter() - began_s, answer.outcomes)
            else:
                tallies.refused(time.perf_counter() - began_s, answer.code)
        except Exception as error:  # noqa: BLE001 - the boundary where every failure becomes words
            refusal = refusal_of(error)
            tallies.refused(time.perf_counter() - began_s, refusal.code)
            reply = client_pb2.WriteReply(tag=request.tag, error=error_message(refusal.code, refusal.detail))
        answers.put_nowait(reply)

    async def Outcomes(
        self, request: client_pb2.OutcomesRequest, context: Context
    ) -> client_pb2.OutcomesReply:
        """What became of an author's own records."""
        author = require_author(require_role(caller_of(context), "author"), self._node.governance)
        if len(request.records) > limits.LIST_PAGE_MAX:
            raise SentoError(Code.BAD_REQUEST, f"at most {limits.LIST_PAGE_MAX} records a call")
        if any(name.author != author for name in request.records):
            raise SentoError(Code.IDENTITY_REFUSED, "an author asks for the outcomes of its own records")
        for name in request.records:
            require_bytes("record_id", name.record_id, RECORD_ID_BYTES)
        await wait_fresh(self._node, context, common_pb2.LINEARIZABLE)
        reply = client_pb2.OutcomesReply(epoch=self._node.store.tip.epoch, as_of=as_of(self._node))
        for name in request.records:
            position = self._node.store.position_of_id(author, name.record_id)
            if position is None:
                reply.outcomes.add(code=Code.NOT_FOUND)
            else:
                record_hash = self._node.store.record_hash_at(position)
                reply.outcomes.add(code=Code.KNOWN, position=position, record_hash=record_hash)
        return reply

    # -- reading ----------------------------------------------------------------------------------------------------

    async def Read(self, request: client_pb2.ReadRequest, context: Context) -> client_pb2.ReadReply:
        """One record by position, hash or (author, record id)."""
        caller = require_role(caller_of(context), "author", "reader")
        self._check_name(request)
        asked = asked_by(caller, request.purpose, "read")
        async with self._releasing.attempt(
            asked, lambda: named_record(self._node.store, self._position_of(request))
        ):
            require_purpose(request.purpose)
            await wait_fresh(self._node, context, request.freshness)
            reply = self._one(caller, request)
        access = await self._releasing.recorded(
            asked, [reply.record], may_spool=request.freshness == common_pb2.LOCAL
        )
        if access is not None:
            reply.access.CopyFrom(access)
        return reply

    def _one(self, caller: Identity, request: client_pb2.ReadRequest) -> client_pb2.ReadReply:
        """The record that the request names, as far as the caller may have it. Raises SentoError."""
        position = self._position_of(request)
        if position is None or position >= self._node.store.tip.size:
            raise SentoError(Code.NOT_FOUND)
        kept = self._node.store.record(position, with_payload=not request.header_only)
        self._allow(caller, kept, header_only=request.header_only)
        header = header_layout.decode(kept.header_bytes)
        if not request.header_only and self._is_withheld(kept, header):
            raise SentoError(Code.ERASED)
        if not request.header_only and is_held_back(self._node.governance, header):
            raise SentoError(Code.NOT_PERMITTED, "officers delay this access record until they release it")
        if kept.payload is None:
            raise SentoError(Code.PAYLOAD_AWAITED)
        record = stored_record(self._node.store, kept, header_only=request.header_only)
        return client_pb2.ReadReply(record=record, as_of=as_of(self._node))

    def _check_name(self, request: client_pb2.ReadRequest) -> None:
        match request.WhichOneof("name"):
            case "position":
                return
            case "record_hash":
                require_bytes("record_hash", request.record_hash, HASH_BYTES)
            case "record":
                require_bytes("record.record_id", request.record.record_id, RECORD_ID_BYTES)
            case _:
                raise SentoError(Code.BAD_REQUEST, "name a record by position, record_hash or record")

    def _position_of(self, request: client_pb2.ReadRequest) -> int | None:
        if request.HasField("position"):
            return request.position
        if request.HasField("record_hash"):
            return self._node.store.position_of_hash(request.record_hash)
        if request.record.author not in self._node.governance.authors:
            return None
        return self._node.store.position_of_id(request.record.author, request.record.record_id)

    async def Fact(self, request: client_pb2.FactRequest, context: Context) -> client_pb2.ListReply:
        """Versions of a fact, newest first."""
        require_bytes("fact", request.fact, FACT_BYTES)
        return await self._list(request, "fact", request.fact, reading.fact_versions, context)

    async def Subject(self, request: client_pb2.SubjectRequest, context: Context) -> client_pb2.ListReply:
        """Records about a subject, newest first."""
        require_bytes("subject", request.subject, SUBJECT_BYTES)
        return await self._list(request, "subject", request.subject, reading.subject_records, context)

    async def _list(
        self,
        request: client_pb2.FactRequest | client_pb2.SubjectRequest,
        method: str,
        name: bytes,
        walk: Callable[..., reading.Page],
        context: Context,
    ) -> client_pb2.ListReply:
        caller = require_role(caller_of(context), "author", "reader")
        asked = asked_by(caller, request.purpose, method)
        whom = named_fact if method == "fact" else named_subject
        async with self._releasing.attempt(asked, lambda: whom(self._node.store, request.registry, name)):
            require_purpose(request.purpose)
            require_registry(caller, self._node.governance, request.registry)
        if request.limit > limits.LIST_PAGE_MAX:
            raise SentoError(Code.BAD_REQUEST, f"limit is at most {limits.LIST_PAGE_MAX}")
        await wait_fresh(self._node, context, request.freshness)
        reply = self._page(caller, self._walked(request, name, walk), header_only=request.header_only)
        access = await self._releasing.recorded(
            asked, reply.records, may_spool=request.freshness == common_pb2.LOCAL
        )
        if access is not None:
            reply.access.CopyFrom(access)
        return reply

    def _walked(
        self,
        request: client_pb2.FactRequest | client_pb2.SubjectRequest,
        name: bytes,
        walk: Callable[..., reading.Page],
    ) -> reading.Page:
        """The part of the list that is asked for. Raises SentoError OUT_OF_RANGE."""
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

    def _page(self, caller: Identity, page: reading.Page, *, header_only: bool) -> client_pb2.ListReply:
        """The page as far as it fits a message; what the caller may not read comes as header alone, what it may not see without its header."""
        reply = client_pb2.ListReply(as_of=as_of(self._node))
        room_bytes = limits.GRPC_MESSAGE_MAX_BYTES - 64 * limits.KIB
        for kept in page.records:
            if room_bytes <= 0:
                reply.next_before = reply.records[-1].position
                return reply
            record = self._listed(caller, kept, header_only=header_only) or hidden_record(kept)
            room_bytes -= record.ByteSize()
            reply.records.append(record)
        if page.next_before is not None:
            reply.next_before = page.next_before
        return reply

    async def Changes(
        self, request: client_pb2.ChangesRequest, context: Context
    ) -> AsyncIterator[common_pb2.StoredRecord]:
        """Records in ledger order from a position on."""
        officers_too = ("officer",) if request.registry in limits.CLEAR_CONTENT_REGISTRIES else ()
        caller = require_role(caller_of(context), "author", "reader", *officers_too)
        require_purpose(request.purpose)
        if request.registry:
            require_registry(caller, self._node.governance, request.registry)
        require_reads(self._node)
        end_s = certificate_end_s(context)
        asked = asked_by(caller, request.purpose, "changes")
        at, end = request.from_position, self._node.store.tip.size
        while True:
            require_unexpired(end_s, self._node.clock.wall_ms())
            while at < end:
                page_end = min(at + CHANGES_PAGE, end)
                page = self._changes_page(caller, request, at, page_end)
                await self._releasing.recorded(asked, page, may_spool=True)
                for record in page:
                    yield record
                at = page_end
                require_unexpired(end_s, self._node.clock.wall_ms())
                await asyncio.sleep(0)
            if not request.follow:
                return
            await asyncio.sleep(FOLLOW_EVERY_MS / 1000)
            require_reads(self._node)
            end = self._node.store.tip.size

    def _changes_page(
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

    # -- proofs -----------------------------------------------------------------------------------------------------

    async def Proof(self, request: client_pb2.ProofRequest, context: Context) -> client_pb2.ProofReply:
        """Inclusion of positions in, and consistency with, a tree of a size that this site has."""
        require_role(caller_of(context), *ROLES)
        require_reads(self._node)
        kept = self._node.store.checkpoint()
        size = request.size or (kept.size if kept else 0)
        if len(request.positions) > limits.LIST_PAGE_MAX:
            raise SentoError(Code.BAD_REQUEST, f"at most {limits.LIST_PAGE_MAX} positions a call")
        if size > self._node.store.tip.size or request.consistent_with_size > size:
            raise SentoError(Code.OUT_OF_RANGE)
        if any(position >= size for position in request.positions):
            raise SentoError(Code.OUT_OF_RANGE)
        reply = client_pb2.ProofReply(size=size, root=reading.root_at(self._node.store, size))
        for position in request.positions:
            path = reading.inclusion(self._node.store, position, size)
            record_hash = self._node.store.record_hash_at(position)
            reply.inclusions.add(position=position, record_hash=record_hash, path=path)
        if request.consistent_with_size:
            reply.consistency.extend(
                reading.consistency(self._node.store, request.consistent_with_size, size)
            )
        return reply

    async def Checkpoint(
        self, request: client_pb2.CheckpointRequest, context: Context
    ) -> client_pb2.CheckpointReply:
        """The newest quorum checkpoint, or the first of at least a size."""
        require_role(caller_of(context), *ROLES)
        require_reads(self._node)
        kept = self._node.store.checkpoint(request.at_least_size)
        if kept is None:
            raise SentoError(Code.NOT_FOUND, "no quorum checkpoint of that size yet")
        return client_pb2.CheckpointReply(checkpoint=kept.note)

    async def Head(self, request: client_pb2.HeadRequest, context: Context) -> client_pb2.HeadReply:
        """This site's signed word on a subject's last record."""
        require_bytes("subject", request.subject, SUBJECT_BYTES)
        caller = require_role(caller_of(context), "author", "reader")
        require_registry(caller, self._node.governance, request.registry)
        require_reads(self._node)
        statement = await self._heads.statement(request.registry, request.subject, request.size)
        return client_pb2.HeadReply(statement=statement)

    # -- shared -----------------------------------------------------------------------------------------------------

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


def write_reply(tag: int, reply: Reply) -> client_pb2.WriteReply:
    """A site's reply as the message of a write stream."""
    if reply.code is not None:
        return client_pb2.WriteReply(tag=tag, epoch=reply.epoch, error=error_message(reply.code))
    return client_pb2.WriteReply(tag=tag, epoch=reply.epoch, outcomes=map(outcome_message, reply.outcomes))
