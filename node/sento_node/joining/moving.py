"""A running site whose vote began or ended by an act: what it does about its member of the ordering log. Pure.

    a vote, no member, an [ordering] table     take: the site becomes a learner and is promoted, with its ledger as it is
    a vote, no member, no [ordering] table     say what to write into node.toml, and go on as an embassy
    no vote, a member                          leave: hand the lead on, remove the own member, go on as an embassy

Leaving waits until every site that governance lets vote has a member that votes: several sites may lose their votes in one act that gives others theirs, and
what remains must be able to order without them. That enough of those members are up is judged by the ordering log itself, at each removal.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from sento_node.ordering.etcd.members import Member

TABLE_WANTED = (
    "Governance gives this site a vote, and its node.toml has no [ordering] table, so it cannot vote. "
    "Write one with peer_url (https://host:port, where the other sites reach its member), ca, certificate and key, then restart the node (runbook: join)."
)


class Stay(NamedTuple):
    """Nothing is to be moved."""


class TakeVote(NamedTuple):
    """Become a member of the ordering log."""


class SayWanted(NamedTuple):
    """The vote cannot be taken; in words why."""

    words: str


class LeaveLog(NamedTuple):
    """Leave the ordering log."""


VoteChange = Stay | TakeVote | SayWanted | LeaveLog


def vote_change(*, votes: bool, has_member: bool, wanted: str) -> VoteChange:
    """What a running site does. `votes`: by governance; `has_member`: it runs a member in this life; `wanted`: what it needs for one and has not, in words."""
    if votes == has_member:
        return Stay()
    if not votes:
        return LeaveLog()
    return SayWanted(wanted) if wanted else TakeVote()


class HandOn(NamedTuple):
    """Give the lead to one of these sites, the first that takes it."""

    to_sites: tuple[str, ...]


class RemoveOwn(NamedTuple):
    """Take the own member out."""

    member_id: int


class NotYet(NamedTuple):
    """It cannot leave yet; in words why."""

    words: str


class Left(NamedTuple):
    """The log has no member of this site."""


LeavingStep = HandOn | RemoveOwn | NotYet | Left


def leaving_step(
    own_id: int,
    members: Sequence[Member],
    voting_sites: Collection[str],
    *,
    is_lead: bool,
    reaches: Callable[[str], bool],
) -> LeavingStep:
    """What is next for a site that leaves, by the members as its own lists them. `voting_sites`: by governance."""
    if all(member.member_id != own_id for member in members):
        return Left()
    voting = {member.site for member in members if member.votes and member.member_id != own_id}
    missing = sorted(set(voting_sites) - voting)
    if missing or not voting_sites:
        whose = ", ".join(missing) or "any site"
        return NotYet(
            f"The member of {whose} does not vote in the ordering log yet, and this site's stays until it does."
        )
    if is_lead:
        return HandOn(tuple(sorted(voting_sites, key=lambda site: (not reaches(site), site))))
    return RemoveOwn(own_id)
