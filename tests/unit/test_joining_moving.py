"""What a running site does when an act gives it a vote or ends it: decided from governance and the members, never against what must remain."""

from __future__ import annotations

import pytest

from sento_node.joining.moving import (
    TABLE_WANTED,
    HandOn,
    LeaveLog,
    Left,
    NotYet,
    RemoveOwn,
    SayWanted,
    Stay,
    TakeVote,
    leaving_step,
    vote_change,
)
from sento_node.ordering.etcd.members import Member

A, B, C = (Member(n, name, f"https://127.0.0.1:{n}", True) for n, name in ((1, "a"), (2, "b"), (3, "c")))
LEARNER = B._replace(votes=False)


@pytest.mark.parametrize(
    ("votes", "has_member", "wanted", "change"),
    [
        (True, True, "", Stay()),
        (False, False, "", Stay()),
        (False, False, TABLE_WANTED, Stay()),
        (True, False, "", TakeVote()),
        (True, False, TABLE_WANTED, SayWanted(TABLE_WANTED)),
        (False, True, "", LeaveLog()),
    ],
    ids=["voter", "embassy", "embassy without a table", "given", "given, nothing to run it with", "ended"],
)
def test_a_vote_and_a_member_go_together(
    votes: bool, has_member: bool, wanted: str, change: object
) -> None:  # fmt: skip
    assert vote_change(votes=votes, has_member=has_member, wanted=wanted) == change


def test_what_an_embassy_without_a_table_is_told_names_every_setting() -> None:
    for word in ("[ordering]", "peer_url", "ca", "certificate", "key", "restart"):
        assert word in TABLE_WANTED


def leaving(*members: Member, voting: tuple[str, ...], is_lead: bool = False, down: str = "") -> object:
    return leaving_step(1, members, voting, is_lead=is_lead, reaches=lambda site: site != down)


def test_a_site_leaves_once_all_that_are_to_vote_do() -> None:
    assert leaving(A, B, C, voting=("b", "c")) == RemoveOwn(1)
    assert leaving(B, C, voting=("b", "c")) == Left()


@pytest.mark.parametrize("members", [(A, C), (A, C, LEARNER)], ids=["not there", "a learner"])
def test_a_site_stays_while_one_that_is_to_vote_does_not(members: tuple[Member, ...]) -> None:
    step = leaving(*members, voting=("b", "c"))
    assert isinstance(step, NotYet)
    assert "member of b does not vote" in step.words


def test_the_last_voter_never_leaves() -> None:
    assert isinstance(leaving(A, voting=()), NotYet)


def test_the_lead_goes_first_to_a_site_that_answers() -> None:
    assert leaving(A, B, C, voting=("b", "c"), is_lead=True) == HandOn(("b", "c"))
    assert leaving(A, B, C, voting=("b", "c"), is_lead=True, down="b") == HandOn(("c", "b"))
    assert leaving(A, B, C, voting=("c",), is_lead=True) == HandOn(("c",)), "not to another that leaves"
