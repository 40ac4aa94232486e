"""What a joining site does next, from its note and what it sees. Pure.

    set aside ─► make an empty ledger ─► (boot number confirmed) ─► remove the former member ─► add a learner ─► start it
        ─► copy the ledger ─► promote the learner ─► the ledger is whole: serve

A site that does not vote has no member and leaves those steps out; one that runs and was given a vote (kind `vote`) has its ledger and begins with the
learner. Each step is derived anew from what is there: a step that was done before a kill is not
seen as missing, and one whose answer was lost is done again, which every one of them allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sento_node.joining.note import JOIN, VOTE, Note
from sento_node.ordering.etcd.members import Member

GAP_MAX_ENTRIES = 50
"""A learner is promoted when it lacks at most so many entries of the lead's log. etcd itself is content with nine tenths of them."""


class SetAside(NamedTuple):
    """Move what lies in the data directory into `replaced-<number>`."""

    number: int


class MakeLedger(NamedTuple):
    """Make an empty ledger that knows that it is copied."""


class GoOn(NamedTuple):
    """Nothing is left to do before the node starts."""


LocalStep = SetAside | MakeLedger | GoOn


def local_step(note: Note) -> LocalStep:
    """What is to be done on the disk before the node starts."""
    if not note.set_aside:
        return SetAside(note.aside)
    if not note.ledger_made:
        return MakeLedger()
    return GoOn()


class Seen(NamedTuple):
    """What is seen of the ordering log. `url`: where the others reach this site's member. `has_log`: this disk holds a log of it. `is_up`: it runs.
    `behind`: how many entries it lacks to the lead's (None: unknown). `copied`: the ledger was copied to its end. `by_lead`: the lead's own member told the
    members, so that one which is not among them is none."""

    site: str
    url: str
    members: Sequence[Member]
    has_log: bool
    is_up: bool = False
    behind: int | None = None
    copied: bool = False
    by_lead: bool = False


class Remove(NamedTuple):
    """Take the former member out."""

    member_id: int


class Adopt(NamedTuple):
    """The learner was added already, and its number was not noted: it is this disk's."""

    member_id: int


class AddLearner(NamedTuple):
    """Add a learner for this disk."""


class PutAway(NamedTuple):
    """The member that this disk became was removed, and another is to take its place: its log is put away, and its number forgotten."""


class StartMember(NamedTuple):
    """Start the member; `members` are all, by name and URL."""

    members: tuple[tuple[str, str], ...]


class Promote(NamedTuple):
    """Let the learner vote."""

    member_id: int


class Wait(NamedTuple):
    """Nothing to do yet; in words why."""

    words: str


class Voting(NamedTuple):
    """This disk's member votes."""


class GiveUp(NamedTuple):
    """It cannot go on. One sentence of cause and one of remedy."""

    words: str


MemberStep = Remove | Adopt | AddLearner | PutAway | StartMember | Promote | Wait | Voting | GiveUp


def member_step(note: Note, seen: Seen) -> MemberStep:
    """What is next with the ordering member."""
    own = next((one for one in seen.members if note.member_id and one.member_id == note.member_id), None)
    former = [one for one in seen.members if one is not own and _is_of(one, seen)]
    if own is None and note.member_id and seen.has_log and note.kind == VOTE and not seen.is_up:
        return (
            PutAway()
            if seen.by_lead
            else Wait("Whether this site's member was removed is asked of the lead's node.")
        )
    if own is None and note.member_id and seen.has_log:
        return GiveUp(
            "The member that this disk became is no member of the ordering log any more: somebody removed it. "
            "Run `sento-node replace-disk --anew` to begin with a new one."
        )
    if own is None:
        fresh = [one for one in former if not one.site and not one.votes]
        if fresh and not seen.has_log:
            return Adopt(fresh[0].member_id)
    if former:
        if note.kind == JOIN:
            return GiveUp(
                f"The ordering log has a member of {seen.site} already, so this site is not new. "
                "If its disk was lost, run `sento-node replace-disk`; if it runs elsewhere, stop this one."
            )
        if note.kind == VOTE and former[0].votes:
            return GiveUp(
                f"The ordering log has a member of {seen.site} that votes, and this disk does not hold its log. "
                "Run `sento-node replace-disk`, which takes that member out; if it runs elsewhere, stop this site."
            )
        return Remove(former[0].member_id)
    if own is None:
        return AddLearner()
    if not seen.has_log and not seen.is_up and own.votes:
        return GiveUp(
            "The member that this disk became votes, and the disk does not hold its log any more: it must not start. "
            "Run `sento-node replace-disk --anew` to begin with a new one."
        )
    if not seen.has_log and not seen.is_up and own.site:
        return Remove(own.member_id)
    if not seen.is_up:
        return StartMember(
            tuple(
                (seen.site if one is own else one.site, one.peer_url)
                for one in seen.members
                if one.site or one is own
            )
        )
    if own.votes:
        return Voting()
    return _promotion(own, seen)


def _promotion(own: Member, seen: Seen) -> MemberStep:
    if not seen.copied:
        return Wait("The ledger is copied before the member may vote.")
    if seen.behind is None:
        return Wait("How far the lead's member is cannot be told yet.")
    if seen.behind > GAP_MAX_ENTRIES:
        return Wait(f"The member copies the ordering log: {seen.behind} entries are left.")
    return Promote(own.member_id)


def _is_of(member: Member, seen: Seen) -> bool:
    """Whether it is this site's: by the name it started with or, if it never did, by its URL."""
    return member.site == seen.site or (not member.site and member.peer_url == seen.url)
