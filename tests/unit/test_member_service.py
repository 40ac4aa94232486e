"""Changing members for another site: its own and one only, whoever asks how often."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar, cast

import pytest

from sento_node.ordering.etcd.members import Member, MemberState
from sento_node.service import member_service
from sento_node.service.member_service import MemberService
from sento_node.service.node_state import NodeState
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import sync_pb2

SITE, OTHER = "jp-ibaraki", "jp-fukuoka"
URL, SECOND_URL = "https://ibaraki.example:2380", "https://ibaraki.example:2390"


class Members:
    """The members as an ordering log lists them, and the changes that were made."""

    listed_now: ClassVar[tuple[Member, ...]] = ()
    made: ClassVar[list[str]] = []

    def __init__(self, _target: str) -> None:
        pass

    async def state(self, *, timeout_ms: int) -> MemberState:
        return MemberState(1, 1, False, 10)

    async def listed(self, *, timeout_ms: int) -> tuple[Member, ...]:
        return self.listed_now

    async def add_learner(self, peer_url: str, *, timeout_ms: int) -> tuple[int, tuple[Member, ...]]:
        self.made.append(f"add {peer_url}")
        return 9, self.listed_now

    async def promote(self, member_id: int, *, timeout_ms: int) -> tuple[Member, ...]:
        self.made.append(f"promote {member_id}")
        return self.listed_now

    async def close(self) -> None:
        pass


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> type[Members]:
    monkeypatch.setattr(member_service, "MemberChanges", Members)
    monkeypatch.setattr(Members, "made", [])
    monkeypatch.setattr(Members, "listed_now", ())
    return Members


async def asked(change: sync_pb2.MemberChange.ValueType, *, member_id: int = 0, peer_url: str = "") -> Code:
    site = SimpleNamespace(votes=True, ordering_url=URL)
    node = SimpleNamespace(
        member_target="unix:nowhere",
        store=SimpleNamespace(tip=SimpleNamespace(epoch=0)),
        governance=SimpleNamespace(sites={SITE: site}),
        config=SimpleNamespace(peers=()),
    )
    request = sync_pb2.ChangeMemberRequest(change=change, member_id=member_id, peer_url=peer_url)
    try:
        await MemberService(cast("NodeState", node)).change(SITE, request)
    except SentoError as error:
        return error.code
    return Code.ACCEPTED


HELPER = Member(1, OTHER, "https://fukuoka.example:2380", votes=True)


@pytest.mark.parametrize(
    "voter", [Member(5, SITE, SECOND_URL, votes=True), Member(5, "another-name", URL, votes=True)]
)
async def test_a_site_whose_member_votes_gets_no_second_one(members: type[Members], voter: Member) -> None:
    members.listed_now = (HELPER, voter)
    assert await asked(sync_pb2.ADD_LEARNER, peer_url=SECOND_URL) is Code.MEMBER_NOT_CHANGED
    members.listed_now = (HELPER, voter, Member(9, SITE, SECOND_URL, votes=False))
    assert await asked(sync_pb2.PROMOTE, member_id=9) is Code.MEMBER_NOT_CHANGED
    assert members.made == []


async def test_a_learner_is_added_and_promoted_and_both_may_be_asked_again(members: type[Members]) -> None:
    members.listed_now = (HELPER,)
    assert await asked(sync_pb2.ADD_LEARNER, peer_url=URL) is Code.ACCEPTED
    members.listed_now = (HELPER, Member(9, "", URL, votes=False))
    assert await asked(sync_pb2.ADD_LEARNER, peer_url=URL) is Code.ACCEPTED
    members.listed_now = (HELPER, Member(9, SITE, URL, votes=False))
    assert await asked(sync_pb2.PROMOTE, member_id=9) is Code.ACCEPTED
    members.listed_now = (HELPER, Member(9, SITE, URL, votes=True))
    assert await asked(sync_pb2.PROMOTE, member_id=9) is Code.ACCEPTED
    assert members.made == [f"add {URL}", f"add {URL}", "promote 9", "promote 9"]
