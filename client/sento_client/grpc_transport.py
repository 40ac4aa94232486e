"""The transport over gRPC with mutual TLS: one channel to each site, one write stream on it.

A site is dialled at its address and must prove its name: the certificate is checked against `<site>.sento.internal`, whatever the address. When
certificate files change on disk, the next stream or call uses them; what runs on the old connection may end there. A site that says that the certificate has
expired is asked again under the renewed one, if there is one by then: to those who use the transport the connection was lost, and nothing else.

Errors: a site names its code in the trailing metadata `sento-error-bin`. Without it the call ended on the way, and the gRPC status is translated.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import cast

import grpc
import grpc.aio
from cryptography import x509
from google.protobuf.message import DecodeError

from sento_client.config import SiteAddress, TlsFiles
from sento_client.delivery_values import code_of
from sento_client.keyfiles import read_secret
from sento_client.setup_errors import Setup, SetupError
from sento_client.transport import Method, ReplyT, RequestT, StreamListener, WriteStream
from sento_proto.errors import Code, SentoError
from sento_proto.identity import server_name
from sento_proto.limits import GRPC_MESSAGE_MAX_BYTES
from sento_proto.v1 import (
    admin_pb2_grpc,
    client_pb2,
    client_pb2_grpc,
    common_pb2,
    governance_pb2_grpc,
    key_agent_pb2_grpc,
    pseudonyms_pb2_grpc,
    sync_pb2_grpc,
)

ERROR_METADATA = "sento-error-bin"
CONNECT_TIMEOUT_MS = 2_000
RECONNECT_MOST_MS = 1_000
RETIRED_CHANNEL_GRACE_S = 30.0
READY_POLL_S = 0.01
LOOK_AT_CERTIFICATES_S = 1.0
"""Questions look at the certificate files this often; a stream that opens always does."""
_STUBS = {
    "Registry": client_pb2_grpc.RegistryStub,
    "Admin": admin_pb2_grpc.AdminStub,
    "Governance": governance_pb2_grpc.GovernanceStub,
    "Pseudonyms": pseudonyms_pb2_grpc.PseudonymsStub,
    "KeyAgent": key_agent_pb2_grpc.KeyAgentStub,
    "Sync": sync_pb2_grpc.SyncStub,
}
_STATUS_CODES = {
    grpc.StatusCode.UNAVAILABLE: Code.UNREACHABLE,
    grpc.StatusCode.CANCELLED: Code.UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Code.DEADLINE,
    grpc.StatusCode.UNAUTHENTICATED: Code.IDENTITY_REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: Code.IDENTITY_REFUSED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Code.TOO_LARGE,
    grpc.StatusCode.UNIMPLEMENTED: Code.BAD_REQUEST,
    grpc.StatusCode.INVALID_ARGUMENT: Code.BAD_REQUEST,
}
_Pems = tuple[bytes, bytes, bytes]
_Judge = Callable[[Code, str], tuple[Code, str]]


class GrpcTransport:
    """Channels to `sites`. Made and used on one running event loop. Raises SetupError when the TLS files cannot be used."""

    def __init__(self, sites: Sequence[SiteAddress], tls: TlsFiles) -> None:
        self._addresses = {site.name: site.address for site in sites}
        self._tls = tls
        self._pems = read_pems(tls)
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._callables: dict[tuple[str, str], object] = {}
        self._looked_s = asyncio.get_running_loop().time()
        self._retiring: set[asyncio.Task[None]] = set()
        self._streams: set[asyncio.Task[tuple[Code, str]]] = set()

    @property
    def sites(self) -> tuple[str, ...]:
        """Names in the configured order."""
        return tuple(self._addresses)

    def open_write(self, site: str, listener: StreamListener) -> WriteStream:
        """Begin to open a write stream."""
        self._take_new_certificates()
        stream = _GrpcWriteStream(self._channel(site), listener, functools.partial(self._judged, self._pems))
        self._streams.add(stream.task)
        stream.task.add_done_callback(self._streams.discard)
        return stream

    async def call(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, timeout_ms: int
    ) -> ReplyT:
        """One question, one answer."""
        asking = self._unary(site, method)
        pems = self._pems
        try:
            reply = await asking(request, timeout=timeout_ms / 1000)
        except grpc.aio.AioRpcError as error:
            raise self._error(site, error, pems) from None
        return reply

    async def stream(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, silence_ms: int | None
    ) -> AsyncIterator[ReplyT]:
        """Answers one by one."""
        call = self._server_stream(site, method)(request)
        pems = self._pems
        timeout_s = None if silence_ms is None else silence_ms / 1000
        try:
            while True:
                # Not `wait_for`, which may forget a cancellation that meets an answer (Python 3.11).
                async with asyncio.timeout(timeout_s):
                    reply = await call.read()
                if reply is grpc.aio.EOF:
                    return
                yield cast("ReplyT", reply)
        except TimeoutError:
            raise SentoError(Code.DEADLINE, f"{site} was silent for {silence_ms} ms") from None
        except grpc.aio.AioRpcError as error:
            raise self._error(site, error, pems) from None
        finally:
            call.cancel()

    def both_ways(
        self, site: str, method: Method[RequestT, ReplyT]
    ) -> grpc.aio.StreamStreamCall[RequestT, ReplyT]:
        """A call on which both sides go on talking. Its errors are AioRpcError: `code_and_detail` says what they mean."""
        calling = self._callable(site, method)
        return cast("grpc.aio.StreamStreamMultiCallable[RequestT, ReplyT]", calling)()

    async def close(self) -> None:
        """Close every channel."""
        tasks = [*self._retiring, *self._streams]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()
        self._callables.clear()

    def _unary(
        self, site: str, method: Method[RequestT, ReplyT]
    ) -> grpc.aio.UnaryUnaryMultiCallable[RequestT, ReplyT]:
        return cast("grpc.aio.UnaryUnaryMultiCallable[RequestT, ReplyT]", self._callable(site, method))

    def _server_stream(
        self, site: str, method: Method[RequestT, ReplyT]
    ) -> grpc.aio.UnaryStreamMultiCallable[RequestT, ReplyT]:
        return cast("grpc.aio.UnaryStreamMultiCallable[RequestT, ReplyT]", self._callable(site, method))

    def _callable(self, site: str, method: Method[RequestT, ReplyT]) -> object:
        """What calls the method at the site; kept, because making it costs as much as verifying what it brings."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._looked_s >= LOOK_AT_CERTIFICATES_S:
            self._looked_s = now_s
            self._take_new_certificates()
        key = (site, method.name)
        found = self._callables.get(key)
        if found is None:
            stub = _STUBS[method.service](self._channel(site))
            found = self._callables[key] = getattr(stub, method.name)
        return found

    def _channel(self, site: str) -> grpc.aio.Channel:
        channel = self._channels.get(site)
        if channel is None:
            ca, certificate, key = self._pems
            credentials = grpc.ssl_channel_credentials(ca, key, certificate)
            channel = grpc.aio.secure_channel(self._addresses[site], credentials, options=_options(site))
            self._channels[site] = channel
        return channel

    def _take_new_certificates(self) -> None:
        try:
            pems = read_pems(self._tls)
        except SetupError:
            # Files that are being replaced just now are read at the next opening; until then the old ones serve.
            return
        if pems != self._pems:
            self._pems = pems
            for channel in self._channels.values():
                task = asyncio.get_running_loop().create_task(channel.close(RETIRED_CHANNEL_GRACE_S))
                self._retiring.add(task)
                task.add_done_callback(self._retiring.discard)
            self._channels.clear()
            self._callables.clear()

    def _judged(self, pems: _Pems, code: Code, detail: str) -> tuple[Code, str]:
        """How something ended that was begun under these certificates, as it is for the user of this transport."""
        if code is Code.IDENTITY_EXPIRED:
            self._take_new_certificates()
            if self._pems != pems:
                return Code.UNREACHABLE, "the certificate was renewed, so the connection is made anew"
        elif code is Code.UNREACHABLE:
            detail += _expiry_words(self._pems[1])
        return code, detail

    def _error(self, site: str, error: grpc.aio.AioRpcError, pems: _Pems) -> SentoError:
        code, detail = self._judged(pems, *code_and_detail(error))
        return SentoError(code, f"{site}: {detail}" if detail else site)


class _GrpcWriteStream:
    """One bidirectional call. Two tasks: one feeds what is queued, one hears the answers and how it ends."""

    def __init__(self, channel: grpc.aio.Channel, listener: StreamListener, judged: _Judge) -> None:
        self._channel = channel
        self._listener = listener
        self._judged = judged
        self._queue: asyncio.Queue[client_pb2.WriteRequest] = asyncio.Queue()
        self._closed = False
        self.task = asyncio.get_running_loop().create_task(self._run())
        self.task.add_done_callback(self._ended)

    def send(self, tag: int, submission: bytes) -> None:
        """Queue a submission."""
        self._queue.put_nowait(client_pb2.WriteRequest(tag=tag, submission=submission))

    def close(self) -> None:
        """Cancel the call."""
        self._closed = True
        self.task.cancel()

    def _ended(self, task: asyncio.Task[tuple[Code, str]]) -> None:
        """However the stream ended, its user hears of it, unless the user ended it."""
        if task.cancelled():
            code, detail = Code.UNREACHABLE, "the connection was replaced"
        elif (error := task.exception()) is not None:
            code, detail = Code.INTERNAL, f"the stream failed with {type(error).__name__}"
        else:
            code, detail = task.result()
        if not self._closed:
            self._listener.down(code, detail)

    async def _run(self) -> tuple[Code, str]:
        ready = await _is_ready(self._channel)
        if self._channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN:
            return Code.UNREACHABLE, "the connection was closed"
        # On a channel that failed the call fails at once, and says why it failed.
        call = client_pb2_grpc.RegistryStub(self._channel).Write()
        feeder = asyncio.get_running_loop().create_task(self._feed(call))
        try:
            if ready:
                self._listener.up()
            while (read := await call.read()) is not grpc.aio.EOF:
                reply = cast("client_pb2.WriteReply", read)
                if reply.error.code == Code.IDENTITY_EXPIRED:
                    code, detail = self._judged(Code.IDENTITY_EXPIRED, "")
                    if code is not Code.IDENTITY_EXPIRED:
                        return code, detail
                self._listener.reply(reply)
        except grpc.aio.AioRpcError as error:
            return self._judged(*code_and_detail(error))
        finally:
            feeder.cancel()
            call.cancel()
        return Code.UNREACHABLE, "the site ended the stream"

    async def _feed(
        self, call: grpc.aio.StreamStreamCall[client_pb2.WriteRequest, client_pb2.WriteReply]
    ) -> None:
        # A write that fails has its reason in the call's status, which the reading side reports.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                await call.write(await self._queue.get())


async def _is_ready(channel: grpc.aio.Channel) -> bool:
    """Wait for a connection; False when this attempt to connect failed. How long to wait is the delivery core's to bound.

    The state is asked for again and again: a watch of gRPC that is cancelled, or whose channel is closed, may end after its event loop has."""
    state = first = channel.get_state(try_to_connect=True)
    while state is not grpc.ChannelConnectivity.READY:
        # A failure that was there before is the last attempt's; the channel is trying again by itself.
        failed = state is grpc.ChannelConnectivity.TRANSIENT_FAILURE and state is not first
        if failed or state is grpc.ChannelConnectivity.SHUTDOWN:
            return False
        await asyncio.sleep(READY_POLL_S)
        state = channel.get_state(try_to_connect=True)
    return True


def code_and_detail(error: grpc.aio.AioRpcError) -> tuple[Code, str]:
    """The stable code by which a call ended, and words about it."""
    for key, value in error.trailing_metadata() or ():
        if key == ERROR_METADATA and isinstance(value, bytes):
            try:
                sent = common_pb2.Error.FromString(value)
            except DecodeError:
                break
            return code_of(sent.code), sent.detail
    # gRPC lists its tries; what a person needs is how the last one ended.
    words = (error.details() or error.code().name).rpartition("last error: ")[2]
    return _STATUS_CODES.get(error.code(), Code.INTERNAL), words.removeprefix("UNKNOWN: ")


def _options(site: str) -> list[tuple[str, str | int]]:
    return [
        ("grpc.ssl_target_name_override", server_name(site)),
        ("grpc.max_receive_message_length", GRPC_MESSAGE_MAX_BYTES),
        ("grpc.max_send_message_length", GRPC_MESSAGE_MAX_BYTES),
        # Trying again is decided by our own core, which knows what is safe to send twice.
        ("grpc.enable_retries", 0),
        ("grpc.min_reconnect_backoff_ms", CONNECT_TIMEOUT_MS),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MOST_MS),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
    ]


def read_pems(tls: TlsFiles) -> _Pems:
    """CA, certificate and key as the files stand. Raises SetupError TLS_INVALID, KEY_FILE_*."""
    try:
        ca, certificate = tls.ca.read_bytes(), tls.certificate.read_bytes()
        x509.load_pem_x509_certificates(ca)
        x509.load_pem_x509_certificate(certificate)
    except OSError as error:
        raise SetupError(Setup.TLS_INVALID, f"{error.filename}: {error.strerror}") from None
    except ValueError:
        raise SetupError(
            Setup.TLS_INVALID, f"{tls.ca} or {tls.certificate} holds no PEM certificate"
        ) from None
    return ca, certificate, read_secret(tls.key)


def _expiry_words(certificate: bytes) -> str:
    """A hint, and no more than that: whether a certificate is expired is the site's clock to decide."""
    end = x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    if end < dt.datetime.now(dt.UTC):
        return f"; this client's certificate ended on {end:%Y-%m-%d}"
    return ""
