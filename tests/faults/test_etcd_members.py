"""The members of a real ordering log: a dead one is removed, a learner added in its place, promoted, and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio

from etcd_cluster import EtcdCluster, TestMember, free_peer_urls, until
from sento_node.ordering.etcd.connected import connected_members
from sento_node.ordering.etcd.members import ChangeNotYet, ChangeRefused, Member, MemberChanges
from sento_node.ordering.etcd.supervision import EndKind

SITES = ("a", "b", "c")
CALL_MS = 3_000
_T = TypeVar("_T")


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[EtcdCluster]:
    made = EtcdCluster.make(tmp_path, SITES)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def changes_at(member: TestMember) -> MemberChanges:
    return MemberChanges(member.member.client_target)


async def repeated(change: Callable[[], Awaitable[_T]], what: str) -> _T:
    """The change, asked again while it waits for something."""
    why: list[str] = []

    async def once() -> list[_T] | None:
        try:
            return [await change()]
        except ChangeNotYet as error:
            why.append(str(error))
            return None

    return (await until(once, what))[0]


async def written(member: TestMember, first: int, last: int) -> None:
    for seq in range(first, last + 1):
        await member.log.append(f"{SITES[0]}/1/0", seq, b"block %d" % seq, timeout_ms=CALL_MS)


def learner_in_place_of(former: TestMember, members: tuple[Member, ...], url: str) -> TestMember:
    """A member with an empty directory that joins the standing ones."""
    shutil.rmtree(former.settings.data_dir)
    names = {member.peer_url: member.site for member in members} | {url: former.site}
    settings = dataclasses.replace(
        former.settings,
        members={name: at for at, name in names.items()},
        peer_url=url,
        peer_listen_url=url,
        joins_existing=True,
    )
    return TestMember(settings, former.policy)


async def test_a_dead_member_is_removed_and_a_learner_takes_its_place_with_every_block(
    cluster: EtcdCluster,
) -> None:
    lead = await cluster.lead()
    lost = next(member for member in cluster.members if member is not lead)
    await written(lead, 1, 20)
    changes = changes_at(lead)
    before = {member.site: member for member in await changes.listed(timeout_ms=CALL_MS)}
    old_id = before[lost.site].member_id
    assert old_id in await connected_members(lead.member.client_target, timeout_ms=CALL_MS)
    await lost.stop()

    async def cut() -> bool:
        return old_id not in await connected_members(lead.member.client_target, timeout_ms=CALL_MS)

    await until(cut, "the lead sees that the member is gone")
    with pytest.raises(ChangeNotYet, match="a voting member is away"):
        await changes.add_learner(free_peer_urls(1)[0], timeout_ms=CALL_MS)
    left = await repeated(lambda: changes.remove(old_id, timeout_ms=CALL_MS), "the dead member is removed")
    assert {member.site for member in left} == set(SITES) - {lost.site}
    assert await changes.remove(old_id, timeout_ms=CALL_MS) == left

    url = free_peer_urls(1)[0]
    new_id, members = await repeated(
        lambda: changes.add_learner(url, timeout_ms=CALL_MS), "a learner is added"
    )
    assert new_id != old_id
    again, _ = await changes.add_learner(url, timeout_ms=CALL_MS)
    assert again == new_id, "a learner that was added and never started is not added twice"
    with pytest.raises(ChangeNotYet, match=r"one at a time|changes no members"):
        await changes.add_learner(free_peer_urls(1)[0], timeout_ms=CALL_MS)
    with pytest.raises(ChangeNotYet):
        await changes.promote(new_id, timeout_ms=CALL_MS)

    learner = learner_in_place_of(lost, members, url)
    cluster.members[cluster.members.index(lost)] = learner
    await learner.start()
    await learner.ready()
    own = changes_at(learner)
    assert (await own.state(timeout_ms=CALL_MS)).is_learner
    after = await repeated(lambda: changes.promote(new_id, timeout_ms=CALL_MS), "the learner is promoted")
    assert next(member for member in after if member.member_id == new_id).votes
    again_after = await changes.promote(new_id, timeout_ms=CALL_MS)
    assert {member.member_id for member in again_after} == {member.member_id for member in after}
    await written(lead, 21, 25)

    async def follows() -> bool:
        return (await learner.log.head(timeout_ms=CALL_MS)).number == 25

    await until(follows, "the new member reads the head")
    await asyncio.gather(changes.close(), own.close())


async def test_a_removed_member_that_starts_again_with_its_old_data_ends_by_itself(
    cluster: EtcdCluster,
) -> None:
    lead = await cluster.lead()
    gone = next(member for member in cluster.members if member is not lead)
    changes = changes_at(lead)
    old_id = next(one.member_id for one in await changes.listed(timeout_ms=CALL_MS) if one.site == gone.site)
    gone.signal(signal.SIGSTOP)
    gone.signal(signal.SIGCONT)
    await repeated(lambda: changes.remove(old_id, timeout_ms=CALL_MS), "the member is removed")
    assert (await gone.member.ended()).kind is EndKind.REMOVED
    again = await gone.renew()
    cluster.members[cluster.members.index(gone)] = again
    await again.start()
    assert (await again.member.ended()).kind is EndKind.REMOVED
    await changes.close()


async def test_a_url_of_a_standing_member_is_not_given_to_a_learner(cluster: EtcdCluster) -> None:
    lead = await cluster.lead()
    other = next(member for member in cluster.members if member is not lead)
    changes = changes_at(lead)
    with pytest.raises(ChangeRefused, match="Remove that member first"):
        await repeated(
            lambda: changes.add_learner(other.settings.peer_url, timeout_ms=CALL_MS), "asked of a whole log"
        )
    with pytest.raises(ChangeRefused, match="no member any more"):
        await repeated(lambda: changes.promote(12345, timeout_ms=CALL_MS), "asked of a whole log")
    await changes.close()
