"""Admin.RemoveMember: an operator has the ordering member of a site taken out that has no vote any more and does not leave by itself; and Admin.HandOverLead.

A site that runs leaves by itself within seconds of the act. One that is lost, or was retired and stopped, cannot: until its member is out, it counts among
those of which a majority must be up, and the ordering log takes in no new one. Whether enough others are up is judged by the log itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from sento_node.ordering.etcd.members import ChangeNotYet, ChangeRefused, Member, MemberChanges
from sento_node.service.node_state import NodeState
from sento_proto.errors import Code, SentoError

CALL_TIMEOUT_MS = 4_000
HAND_OVER_TIMEOUT_MS = 5_000
GOVERNANCE_IS_OF_NOW = ("serving", "no-majority")


async def remove_member(node: NodeState, site: str) -> bool:
    """Whether the log had a member of that site. Raises SentoError: MEMBER_NOT_CHANGED with the reason in words."""
    if not site:
        raise SentoError(Code.BAD_REQUEST, "site must name the site whose member is to be removed")
    node.running()
    if not node.member_target:
        raise SentoError(
            Code.NOT_READY, "this site has no member of the ordering log that runs; ask a site that votes"
        )
    if node.condition.state not in GOVERNANCE_IS_OF_NOW or node.condition.rebuilding is not None:
        raise SentoError(node.condition.code, node.condition.shown_explanation)
    if site in node.epoch.voting_sites(node.governance):
        raise SentoError(
            Code.MEMBER_NOT_CHANGED,
            f"Governance lets {site} vote, so its member stays. Let the officers end its vote first (set-site-votes, or retire-site).",
        )
    changes = MemberChanges(node.member_target)
    try:
        return await _removed(changes, site, _urls(node, site))
    except (ChangeNotYet, ChangeRefused) as error:
        raise SentoError(Code.MEMBER_NOT_CHANGED, str(error)) from error
    finally:
        await changes.close()


async def _removed(changes: MemberChanges, site: str, urls: frozenset[str]) -> bool:
    """All of them, one after the other. Raises ChangeNotYet, ChangeRefused."""
    state = await changes.state(timeout_ms=CALL_TIMEOUT_MS)
    if state.is_learner:
        raise ChangeNotYet("This site's own member does not vote yet. Ask another voting site.")
    found = False
    own = _of_site(await changes.listed(timeout_ms=CALL_TIMEOUT_MS), site, urls)
    while own:
        found = True
        left = await changes.remove(own[0].member_id, timeout_ms=CALL_TIMEOUT_MS)
        own = _of_site(left, site, urls)
    return found


def _of_site(members: Iterable[Member], site: str, urls: frozenset[str]) -> list[Member]:
    """By the name that it started with; one that never started, by where the site is known to be reached."""
    return [one for one in members if one.site == site or (not one.site and one.peer_url in urls)]


def _urls(node: NodeState, site: str) -> frozenset[str]:
    known = node.governance.sites.get(site)
    urls = {peer.ordering_peer_url or "" for peer in node.config.peers if peer.name == site}
    return frozenset(urls | {"" if known is None else known.ordering_url}) - {""}


async def hand_over_lead(node: NodeState, to_site: str) -> None:
    """Hand the lead to a site whose member votes now. Raises SentoError: BAD_REQUEST for any other site."""
    runner = node.running()
    ordering = node.condition.ordering
    voting = sorted(member.site for member in ordering.members if member.votes) if ordering else []
    known = voting or list(node.epoch.voting_sites(node.governance))
    if to_site not in known:
        raise SentoError(Code.BAD_REQUEST, f"to_site must be one of {', '.join(known)}")
    await runner.handed_over(to_site, HAND_OVER_TIMEOUT_MS)
