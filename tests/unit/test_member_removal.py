"""An operator's word about members and the lead: only who has no vote is taken out, only who votes is handed the lead, and each may be said twice."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar, cast

import pytest

from bare_node import leading_member
from sento_node.ordering.etcd.members import ChangeNotYet, Member, MemberState
from sento_node.ordering.port import OrderingMember
from sento_node.service import member_removal
from sento_node.service.member_removal import hand_over_lead, remove_member
from sento_node.service.node_state import NodeState
from sento_node.service.surroundings import add_ordering
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import admin_pb2

HERE, GONE, URL = "jp-fukuoka", "jp-ibaraki", "https://ibaraki.example:2380"
VOTING = (HERE, "jp-ishikawa")
OWN = Member(1, HERE, "https://fukuoka.example:2380", votes=True)
DEAD = Member(5, GONE, URL, votes=True)


class Members:
    """The members as an ordering log lists them; removing one takes it off the list."""

    listed_now: ClassVar[list[Member]] = []
    refuses: ClassVar[list[str]] = []
    is_learner: ClassVar[list[bool]] = [False]

    def __init__(self, _target: str) -> None:
        pass

    async def state(self, *, timeout_ms: int) -> MemberState:
        return MemberState(1, 1, self.is_learner[0], 10)

    async def listed(self, *, timeout_ms: int) -> tuple[Member, ...]:
        return tuple(self.listed_now)

    async def remove(self, member_id: int, *, timeout_ms: int) -> tuple[Member, ...]:
        for why in self.refuses:
            raise ChangeNotYet(why)
        self.listed_now[:] = [member for member in self.listed_now if member.member_id != member_id]
        return tuple(self.listed_now)

    async def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def members(monkeypatch: pytest.MonkeyPatch) -> type[Members]:
    monkeypatch.setattr(member_removal, "MemberChanges", Members)
    monkeypatch.setattr(Members, "listed_now", [OWN, DEAD])
    monkeypatch.setattr(Members, "refuses", [])
    monkeypatch.setattr(Members, "is_learner", [False])
    return Members


class Runner:
    """Hands the lead over, by noting to whom."""

    def __init__(self) -> None:
        self.to: list[str] = []

    async def handed_over(self, to_site: str, timeout_ms: int) -> None:
        self.to.append(to_site)


def node_of(
    *, voting: tuple[str, ...] = VOTING, state: str = "serving", target: str = "unix:here"
) -> NodeState:
    runner = Runner()
    listed = tuple(
        OrderingMember(n, site, votes=site != "learner") for n, site in enumerate((*voting, "learner"))
    )
    node = SimpleNamespace(
        member_target=target,
        runner=runner,
        running=lambda: runner,
        condition=SimpleNamespace(
            state=state,
            rebuilding=None,
            code=Code.NOT_READY,
            shown_explanation="behind",
            ordering=replace(leading_member(), members=listed),
        ),
        epoch=SimpleNamespace(voting_sites=lambda governance: governance.voting_sites),
        governance=SimpleNamespace(voting_sites=voting, sites={GONE: SimpleNamespace(ordering_url=URL)}),
        config=SimpleNamespace(peers=(), site=HERE),
    )  # fmt: skip
    return cast("NodeState", node)


async def code_of(node: NodeState, site: str = GONE) -> Code:
    with pytest.raises(SentoError) as refused:
        await remove_member(node, site)
    return refused.value.code


async def test_the_member_of_a_site_without_a_vote_is_removed_once(members: type[Members]) -> None:
    assert await remove_member(node_of(), GONE)
    assert members.listed_now == [OWN]
    assert not await remove_member(node_of(), GONE)


async def test_a_learner_that_never_started_is_known_by_where_its_site_is_reached(
    members: type[Members],
) -> None:
    members.listed_now.append(Member(9, "", URL, votes=False))
    members.listed_now.append(Member(10, "", "https://elsewhere.example:1", votes=False))
    assert await remove_member(node_of(), GONE)
    assert [member.member_id for member in members.listed_now] == [1, 10]


async def test_nobody_is_removed_whom_governance_lets_vote_or_by_a_site_that_cannot_tell(
    members: type[Members],
) -> None:
    assert await code_of(node_of(voting=(*VOTING, GONE))) is Code.MEMBER_NOT_CHANGED
    assert await code_of(node_of(state="catching-up")) is Code.NOT_READY
    assert await code_of(node_of(target="")) is Code.NOT_READY
    assert await code_of(node_of(), "") is Code.BAD_REQUEST
    members.is_learner[0] = True
    assert await code_of(node_of()) is Code.MEMBER_NOT_CHANGED
    assert members.listed_now == [OWN, DEAD]


async def test_what_the_ordering_log_refuses_is_told_in_its_words(members: type[Members]) -> None:
    members.refuses.append("a voting member is away")
    with pytest.raises(SentoError, match="a voting member is away"):
        await remove_member(node_of(), GONE)


async def test_the_lead_goes_to_any_member_that_votes_and_to_no_other() -> None:
    node = node_of(voting=(*VOTING, "lu-betzdorf"))
    await hand_over_lead(node, "lu-betzdorf")
    assert cast("Runner", node.runner).to == ["lu-betzdorf"]
    for other in ("learner", GONE, ""):
        with pytest.raises(SentoError, match="to_site must be one of") as refused:
            await hand_over_lead(node, other)
        assert refused.value.code is Code.BAD_REQUEST


def test_the_status_lists_the_members_as_the_own_one_knows_them() -> None:
    status = replace(
        leading_member(),
        lead_site=HERE,
        members=(
            OrderingMember(1, HERE, votes=True, peer_url="https://a:1"),
            OrderingMember(9, "", votes=False, peer_url=URL),
        ),
    )
    node = SimpleNamespace(
        condition=SimpleNamespace(ordering=status),
        timeouts=(150, 1_500),
        round_trips=SimpleNamespace(of=lambda sites: dict.fromkeys(sites, 200_000)),
        epoch=SimpleNamespace(voting_sites=lambda governance: VOTING),
        governance=None,
        config=SimpleNamespace(site=HERE),
    )
    reply = admin_pb2.StatusReply()
    add_ordering(reply, cast("NodeState", node))
    assert [(one.site, one.votes, one.is_lead, one.peer_url) for one in reply.ordering_members] == [
        (HERE, True, True, "https://a:1"),
        ("", False, False, URL),
    ]
    told = (reply.heartbeat_ms, reply.election_ms, reply.heartbeat_wanted_ms, reply.election_wanted_ms)
    assert told == (150, 1_500, 300, 3_000)
