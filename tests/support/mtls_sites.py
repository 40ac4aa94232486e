"""Fake sites behind real gRPC servers with mutual TLS on free ports of 127.0.0.1: for tests of the client's transport.

Certificates are made for each test by the drill's own issuer, with days that lie around every test run.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import grpc.aio
from google.protobuf.message import Message

from sento_client.keyfiles import write_secret
from sento_client.testing.sites import Site
from sento_client.transport import CHECKPOINT, FACT, OUTCOMES, PROOF, READ, STATUS, SUBJECT
from sento_drill.pki import Authority, Validity, issue_client, issue_site
from sento_proto.errors import TABLE, Code, SentoError, describe
from sento_proto.identity import Identity
from sento_proto.v1 import client_pb2, common_pb2

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Message, Message]

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LONG = Validity(START, START + dt.timedelta(days=36_500))
OVER = Validity(START, START + dt.timedelta(days=1))


def write_client_tls(
    directory: Path, authority: Authority, institution: str, validity: Validity = LONG
) -> None:
    """node-ca.pem, client.pem and client.key of an author."""
    pair = issue_client(authority, Identity("author", institution), validity)
    (directory / "node-ca.pem").write_bytes(authority.certificate_pem)
    (directory / "client.pem").write_bytes(pair.certificate_pem)
    write_secret(directory / "client.key", pair.key_pem)


@dataclass
class ServedSite:
    """One fake site with its server; `start` again on the same port after `stop`."""

    site: Site
    authority: Authority
    port: int = 0
    certificate_site: str = ""
    server: grpc.aio.Server | None = None
    streams: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; the first time on a port that is free."""
        pair = issue_site(self.authority, self.certificate_site or self.site.name, LONG)
        pem = self.authority.certificate_pem
        credentials = grpc.ssl_server_credentials([(pair.key_pem, pair.certificate_pem)], pem, True)
        self.server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self.server.add_generic_rpc_handlers(tuple(self._handlers()))
        self.port = self.server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        await self.server.start()

    async def stop(self) -> None:
        """Gone, with all streams."""
        if self.server is not None:
            await self.server.stop(None)
            self.server = None

    async def _answer(self, request: Message, context: Context) -> Message:
        """Answer or abort as a node does: status, words, and the code in the trailing metadata."""
        try:
            return self.site.answer(request)
        except SentoError as error:
            await abort(context, error.code, error.detail)
            raise

    async def _write(
        self, requests: AsyncIterator[client_pb2.WriteRequest], context: Context
    ) -> AsyncIterator[client_pb2.WriteReply]:
        self.streams += 1
        site = self.site
        if site.turn_away is not None:
            await abort(context, site.turn_away, "as the test wants it")
        async for request in requests:
            if site.mute:
                site.receive(request.submission)
                continue
            reply = site.take(request.submission)
            reply.tag = request.tag
            if site.answers_to_lose:
                site.answers_to_lose -= 1
                return
            yield reply

    async def _changes(
        self, request: client_pb2.ChangesRequest, _context: Context
    ) -> AsyncIterator[common_pb2.StoredRecord]:
        for stored in self.site.changes(request):
            yield stored

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        services: dict[str, dict[str, grpc.RpcMethodHandler[Message, Message]]] = {
            "Registry": {},
            "Admin": {},
        }
        for method in (READ, FACT, SUBJECT, OUTCOMES, PROOF, CHECKPOINT, STATUS):
            services[method.service][method.name] = grpc.unary_unary_rpc_method_handler(
                self._answer,
                request_deserializer=method.request.FromString,
                response_serializer=method.reply.SerializeToString,
            )
        services["Registry"]["Write"] = grpc.stream_stream_rpc_method_handler(
            self._write,
            request_deserializer=client_pb2.WriteRequest.FromString,
            response_serializer=client_pb2.WriteReply.SerializeToString,
        )
        services["Registry"]["Changes"] = grpc.unary_stream_rpc_method_handler(
            self._changes,
            request_deserializer=client_pb2.ChangesRequest.FromString,
            response_serializer=common_pb2.StoredRecord.SerializeToString,
        )
        return [
            grpc.method_handlers_generic_handler(f"sento.v1.{service}", handlers)
            for service, handlers in services.items()
        ]


async def abort(context: Context, code: Code, detail: str) -> None:
    """End the call with a stable code."""
    status = getattr(grpc.StatusCode, TABLE[code].grpc_status)
    message = common_pb2.Error(code=code, name=code.name, detail=detail)
    metadata = (("sento-error-bin", message.SerializeToString()),)
    await context.abort(status, describe(code, detail), metadata)
