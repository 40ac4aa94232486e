"""From a domain error to what gRPC carries: the one place that does it.

The status code comes from the table in `sento_proto.errors`; details are the words; the trailing metadata `sento-error-bin` holds the stable code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import grpc
import grpc.aio

from sento_node.call_refusals import METADATA_KEY
from sento_proto.errors import TABLE, Code, SentoError, describe
from sento_proto.v1 import common_pb2

_STATUS: Mapping[str, grpc.StatusCode] = {status.name: status for status in grpc.StatusCode}


def error_message(code: Code, detail: str = "") -> common_pb2.Error:
    """The error as a message, for replies inside a stream."""
    return common_pb2.Error(code=code, name=code.name, detail=detail)


async def abort(context: grpc.aio.ServicerContext[object, object], error: SentoError) -> NoReturn:
    """End the call with this error."""
    metadata = ((METADATA_KEY, error_message(error.code, error.detail).SerializeToString()),)
    status = _STATUS[TABLE[error.code].grpc_status]
    await context.abort(status, describe(error.code, error.detail), metadata)
