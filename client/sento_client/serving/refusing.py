"""How a service of a ministry ends a call: gRPC's status, words, and the stable code in the trailing metadata, as the sites do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import grpc
import grpc.aio

from sento_proto.errors import TABLE, SentoError, describe
from sento_proto.v1 import common_pb2

_ERROR_METADATA = "sento-error-bin"
_STATUS: Mapping[str, grpc.StatusCode] = {status.name: status for status in grpc.StatusCode}


def error_message(error: SentoError) -> common_pb2.Error:
    """The error as a message."""
    return common_pb2.Error(code=error.code, name=error.code.name, detail=error.detail)


async def abort(context: grpc.aio.ServicerContext[object, object], error: SentoError) -> NoReturn:
    """End the call with it."""
    metadata = ((_ERROR_METADATA, error_message(error).SerializeToString()),)
    status = _STATUS[TABLE[error.code].grpc_status]
    await context.abort(status, describe(error.code, error.detail), metadata)
