"""A run that fails is written down with its reason, and the bench goes on: other runs are not thrown away, and nothing is left out in silence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sento_drill.bench.calls import LoadFailed
from sento_drill.waiting import TooLate

_T = TypeVar("_T")


@dataclass(slots=True)
class Attempts:
    """`say` gets each failure in words; `failures` keeps them."""

    say: Callable[[str], None]
    failures: list[str] = field(default_factory=list)

    async def at(self, what: str, run: Awaitable[_T]) -> _T | None:
        """What `run` comes to, or None when it failed as a run may: TooLate, LoadFailed. Anything else is raised."""
        try:
            return await run
        except (TooLate, LoadFailed) as error:
            self.failures.append(f"{what}: {error}")
            self.say(f"failed: {self.failures[-1]}")
            return None
