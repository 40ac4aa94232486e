"""The works: so many callers at a time with so many records a call, and the records that our side writes.

One caller of single records shows the latency of a counter; 64 and 256 callers show sharing; 8 callers with batches of 100 show bulk.
A record has about 1 KiB on every side, and its content does not compress.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from sento_client import Draft

CONTENT_BYTES = 1000
"""What our side seals: with its header and its seal a record is above 1 KiB."""
PEER_VALUE_BYTES = 1024
"""What peers store beside a key."""


@dataclass(frozen=True, slots=True)
class Work:
    """`callers` calls on their way at a time, each of `batch` records."""

    callers: int
    batch: int

    @property
    def name(self) -> str:
        """callers x records a call, as in bench.json."""
        return f"{self.callers}x{self.batch}"


WORKS = (Work(1, 1), Work(64, 1), Work(256, 1), Work(8, 100))
READERS = 64
"""Callers of the reading works."""


RUN_ON_S = 0.6
"""A load goes on after its window, so that the window's end is like its middle, for callers and for samples of the process table."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A load runs `warm_up_s` unmeasured, then a window of `seconds`, then a little on; the same for every side."""

    warm_up_s: float
    seconds: float

    @property
    def deadline_s(self) -> float:
        """After this a load hangs."""
        return self.warm_up_s + self.seconds + 60.0


def drafts() -> Iterator[Draft]:
    """New facts about new people, without end and never the same again, each with content that does not compress."""
    source = secrets.token_hex(4)
    for number in count():
        yield Draft(
            registry="residency",
            compartment="basic",
            kind="residence/entry",
            subject=f"bench {source} {number}",
            fact="address",
            content=os.urandom(CONTENT_BYTES),
        )
