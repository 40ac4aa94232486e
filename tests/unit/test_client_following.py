"""Following changes outlives what one deadline does: a quiet time longer than the deadline, then the loss of the site."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client_world import WHY, address, build_client_world
from genesis_builder import SITES
from sento_client import Code, SentoClient, SentoError, Version, asker
from sento_client.composing import Ports
from sento_client.opening import open_installation
from sento_client.testing.transport import MemoryTransport


class Clock:
    """Steady time that goes on when told."""

    def __init__(self) -> None:
        self.now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


async def take(changes: AsyncIterator[Version]) -> Version:
    return await anext(changes)


async def nothing_left_to_do() -> None:
    """Until the follower waits: what is in memory takes turns of the event loop, and no time."""
    for _ in range(100):
        await asyncio.sleep(0)


async def test_site_lost_after_a_quiet_time_over_the_deadline_is_replaced(tmp_path: Path) -> None:
    place = build_client_world(tmp_path)
    with place.config.open("a") as config:
        config.write("[outbox]\nenabled = false\n")
    clock = Clock()
    installation = open_installation(place.config)
    follower = SentoClient(
        installation,
        transport=lambda _: MemoryTransport(place.sites),
        ports=Ports(steady_ms=clock, jitter=lambda: 0.0),
    )
    async with place.client() as writer, follower:
        await writer.write(**address("one"), content="1")
        changes = follower.changes(
            registry="residency", from_position=0, follow=True, deadline_ms=1000, **WHY
        )
        assert (await anext(changes)).as_of.site == SITES[0]
        waiting = asyncio.create_task(take(changes))
        await nothing_left_to_do()
        clock.now_ms += 60_000
        place.sites[0].down = True
        await writer.write(**address("two"), content="2")
        following = await waiting
        assert (following.position, following.as_of.site) == (1, SITES[1])


async def test_follower_whom_no_site_answers_gives_up_at_its_deadline(tmp_path: Path) -> None:
    place = build_client_world(tmp_path)
    for site in place.sites:
        site.down = True
    async with place.client() as follower:
        changes = follower.changes(registry="residency", from_position=0, follow=True, deadline_ms=100, **WHY)
        with pytest.raises(SentoError) as caught:
            await anext(changes)
    assert caught.value.code is Code.UNREACHABLE


async def test_site_that_falls_silent_without_breaking_the_connection_is_left_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asker, "FOLLOW_SILENCE_MS", 50)
    place = build_client_world(tmp_path)
    async with place.client() as writer, place.client() as follower:
        await writer.write(**address("one"), content="1")
        changes = follower.changes(registry="residency", from_position=0, follow=True, **WHY)
        assert (await anext(changes)).as_of.site == SITES[0]
        waiting = asyncio.create_task(take(changes))
        await nothing_left_to_do()
        place.sites[0].mute = True
        await writer.write(**address("two"), content="2", deadline_ms=20_000)
        async with asyncio.timeout(20):
            version = await waiting
        assert version.content == b"2"
        assert version.as_of.site in SITES[1:]
