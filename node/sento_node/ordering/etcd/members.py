"""Changing the members of the ordering log: remove, add as a learner, promote; asked of the node's own member, each answer turned into one of three.

Every change may be asked again: a member that is gone was removed, a URL that exists was added, a voter was promoted. `ChangeNotYet` is what waiting mends
(etcd wants all voters connected for 5 s, one learner at a time, a learner that has nearly all); the caller asks again. `ChangeRefused` is what it does not.
Source: etcd 3.4 to 3.6, `server/etcdserver` and `api/v3rpc/rpctypes`, tried against real members.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import grpc
import grpc.aio

from sento_node.ordering.etcd.api import etcd_pb2 as pb
from sento_node.ordering.etcd.client import NEEDS_MAJORITY, EtcdClient
from sento_node.ordering.etcd.errors import ordering_error
from sento_node.ordering.port import OrderingError

UNAVAILABLE, PRECONDITION = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.FAILED_PRECONDITION

_NOT_YET: Final = (
    (
        UNAVAILABLE,
        "unhealthy cluster",
        "a voting member is away, or came back less than 5 s ago, so the ordering log changes no members",
        "Start the member that is away; if it is lost for good, let its site replace its disk, or remove it, first.",
    ),
    (
        PRECONDITION,
        "in sync with leader",
        "the learner has not copied enough of the ordering log yet",
        "It is asked again by itself.",
    ),
    (
        PRECONDITION,
        "too many learner",
        "another site's member is joining, and the ordering log takes one at a time",
        "It is asked again by itself; see at that site why its joining lasts.",
    ),
    (
        PRECONDITION,
        "re-configuration failed",
        "too few members have started for the ordering log to change its members",
        "Start the sites' members that are down.",
    ),
)
"""Code and a piece of etcd's text, and what it means here."""

_T = TypeVar("_T")


class ChangeNotYet(Exception):
    """The members cannot be changed now; asking again later may do. The text is one sentence of cause and one of remedy."""


class ChangeRefused(Exception):
    """The members will not be changed so, however often it is asked. The text is one sentence of cause and one of remedy."""


class Member(NamedTuple):
    """A member as the ordering log lists it. `site` is empty until it has started once."""

    member_id: int
    site: str
    peer_url: str
    votes: bool


class MemberState(NamedTuple):
    """How the asked member itself stands. `lead_id`: 0 while none is known."""

    member_id: int
    lead_id: int
    is_learner: bool
    applied_index: int


class MemberChanges:
    """Changes through the member behind `target`, a gRPC target of its unix socket."""

    def __init__(self, target: str) -> None:
        self._client = EtcdClient(target)

    async def listed(self, *, timeout_ms: int) -> tuple[Member, ...]:
        """All members, as this one knows them. Raises ChangeNotYet."""
        try:
            return _members(await self._client.members(timeout_ms=timeout_ms))
        except OrderingError as error:
            raise ChangeNotYet(str(error)) from error

    async def state(self, *, timeout_ms: int) -> MemberState:
        """How this member stands; a learner answers too. Raises ChangeNotYet."""
        try:
            status = await self._client.member_status(timeout_ms=timeout_ms)
        except OrderingError as error:
            raise ChangeNotYet(str(error)) from error
        return MemberState(status.header.member_id, status.leader, status.isLearner, status.raftAppliedIndex)

    async def remove(self, member_id: int, *, timeout_ms: int) -> tuple[Member, ...]:
        """The members without that one; it may be gone already. Raises ChangeNotYet, ChangeRefused."""
        method = self._client.cluster.MemberRemove
        try:
            answer = await _asked(
                "remove the former member", method, pb.MemberRemoveRequest(ID=member_id), timeout_ms
            )
        except _Gone:
            return await self.listed(timeout_ms=timeout_ms)
        return _members(answer.members)

    async def add_learner(self, peer_url: str, *, timeout_ms: int) -> tuple[int, tuple[Member, ...]]:
        """(the learner's id, all members); one that was added before and never started is found again. Raises ChangeNotYet, ChangeRefused."""
        request = pb.MemberAddRequest(peerURLs=[peer_url], isLearner=True)
        try:
            answer = await _asked("add a learner", self._client.cluster.MemberAdd, request, timeout_ms)
        except _UrlTaken as taken:
            members = await self.listed(timeout_ms=timeout_ms)
            waiting = [one for one in members if one.peer_url == peer_url and not one.votes and not one.site]
            if not waiting:
                raise ChangeRefused(
                    f"Another member of the ordering log is reached at {peer_url} ({taken}). Remove that member first, or give this one another URL."
                ) from taken
            return waiting[0].member_id, members
        return answer.member.ID, _members(answer.members)

    async def promote(self, member_id: int, *, timeout_ms: int) -> tuple[Member, ...]:
        """The members, that one voting; it may vote already. Raises ChangeNotYet, ChangeRefused."""
        request = pb.MemberPromoteRequest(ID=member_id)
        try:
            answer = await _asked(
                "promote the learner", self._client.cluster.MemberPromote, request, timeout_ms
            )
        except _VotesAlready:
            return await self.listed(timeout_ms=timeout_ms)
        return _members(answer.members)

    async def close(self) -> None:
        """Give the connection back."""
        await self._client.close()


class _Gone(Exception):
    """There is no such member."""


class _UrlTaken(Exception):
    """A member has this URL."""


class _VotesAlready(Exception):
    """The member is no learner."""


async def _asked(what: str, method: Callable[..., Awaitable[_T]], request: Any, timeout_ms: int) -> _T:
    try:
        return await method(request, timeout=timeout_ms / 1000, metadata=NEEDS_MAJORITY)
    except grpc.aio.AioRpcError as error:
        raise _meaning(what, error.code(), error.details() or "") from error


def _meaning(what: str, code: grpc.StatusCode, details: str) -> Exception:
    """What a failed change means. Whether it was made nobody knows when no answer came, so that is "not yet" too: asking again is safe."""
    text = details.lower()
    if "member not found" in text:
        return ChangeRefused(_NO_SUCH) if what.startswith("promote") else _Gone()
    if "peer urls already exists" in text or "member id already exist" in text:
        return _UrlTaken(details)
    if "can only promote a learner member" in text and "in sync" not in text:
        return _VotesAlready()
    for known, piece, cause, remedy in _NOT_YET:
        if code is known and piece in text:
            return ChangeNotYet(f"Could not {what}: {cause}. {remedy}")
    sentence = str(ordering_error(what, code, details))
    if code in (PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED):
        return ChangeRefused(sentence)
    return ChangeNotYet(sentence)


_NO_SUCH = (
    "The learner that was to be promoted is no member any more: somebody removed it. "
    "Run `sento-node replace-disk` again to begin with a new one."
)


def _members(entries: Sequence[pb.Member]) -> tuple[Member, ...]:
    return tuple(
        Member(entry.ID, entry.name, entry.peerURLs[0] if entry.peerURLs else "", not entry.isLearner)
        for entry in entries
    )
