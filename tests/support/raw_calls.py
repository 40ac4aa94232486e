"""Raw calls to a site: what a program says that does not use the client library, right or wrong on purpose.

`Caller` is one certificate at one site; `Author` makes records and submissions with an institution's own key; `WriteStream` keeps many submissions in
flight on one stream. Nothing here retries: a test sees exactly what the site answered.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import grpc
import grpc.aio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from grpc_health.v1 import health_pb2_grpc

from sento_drill.world import ClientFiles, SiteFiles, World
from sento_proto.errors import Code
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.identity import server_name
from sento_proto.ids import uuid7
from sento_proto.keys import Ed25519Signer
from sento_proto.record import Record
from sento_proto.sealing import seal_record
from sento_proto.submission import sign_submission
from sento_proto.v1 import (
    admin_pb2_grpc,
    client_pb2,
    client_pb2_grpc,
    common_pb2,
    sync_pb2_grpc,
)

ERROR_METADATA = "sento-error-bin"
CALL_TIMEOUT_S = 15.0
CONNECT_TIMEOUT_MS = 10_000
"""gRPC gives an attempt to connect up after its `min_reconnect_backoff_ms`: below a busy machine's TLS handshake, a site that serves looks dead."""
PURPOSE = common_pb2.Purpose(purpose="drill", case_number="2026-001")


class Pems(NamedTuple):
    """What a caller holds: the CA it trusts, and its own certificate and key; the last two may be missing."""

    ca: bytes
    certificate: bytes | None
    key: bytes | None


def pems_of(files: ClientFiles) -> Pems:
    """The files of an institution or operator."""
    return Pems(files.ca.read_bytes(), files.certificate.read_bytes(), files.key.read_bytes())


def site_pems(site: SiteFiles) -> Pems:
    """The files of a site, to speak as that site's node."""
    names = ("node-ca.pem", "node.pem", "node.key")
    return Pems(*((site.directory / name).read_bytes() for name in names))


class Caller:
    """One certificate at one site."""

    def __init__(self, site: SiteFiles, pems: Pems, *, message_max_bytes: int = 64 << 20) -> None:
        credentials = grpc.ssl_channel_credentials(pems.ca, pems.key, pems.certificate)
        options = [
            ("grpc.ssl_target_name_override", server_name(site.name)),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_send_message_length", message_max_bytes),
            ("grpc.max_receive_message_length", message_max_bytes),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", CONNECT_TIMEOUT_MS),
            ("grpc.max_reconnect_backoff_ms", 500),
        ]
        self.site = site.name
        self.channel = grpc.aio.secure_channel(site.address, credentials, options=options)
        self.registry = client_pb2_grpc.RegistryStub(self.channel)
        self.admin = admin_pb2_grpc.AdminStub(self.channel)
        self.sync = sync_pb2_grpc.SyncStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.channel.close()


class Refusal(NamedTuple):
    """How a call ended: gRPC's status and words, and the stable code; None when the site sent none."""

    status: grpc.StatusCode
    code: Code | None
    words: str


async def refusal_of(call: Awaitable[Any]) -> Refusal:
    """The refusal that a call is expected to end with."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return refusal(error)
    raise AssertionError(f"the call was answered: {str(answer)[:200]}")


def refusal(error: grpc.aio.AioRpcError) -> Refusal:
    """What is in a failed call."""
    sent = {key: value for key, value in (error.trailing_metadata() or ()) if key == ERROR_METADATA}
    data = sent.get(ERROR_METADATA)
    code = Code(common_pb2.Error.FromString(bytes(data)).code) if isinstance(data, bytes) else None
    return Refusal(error.code(), code, error.details() or "")


@dataclass(frozen=True, slots=True)
class Author:
    """An institution that signs. Times and ids are this machine's; contents are zeros of a length."""

    ledger_id: bytes
    signer: Ed25519Signer

    @classmethod
    def of(cls, world: World, institution: str) -> Author:
        """With the key in the institution's directory."""
        path = world.institution(institution).directory / "signing.key"
        return cls(world.genesis.ledger_id, Ed25519Signer(seed_in(path)))

    def record(
        self,
        *,
        registry: str = "residency",
        compartment: str = "basic",
        kind: str = "residence/entry",
        subject: bytes | None = None,
        fact: bytes | None = None,
        previous: bytes = ZERO32,
        group: bytes = ZERO16,
        record_id: bytes | None = None,
        content_bytes: int = 100,
    ) -> Record:
        """A sealed record about somebody new, unless subject and fact are given."""
        now_ms = time.time_ns() // 1_000_000
        header = Header(
            record_id=uuid7(now_ms, os.urandom(10)) if record_id is None else record_id,
            author_key_id=self.signer.public_key.key_id,
            time_ms=now_ms,
            key_epoch=1,
            payload_bytes=0,
            subject=os.urandom(32) if subject is None else subject,
            fact=os.urandom(16) if fact is None else fact,
            previous=previous,
            group=group,
            dek_commit=ZERO32,
            registry=registry,
            compartment=compartment,
            kind=kind,
        )
        return seal_record(header, bytes(content_bytes), dek=os.urandom(32), kek=bytes(32))

    def records(self, count: int, *, content_bytes: int = 100) -> list[Record]:
        """So many records about as many people."""
        return [self.record(content_bytes=content_bytes) for _ in range(count)]

    def submission(self, *records: Record) -> bytes:
        """The records under one signature."""
        return sign_submission(self.ledger_id, records, self.signer)


def seed_in(path: Path) -> bytes:
    """The 32 bytes of an Ed25519 key file."""
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    return key.private_bytes_raw()


class StreamEnded(Exception):
    """The write stream ended before the answer. `refusal` says how, if it was refused."""

    def __init__(self, how: Refusal | None) -> None:
        super().__init__(str(how))
        self.refusal = how


class WriteStream:
    """One stream of submissions; answers are matched by tag."""

    def __init__(self, caller: Caller) -> None:
        self.call: grpc.aio.StreamStreamCall[Any, Any] = caller.registry.Write()
        self._tags = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[client_pb2.WriteReply]] = {}
        self._writing = asyncio.Lock()
        self._how: Refusal | None = None
        self._reading = asyncio.create_task(self._read())

    async def __aenter__(self) -> WriteStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def send(self, submission: bytes) -> asyncio.Future[client_pb2.WriteReply]:
        """Put one submission on the stream; the future is its answer, or StreamEnded."""
        answer: asyncio.Future[client_pb2.WriteReply] = asyncio.get_running_loop().create_future()
        if self._reading.done():
            raise StreamEnded(self._how)
        tag = next(self._tags)
        self._waiting[tag] = answer
        try:
            async with self._writing:
                await self.call.write(client_pb2.WriteRequest(tag=tag, submission=submission))
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError):
            self._waiting.pop(tag, None)
            await asyncio.gather(self._reading, return_exceptions=True)
            raise StreamEnded(self._how) from None
        return answer

    async def ask(self, submission: bytes, *, timeout_s: float = CALL_TIMEOUT_S) -> client_pb2.WriteReply:
        """Send one and wait. Raises StreamEnded, TimeoutError."""
        async with asyncio.timeout(timeout_s):
            return await (await self.send(submission))

    async def outcomes(self, submission: bytes) -> list[tuple[Code, int]]:
        """Send one that is expected to be taken in: (code, position) of each record."""
        reply = await self.ask(submission)
        assert not reply.HasField("error"), reply.error
        return [(Code(outcome.code), outcome.position) for outcome in reply.outcomes]

    async def refused(self, submission: bytes) -> Code:
        """Send one that is expected to be refused whole: the code."""
        reply = await self.ask(submission)
        assert reply.HasField("error"), reply.outcomes
        assert reply.error.name == Code(reply.error.code).name
        return Code(reply.error.code)

    async def close(self) -> None:
        """End the stream from this side; what waits gets StreamEnded."""
        self.call.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        try:
            while isinstance(reply := await self.call.read(), client_pb2.WriteReply):  # else the stream's end
                waiting = self._waiting.pop(reply.tag, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(reply)
        except grpc.aio.AioRpcError as error:
            self._how = refusal(error)
        except asyncio.CancelledError:
            self._how = None
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(StreamEnded(self._how))
                    waiting.exception()  # whoever has stopped waiting need not be told
            self._waiting.clear()


async def all_records(caller: Caller, start: int = 0) -> dict[int, bytes]:
    """Position -> record hash of everything that the caller may read at that site."""
    request = client_pb2.ChangesRequest(purpose=PURPOSE, from_position=start, header_only=True)
    call = caller.registry.Changes(request, timeout=60)
    return {record.position: record.record_hash async for record in call}


async def root_at(caller: Caller, size: int) -> bytes:
    """The site's root of its first `size` records."""
    reply = await caller.registry.Proof(client_pb2.ProofRequest(size=size), timeout=CALL_TIMEOUT_S)
    return bytes(reply.root)


async def ledger_of(caller: Caller) -> tuple[int, bytes]:
    """(flushed size, root) of a site."""
    from sento_proto.v1 import admin_pb2

    status = await caller.admin.Status(admin_pb2.StatusRequest(), timeout=CALL_TIMEOUT_S)
    size = int(status.flushed_size)
    return size, await root_at(caller, size)


def codes(outcomes: Sequence[tuple[Code, int]]) -> list[Code]:
    """The codes alone."""
    return [code for code, _ in outcomes]
