"""A site asks each of the others how far it is, for as long as it lives: a silent one keeps nobody else waiting, and a failure of the watch is said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import pytest

from bare_node import BareNode
from epochs import plan_here
from genesis_builder import build_genesis
from ledger_driver import LedgerDriver
from sento_drill.waiting import until
from sento_node import peer_watch
from sento_node.epochs.here import EpochHere
from sento_node.epochs.showing import Standing
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.peers import PeerNode, PeerProgress, PeerSilent
from sento_proto.epoch_plan import EpochPlan, decode_plan, plan_hash

NAMES = ("jp-ishikawa", "jp-ibaraki")
FAR = PeerProgress(flushed_block=9, flushed_size=90, quorum_size=80, quorum_block=8, now_ms=0)


class Peer:
    """Another site's node that does what the test says."""

    def __init__(self, name: str, answer: Callable[[], Awaitable[PeerProgress]]) -> None:
        self.name = name
        self.asked = 0
        self.shown: list[EpochPlan] = []
        self.takes = True
        self._answer = answer

    async def show_epoch(self, plan: bytes, timeout_ms: int) -> bool:
        self.shown.append(decode_plan(plan))
        return self.takes

    async def progress(self, timeout_ms: int, own: Standing) -> PeerProgress:
        self.asked += 1
        return await self._answer()


async def answers() -> PeerProgress:
    return FAR


async def silent() -> PeerProgress:
    raise PeerSilent("UNAVAILABLE: nobody there")


async def hangs() -> PeerProgress:
    await asyncio.Event().wait()
    raise AssertionError


async def breaks() -> PeerProgress:
    raise ZeroDivisionError


@contextlib.asynccontextmanager
async def watched(node: BareNode, *peers: Peer) -> AsyncIterator[None]:
    names = {peer.name: cast("PeerNode", peer) for peer in peers}
    watching = asyncio.create_task(peer_watch.watch_peers(node.state, names))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_watch, "ASK_EVERY_MS", 1)


@pytest.mark.parametrize("other", [silent, hangs])
async def test_one_silent_site_does_not_make_the_other_look_silent(
    other: Callable[[], Awaitable[PeerProgress]],
) -> None:
    node = BareNode(NAMES)
    answering, not_answering = Peer(NAMES[0], answers), Peer(NAMES[1], other)

    async def asked_often() -> bool:
        return answering.asked >= 5 and not_answering.asked >= 1

    async with watched(node, answering, not_answering):
        await until(asked_often, deadline_s=10, what="the answering site is not asked again")
    assert set(node.state.contacts) == {NAMES[0]}
    assert node.state.contacts[NAMES[0]].flushed_size == 90
    assert node.state.condition.lag.behind_blocks(0) == 9


async def test_a_site_that_comes_back_is_in_contact_again() -> None:
    node = BareNode(NAMES[:1])
    moods = iter([silent, silent])

    async def at_first_silent() -> PeerProgress:
        return await next(moods, answers)()

    peer = Peer(NAMES[0], at_first_silent)

    async def reached() -> bool:
        return node.state.reaches(NAMES[0])

    async with watched(node, peer):
        await until(reached, deadline_s=10, what="the site that came back is not asked again")
    assert peer.asked >= 3


async def test_something_unforeseen_in_the_watch_is_an_alarm() -> None:
    node = BareNode(NAMES)

    async def said() -> bool:
        return "peer-watch-ended" in node.state.condition.alarms

    async with watched(node, Peer(NAMES[0], answers), Peer(NAMES[1], breaks)):
        await until(said, deadline_s=10, what="no alarm")


async def test_a_site_left_behind_is_shown_the_plan_once_in_a_life_and_again_in_its_next() -> None:
    node, world = BareNode(NAMES), build_genesis(rules=5)
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    driver.codes([driver.record("f0")])
    plan = plan_here(driver)
    node.state.epoch = EpochHere(1, plan, plan_hash(plan))
    standing, life = Standing(0), 1

    async def told() -> PeerProgress:
        return FAR._replace(standing=standing, boot_number=life)

    async def beside_told() -> PeerProgress:
        return FAR._replace(standing=Standing(1, plan_hash(plan)))

    behind, beside = Peer(NAMES[0], told), Peer(NAMES[1], beside_told)

    async def asked_more(count: int) -> None:
        before = behind.asked

        async def often() -> bool:
            return behind.asked >= before + count and beside.asked >= count

        await until(often, deadline_s=10, what="the site is not asked again")

    async with watched(node, behind, beside):
        await asked_more(5)
        assert behind.shown == [plan]
        life = 2
        await asked_more(5)
        assert behind.shown == [plan, plan]
        behind.takes, life = False, 3
        await asked_more(5)
        assert len(behind.shown) == 3
        node.clock.at_ms += peer_watch.SHOW_REFUSED_AGAIN_MS
        await asked_more(5)
        assert len(behind.shown) == 4, "it may know the officers by now"
        standing = Standing(1, plan_hash(plan))
        node.clock.at_ms += peer_watch.SHOW_AGAIN_MS
        await asked_more(5)
    assert len(behind.shown) == 4
    assert beside.shown == []
    assert node.state.contacts[NAMES[0]].standing == standing
