"""What a node without a ledger answers: how it stands, and what other sites ask about the ordering log. Everything else is NO_LEDGER_HERE.

A tie-breaker has the services of every node, so that whoever calls it by mistake is told so in words and by a code, and not that a method is unknown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeAlias

import grpc
import grpc.aio

from sento_node.service.errors import abort
from sento_node.service.refusals import OUR_METHODS
from sento_proto.errors import Code, SentoError

ANSWERED = frozenset(
    f"{OUR_METHODS}{method}"
    for method in (
        "Admin/Status",
        "Admin/BeginEpoch",
        "Sync/AnnounceBoot",
        "Sync/PeerState",
        "Sync/ChangeMember",
    )
)
Context = grpc.aio.ServicerContext[object, object]
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"  # not subscriptable when it runs


class NoLedgerHere(grpc.aio.ServerInterceptor):
    """Refuses what needs a ledger, before its service sees it."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler:
        """The service's own handler, or the refusal in its place."""
        handler: Any = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(OUR_METHODS) or method in ANSWERED:
            return handler  # type: ignore[no-any-return]  # grpc says Any of its own handlers
        if handler.request_streaming and handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(_refuse)
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(_refuse)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(_refuse)
        return grpc.unary_unary_rpc_method_handler(_refuse)


async def _refuse(_: object, context: Context) -> NoReturn:
    await abort(context, SentoError(Code.NO_LEDGER_HERE))
