"""Sync.ChangeMember: a site changes its own membership of the ordering log through a site whose member votes.

Who may do what is decided here from governance and the list of members; how etcd is asked is `ordering/etcd/members.py`'s. A former member is removed only
while nobody is connected to it: whoever still runs it would otherwise lose it under its hands. Each call may be repeated; what is done already is answered
as done. The caller goes to the lead's node, because only that one knows how far the lead has applied its log.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from sento_node.ordering.etcd.connected import MetricsSilent, connected_members
from sento_node.ordering.etcd.members import ChangeNotYet, ChangeRefused, Member, MemberChanges
from sento_node.service.node_state import NodeState
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import sync_pb2

CALL_TIMEOUT_MS = 4_000


class MemberService:
    """Changes asked for by other sites. `target`: this site's own member."""

    def __init__(self, node: NodeState) -> None:
        self._node = node

    async def change(self, caller: str, request: sync_pb2.ChangeMemberRequest) -> sync_pb2.ChangeMemberReply:
        """What was asked for, done. Raises SentoError: MEMBER_NOT_CHANGED with the reason in words."""
        target = self._node.member_target
        if not target:
            raise SentoError(Code.NOT_READY, "this site has no member of the ordering log that runs")
        if request.epoch != self._node.store.tip.epoch:
            raise SentoError(Code.EPOCH_ENDED, f"this site stands in epoch {self._node.store.tip.epoch}")
        changes = MemberChanges(target)
        try:
            return await self._changed(changes, target, caller, request)
        except (ChangeNotYet, ChangeRefused) as error:
            raise SentoError(Code.MEMBER_NOT_CHANGED, str(error)) from error
        finally:
            await changes.close()

    async def _changed(
        self, changes: MemberChanges, target: str, caller: str, request: sync_pb2.ChangeMemberRequest
    ) -> sync_pb2.ChangeMemberReply:
        state = await changes.state(timeout_ms=CALL_TIMEOUT_MS)
        if state.is_learner:
            raise ChangeNotYet("This site's own member is a learner. Ask another voting site.")
        members = await changes.listed(timeout_ms=CALL_TIMEOUT_MS)
        changed = request.member_id
        match request.change:
            case sync_pb2.TELL:
                pass
            case sync_pb2.REMOVE_FORMER:
                self._check_own(members, caller, request.member_id)
                await self._check_gone(target, request.member_id)
                members = await changes.remove(request.member_id, timeout_ms=CALL_TIMEOUT_MS)
            case sync_pb2.ADD_LEARNER:
                self._check_votes(caller)
                self._check_alone(members, caller, request.member_id)
                _check_url(members, caller, request.peer_url)
                changed, members = await changes.add_learner(request.peer_url, timeout_ms=CALL_TIMEOUT_MS)
            case sync_pb2.PROMOTE:
                self._check_votes(caller)
                self._check_own(members, caller, request.member_id)
                self._check_alone(members, caller, request.member_id)
                members = await changes.promote(request.member_id, timeout_ms=CALL_TIMEOUT_MS)
            case _:
                raise SentoError(Code.BAD_REQUEST, "change must be one that this release knows")
        is_lead = state.member_id == state.lead_id
        return sync_pb2.ChangeMemberReply(
            member_id=changed,
            members=[
                sync_pb2.OrderingMemberEntry(
                    member_id=one.member_id, site=one.site, peer_url=one.peer_url, votes=one.votes
                )
                for one in members
            ],
            lead_applied_index=state.applied_index if is_lead else 0,
            lead_site=next((one.site for one in members if one.member_id == state.lead_id), ""),
        )

    def _check_votes(self, caller: str) -> None:
        site = self._node.governance.sites.get(caller)
        if site is None or not site.votes:
            raise ChangeRefused(
                f"Governance gives {caller} no vote, so it gets no member. Let the officers decide with set-site-votes first."
            )

    def _check_own(self, members: Sequence[Member], caller: str, member_id: int) -> None:
        """Raises ChangeRefused unless that member is the caller's, by the name it started with or, if it never did, by the URL that is known of the caller."""
        member = next((one for one in members if one.member_id == member_id), None)
        if member is None or member.site == caller:
            return
        if not member.site and member.peer_url in self._urls(caller):
            return
        whose = member.site or "a site that has not started it"
        raise ChangeRefused(f"That member is of {whose}, and {caller} may change its own membership only.")

    def _check_alone(self, members: Sequence[Member], caller: str, member_id: int) -> None:
        """Raises ChangeRefused when another member votes for the caller: a site has one vote, whoever asks how often, and a forgotten former member would be
        a second."""
        urls = self._urls(caller)
        others = (one for one in members if one.votes and one.member_id != member_id)
        if any(one.site == caller or one.peer_url in urls for one in others):
            raise ChangeRefused(
                f"A member of {caller} votes already, and a site has one vote. Take the former member out first: `sento-node replace-disk` does."
            )

    def _urls(self, caller: str) -> set[str]:
        site = self._node.governance.sites.get(caller)
        known = {peer.ordering_peer_url for peer in self._node.config.peers if peer.name == caller}
        return {url for url in (*known, "" if site is None else site.ordering_url) if url}

    async def _check_gone(self, target: str, member_id: int) -> None:
        """Raises ChangeNotYet while this site's member is connected to that one, or when that cannot be told."""
        try:
            connected = await connected_members(target, timeout_ms=CALL_TIMEOUT_MS)
        except MetricsSilent as error:
            raise ChangeNotYet(
                f"Whether the former member still runs cannot be told: {error}. It is asked again by itself."
            ) from error
        if member_id in connected:
            raise ChangeNotYet(
                "The former member is active and healthy, so it is not removed. "
                "Stop the node that runs it, wherever that is; if it was stopped a moment ago, this passes within seconds."
            )


def _check_url(members: Sequence[Member], caller: str, url: str) -> None:
    """Raises ChangeRefused for a URL that is none, or another site's member's."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "https" and bool(parts.hostname) and parts.port is not None
    except ValueError:
        usable = False
    if not usable or parts.path or parts.query or parts.username:
        raise ChangeRefused("The learner's URL must be https://host:port; look at ordering.peer_url.")
    if any(one.peer_url == url and one.site not in ("", caller) for one in members):
        raise ChangeRefused(f"{url} is another site's member's; look at ordering.peer_url.")
