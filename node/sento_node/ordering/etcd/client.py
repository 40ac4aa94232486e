"""One connection to the node's own etcd member: channel, stubs, deadlines, and every failure turned into an ordering error.

Every call carries a deadline, because a request in flight at a member whose lead died hangs for seven seconds. Calls that need a majority say
so with the metadata `hasleader`, so that a member without one refuses at once instead of waiting. Each answer's cluster id is compared with the
expected one: a member of another epoch's log must never be taken for ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

import grpc.aio

from sento_node.ordering.etcd.api import etcd_pb2 as pb
from sento_node.ordering.etcd.api import etcd_pb2_grpc as rpc
from sento_node.ordering.etcd.errors import ordering_error
from sento_node.ordering.port import OrderingRefused, OutcomeUnknown

NEEDS_MAJORITY: Final = (("hasleader", "true"),)

MESSAGE_SIZE_BYTES_MAX: Final = 8 * 1024**2
"""etcd cuts fragmented watch answers at its request limit of 1.5 MiB plus half a MiB of overhead."""

_CONNECT_TIMEOUT_MS: Final = 2_000
"""When an attempt to connect is given up; the same option of gRPC is the shortest time between two attempts."""

_CHANNEL_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_SIZE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_SIZE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", _CONNECT_TIMEOUT_MS),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)


class _Answer(Protocol):
    @property
    def header(self) -> pb.ResponseHeader: ...


AnswerT = TypeVar("AnswerT", bound=_Answer)


class WrongOrderingLog(OrderingRefused):
    """The member that answered belongs to another cluster than this ledger's epoch names."""

    def __init__(self, found: int, expected: int) -> None:
        super().__init__(
            f"The etcd member belongs to the ordering log {found:016x}, but this epoch's is {expected:016x}. "
            "Check the member's data directory and cluster token against the ledger's epoch."
        )


class AccessClosed(OrderingRefused):
    """The call came after this access was closed."""

    def __init__(self, what: str) -> None:
        super().__init__(f"Could not {what}: this access to the ordering log was closed. Open a new one.")


class EtcdClient:
    """Calls to the member that listens at `target`, a gRPC target of a unix socket; `expected_cluster_id` 0 adopts that of the first answer."""

    def __init__(self, target: str, *, expected_cluster_id: int = 0) -> None:
        self._channel = grpc.aio.insecure_channel(target, options=_CHANNEL_OPTIONS)
        self._expected_cluster_id = expected_cluster_id
        self.kv = rpc.KVStub(self._channel)
        self.watch = rpc.WatchStub(self._channel)
        self.cluster = rpc.ClusterStub(self._channel)
        self.maintenance = rpc.MaintenanceStub(self._channel)

    @property
    def cluster_id(self) -> int:
        """The cluster id that answers must carry; 0 while none is known."""
        return self._expected_cluster_id

    def check_header(self, header: pb.ResponseHeader) -> None:
        """Raise WrongOrderingLog when `header` comes from another cluster. Headers of id 0 (some watch answers) say nothing."""
        if header.cluster_id == 0:
            return
        if self._expected_cluster_id == 0:
            self._expected_cluster_id = header.cluster_id
        elif header.cluster_id != self._expected_cluster_id:
            raise WrongOrderingLog(header.cluster_id, self._expected_cluster_id)

    async def txn(self, what: str, request: pb.TxnRequest, *, timeout_ms: int) -> pb.TxnResponse:
        """A transaction through the majority."""
        return await self._call(what, self.kv.Txn, request, timeout_ms, NEEDS_MAJORITY)

    async def range(self, what: str, request: pb.RangeRequest, *, timeout_ms: int) -> pb.RangeResponse:
        """A read; linearizable unless the request says serializable."""
        return await self._call(what, self.kv.Range, request, timeout_ms, NEEDS_MAJORITY)

    async def compact(
        self, what: str, request: pb.CompactionRequest, *, timeout_ms: int
    ) -> pb.CompactionResponse:
        """Forget history below a revision."""
        return await self._call(what, self.kv.Compact, request, timeout_ms, NEEDS_MAJORITY)

    async def member_status(self, *, timeout_ms: int) -> pb.StatusResponse:
        """The member's own state; answered without a majority."""
        return await self._call(
            "read the member's status", self.maintenance.Status, pb.StatusRequest(), timeout_ms, ()
        )

    async def members(self, *, timeout_ms: int) -> tuple[pb.Member, ...]:
        """The members as this member knows them; answered without a majority."""
        request = pb.MemberListRequest(linearizable=False)
        answer = await self._call("list the members", self.cluster.MemberList, request, timeout_ms, ())
        return tuple(answer.members)

    async def move_lead(self, member_id: int, *, timeout_ms: int) -> None:
        """Move the lead to `member_id`; only the leading member accepts this."""
        request = pb.MoveLeaderRequest(targetID=member_id)
        await self._call("move the lead", self.maintenance.MoveLeader, request, timeout_ms, NEEDS_MAJORITY)

    async def defragment(self, *, timeout_ms: int) -> None:
        """Rewrite this member's database without its free pages; the member answers nothing meanwhile."""
        request = pb.DefragmentRequest()
        await self._call("rewrite the database", self.maintenance.Defragment, request, timeout_ms, ())

    async def close(self) -> None:
        """Close the channel; calls in flight end with OutcomeUnknown."""
        await self._channel.close()

    async def _call(
        self,
        what: str,
        method: Callable[..., Awaitable[AnswerT]],
        request: Any,
        timeout_ms: int,
        metadata: tuple[tuple[str, str], ...],
    ) -> AnswerT:
        try:
            answer = await method(request, timeout=timeout_ms / 1000, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise ordering_error(what, error.code(), error.details()) from error
        except grpc.aio.UsageError as error:
            raise AccessClosed(what) from error
        except asyncio.CancelledError as error:
            raise cut_off_by_close(what) from error
        self.check_header(answer.header)
        return answer


def cut_off_by_close(what: str) -> asyncio.CancelledError | OutcomeUnknown:
    """What a cancelled call means: gRPC reports a channel closed under a call like the cancelling of the task that waits for it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        return asyncio.CancelledError()
    return OutcomeUnknown(
        f"Could not {what}: the connection was closed during the call. Retry through a new access."
    )
