"""Read, change, write: one version after another, again from the newest when somebody else came first.

A ledger takes a version only after the one it names, so two programs that change one fact at a time cannot overwrite each other: the later one gets
STALE, which is final for that record. Then the fact is read again, the caller's function is applied to what it is now, and a new record is written.
Anything else ends it: after an answer that was lost the first record may stand, and a second one would be a second change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sento_client.composing import Content, Ports
from sento_client.results import Acknowledgement, Version
from sento_proto.errors import Code, SentoError

PAUSE_FIRST_MS = 5
PAUSE_MOST_MS = 500
Change = Callable[[Version | None], Content | None]
"""The new content for the version that stands (None: the fact has none yet); None leaves it as it is. It may be called several times, so it only computes."""


async def update(
    read: Callable[[int], Awaitable[Version]],
    write: Callable[[Content, bytes | None, int], Awaitable[Acknowledgement]],
    change: Change,
    ports: Ports,
    timeout_ms: int,
) -> Acknowledgement | None:
    """Apply `change` until it stands; None when it wanted nothing changed. `read` takes the milliseconds left, `write` also content and previous hash.

    Raises SentoError, among others STALE when others were faster until the deadline."""
    deadline_ms = ports.steady_ms() + timeout_ms
    tries = 0
    while True:
        left_ms = deadline_ms - ports.steady_ms()
        try:
            current: Version | None = await read(left_ms)
        except SentoError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            current = None
        content = change(current)
        if content is None:
            return None
        previous = None if current is None else current.record_hash
        try:
            return await write(content, previous, deadline_ms - ports.steady_ms())
        except SentoError as error:
            tries += 1
            pause_ms = ports.jitter() * min(PAUSE_MOST_MS, PAUSE_FIRST_MS << min(tries, 10))
            if error.code is not Code.STALE or ports.steady_ms() + pause_ms >= deadline_ms:
                raise
        await asyncio.sleep(pause_ms / 1000)
