"""A site asks each of the others how far it is, for as long as it lives: a silent one keeps nobody else waiting, and a failure of the watch is said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import pytest

from bare_node import BareNode
from sento_drill.waiting import until
from sento_node import peer_watch
from sento_node.peers import PeerNode, PeerProgress, PeerSilent

NAMES = ("jp-ishikawa", "jp-ibaraki")
FAR = PeerProgress(flushed_block=9, flushed_size=90, quorum_size=80, quorum_block=8, now_ms=0)


class Peer:
    """Another site's node that does what the test says."""

    def __init__(self, name: str, answer: Callable[[], Awaitable[PeerProgress]]) -> None:
        self.name = name
        self.asked = 0
        self._answer = answer

    async def progress(self, timeout_ms: int) -> PeerProgress:
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
