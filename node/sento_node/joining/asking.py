"""Asking other sites' nodes to change this site's own membership: the lead's first, because only that one knows how far the lead is, then the others."""

from __future__ import annotations

import grpc.aio

from sento_node.call_refusals import refusal_in
from sento_node.config_mistake import ConfigMistake
from sento_node.ordering.etcd.members import ChangeNotYet
from sento_node.peers import PeerNode, Peers, PeerSilent
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import sync_pb2, sync_pb2_grpc

CALL_TIMEOUT_MS = 8_000


async def change_member(
    peer: PeerNode, request: sync_pb2.ChangeMemberRequest, timeout_ms: int
) -> sync_pb2.ChangeMemberReply:
    """Raises PeerSilent, and SentoError where the site refuses in words."""
    try:
        stub: sync_pb2_grpc.SyncAsyncStub = sync_pb2_grpc.SyncStub(await peer.channel())
        return await stub.ChangeMember(request, timeout=timeout_ms / 1000)
    except grpc.aio.AioRpcError as error:
        words = f"{error.code().name}: {error.details() or 'no details'}"
        raise refusal_in(error) or PeerSilent(words) from error
    except (OSError, ConfigMistake) as error:
        raise PeerSilent(f"{type(error).__name__}: {error}") from error


class MemberAsker:
    """Asks whoever answers, the lead's node before others."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._lead_site = ""

    async def reply(self, request: sync_pb2.ChangeMemberRequest) -> sync_pb2.ChangeMemberReply:
        """The answer of the lead's node; of another where it does not answer. Raises ChangeNotYet."""
        order = sorted(self._peers, key=lambda name: name != self._lead_site)
        refusals: list[str] = []
        best: sync_pb2.ChangeMemberReply | None = None
        for name in order:
            try:
                reply = await change_member(self._peers[name], request, CALL_TIMEOUT_MS)
            except PeerSilent as error:
                refusals.append(f"{name} does not answer ({str(error)[:120]}).")
                continue
            except SentoError as error:
                if error.code is Code.MEMBER_NOT_CHANGED and name == self._lead_site:
                    raise ChangeNotYet(f"{name} says: {error.detail}") from error
                refusals.append(f"{name} says: {error.detail or error.code.name}")
                continue
            best = reply
            if reply.lead_site not in self._peers or reply.lead_site == name or name == self._lead_site:
                break
            self._lead_site = reply.lead_site
            if request.change != sync_pb2.TELL:
                break
            return await self._told_by_lead(request, reply)
        if best is None:
            self._lead_site = ""
            raise ChangeNotYet(" ".join(refusals) or "There is no other site to ask.")
        return best

    async def _told_by_lead(
        self, request: sync_pb2.ChangeMemberRequest, other: sync_pb2.ChangeMemberReply
    ) -> sync_pb2.ChangeMemberReply:
        """The same question to the lead's node, which alone knows how far the lead is; the first answer where it is silent."""
        try:
            return await change_member(self._peers[self._lead_site], request, CALL_TIMEOUT_MS)
        except (PeerSilent, SentoError):
            self._lead_site = ""
            return other
