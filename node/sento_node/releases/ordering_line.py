"""Access records on their way into the ledger: those that wait together share a submission and one signature of the site.

A reader waits for one round trip of ordering. Whoever comes while submissions are under way goes into the next one, so that a thousand readers cost some
dozens of submissions and not a thousand.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from sento_node.releases.making import AccessEntry, SignedTogether, fitting, sign_together
from sento_node.site import Reply
from sento_proto.errors import STANDING_CODES, Code, SentoError
from sento_proto.keys import Signer

IN_FLIGHT_MAX = 2
"""Submissions of one registry under way; what waits meanwhile goes together."""
WAITING_MAX = 20_000


class Written(NamedTuple):
    """An access record that is safe: it stands at `position`, proven by its place in a signed submission; or it is spooled, and both are None."""

    entry: AccessEntry
    position: int | None = None
    together: SignedTogether | None = None
    nth: int = 0


class _Waiting(NamedTuple):
    entry: AccessEntry
    written: asyncio.Future[Written]


class OrderingLine:
    """Access records of one site that wait to be ordered, in a line for each registry. `submit`: the site's own ingress."""

    def __init__(self, ledger_id: bytes, signer: Signer, submit: Callable[[bytes], Awaitable[Reply]]) -> None:
        self._ledger_id = ledger_id
        self._signer = signer
        self._submit = submit
        self._lines: dict[str, deque[_Waiting]] = {}
        self._in_flight: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Access records in line."""
        return sum(map(len, self._lines.values()))

    async def stand(self, entries: list[AccessEntry]) -> list[Written]:
        """Return when all stand. Raises SentoError: one of them does not, or it is not known whether it does."""
        if self.waiting + len(entries) > WAITING_MAX:
            raise SentoError(Code.QUEUE_FULL)
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Written]] = []
        for entry in entries:
            registry = entry.record.header.registry
            future: asyncio.Future[Written] = loop.create_future()
            self._lines.setdefault(registry, deque()).append(_Waiting(entry, future))
            futures.append(future)
        loop.call_soon(self._launch)  # who asks in the same moment comes along
        # A reader that goes away leaves its record in line: it may be on its way already.
        settled = await asyncio.shield(asyncio.gather(*futures, return_exceptions=True))
        failures = [one for one in settled if isinstance(one, BaseException)]
        if failures:
            raise failures[0]
        return [one for one in settled if not isinstance(one, BaseException)]

    def _launch(self) -> None:
        for registry, line in self._lines.items():
            while line and self._in_flight.get(registry, 0) < IN_FLIGHT_MAX:
                count = fitting(waiting.entry.record for waiting in line)
                together = [line.popleft() for _ in range(count)]
                self._in_flight[registry] = self._in_flight.get(registry, 0) + 1
                task = asyncio.create_task(self._send(registry, together), name="access-records")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _send(self, registry: str, waiting: list[_Waiting]) -> None:
        try:
            signed = sign_together(self._ledger_id, [one.entry.record for one in waiting], self._signer)
            reply = await self._submit(signed.data)
            if reply.code is not None:
                raise SentoError(reply.code)
            for nth, (one, outcome) in enumerate(zip(waiting, reply.outcomes, strict=True)):
                if outcome.code in STANDING_CODES:
                    _settle(one, Written(one.entry, outcome.position, signed, nth))
                else:
                    _fail(one, SentoError(outcome.code))
        except asyncio.CancelledError:
            for one in waiting:
                _fail(one, SentoError(Code.STOPPING))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, those who wait must hear of it
            for one in waiting:
                _fail(one, error)
        finally:
            self._in_flight[registry] -= 1
            self._launch()


def _settle(waiting: _Waiting, written: Written) -> None:
    if not waiting.written.done():
        waiting.written.set_result(written)


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.written.done():
        waiting.written.set_exception(error)
        waiting.written.exception()  # a reader that has gone away need not be told
