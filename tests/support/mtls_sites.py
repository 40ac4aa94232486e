"""Fake sites behind real gRPC servers with mutual TLS on free ports of 127.0.0.1: for tests of the client's transport.

Certificates are made for the test: P-256, a CA, one certificate for each site with its DNS name, one for the client with its SPIFFE URI.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fake_sites import FakeSite
from google.protobuf.message import Message

from sento_client.keyfiles import write_secret
from sento_proto.errors import TABLE, Code, SentoError, describe
from sento_proto.identity import Identity, server_name
from sento_proto.v1 import admin_pb2_grpc, client_pb2, client_pb2_grpc, common_pb2

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
END = dt.datetime(2126, 1, 1, tzinfo=dt.UTC)


class Authority:
    """A certificate authority of one test."""

    def __init__(self, name: str = "test authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self._name, self._key.public_key(), END)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.pem = _pem(builder.sign(self._key, hashes.SHA256()))

    def issue(self, *names: x509.GeneralName, end: dt.datetime = END) -> tuple[bytes, bytes]:
        """(certificate, key) as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([]), key.public_key(), end)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return _pem(builder.sign(self._key, hashes.SHA256())), private

    def issue_site(self, site: str) -> tuple[bytes, bytes]:
        """A site's certificate: its DNS name and 127.0.0.1."""
        return self.issue(x509.DNSName(server_name(site)), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))

    def write_client(self, directory: Path, institution: str, *, end: dt.datetime = END) -> None:
        """node-ca.pem, client.pem and client.key of an author."""
        uri = x509.UniformResourceIdentifier(Identity("author", institution).uri)
        certificate, key = self.issue(uri, end=end)
        (directory / "node-ca.pem").write_bytes(self.pem)
        (directory / "client.pem").write_bytes(certificate)
        write_secret(directory / "client.key", key)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, end: dt.datetime
    ) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number(), START, end)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@dataclass
class ServedSite:
    """One fake site with its server; `start` again on the same port after `stop`."""

    site: FakeSite
    authority: Authority
    port: int = 0
    certificate_site: str = ""
    server: grpc.aio.Server | None = None
    streams: int = 0
    calls: set[asyncio.Event] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; the first time on a port that is free."""
        certificate, key = self.authority.issue_site(self.certificate_site or self.site.name)
        credentials = grpc.ssl_server_credentials([(key, certificate)], self.authority.pem, True)
        self.server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        client_pb2_grpc.add_RegistryServicer_to_server(_Registry(self), self.server)
        admin_pb2_grpc.add_AdminServicer_to_server(_Admin(self), self.server)
        self.port = self.server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        await self.server.start()

    async def stop(self) -> None:
        """Gone, with all streams."""
        if self.server is not None:
            await self.server.stop(None)
            self.server = None

    async def answer(self, request: Message, context: grpc.aio.ServicerContext) -> Message:
        """Answer or abort as a node does: status, words, and the code in the trailing metadata."""
        try:
            return self.site.answer(request)
        except SentoError as error:
            await abort(context, error.code, error.detail)
            raise


async def abort(context: grpc.aio.ServicerContext, code: Code, detail: str) -> None:
    """End the call with a stable code."""
    status = getattr(grpc.StatusCode, TABLE[code].grpc_status)
    message = common_pb2.Error(code=code, name=code.name, detail=detail)
    metadata = (("sento-error-bin", message.SerializeToString()),)
    await context.abort(status, describe(code, detail), metadata)


def _handler(name: str) -> Callable[..., Awaitable[Message]]:
    async def handle(self: _Registry, request: Message, context: grpc.aio.ServicerContext) -> Message:
        return await self.served.answer(request, context)

    handle.__name__ = name
    return handle


class _Registry(client_pb2_grpc.RegistryServicer):
    def __init__(self, served: ServedSite) -> None:
        self.served = served

    Read = _handler("Read")
    Fact = _handler("Fact")
    Subject = _handler("Subject")
    Outcomes = _handler("Outcomes")
    Proof = _handler("Proof")
    Checkpoint = _handler("Checkpoint")

    async def Write(  # noqa: N802
        self, requests: AsyncIterator[client_pb2.WriteRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[client_pb2.WriteReply]:
        self.served.streams += 1
        site = self.served.site
        if site.turn_away is not None:
            await abort(context, site.turn_away, "as the test wants it")
        async for request in requests:
            if site.mute:
                site.submissions.append(request.submission)
                continue
            reply = site.take(request.submission)
            reply.tag = request.tag
            if site.answers_to_lose:
                site.answers_to_lose -= 1
                return
            yield reply

    async def Changes(  # noqa: N802
        self, request: client_pb2.ChangesRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[common_pb2.StoredRecord]:
        for stored in self.served.site.ledger.changes(request):
            yield stored


class _Admin(admin_pb2_grpc.AdminServicer):
    def __init__(self, served: ServedSite) -> None:
        self.served = served

    Status = _handler("Status")

    async def HandOverLead(self, request: Message, context: grpc.aio.ServicerContext) -> Message:  # noqa: N802
        await abort(context, Code.IDENTITY_REFUSED, "")
        raise AssertionError
