"""Waiting for a condition, never for a time: look again and again until it holds, or say what did not come true by the deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

_T = TypeVar("_T")
POLL_S = 0.1


class TooLate(Exception):
    """A condition did not come true within its deadline. The text says which."""


async def until(
    condition: Callable[[], Awaitable[_T | None]], *, deadline_s: float, what: str, poll_s: float = POLL_S
) -> _T:
    """The first result of `condition` that is neither None nor False. Raises TooLate after `deadline_s` seconds."""
    end = time.monotonic() + deadline_s
    while True:
        found = await condition()
        if found is not None and found is not False:
            return found
        if time.monotonic() >= end:
            raise TooLate(f"after {deadline_s:g} s: {what}")
        await asyncio.sleep(poll_s)


def until_now(condition: Callable[[], bool], *, deadline_s: float, what: str, poll_s: float = 0.01) -> None:
    """Block until `condition` holds. Raises TooLate after `deadline_s` seconds."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() >= end:
            raise TooLate(f"after {deadline_s:g} s: {what}")
        time.sleep(poll_s)
