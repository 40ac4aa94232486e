"""The Registry service: what ministries, readers and auditors call.

A write stream carries many submissions at once; answers come as they are known, each with its request's tag. Reads answer from the flushed ledger alone:
LINEARIZABLE ones wait until it holds everything acknowledged before, LOCAL ones say as of when. What a caller may not read is not given out, whatever
name it is asked by. A record in a compartment that the caller may not even see stands in lists as a hidden entry, without its header; in changes only where
the caller asks for hidden entries, so as to make the tree again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc
import grpc.aio

from sento_node import bounds
from sento_node.ledger import reading
from sento_node.service.access import (
    require_author,
    require_bytes,
    require_purpose,
    require_registry,
    require_role,
    require_unexpired,
)
from sento_node.service.checkpoint_waiting import CheckpointWaiting
from sento_node.service.extract_service import ExtractService
from sento_node.service.freshness import as_of, require_reads, wait_fresh
from sento_node.service.heads import Heads
from sento_node.service.listing import Listing, ListRequest, Walk
from sento_node.service.node_state import NodeState
from sento_node.service.releasing import Releasing, asked_by, named_fact, named_record, named_subject
from sento_node.service.write_stream import WriteStream
from sento_node.tls import caller_of, certificate_end_s
from sento_proto import limits
from sento_proto.errors import Code, SentoError
from sento_proto.identity import ROLES
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
        self._checkpoints = CheckpointWaiting(node)
        self._heads = Heads(node)
        self._listing = Listing(node)
        self._releasing = Releasing(node)
        self._extracts = ExtractService(node, self._releasing)

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
        stream = WriteStream(self._node, author, certificate_end_s(context))
        async with contextlib.aclosing(stream.replies(request_iterator)) as replies:
            async for reply in replies:
                yield reply

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
            reply = self._listing.one(caller, self._position_of(request), header_only=request.header_only)
        access = await self._releasing.recorded(
            asked, [reply.record], may_spool=request.freshness == common_pb2.LOCAL
        )
        if access is not None:
            reply.access.CopyFrom(access)
        return reply

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
        request: ListRequest,
        method: str,
        name: bytes,
        walk: Walk,
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
        reply = self._listing.page(caller, request, name, walk)
        access = await self._releasing.recorded(
            asked, reply.records, may_spool=request.freshness == common_pb2.LOCAL
        )
        if access is not None:
            reply.access.CopyFrom(access)
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
                page = self._listing.stretch(caller, request, at, page_end)
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
        """The newest quorum checkpoint, or the first of at least a size; one that a site of the named ones cosigned too, waited for."""
        require_role(caller_of(context), *ROLES)
        require_reads(self._node)
        kept = await self._checkpoints.find(request)
        return client_pb2.CheckpointReply(checkpoint=kept.note)

    async def Head(self, request: client_pb2.HeadRequest, context: Context) -> client_pb2.HeadReply:
        """This site's signed word on a subject's last record."""
        require_bytes("subject", request.subject, SUBJECT_BYTES)
        caller = require_role(caller_of(context), "author", "reader")
        require_registry(caller, self._node.governance, request.registry)
        require_reads(self._node)
        statement = await self._heads.statement(request.registry, request.subject, request.size)
        return client_pb2.HeadReply(statement=statement)

    # -- where no site can be reached -------------------------------------------------------------------------------

    async def Extract(self, request: client_pb2.ExtractRequest, context: Context) -> client_pb2.ExtractReply:
        """Records of some persons, sealed to the caller."""
        return await self._extracts.extract(request, caller_of(context))

    async def ReportExtractUse(
        self, request: client_pb2.ReportExtractUseRequest, context: Context
    ) -> client_pb2.ReportExtractUseReply:
        """What the caller opened of its extracts."""
        return await self._extracts.report(request, caller_of(context))
