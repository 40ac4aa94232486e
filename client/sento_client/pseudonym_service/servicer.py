"""One call to the pseudonym service from its arrival to its answer: checked, admitted, computed, logged, answered; refused calls are logged too.

    identity ── form and cost ── registry ── allowance ── MACs ── log, flushed ── answer

The order matters: nothing is computed for a call that is not admitted, and nothing leaves before its line is on the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import grpc
import grpc.aio

from sento_client.pseudonym_service.admitting import (
    ROLES_THAT_ASK,
    ROLES_THAT_LOOK,
    AtLimit,
    admit,
    require_identity,
    require_key,
)
from sento_client.pseudonym_service.answering import answer_names, answer_tags, cost_of_names, cost_of_tags
from sento_client.pseudonym_service.limiting import Limiter, TurnedAway
from sento_client.pseudonym_service.macs import KeyName, Mac, MacFailed
from sento_client.serving.call_log import CallLog
from sento_client.serving.log_files import LogUnusable
from sento_client.serving.refusing import abort, error_message
from sento_client.serving.tls import caller_of
from sento_proto.errors import Code, SentoError
from sento_proto.pseudonyms import KeyKind
from sento_proto.v1 import pseudonyms_pb2, pseudonyms_pb2_grpc

RequestT = TypeVar("RequestT", pseudonyms_pb2.NamesRequest, pseudonyms_pb2.TagsRequest)
ReplyT = TypeVar("ReplyT")
Context = grpc.aio.ServicerContext[object, object]
UNKNOWN = "unknown"
"""Stands in the log for a registry that is not one of ours: what a caller wrote there may be anything, also a number."""


class PseudonymsServicer(pseudonyms_pb2_grpc.PseudonymsServicer):
    """The service. `steady_ms` never jumps; `say` hears what operators should know."""

    def __init__(
        self,
        description: pseudonyms_pb2.DescribeReply,
        mac: Mac,
        limiter: Limiter,
        log: CallLog,
        steady_ms: Callable[[], int],
        say: Callable[[str], None],
    ) -> None:
        self._description = description
        self._mac = mac
        self._limiter = limiter
        self._log = log
        self._steady_ms = steady_ms
        self._say = say
        self._turned_away = TurnedAway()
        # A token serves one question at a time.
        self._thread = ThreadPoolExecutor(1, "token") if mac.blocks else None

    async def Names(  # noqa: N802 - named as in the .proto
        self, request: pseudonyms_pb2.NamesRequest, context: Context
    ) -> pseudonyms_pb2.NamesReply:
        """Subjects and facts."""
        try:
            return await self._serve(
                "names", request, context, KeyKind.PSEUDONYM, cost_of_names, answer_names
            )
        except AtLimit as refusal:
            return pseudonyms_pb2.NamesReply(at_limit=_at_limit(refusal))

    async def Tags(  # noqa: N802 - named as in the .proto
        self, request: pseudonyms_pb2.TagsRequest, context: Context
    ) -> pseudonyms_pb2.TagsReply:
        """Search tags."""
        try:
            return await self._serve("tags", request, context, KeyKind.INDEX, cost_of_tags, answer_tags)
        except AtLimit as refusal:
            return pseudonyms_pb2.TagsReply(at_limit=_at_limit(refusal))

    async def Describe(  # noqa: N802 - named as in the .proto
        self, _request: pseudonyms_pb2.DescribeRequest, context: Context
    ) -> pseudonyms_pb2.DescribeReply:
        """What this is; operators see it all, others the registries that they may ask for."""
        try:
            caller = require_identity(caller_of(context), ROLES_THAT_LOOK)
        except SentoError as refusal:
            await abort(context, refusal)
        reply = pseudonyms_pb2.DescribeReply()
        reply.CopyFrom(self._description)
        del reply.registries[:]
        for described in self._description.registries:
            allowance = self._limiter.allowance(caller.name, described.registry)
            if allowance is None and caller.role != "operator":
                continue
            shown = reply.registries.add()
            shown.CopyFrom(described)
            shown.names_per_minute = 0 if allowance is None else allowance.names_per_minute
        reply.log_lines, reply.log_head = self._log.end
        return reply

    def close(self) -> None:
        """Let go of the keys."""
        if self._thread is not None:
            self._thread.shutdown()
        self._mac.close()

    async def _serve(
        self,
        event: str,
        request: RequestT,
        context: Context,
        kind: KeyKind,
        cost_of: Callable[[RequestT], int],
        answer: Callable[[Mac, RequestT], ReplyT],
    ) -> ReplyT:
        """The whole way of one call. Raises AtLimit; ends the call for every other refusal."""
        caller = caller_of(context)
        key = KeyName(request.registry, kind)
        line: dict[str, object] = {
            "event": event,
            "institution": caller.name if caller else "",
            "role": caller.role if caller else "",
            "registry": key.registry if key in self._mac.keys else UNKNOWN,
            "count": 0,
            "outcome": "OK",
        }
        reply: ReplyT | None = None
        refusal: SentoError | None = None
        try:
            identity = require_identity(caller, ROLES_THAT_ASK)
            line["count"] = cost = cost_of(request)
            line |= _purpose(request)
            require_key(self._mac.keys, key)
            admission = admit(self._limiter, identity, key.registry, cost, self._steady_ms())
            if admission.unusual:
                line["alarm"] = "more names this hour than configured as usual"
            reply = await self._compute(answer, request)
        except MacFailed as error:
            self._say(f"The keys cannot be used: {error}")
            refusal = SentoError(
                Code.STOPPED, "the pseudonym service cannot use its keys; its operators look at the token"
            )
        except AtLimit as error:
            if not self._turned_away.needs_line(str(line["institution"]), key.registry, self._steady_ms()):
                raise
            line["alarm"] = "at its limit"
            refusal = error
        except SentoError as error:
            refusal = error
        if refusal is not None:
            line["outcome"] = refusal.code.name
        if "alarm" in line:
            self._say(f"{line['institution']}, registry {line['registry']}: {line['alarm']}")
        if silent := self._turned_away.take(str(line["institution"]), key.registry):
            line["turned_away_before"] = silent
        try:
            await self._log.write(line)
        except LogUnusable as error:
            self._say(f"The log cannot be written, so nothing is named: {error}")
            refusal = SentoError(
                Code.STOPPED, "the pseudonym service cannot write its log, so it names nobody"
            )
        if isinstance(refusal, AtLimit):
            raise refusal
        if refusal is not None or reply is None:
            await abort(context, refusal or SentoError(Code.INTERNAL))
        return reply

    async def _compute(self, answer: Callable[[Mac, RequestT], ReplyT], request: RequestT) -> ReplyT:
        if self._thread is None:
            return answer(self._mac, request)
        return await asyncio.get_running_loop().run_in_executor(self._thread, answer, self._mac, request)


def _purpose(request: pseudonyms_pb2.NamesRequest | pseudonyms_pb2.TagsRequest) -> dict[str, object]:
    if not request.HasField("purpose"):
        return {}
    return {"purpose": request.purpose.purpose, "case_number": request.purpose.case_number}


def _at_limit(refusal: AtLimit) -> pseudonyms_pb2.AtLimit:
    return pseudonyms_pb2.AtLimit(error=error_message(refusal), wait_ms=refusal.wait_ms)
