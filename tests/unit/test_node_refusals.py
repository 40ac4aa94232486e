"""What a servicer raises becomes a status, words and the stable code, whatever it was; and every call that answers once has a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from raw_calls import refusal, refusal_of
from sento_drill.waiting import until
from sento_node import bounds
from sento_node.ledger.store import LedgerDamaged, LedgerFailed
from sento_node.service.refusals import Refusals, deadline_s
from sento_node.service.refusals import refusal_of as code_of
from sento_node.tallies import CANCELLED, Tallies
from sento_proto.errors import Code, SentoError, describe
from sento_proto.v1 import admin_pb2, admin_pb2_grpc, client_pb2, client_pb2_grpc, common_pb2
from sento_proto.wire import Malformed

SECRET = "a caller's own words"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SentoError(Code.STALE), Code.STALE),
        (LedgerDamaged("position 7"), Code.DAMAGED),
        (LedgerFailed("no space"), Code.STOPPED),
        (Malformed("header: too short"), Code.MALFORMED),
        (KeyError(SECRET), Code.INTERNAL),
        (ZeroDivisionError(), Code.INTERNAL),
    ],
)
def test_each_failure_has_its_code_and_the_unforeseen_is_told_without_its_text(
    error: Exception, code: Code
) -> None:
    told = code_of(error)
    assert told.code is code
    assert SECRET not in str(told)


@pytest.mark.parametrize(
    ("remaining_s", "allowed_s"),
    [
        (None, bounds.CALL_DEADLINE_MAX_MS / 1000),
        (1e9, bounds.CALL_DEADLINE_MAX_MS / 1000),
        (2.5, 2.5),
        (-1.0, 0.0),
    ],
)
def test_a_call_may_take_as_long_as_its_caller_waits_and_never_longer_than_the_bound(
    remaining_s: float | None, allowed_s: float
) -> None:
    assert deadline_s(remaining_s) == allowed_s


class Planted:
    """Two methods under names of ours; they answer with what the test planted."""

    def __init__(self) -> None:
        self.answer: Callable[[], Awaitable[Any]] = self._nothing

    async def _nothing(self) -> Any:
        return admin_pb2.StatusReply()

    async def status(self, request: Any, context: Any) -> Any:
        return await self.answer()

    async def changes(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield common_pb2.StoredRecord(position=1)
        await self.answer()

    def serve(self, server: grpc.aio.Server) -> None:
        status = grpc.unary_unary_rpc_method_handler(
            self.status, admin_pb2.StatusRequest.FromString, admin_pb2.StatusReply.SerializeToString
        )
        changes = grpc.unary_stream_rpc_method_handler(
            self.changes, client_pb2.ChangesRequest.FromString, common_pb2.StoredRecord.SerializeToString
        )
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler("sento.v1.Admin", {"Status": status}),
                grpc.method_handlers_generic_handler("sento.v1.Registry", {"Changes": changes}),
            )
        )


class Served:
    """A server with the interceptor, and a channel to it."""

    def __init__(self, planted: Planted, channel: grpc.aio.Channel, tallies: Tallies) -> None:
        self.planted = planted
        self.tallies = tallies
        self.channel = channel
        self.admin = admin_pb2_grpc.AdminStub(channel)
        self.registry = client_pb2_grpc.RegistryStub(channel)


@pytest_asyncio.fixture
async def served() -> AsyncIterator[Served]:
    planted = Planted()
    tallies = Tallies()
    server = grpc.aio.server(interceptors=[Refusals(tallies)])
    planted.serve(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Served(planted, channel, tallies)
    await server.stop(None)


def raising(error: Exception) -> Callable[[], Awaitable[Any]]:
    async def answer() -> Any:
        raise error

    return answer


async def test_a_failure_crosses_the_wire_as_status_words_and_code(served: Served) -> None:
    served.planted.answer = raising(SentoError(Code.NOT_READY, "catching up"))
    told = await refusal_of(served.admin.Status(admin_pb2.StatusRequest(), timeout=5))
    assert told == (grpc.StatusCode.UNAVAILABLE, Code.NOT_READY, describe(Code.NOT_READY, "catching up"))


async def test_the_unforeseen_crosses_the_wire_as_internal_without_its_text(served: Served) -> None:
    served.planted.answer = raising(KeyError(SECRET))
    told = await refusal_of(served.admin.Status(admin_pb2.StatusRequest(), timeout=5))
    assert (told.status, told.code) == (grpc.StatusCode.INTERNAL, Code.INTERNAL)
    assert SECRET not in told.words


async def test_a_stream_that_fails_in_the_middle_gives_what_it_had_and_ends_in_words(served: Served) -> None:
    served.planted.answer = raising(LedgerDamaged("position 2"))
    call = served.registry.Changes(client_pb2.ChangesRequest(), timeout=5)
    first = await call.read()
    assert isinstance(first, common_pb2.StoredRecord)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call.read()
    assert (first.position, refusal(failed.value).code) == (1, Code.DAMAGED)


async def test_a_call_that_does_not_come_to_an_end_is_ended_by_the_servers_own_deadline(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "CALL_DEADLINE_MAX_MS", 50)
    ended = asyncio.Event()

    async def endless() -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    served.planted.answer = endless
    told = await refusal_of(served.admin.Status(admin_pb2.StatusRequest()))
    assert (told.status, told.code) == (grpc.StatusCode.DEADLINE_EXCEEDED, Code.DEADLINE)
    assert ended.is_set()


async def test_a_call_that_is_answered_is_left_as_it_is(served: Served) -> None:
    assert await served.admin.Status(admin_pb2.StatusRequest(), timeout=5) == admin_pb2.StatusReply()


async def test_each_call_is_counted_once_by_method_and_by_how_it_ended(served: Served) -> None:
    await served.admin.Status(admin_pb2.StatusRequest(), timeout=5)
    for error in (SentoError(Code.NOT_READY), SentoError(Code.NOT_READY), KeyError(SECRET)):
        served.planted.answer = raising(error)
        await refusal_of(served.admin.Status(admin_pb2.StatusRequest(), timeout=5))
    tally = served.tallies.calls["Admin/Status"]

    async def counted() -> bool:
        return tally.under_way == 0

    await until(counted, deadline_s=20, what="the last call is still counted as under way")
    assert tally.by_code == {"OK": 1, "NOT_READY": 2, "INTERNAL": 1}
    assert (tally.seconds.count, tally.under_way) == (4, 0)


async def test_a_stream_is_counted_while_it_is_open_and_by_how_it_ended(served: Served) -> None:
    served.planted.answer = raising(LedgerDamaged("position 2"))
    with pytest.raises(grpc.aio.AioRpcError):
        [_ async for _ in served.registry.Changes(client_pb2.ChangesRequest(), timeout=5)]
    served.planted.answer = asyncio.Event().wait
    call = served.registry.Changes(client_pb2.ChangesRequest(), timeout=5)
    await call.read()
    tally = served.tallies.calls["Registry/Changes"]
    assert (tally.by_code, tally.under_way) == ({"DAMAGED": 1}, 1)
    call.cancel()

    async def ended() -> bool:
        return tally.under_way == 0

    await until(ended, deadline_s=10, what="the cancelled stream is still counted as open")
    assert tally.by_code == {"DAMAGED": 1, CANCELLED: 1}


async def test_a_method_that_no_service_has_leaves_no_name_in_the_tallies(served: Served) -> None:
    channel = served.channel
    for method in ("/sento.v1.Registry/Invented4711", "/elsewhere.Service/Method"):
        call: Any = channel.unary_unary(method)
        assert (await refusal_of(call(b"", timeout=5))).status is grpc.StatusCode.UNIMPLEMENTED
    assert served.tallies.calls == {}
