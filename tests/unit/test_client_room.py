"""The bound on what is under way: first come, first served, and nothing is lost when a caller gives up."""

from __future__ import annotations

import asyncio

from sento_client.room import Room


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_callers_get_in_by_turn_as_room_is_given_back() -> None:
    room = Room(10)
    assert room.take_now(6)
    order: list[str] = []

    async def enter(name: str, units: int) -> None:
        await room.take(units)
        order.append(name)

    tasks = [asyncio.create_task(enter("large", 8)), asyncio.create_task(enter("small", 1))]
    await turns()
    assert order == []
    assert not room.take_now(1), "a late comer does not pass those who wait"
    room.give_back(6)
    await asyncio.gather(*tasks)
    assert order == ["large", "small"]
    assert room.taken == 9


async def test_what_is_larger_than_the_room_gets_in_alone() -> None:
    room = Room(10)
    await room.take(25)
    assert not room.take_now(1)
    room.give_back(25)
    assert room.take_now(10)


async def test_cancelled_caller_takes_nothing_and_lets_the_next_one_in() -> None:
    room = Room(10)
    assert room.take_now(5)
    first = asyncio.create_task(room.take(8))
    second = asyncio.create_task(room.take(5))
    await turns()
    first.cancel()
    await second
    assert room.taken == 10
    assert first.cancelled()


async def test_caller_cancelled_in_the_moment_of_its_turn_gives_it_back() -> None:
    room = Room(10)
    assert room.take_now(10)
    waiting = asyncio.create_task(room.take(4))
    await turns()
    room.give_back(10)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert room.taken == 0
