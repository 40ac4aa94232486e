"""One call to the key agent from its arrival to its answer: who asks, what governance says now, proofs, the one key, the log, the answer.

    identity ── governance followed on ── judged by proofs ── KEK ── DEK unwrapped and sealed to the reader ── log, flushed ── answer

Nothing leaves before its line is on the disk. The line names hashes of records and the institution, never a person; refused calls are logged too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import grpc.aio

from sento_client.key_agent.judging import Allowed, Asked, judge
from sento_client.key_agent.unwrapping import sealed_dek
from sento_client.key_agent.used_pairs import UNWRAPPED
from sento_client.messages import inclusion_of, stored_of
from sento_client.recovery.standing import KekScope
from sento_client.serving.call_log import CallLog
from sento_client.serving.log_files import LogUnusable
from sento_client.serving.refusing import abort
from sento_client.serving.tls import caller_of
from sento_client.setup_errors import SetupError
from sento_client.trust import Trust
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.identity import Identity
from sento_proto.sealing import CannotOpen
from sento_proto.v1 import key_agent_pb2, key_agent_pb2_grpc
from sento_proto.wire import Malformed

ROLES_THAT_ASK = ("author", "reader")
Context = grpc.aio.ServicerContext[object, object]


class Ledger(Protocol):
    """What the agent needs of its own client."""

    async def trust(self) -> Trust:
        """Governance as it stands now. Raises SentoError."""
        ...

    async def kek(self, scope: KekScope) -> bytes:
        """A KEK that is sealed to the agent. Raises SentoError, SetupError."""
        ...


class KeyAgentServicer(key_agent_pb2_grpc.KeyAgentServicer):
    """The service. `used`: pairs that the log says were served; `say` hears what operators should know."""

    def __init__(
        self, name: str, ledger: Ledger, log: CallLog, used: set[bytes], say: Callable[[str], None]
    ) -> None:
        self._name = name
        self._ledger = ledger
        self._log = log
        self._used = used
        self._say = say
        self._held: dict[KekScope, None] = {}
        self._unwrapped = self._refused = 0

    async def Unwrap(  # noqa: N802 - named as in the .proto
        self, request: key_agent_pb2.UnwrapRequest, context: Context
    ) -> key_agent_pb2.UnwrapReply:
        """The DEK of one record, for the access record that says who reads it."""
        caller = caller_of(context)
        line: dict[str, object] = {
            "event": UNWRAPPED,
            "institution": caller.name if caller else "",
            "record": request.record.record_hash[:32].hex(),
            "access": request.access.record.record_hash[:32].hex(),
            "outcome": "OK",
        }
        try:
            sealed = await self._unwrap(request, caller, line)
        except SentoError as refusal:
            self._refused += 1
            line["outcome"] = refusal.code.name
            await self._write(line, context)
            await abort(context, refusal)
        self._unwrapped += 1
        return key_agent_pb2.UnwrapReply(sealed_dek=sealed)

    async def Describe(  # noqa: N802 - named as in the .proto
        self, _request: key_agent_pb2.DescribeAgentRequest, context: Context
    ) -> key_agent_pb2.DescribeAgentReply:
        """What this is, and for which scopes it has opened a KEK since it started; never a key."""
        try:
            _require(caller_of(context), (*ROLES_THAT_ASK, "operator"))
            trust = await self._ledger.trust()
        except SentoError as refusal:
            await abort(context, refusal)
        reply = key_agent_pb2.DescribeAgentReply(
            name=self._name, ledger_id=trust.ledger_id, unwrapped=self._unwrapped, refused=self._refused
        )
        for scope in sorted(self._held):
            reply.held.add(
                author=scope.author,
                registry=scope.registry,
                compartment=scope.compartment,
                key_epoch=scope.key_epoch,
            )
        return reply

    async def _unwrap(
        self, request: key_agent_pb2.UnwrapRequest, caller: Identity | None, line: dict[str, object]
    ) -> bytes:
        identity = _require(caller, ROLES_THAT_ASK)
        asked = _asked(request)
        trust = await self._ledger.trust()
        allowed = judge(asked, identity, self._name, trust, self._used)
        self._used.add(allowed.pair)  # before anything is waited for: two calls at once are one use
        try:
            sealed = await self._sealed(trust, allowed, asked)
            await self._log.write(line)
        except LogUnusable as error:
            self._used.discard(allowed.pair)
            self._say(f"The log cannot be written, so nothing is unwrapped: {error}")
            raise SentoError(
                Code.STOPPED, "the key agent cannot write its log, so it unwraps nothing"
            ) from None
        except BaseException:
            self._used.discard(allowed.pair)
            raise
        return sealed

    async def _sealed(self, trust: Trust, allowed: Allowed, asked: Asked) -> bytes:
        header = allowed.header
        scope = KekScope(allowed.author, header.registry, header.compartment, header.key_epoch)
        try:
            kek = await self._ledger.kek(scope)
            sealed = await asyncio.to_thread(
                sealed_dek,
                trust.ledger_id,
                allowed.pair,
                header,
                asked.record.payload,
                kek=kek,
                reader_public=allowed.seal_key,
            )
        except SetupError as error:
            self._say(f"A key that the agent should hold cannot be opened: {scope.words}: {error}")
            raise SentoError(
                Code.STOPPED,
                f"the key agent holds no key of {scope.words}; its author must seal it to the agent",
            ) from None
        except (CannotOpen, Malformed) as error:
            raise SentoError(Code.DAMAGED, str(error)) from None
        self._held[scope] = None
        return sealed

    async def _write(self, line: dict[str, object], context: Context) -> None:
        try:
            await self._log.write(line)
        except LogUnusable as error:
            self._say(f"The log cannot be written, so nothing is unwrapped: {error}")
            await abort(
                context, SentoError(Code.STOPPED, "the key agent cannot write its log, so it unwraps nothing")
            )


def _require(caller: Identity | None, roles: tuple[str, ...]) -> Identity:
    if caller is None or caller.role not in roles:
        raise SentoError(Code.IDENTITY_REFUSED, f"the key agent serves {', '.join(roles)}")
    return caller


def _asked(request: key_agent_pb2.UnwrapRequest) -> Asked:
    try:
        checkpoint = decode_checkpoint(request.checkpoint)
    except Malformed as error:
        raise SentoError(Code.BAD_REQUEST, str(error)) from None
    return Asked(
        stored_of(request.record),
        stored_of(request.access.record),
        request.access.dek,
        inclusion_of(request.inclusion),
        checkpoint,
    )
