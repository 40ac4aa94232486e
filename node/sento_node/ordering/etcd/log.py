"""The ordering log on etcd: the port's calls, put together from keys, transactions, watch and member state."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping

from sento_node.ordering.etcd.api import etcd_pb2 as pb
from sento_node.ordering.etcd.append import PlaceToRead, append_request, judge_append
from sento_node.ordering.etcd.client import EtcdClient
from sento_node.ordering.etcd.deadline import Deadline
from sento_node.ordering.etcd.errors import HistoryForgotten, NotTheLead
from sento_node.ordering.etcd.follow import FOLLOW_TIMES, FollowTimes, follow_log
from sento_node.ordering.etcd.keys import HEAD_KEY
from sento_node.ordering.etcd.member_state import ordering_status
from sento_node.ordering.etcd.trim import trim_requests
from sento_node.ordering.limits import check_append, check_trim
from sento_node.ordering.port import Appended, Head, LogEvent, OrderingRefused, OrderingStatus


def _unknown_size() -> int:
    return 0


class EtcdLog:
    """`OrderingLog` through the node's own etcd member.

    `target` is the gRPC target of the member's unix socket and `quota_bytes` the member's quota; `expected_cluster_id` is the one that the
    ledger's epoch names, or 0 to adopt that of the first answer. `resident_bytes` reads the member's memory from whoever runs it. Besides the
    port's errors every call raises `WrongOrderingLog` when the member belongs to another cluster.
    """

    def __init__(
        self,
        target: str,
        *,
        quota_bytes: int,
        expected_cluster_id: int = 0,
        resident_bytes: Callable[[], int] = _unknown_size,
        follow_times: FollowTimes = FOLLOW_TIMES,
    ) -> None:
        self._client = EtcdClient(target, expected_cluster_id=expected_cluster_id)
        self._quota_bytes = quota_bytes
        self._resident_bytes = resident_bytes
        self._follow_times = follow_times

    async def append(self, lane: str, seq: int, data: bytes, *, timeout_ms: int) -> Appended:
        """See `OrderingLog.append`. A repeated append tells its place while the block and its history stand, else Appended(0, 0)."""
        check_append(lane, seq, data)
        deadline = Deadline(timeout_ms)
        what = f"order block {seq} of lane {lane}"
        response = await self._client.txn(what, append_request(lane, seq, data), timeout_ms=deadline.left_ms)
        outcome = judge_append(response, lane, seq, data)
        if isinstance(outcome, PlaceToRead):
            return await self._read_place(outcome.revision, deadline)
        return outcome

    async def _read_place(self, revision: int, deadline: Deadline) -> Appended:
        """The number of the block at `revision` is the head key's version then; this member has applied that revision, so its own state will do."""
        request = pb.RangeRequest(key=HEAD_KEY, revision=revision, serializable=True)
        try:
            answer = await self._client.range("read a block's number", request, timeout_ms=deadline.left_ms)
        except HistoryForgotten:
            return Appended(0, 0, repeated=True)
        return Appended(answer.kvs[0].version, revision, repeated=True)

    def follow(self, after: Head) -> AsyncGenerator[LogEvent, None]:
        """See `OrderingLog.follow`; also raises OrderingRefused when `after` is not a place of this log or a stranger writes to it."""

        async def read_head() -> Head:
            return await self.head(timeout_ms=self._follow_times.head_timeout_ms)

        return follow_log(self._client, read_head, after, self._follow_times)

    async def head(self, *, timeout_ms: int) -> Head:
        """See `OrderingLog.head`: one round trip to a majority."""
        answer = await self._client.range(
            "read the log's head", pb.RangeRequest(key=HEAD_KEY), timeout_ms=timeout_ms
        )
        return Head(answer.kvs[0].version, answer.kvs[0].mod_revision) if answer.kvs else Head(0, 0)

    async def trim(self, through_seq: Mapping[str, int], through_revision: int, *, timeout_ms: int) -> None:
        """See `OrderingLog.trim`. `through_revision` is the revision of a block, or 0 to keep all history.

        Also raises OrderingRefused for a revision beyond the log's end. A trim that was cut off part-way is finished by repeating it.
        """
        check_trim(len(through_seq))
        deadline = Deadline(timeout_ms)
        for request in trim_requests(through_seq):
            await self._client.txn("trim blocks", request, timeout_ms=deadline.left_ms)
        if through_revision < 1:
            return
        forget = pb.CompactionRequest(revision=through_revision)
        try:
            await self._client.compact("forget trimmed history", forget, timeout_ms=deadline.left_ms)
        except HistoryForgotten:
            return  # an earlier trim went as far

    async def status(self, *, timeout_ms: int) -> OrderingStatus:
        """See `OrderingLog.status`."""
        deadline = Deadline(timeout_ms)
        status = await self._client.member_status(timeout_ms=deadline.left_ms)
        members = (
            () if status.isLearner else await self._client.members(timeout_ms=deadline.left_ms)
        )  # learners refuse the list
        return ordering_status(
            status, members, quota_bytes=self._quota_bytes, resident_bytes=self._resident_bytes()
        )

    async def hand_over_lead(self, to_site: str, *, timeout_ms: int) -> None:
        """See `OrderingLog.hand_over_lead`."""
        deadline = Deadline(timeout_ms)
        status = await self.status(timeout_ms=deadline.left_ms)
        target = next((member for member in status.members if member.site == to_site), None)
        if target is None or not target.votes:
            raise OrderingRefused(
                f"{to_site} is not a voting member of this ordering log. "
                f"Hand the lead to one of {', '.join(member.site for member in status.members if member.votes)}."
            )
        if not status.is_lead or target.member_id == status.member_id:
            return
        try:
            await self._client.move_lead(target.member_id, timeout_ms=deadline.left_ms)
        except NotTheLead:
            return  # the lead moved on between our look and our call

    async def close(self) -> None:
        """See `OrderingLog.close`; followers end with FollowBroken."""
        await self._client.close()
