"""`update`: read, change, write, again when another was faster; nothing is counted twice, and nothing goes on beyond the deadline."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from client_world import WHY, address
from sento_client import Acknowledgement, Code, Draft, Ports, SentoClient, SentoError, Version
from sento_client.composing import Content
from sento_client.testing import Registry
from sento_client.updating import Change, update

CALLERS = 20
FACT = address("visits")
DONE = Acknowledgement(0, bytes(32), bytes(16), 1, "site-1", repeated=False)


def one_more(version: Version | None) -> Content:
    count = 0 if version is None else json.loads(version.content or b"")["count"]
    return {"count": count + 1}


async def count_up(sento: SentoClient, change: Change = one_more, deadline_ms: int | None = None) -> object:
    return await sento.update(**FACT, **WHY, change=change, deadline_ms=deadline_ms)


@pytest.mark.parametrize("with_outbox", [False, True])
async def test_twenty_at_a_time_count_to_exactly_twenty(tmp_path: Path, with_outbox: bool) -> None:
    registry = Registry()
    async with registry.client(outbox=tmp_path / "outbox" if with_outbox else None) as sento:
        done = await asyncio.gather(*(count_up(sento) for _ in range(CALLERS)))
        assert len({cast("Acknowledgement", ack).position for ack in done}) == CALLERS
    assert [json.loads(record.content)["count"] for record in registry.records()] == list(
        range(1, CALLERS + 1)
    )
    assert list(tmp_path.rglob("*.outbox")) == []


async def test_two_programs_that_count_do_not_overwrite_each_other() -> None:
    registry = Registry()
    async with registry.client() as one, registry.client() as two:
        await asyncio.gather(*(count_up(sento) for sento in (one, two) * 4))
    assert json.loads(registry.records()[-1].content) == {"count": 8}


async def test_change_that_wants_nothing_writes_nothing() -> None:
    registry = Registry()
    async with registry.client() as sento:
        assert await count_up(sento, lambda _: None) is None
    assert registry.size == 0


async def test_error_of_the_change_reaches_the_caller_and_nothing_is_written() -> None:
    def fail(_: Version | None) -> Content:
        raise ZeroDivisionError

    registry = Registry()
    async with registry.client() as sento:
        with pytest.raises(ZeroDivisionError):
            await count_up(sento, fail)
        await count_up(sento)
    assert registry.size == 1


async def test_others_that_are_always_faster_end_it_at_the_deadline_with_stale() -> None:
    registry = Registry()
    other = Draft(**FACT, content={"count": 0})
    registry.overtake(other, times=1_000_000)
    async with registry.client() as sento:
        with pytest.raises(SentoError) as refused:
            await count_up(sento, deadline_ms=200)
        assert refused.value.code in (Code.STALE, Code.DEADLINE)
    assert {json.loads(record.content)["count"] for record in registry.records()} == {0}


# Its decisions, without sites.


class Clock:
    """Time that passes by asking and by work."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.ports = Ports(steady_ms=lambda: self.now_ms, jitter=lambda: 0.0)


def answers(
    clock: Clock, *codes: Code | None, each_ms: int = 10
) -> Callable[[object, object, int], Awaitable[Acknowledgement]]:
    """A `write` that ends with these codes one after the other, the last one again and again; None is an acknowledgement."""
    left = list(codes)

    async def write(_content: object, _previous: object, left_ms: int) -> Acknowledgement:
        assert left_ms > 0
        clock.now_ms += each_ms
        code = left.pop(0) if len(left) > 1 else left[0]
        if code is not None:
            raise SentoError(code)
        return DONE

    return write


async def nothing_stands(_left_ms: int) -> Version:
    raise SentoError(Code.NOT_FOUND)


async def test_stale_ends_it_only_when_the_deadline_has_come() -> None:
    clock = Clock()
    with pytest.raises(SentoError) as refused:
        await update(nothing_stands, answers(clock, Code.STALE), lambda _: b"x", clock.ports, 1_000)
    assert (refused.value.code, clock.now_ms) == (Code.STALE, 1_000)


async def test_stale_is_tried_again_from_what_stands_then() -> None:
    clock = Clock()
    seen: list[Version | None] = []

    def change(version: Version | None) -> Content:
        seen.append(version)
        return b"x"

    write = answers(clock, Code.STALE, Code.STALE, None)
    assert await update(nothing_stands, write, change, clock.ports, 1_000) is DONE
    assert len(seen) == 3


@pytest.mark.parametrize(
    "code", [code for code in Code if code is not Code.STALE], ids=lambda code: code.name
)
async def test_nothing_but_stale_is_tried_again(code: Code) -> None:
    clock = Clock()
    with pytest.raises(SentoError) as refused:
        await update(nothing_stands, answers(clock, code), lambda _: b"x", clock.ports, 1_000)
    # The first record may stand: a second one would be a second change.
    assert (refused.value.code, clock.now_ms) == (code, 10)


async def test_reading_that_fails_ends_it_before_anything_is_written() -> None:
    async def read(_left_ms: int) -> Version:
        raise SentoError(Code.NOT_FRESH)

    clock = Clock()
    with pytest.raises(SentoError) as refused:
        await update(read, answers(clock, None), lambda _: b"x", clock.ports, 1_000)
    assert (refused.value.code, clock.now_ms) == (Code.NOT_FRESH, 0)
