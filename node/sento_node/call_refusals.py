"""The stable code in a call's trailing metadata, as its caller finds it: what a node refused with, told apart from a call that broke on the way."""

from __future__ import annotations

from typing import Final

import grpc.aio
from google.protobuf.message import DecodeError

from sento_proto.errors import Code, SentoError
from sento_proto.v1 import common_pb2

METADATA_KEY: Final = "sento-error-bin"


def refusal_in(error: grpc.aio.AioRpcError) -> SentoError | None:
    """What another site's node refused a call with; None when the call ended on the way, or with a code that this release does not know."""
    for key, value in error.trailing_metadata() or ():
        if key == METADATA_KEY and isinstance(value, bytes):
            message = common_pb2.Error()
            try:
                message.ParseFromString(value)
                return SentoError(Code(message.code), message.detail)
            except (DecodeError, ValueError):
                return None
    return None
