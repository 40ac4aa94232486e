"""What a servicer raises, as gRPC carries it: the one place where calls end in words, and where every call gets a deadline.

Servicers raise `SentoError`, or whatever the ledger raises; this interceptor turns it into a status, words and the stable code in the trailing
metadata. What nobody foresaw is INTERNAL: logged here by type, told without its text, which might quote what a caller sent. Calls that answer once
end with DEADLINE at their own deadline or the longest allowed one, whichever is earlier; streams live as long as their caller. How each call ended is counted
here too, by method and code. No call begins under a certificate that has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self, TypeAlias

import grpc
import grpc.aio
import structlog

from sento_node import bounds
from sento_node.clock import SystemClock
from sento_node.ledger.store import LedgerDamaged, LedgerFailed
from sento_node.service.access import require_unexpired
from sento_node.service.errors import abort
from sento_node.tallies import CANCELLED, OK, CallTally, Tallies
from sento_node.tls import certificate_end_s
from sento_proto.errors import Code, SentoError
from sento_proto.wire import Malformed

OUR_METHODS = "/sento.v1."
Context = grpc.aio.ServicerContext[object, object]
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"  # not subscriptable when it runs


def refusal_of(error: Exception) -> SentoError:
    """The error with a stable code that `error` is for the caller."""
    match error:
        case SentoError():
            return error
        case LedgerDamaged():
            return SentoError(Code.DAMAGED, str(error))
        case LedgerFailed():
            return SentoError(Code.STOPPED)
        case Malformed():
            return SentoError(Code.MALFORMED, str(error))
        case _:
            structlog.get_logger("sento.node").error("a call met the unforeseen", exc_info=error)
            return SentoError(Code.INTERNAL)


def deadline_s(remaining_s: float | None) -> float:
    """How long a call that answers once may take, given what its caller left it (None: no deadline)."""
    longest_s = bounds.CALL_DEADLINE_MAX_MS / 1000
    return longest_s if remaining_s is None else max(0.0, min(remaining_s, longest_s))


class UnderWay:
    """One call while it lasts. `code` is how it ended as far as is known: given up by its caller, until something else is said."""

    __slots__ = ("_began_s", "_tally", "_timed", "code")

    def __init__(self, tally: CallTally, *, timed: bool) -> None:
        self._tally = tally
        self._timed = timed
        self._began_s = 0.0
        self.code = CANCELLED

    def __enter__(self) -> Self:
        self._tally.under_way += 1
        self._began_s = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._tally.under_way -= 1
        self._tally.by_code[self.code] += 1
        if self._timed:
            self._tally.seconds.observe(time.perf_counter() - self._began_s)


class Refusals(grpc.aio.ServerInterceptor):
    """Wraps every method of ours; health and reflection keep their own manners. A method that is not ours is never counted: its name is its caller's."""

    def __init__(self, tallies: Tallies | None = None, wall_ms: Callable[[], int] | None = None) -> None:
        self._tallies = tallies or Tallies()
        self._wall_ms = wall_ms or SystemClock().wall_ms

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler:
        """The handler that answers in words."""
        handler: Any = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(OUR_METHODS):
            return handler  # type: ignore[no-any-return]  # grpc says Any of its own handlers
        tally = self._tallies.call(handler_call_details.method.removeprefix(OUR_METHODS))
        if handler.response_streaming:
            make = grpc.unary_stream_rpc_method_handler
            # A stream of requests lasts as long as its caller likes: how long says nothing. What it carries is timed by its service.
            underway = functools.partial(UnderWay, tally, timed=not handler.request_streaming)
            method = handler.unary_stream or handler.stream_stream
            behaviour: Any = _stream_in_words(method, underway, self._wall_ms)
            if handler.request_streaming:
                make = grpc.stream_stream_rpc_method_handler
        else:
            underway = functools.partial(UnderWay, tally, timed=True)
            make, behaviour = (
                grpc.unary_unary_rpc_method_handler,
                _answer_in_words(handler.unary_unary, underway, self._wall_ms),
            )
        return make(behaviour, handler.request_deserializer, handler.response_serializer)


def _answer_in_words(
    method: Callable[[object, Context], Awaitable[object]],
    underway: Callable[[], UnderWay],
    wall_ms: Callable[[], int],
) -> Callable[[object, Context], Awaitable[object]]:
    async def answer(request: object, context: Context) -> object:
        with underway() as call:
            try:
                require_unexpired(certificate_end_s(context), wall_ms())
                async with asyncio.timeout(deadline_s(context.time_remaining())):
                    reply = await method(request, context)
            except TimeoutError:
                refusal = SentoError(Code.DEADLINE)
            except Exception as error:  # noqa: BLE001 - the boundary where every failure becomes words
                refusal = refusal_of(error)
            else:
                call.code = OK
                return reply
            call.code = refusal.code.name
            return await abort(context, refusal)

    return answer


def _stream_in_words(
    method: Callable[[object, Context], AsyncIterator[object]],
    underway: Callable[[], UnderWay],
    wall_ms: Callable[[], int],
) -> Callable[[object, Context], AsyncIterator[object]]:
    async def answer(request: object, context: Context) -> AsyncIterator[object]:
        replies: Any = method(request, context)
        with underway() as call:
            try:
                require_unexpired(certificate_end_s(context), wall_ms())
                async with contextlib.aclosing(replies):
                    async for reply in replies:
                        yield reply
            except Exception as error:  # noqa: BLE001 - the boundary where every failure becomes words
                refusal = refusal_of(error)
            else:
                call.code = OK
                return
            call.code = refusal.code.name
            await abort(context, refusal)

    return answer
